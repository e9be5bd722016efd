"""retry, pause, resume and cancel: the operator's hand."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.seat import Seat, command


def states(seat: Seat) -> dict[str, dict[str, int]]:
    found = seat("status", "field", "--json", code=None).json[0]["steps"]
    assert isinstance(found, dict)
    return found


def test_retry_brings_back_what_failed_and_what_needed_it(seat: Seat) -> None:
    stop = seat.block()
    seat("run", seat.write(parameters={"stop": str(stop)}), code=1)
    stop.unlink()
    said = seat("retry", "field")
    assert len(said.out.splitlines()) == 7
    assert said.err == "7 jobs to be tried again, 0 to be made anew; `run` moves them\n"
    assert "field: done" in seat("run", "production.yaml").err


def test_retry_of_one_job_leaves_the_others(seat: Seat) -> None:
    seat("run", seat.write(parameters={"stop": str(seat.block())}), code=1)
    said = seat("retry", "L654321-SAP000-SB000-one")
    assert said.out.splitlines() == ["L654321-SAP000-G0344-band", "L654321-SAP000-SB000-one", "L654321-SAP000-all"]
    assert states(seat)["one"] == {"failed": 3, "waiting": 1}


def test_retry_can_be_kept_to_a_reason(seat: Seat) -> None:
    seat.observe()[0].unlink()
    seat("run", seat.write(parameters={"stop": str(seat.block())}), code=1)
    assert "L654321-SAP000-SB000-one" in seat("retry", "field", "--reason", "input-missing").out.splitlines()
    assert states(seat)["one"] == {"failed": 3, "waiting": 1}


def test_a_reason_that_is_none_is_refused_with_those_there_are(finished: Seat) -> None:
    said = finished("retry", "field", "--reason", "bad-luck", code=2)
    assert said.err.startswith("--reason: 'bad-luck' is not a reason. There are node-unfit, ")


def test_retry_makes_stale_merges_again(seat: Seat) -> None:
    lost = seat.observe()[1]
    content = lost.read_bytes()
    lost.unlink()
    seat("run", seat.write())
    lost.write_bytes(content)
    seat("retry", "field")
    seat("run", "production.yaml")
    said = seat("retry", "field")
    assert said.err.startswith("0 jobs to be tried again, ")
    assert "L654321-SAP000-G0344-band" in said.out.splitlines()
    assert "lacking" not in seat("run", "production.yaml").err


def test_retry_of_what_went_well_does_nothing(finished: Seat) -> None:
    said = finished("retry", "field")
    assert (said.out, said.err) == ("", "0 jobs to be tried again, 0 to be made anew; `run` moves them\n")


def test_a_paused_production_starts_nothing_until_it_is_resumed(seat: Seat) -> None:
    seat("submit", seat.write())
    assert seat("pause", "field").err == "field is paused\n"
    said = seat("run", "production.yaml", code=1)
    assert "field is paused; `resume field` starts it again" in said.err
    assert states(seat) == {"one": {"waiting": 4}, "band": {"waiting": 2}, "all": {"waiting": 1}}
    assert seat("resume", "field").err == "field goes on\n"
    seat("run", "production.yaml")


def test_cancel_ends_what_waits_and_retry_brings_it_back(seat: Seat) -> None:
    seat("submit", seat.write())
    assert seat("cancel", "field").err == "7 jobs cancelled, 0 of them with the backend\n"
    assert states(seat) == {"one": {"cancelled": 4}, "band": {"cancelled": 2}, "all": {"cancelled": 1}}
    assert "not complete" in seat("run", "production.yaml", code=1).err
    seat("retry", "field")
    assert "field: done" in seat("run", "production.yaml").err


def test_cancel_of_what_is_done_changes_nothing(finished: Seat) -> None:
    assert finished("cancel", "field").err == "0 jobs cancelled, 0 of them with the backend\n"
    assert finished("status", "field").out.startswith("field: done")


def test_what_needs_a_cancelled_job_is_told_that_it_was_cancelled(seat: Seat) -> None:
    seat.observe([0])
    seat("submit", seat.write())
    seat("cancel", "L654321-SAP000-SB000-one")
    said = seat("run", "production.yaml", code=1)
    assert "L654321-SAP000-SB000-one cancelled: the operator cancelled it" in said.err


@pytest.mark.parametrize("what", ["field", "L654321-SAP000-SB000-one"])
def test_what_runs_is_stopped_while_another_process_moves_it(seat: Seat, tmp_path: Path, what: str) -> None:
    seat.observe([0])
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    seat.write(parameters={"gate": str(gate)})
    environment = {**os.environ, "LOFARGRID_DATA": str(seat.data),
                   "LOFARGRID_PIPELINES": str(seat.folder / "pipelines")}  # fmt: skip
    going = subprocess.Popen(command("run", "production.yaml"), cwd=seat.desk, env=environment,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    with gate.open("w"):  # opens when the payload reads
        said = seat("cancel", what)
        assert "1 of them with the backend" in said.err
        _, err = going.communicate(timeout=60)
    assert going.returncode == 1
    assert "field: not complete" in err
    assert states(seat)["one"] == {"cancelled": 1}
