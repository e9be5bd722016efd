"""get, compare, demo-data and demo-result, as far as they are the command line's."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.seat import Seat


def test_products_are_brought_with_their_provenance_and_verified(finished: Seat, tmp_path: Path) -> None:
    said = finished("get", "field", str(tmp_path / "new" / "folder"))
    brought = [Path(line) for line in said.out.splitlines()]
    assert [path.name for path in brought] == [name for name in finished.products[:6] if name.endswith(".txt")]
    assert all(path.exists() and json.loads(Path(f"{path}.json").read_text()) for path in brought)
    assert said.err.count(" verified\n") == 3


def test_what_is_there_already_is_not_brought_twice_and_what_is_damaged_is(finished: Seat, tmp_path: Path) -> None:
    finished("get", "field", str(tmp_path))
    (tmp_path / "L654321-SAP000-all.txt").unlink()
    (tmp_path / "L654321-SAP000-all.txt").write_text("damaged")
    said = finished("get", "field", str(tmp_path))
    assert said.err.count("there already, verified") == 2
    assert (tmp_path / "L654321-SAP000-all.txt").read_bytes() == b""


def test_there_are_links_to_what_lies_on_a_grid_storage_only(finished: Seat) -> None:
    said = finished("get", "field", "--link", code=2).err
    assert said.startswith("--link: there are no links to file:///")
    assert "Links are for what lies on davs://; bring it here: get field FOLDER" in said


def test_without_a_folder_products_come_to_where_you_are(finished: Seat) -> None:
    finished("get", "field")
    brought = finished.desk / "L654321-SAP000-all.txt"
    assert brought.exists()
    for path in finished.desk.glob("L654321-SAP000-*.txt*"):
        path.unlink()


def test_a_production_without_products_brings_nothing(failed: Seat) -> None:
    said = failed("get", "field", code=1)
    assert (said.out, said.err) == ("", "field has no products yet\n")


def test_a_folder_that_cannot_be_written_is_told(finished: Seat, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = finished("get", "field", str(tmp_path / "file"), code=1)
    first, second = said.err.splitlines()
    assert first.startswith("bringing L654321-SAP000-")
    assert second.startswith(f"cannot copy to {tmp_path}/file/L654321-SAP000-")


def test_a_production_is_the_same_as_what_was_brought_of_it(finished: Seat, tmp_path: Path) -> None:
    finished("get", "field", str(tmp_path))
    said = finished("compare", "field", str(tmp_path))
    assert all(line.startswith("same ") for line in said.out.splitlines())
    assert len(said.out.splitlines()) >= 3


def test_what_differs_is_told_by_name_with_exit_code_1(finished: Seat, tmp_path: Path) -> None:
    finished("get", "field", str(tmp_path))
    (tmp_path / "L654321-SAP000-all.txt").unlink()
    said = finished("compare", "field", str(tmp_path), code=1)
    assert "DIFFER L654321-SAP000-all.txt" in said.out
    differences = finished("compare", "field", str(tmp_path), "--json", code=1).json
    assert [one["name"] for one in differences if not one["same"]] == ["L654321-SAP000-all.txt"]


def test_what_is_neither_folder_nor_production_is_told(finished: Seat) -> None:
    said = finished("compare", "field", "nothing", code=2)
    assert said.err == "'nothing' is neither a folder nor a production. `status` lists the productions\n"


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """An installation that lacks the science tools."""
    real = builtins.__import__

    def find(name: str, *rest: Any, **more: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named 'numpy' (for {name})", name="numpy")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", find)


@pytest.mark.parametrize(
    ("words", "package", "verb"),
    [
        (["compare", "field", "field"], "lofargrid.compare", "compare"),
        (["demo-data", "new"], "lofargrid.demo", "demo-data"),
        (["demo-result", "."], "lofargrid.demo", "demo-result"),
    ],
)
def test_without_the_science_tools_the_command_that_brings_them_is_told(
    finished: Seat, monkeypatch: pytest.MonkeyPatch, words: list[str], package: str, verb: str
) -> None:
    without(monkeypatch, package)
    said = finished(*words, code=2)
    assert said.err == f"{verb} needs numpy. Install it with: pip install 'lofargrid[science]'\n"


# The demo


def test_the_demo_is_two_observations_the_truth_and_a_production_that_can_be_planned(seat: Seat) -> None:
    said = seat("demo-data", "demo", "--subbands", "2", "--times", "4", "--seed", "3")
    assert said.out == "demo/production.yaml\n"
    names = {path.name for path in (seat.desk / "demo").iterdir()}
    assert {"truth.json", "calibrator.skymodel", "target.skymodel", "L900001.surls", "L900002.surls"} <= names
    assert len([name for name in names if name.endswith(".tar")]) == 4
    assert "2 calibrator, 2 target subbands" in seat("plan", "demo/production.yaml").out


def test_the_demo_never_writes_among_other_files(seat: Seat) -> None:
    (seat.desk / "mine").mkdir()
    (seat.desk / "mine" / "file").write_text("precious")
    for name in ("mine", "mine/file"):
        said = seat("demo-data", name, code=2)
        assert said.err == f"{name} is not an empty folder. Name a new one\n"
    assert [path.name for path in (seat.desk / "mine").iterdir()] == ["file"]


def test_a_demo_that_was_not_run_names_the_command(seat: Seat) -> None:
    said = seat("demo-result", "demo", code=2)
    assert said.err == "there is no image in demo/products yet. Make it with: run demo/production.yaml\n"
