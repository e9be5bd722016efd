"""What is refused before anything is entered: told with file and line, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.backends.base import Backend
from lofargrid.cli.session import Session
from lofargrid.config import settings
from lofargrid.errors import BackendError
from tests.unit.cli.seat import Seat


def refused(seat: Seat, **changes: object) -> str:
    """Plan, submit and run a production that all must refuse with the same words."""
    seat.write(**changes)
    before = sorted(seat.folder.rglob("*"))
    told = {seat(verb, "production.yaml", code=2).err for verb in ("plan", "submit", "run")}
    assert sorted(seat.folder.rglob("*")) == before
    (said,) = told
    return said


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backend": "dirac"}, "11: backend: the backend 'dirac' is not in this version. Use local or htcondor"),
        ({"sites": ["SURF"]}, "11: sites.0: there is no site 'SURF'. There are local"),
        ({"backend": "htcondor"}, "11: backend: no site is reached through htcondor. Give a site of your sites.yaml "),
        ({"software": "2031"}, "11: software: there is no software release '2031'. There are local"),
        ({"pipeline": "copi"}, "3: pipeline: there is no pipeline 'copi'. There are calibrate-image, copy, "),
        ({"parameters": {"siz": 2}}, "12: parameters.siz: the pipeline has no such parameter. It has size, stop, "),
        ({"output": "production.yaml/out"}, "7: output: the output "),
        ({"output": "/proc/out"}, "7: output: the output /proc/out cannot be written: /proc: "),
        ({"output": "x" * 300}, "7: output: the output "),
    ],
)
def test_what_this_version_cannot_do_is_told_with_its_line(seat: Seat, changes: dict[str, object], told: str) -> None:
    said = refused(seat, **changes)
    assert said.startswith(f"production.yaml:{told}")
    assert said.count("\n") == 1


def test_all_that_this_version_cannot_do_is_told_at_once(seat: Seat) -> None:
    said = refused(seat, sites=["a", "b"])
    assert [line.split(": ")[1] for line in said.splitlines()] == ["sites.0", "sites.1"]


def test_less_than_the_policy_asks_for_is_refused_with_every_file_and_the_policys_line(seat: Seat) -> None:
    tars = seat.observe()
    tars[0].unlink()
    tars[2].write_bytes(tars[2].read_bytes()[:700])
    said = refused(seat, policy={"minimum_subbands": 0.9})
    first, second, last = said.splitlines()
    assert first.startswith(f"{seat.desk}/data.surls:1: {tars[0]}: an input file is not there")
    assert second.startswith(f"{seat.desk}/data.surls:3: {tars[2]}: an input tar ends early")
    assert last == ("production.yaml:8: policy: 2 of 4 subbands of data L654321 SAP000 can be used, minimum_subbands: "
                    "0.9 asks for more. Mend the files above, or ask for less in policy")  # fmt: skip


def test_an_output_folder_that_is_not_there_yet_is_made_by_run_and_not_by_plan(seat: Seat) -> None:
    seat.write(output="far/away/products")
    seat("plan", "production.yaml")
    assert not (seat.desk / "far").exists()
    seat("run", "production.yaml")
    assert (seat.desk / "far" / "away" / "products" / "L654321-SAP000-all.txt").exists()


def test_an_output_that_can_be_written_is_not_touched_by_the_look_at_it(seat: Seat) -> None:
    out = seat.desk / "products"
    out.mkdir()
    before = out.stat().st_mtime_ns
    seat("plan", seat.write())
    assert (out.stat().st_mtime_ns, list(out.iterdir())) == (before, [])


def test_paths_in_a_production_start_from_its_own_folder_wherever_you_are(seat: Seat, tmp_path: Path) -> None:
    seat.write()
    other = Seat(tmp_path / "other")
    said = other("plan", str(seat.desk / "production.yaml"))
    assert f"  output   {seat.desk}/products\n" in said.out


def test_what_cannot_be_stopped_now_is_told_and_left_to_the_next_run(
    seat: Seat, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def deaf(*_: object) -> Backend:
        raise BackendError("the pool does not answer")

    monkeypatch.setattr(Session, "backend", deaf)
    session = Session(settings({"LOFARGRID_DATA": str(seat.data)}), seat.data / "tracker.db")
    tracker = session.tracker()
    session.stop(tracker, [])
    assert capsys.readouterr().err == ""
    session.stop(tracker, ["abcd1234-1-1"])
    assert capsys.readouterr().err == "the pool does not answer; the next `run` stops them\n"
