"""The live view, following another process, and stopping calmly."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from rich.console import Console

from lofargrid.cli.progress import Troubled, View, picture
from lofargrid.engine.engine import Tick
from lofargrid.states import JobState
from lofargrid.ticking import hold_tick
from tests.unit.cli.seat import Listener, Seat, command

DONE, FAILED, RUNNING, WAITING = JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING, JobState.WAITING


def a_view(
    subbands: tuple[JobState, ...] = (DONE, FAILED, RUNNING, WAITING),
    one: dict[JobState, int] | None = None,
    elapsed_s: float = 60.0,
    done_here: int = 2,
) -> View:
    counts = {DONE: 1, FAILED: 1, RUNNING: 1, WAITING: 1} if one is None else one
    steps = (("one", counts), ("band", {}))
    return View("field", steps, (("data L654321-SAP000", subbands),), elapsed_s, done_here)


def drawn(seen: View, width: int = 80, colour: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard" if colour else None)
    console.print(picture(seen))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_subband_is_a_cell_by_its_state() -> None:
    assert drawn(a_view()).splitlines()[1].rstrip() == "data L654321-SAP000  ■✗▶·"


def test_every_state_has_a_cell_of_its_own_and_a_word_in_the_legend() -> None:
    text = drawn(a_view(tuple(JobState), dict.fromkeys(JobState, 1)), width=120)
    cells = text.splitlines()[1].split()[-1]
    assert len(set(cells)) == len(JobState)
    assert all(f"{cell} {state}" in text for cell, state in zip(cells, JobState, strict=True))


def test_the_legend_explains_only_what_is_shown() -> None:
    assert drawn(a_view((DONE,), {DONE: 1})).splitlines()[-1].strip() == "■ succeeded"


@pytest.mark.parametrize("count", [244, 488])
def test_all_cells_of_a_whole_observation_are_shown_however_narrow_the_screen(count: int) -> None:
    text = drawn(a_view((DONE,) * count, {DONE: count}), width=60)
    assert text.partition("one")[0].count("■") == count
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 60


def test_a_step_has_a_bar_its_count_and_what_runs_or_failed() -> None:
    row = next(line for line in drawn(a_view()).splitlines() if line.startswith("one"))
    assert row.split() == ["one", "━" * 30, "1/4", "1", "running,", "1", "failed"]


def test_the_bar_is_green_as_far_as_jobs_succeeded() -> None:
    text = drawn(a_view((DONE,), {DONE: 1, WAITING: 2}), colour=True)
    assert f"\x1b[32m{'━' * 10}\x1b[0m\x1b[2m{'━' * 20}\x1b[0m" in text


def test_a_step_without_jobs_yet_has_an_empty_bar() -> None:
    assert "0/0" in next(line for line in drawn(a_view()).splitlines() if line.startswith("band"))


@pytest.mark.parametrize(
    ("counts", "elapsed_s", "done_here", "pace"),
    [
        ({DONE: 2, WAITING: 4}, 60.0, 2, "1 min 0 s so far, 2 jobs/min, about 2 min 0 s left"),
        ({DONE: 5, FAILED: 1}, 30.0, 6, "30 s so far, 12 jobs/min"),
        ({DONE: 3, WAITING: 3}, 10.0, 0, "10 s so far"),
        ({DONE: 1}, 0.0, 1, "0 s so far"),
    ],
)
def test_the_pace_counts_only_what_was_done_here(
    counts: dict[JobState, int], elapsed_s: float, done_here: int, pace: str
) -> None:
    seen = a_view(one=counts, elapsed_s=elapsed_s, done_here=done_here)
    assert seen.pace == pace
    assert pace in drawn(seen)


def test_one_line_for_logs_has_every_step() -> None:
    assert a_view().line == "field: one 1/4 (1 failed)  band 0/0"


def test_what_troubles_for_long_is_told_once_and_again_when_it_comes_back() -> None:
    troubled = Troubled()
    lasting = [troubled.by(Tick(0, 0, ("the disk is full", "so is the other"))) for _ in range(100)]
    assert list(filter(None, lasting)) == ["the disk is full (and 1 other trouble); jobs that run go on"]
    assert troubled.by(Tick(0, 0)) == ""
    assert any(troubled.by(Tick(0, 0, ("the disk is full",))) for _ in range(100))


def test_what_troubles_for_a_moment_is_not_told() -> None:
    troubled = Troubled()
    assert not any(troubled.by(Tick(0, 0, ("the disk is full",) if tick % 10 else ())) for tick in range(100))


def test_a_proxy_that_has_ended_is_told_at_once_and_once() -> None:
    troubled = Troubled()
    held = Tick(0, 0, ("the proxy has ended",), held=True)
    assert troubled.by(held) == "the proxy has ended; jobs that run go on"
    assert not any(troubled.by(held if tick % 3 else Tick(0, 0)) for tick in range(100))
    assert not any(troubled.by(Tick(0, 0)) for _ in range(100))
    assert troubled.by(held)


# run, in a terminal and not


def test_without_a_terminal_there_are_plain_lines_with_the_time(seat: Seat) -> None:
    lines = seat("run", seat.write()).err.splitlines()
    shown = [line for line in lines if " field: one " in line]
    assert shown
    assert all(line[2] == line[5] == ":" and "\x1b" not in line for line in shown)


def test_in_a_terminal_there_is_a_picture_that_ends_complete(seat: Seat) -> None:
    seat.environment |= {"FORCE_COLOR": "1", "TERM": "xterm"}
    said = seat("run", seat.write())
    last = said.err.rpartition("data L654321-SAP000")[2]
    assert last.count("■") == 5  # four subbands and the legend
    assert "\x1b[" in said.err
    assert "\x1b" not in said.out


def test_a_subband_shows_its_first_job_that_has_not_succeeded(seat: Seat) -> None:
    seat.environment |= {"FORCE_COLOR": "1", "TERM": "xterm"}
    seat.observe()[1].unlink()
    last = seat("run", seat.write()).err.rpartition("data L654321-SAP000")[2].splitlines()[0]
    assert [char for char in last if char in "■✗"] == ["■", "✗", "■", "■"]


# Two processes


def holding(seat: Seat) -> ExitStack:
    """The tick, held by somebody else."""
    stack = ExitStack()
    assert stack.enter_context(hold_tick(seat.data / "tracker.db"))
    return stack


def test_a_second_run_follows_and_takes_over_when_the_first_one_ends(seat: Seat) -> None:
    seat("submit", seat.write())
    held = holding(seat)
    err = Listener("following", lambda: Thread(target=held.close).start())
    said = seat("run", "production.yaml", stderr=err)
    assert said.err.count("another process moves this tracker's jobs; following") == 1
    assert "field: done" in said.err


def environment_of(seat: Seat) -> dict[str, str]:
    return {**os.environ, "LOFARGRID_DATA": str(seat.data), "LOFARGRID_SLOTS": "2", "PYTHONUNBUFFERED": "1",
            "LOFARGRID_PIPELINES": str(seat.folder / "pipelines")}  # fmt: skip


def gate_of(seat: Seat) -> Path:
    path = seat.folder / "gate"
    os.mkfifo(path)
    return path


def test_a_second_run_tells_the_outcome_of_what_the_first_one_does(seat: Seat) -> None:
    seat.observe([0])
    gate = gate_of(seat)
    seat.write(parameters={"gate": str(gate)})
    first = subprocess.Popen(command("run", "production.yaml"), cwd=seat.desk, env=environment_of(seat),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    opened = gate.open("w")  # opens when the payload reads, so the first process holds the tick
    said = seat("run", "production.yaml", stderr=Listener("following", opened.close))
    assert first.wait(60) == 0
    assert "following" in said.err
    assert said.err.splitlines()[-1] == "field: done, 2 products, 0 jobs failed"
    assert len(said.out.splitlines()) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_calmly_and_the_same_command_goes_on(seat: Seat, number: signal.Signals) -> None:
    seat.observe([0])
    gate = gate_of(seat)
    seat.write(parameters={"gate": str(gate)})
    seat("submit", "production.yaml")
    kill = partial(os.kill, os.getpid(), number)
    before = signal.getsignal(signal.SIGTERM)
    said = seat("run", "production.yaml", code=130, stderr=Listener("one 0/1", when_read(gate, kill)))
    assert signal.getsignal(signal.SIGTERM) is before
    assert "1 job handed over; what runs goes on, `cancel field` ends it\n" in said.err
    assert said.err.endswith("interrupted; nothing is lost, the same command goes on\n")
    assert "field: done" in seat("run", "production.yaml").err


def when_read(gate: Path, then: Callable[[], None]) -> Callable[[], None]:
    """Start to wait until a payload reads the gate; do it, and let the payload go on."""

    def wait() -> None:
        with gate.open("w"):
            then()

    return Thread(target=wait).start


def test_an_interrupt_before_anything_is_entered_is_calm_too(seat: Seat) -> None:
    """Ctrl-C while the list is read: it comes from a named pipe that nobody fills."""
    (seat.desk / "data.surls").unlink()
    os.mkfifo(seat.desk / "data.surls")
    seat.write()
    going = subprocess.Popen(command("run", "production.yaml"), cwd=seat.desk, env=environment_of(seat),
                             stderr=subprocess.PIPE, text=True)  # fmt: skip
    with (seat.desk / "data.surls").open("w"):
        going.send_signal(signal.SIGINT)
        _, err = going.communicate(timeout=60)
    assert (going.returncode, err) == (130, "interrupted; nothing is lost, the same command goes on\n")
    assert not seat.data.exists()


def test_a_closed_terminal_leaves_the_tick_to_the_next(seat: Seat) -> None:
    """SIGHUP ends the process at once; what it started goes on and is taken on by the next."""
    seat.observe([0])
    gate = gate_of(seat)
    seat.write(parameters={"gate": str(gate)})
    going = subprocess.Popen(command("run", "production.yaml"), cwd=seat.desk, env=environment_of(seat),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    with gate.open("w"):
        going.send_signal(signal.SIGHUP)
        assert going.wait(60) == -signal.SIGHUP
    assert "field: done" in seat("run", "production.yaml").err
    assert seat("logs", "L654321-SAP000-SB000-one", "--attempt", "2", code=1).err.startswith("L654321-SAP000-SB000-one")
