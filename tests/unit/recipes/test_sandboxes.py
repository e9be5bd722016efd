"""A frozen sandbox is what the recipe named when it was made, whatever happens to the user's files later."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lofargrid.recipes.sandboxes import freeze, pack_runner
from lofargrid.zipapp import build_zipapp
from tests.unit.factories import Desk, faults_of


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    (desk.pipeline / "lua").mkdir()
    (desk.pipeline / "lua" / "rfi.lua").write_text("strategy")
    (desk.common / "look.py").write_text("print(1)")
    (desk.common / "look.py").chmod(0o700)
    (desk.folder / "my.parset").write_text("steps=[]")
    desk.content["parameters"]["files"] = {"type": "files", "default": [], "description": "Files"}
    desk.document["parameters"] = {"files": ["my.parset"]}
    return desk


def test_it_holds_the_pipeline_the_common_scripts_and_the_users_files(desk: Desk, tmp_path: Path) -> None:
    folder = freeze(desk.recipe(), tmp_path / "frozen")
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    found.pop("pipeline.yaml")
    assert found == {
        "lua/rfi.lua": "strategy",
        "common/look.py": "print(1)",
        "parameters/files/my.parset": "steps=[]",
    }


def test_what_could_be_executed_still_can_and_by_all(desk: Desk, tmp_path: Path) -> None:
    folder = freeze(desk.recipe(), tmp_path / "frozen")
    assert (folder / "common" / "look.py").stat().st_mode & 0o777 == 0o755
    assert (folder / "lua" / "rfi.lua").stat().st_mode & 0o777 == 0o644


def test_it_is_made_once_and_stays_when_the_users_files_change(desk: Desk, tmp_path: Path) -> None:
    recipe = desk.recipe()
    folder = freeze(recipe, tmp_path / "frozen")
    (desk.common / "look.py").write_text("print(2)")
    assert freeze(recipe, tmp_path / "frozen") == folder
    assert (folder / "common" / "look.py").read_text() == "print(1)"
    assert os.listdir(tmp_path / "frozen") == [recipe.hash]


def test_two_recipes_have_two_sandboxes(desk: Desk, tmp_path: Path) -> None:
    first = freeze(desk.recipe(), tmp_path / "frozen")
    (desk.common / "look.py").write_text("print(2)")
    assert freeze(desk.recipe(), tmp_path / "frozen") != first


def test_a_file_that_changed_since_the_recipe_was_made_is_not_slipped_in(desk: Desk, tmp_path: Path) -> None:
    recipe = desk.recipe()
    (desk.common / "look.py").write_text("print(2)")
    (fault,) = faults_of(freeze, recipe, tmp_path / "frozen")
    assert fault.file == str(desk.common / "look.py")
    assert fault.what == "has changed since the production was entered"
    assert "run --replan" in fault.remedy
    assert os.listdir(tmp_path / "frozen") == []


def test_a_file_that_went_away_leaves_no_half_made_sandbox(desk: Desk, tmp_path: Path) -> None:
    recipe = desk.recipe()
    (desk.folder / "my.parset").unlink()
    with pytest.raises(OSError, match=r"my\.parset"):
        freeze(recipe, tmp_path / "frozen")
    assert os.listdir(tmp_path / "frozen") == []


def test_the_runner_is_packed_once_for_each_version_of_its_sources(tmp_path: Path) -> None:
    packed = pack_runner(tmp_path)
    assert packed.read_bytes() == build_zipapp(tmp_path / "other" / "runner.pyz").read_bytes()
    packed.write_bytes(b"kept")
    assert pack_runner(tmp_path).read_bytes() == b"kept"
