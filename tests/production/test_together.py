"""Two commands at once, and a clock that is set back: nothing lost, nothing doubled, one calm line."""

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.production.gated import Gated, gated, is_done
from tests.production.soundness import end_the_machine, running

FOLLOWING = "another process moves this tracker's jobs; following"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Gated]:
    one = gated(tmp_path)
    yield one
    one("cancel", "field", code=None)


@contextlib.contextmanager
def opened(desk: Gated) -> Iterator[None]:
    gate = desk.open_gate()
    try:
        yield
    finally:
        os.close(gate)


def test_of_two_runs_at_once_one_moves_the_jobs_and_the_other_follows(desk: Gated) -> None:
    with running(desk) as first, running(desk) as second:
        desk.wait_for(2, "j.state = 'running'")
        with opened(desk):
            told = [process.communicate(timeout=60) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], told
    assert sorted(err.count(FOLLOWING) for _, err in told) == [0, 1]
    assert told[0][0] == told[1][0]
    assert "Traceback" not in "".join(err for _, err in told)
    is_done(desk)


def test_who_follows_takes_over_when_the_other_run_is_killed(desk: Gated) -> None:
    with running(desk) as first:
        desk.wait_for(2, "j.state = 'running'")
        with running(desk) as second:
            assert second.stderr
            while FOLLOWING not in second.stderr.readline():
                assert second.poll() is None
            first.send_signal(signal.SIGKILL)
            first.wait()
            with opened(desk):
                _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    is_done(desk)


def test_a_production_is_paused_and_resumed_from_another_shell(desk: Gated) -> None:
    with running(desk) as process:
        desk.wait_for(2, "j.state = 'running'")
        desk("pause", "field")
        name = "L100000-SAP000-SB000-copy"
        desk("cancel", name)
        desk("retry", name)
        with opened(desk):
            _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.count("field is paused; `resume field` starts it again") == 1
    assert desk("status", "field", code=3).out.startswith("field: paused")
    desk("resume", "field")
    with opened(desk):
        desk("run", "production.yaml")
    is_done(desk)


def test_a_job_is_cancelled_and_brought_back_from_another_shell_while_the_run_goes_on(desk: Gated) -> None:
    name = "L100000-SAP000-SB000-copy"
    with running(desk) as process:
        desk.wait_for(2, "j.state = 'running'")
        desk("cancel", name)
        desk.wait_for(1, "j.state = 'cancelled'")
        desk("retry", name)
        desk.wait_for(0, "j.state = 'cancelled'")
        with opened(desk):
            _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    is_done(desk)


def test_a_production_is_cancelled_from_another_shell_and_retry_brings_it_back(desk: Gated) -> None:
    with running(desk) as process:
        desk.wait_for(2, "j.state = 'running'")
        desk("cancel", "field")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "field: not complete, 0 products, 0 jobs failed"
    desk("retry", "field")
    with opened(desk):
        desk("run", "production.yaml")
    is_done(desk)


TIMES = {"productions": ["created"], "jobs": ["updated", "not_before"], "attempts": ["intended", "started", "ended"],
         "events": ["at"]}  # fmt: skip


def set_back(desk: Gated, by: timedelta) -> None:
    """What a clock that is set back leaves: every time in the tracker lies in the future."""
    with contextlib.closing(sqlite3.connect(desk.tracker / "tracker.db", isolation_level=None)) as tracker:
        for table, column in ((table, column) for table, columns in TIMES.items() for column in columns):
            where = f"{table} WHERE {column} IS NOT NULL"
            for (time,) in tracker.execute(f"SELECT DISTINCT {column} FROM {where}").fetchall():
                later = (datetime.fromisoformat(time) + by).astimezone(UTC).isoformat(timespec="milliseconds")
                tracker.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (later, time))


@pytest.mark.parametrize("killed", [False, True], ids=["the run alone", "its runners too"])
def test_a_clock_that_is_set_back_an_hour_costs_nothing(desk: Gated, killed: bool) -> None:
    with running(desk) as process:
        desk.wait_for(2, "j.state = 'running'")
        process.kill()
    if killed:
        end_the_machine(desk.folder.parent)
        with running(desk) as process:
            desk.wait_for(2, "j.reason = 'lost'")
            process.kill()
    set_back(desk, timedelta(hours=1))
    assert desk("why", "L100000-SAP000-SB000-copy").err == ""
    with opened(desk):
        said = desk("run", "production.yaml")
    assert "done" in said.err
    is_done(desk)
