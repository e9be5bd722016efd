"""Content folders are found, the user's own pipelines before ours."""

from __future__ import annotations

from pathlib import Path

from lofargrid.assets import common_scripts, content, pipeline_folder, pipeline_folders
from tests.unit.factories import SHIPPED, faults_of


def own(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "pipeline.yaml").touch()
    return folder


def test_all_content_is_beside_the_package() -> None:
    for name in ("sandbox", "jdl", "cvmfs/software.yaml", "pilots/bootstrap.sh"):
        assert (content() / name).exists()
    assert (common_scripts() / "inspect_ms.py").is_file()


def test_the_shipped_pipelines_are_those_with_a_pipeline_yaml() -> None:
    assert list(pipeline_folders()) == SHIPPED
    assert {"calibrate-image", "custom", "flag-average"} <= set(SHIPPED)


def test_a_users_own_pipelines_come_before_ours_and_the_first_folder_before_the_second(tmp_path: Path) -> None:
    first, second = own(tmp_path / "1", "custom", "mine"), own(tmp_path / "2", "mine", "other")
    (first / "no-pipeline").mkdir()
    found = pipeline_folders([first, second, tmp_path / "none"])
    assert list(found) == sorted({*SHIPPED, "mine", "other"})
    assert [found[name].parent for name in ("custom", "mine", "other")] == [first, first, second]
    assert pipeline_folder("mine", [first, second]) == first / "mine"


def test_an_unknown_pipeline_is_told_with_those_that_are_there() -> None:
    (fault,) = faults_of(pipeline_folder, "calibrate")
    assert (fault.field, fault.what) == ("pipeline", "there is no pipeline 'calibrate'")
    assert all(name in fault.remedy for name in SHIPPED)
