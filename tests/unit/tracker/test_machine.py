"""The tracker under all of its verbs, in any order, with a process that may die at any statement.

What must stand is told twice: by a model of plain dictionaries that makes the same changes, and by what must hold of
the tables whatever was changed.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lofargrid import campaigns, productions
from lofargrid.campaigns import Campaign, Row
from lofargrid.config import ProductionDocument
from lofargrid.errors import IllegalMoveError, InputError, LofarGridError
from lofargrid.frequency import absolute_subband
from lofargrid.model import Job, StoredOutput
from lofargrid.names import group_of_key
from lofargrid.recipes import Recipe
from lofargrid.rehearsal.crash import Crash, MortalConnection
from lofargrid.states import FINAL, MOVES, UNFINISHED, JobState, Phase, Reason
from lofargrid.tracker import Tracker, open_tracker
from lofargrid.tracker.records import QuarantineRecord
from tests.unit.engine_factories import GROUP, START, SUBBAND_HZ, World, frequency_of, name, recipe, subband

ROOT = Path(__file__).parents[3]
SOAK = bool(os.environ.get("LOFARGRID_SOAK_MACHINE"))
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

PRODUCTIONS = ("field", "deep")
LISTS = {
    "known": [subband(n, frequency_hz=n * SUBBAND_HZ) for n in range(100, 104)],
    "unknown": [subband(n) for n in range(100, 104)],
    "fewer": [subband(n) for n in range(100, 103)],
    "some known": [subband(100, frequency_hz=100 * SUBBAND_HZ), subband(101), subband(102)],
    "one lost": [subband(100), subband(101), subband(102, reason=Reason.INPUT_MISSING, problem="it is gone")],
    "two alike": [subband(n, frequency_hz=100 * SUBBAND_HZ) for n in (100, 101)],
}
OUTPUTS = {"first": [("ms", False)], "band": [("ms", True)], "image": [("fits", True)]}
DEPTHS = ("first", "band", "image")
OPEN = (Phase.INTENDED, Phase.QUEUED, Phase.RUNNING)
FINAL_WORDS = ", ".join(f"'{state}'" for state in FINAL)

which = st.integers(0, 99)
dies = st.none() | st.integers(0, 1000)
"""Whether the process dies in a verb, and how far into it, in thousandths of its statements."""


@cache
def recipe_of(production: str, listed: str, strength: int, iterations: int) -> Recipe:
    parameters = {"strength": strength, "iterations": iterations}
    return recipe(LISTS[listed], parameters=parameters, production=production, output="file:///products")


recipes_ = st.builds(
    recipe_of, st.sampled_from(PRODUCTIONS), st.sampled_from(list(LISTS)), st.integers(1, 2), st.integers(1, 2)
)


@cache
def empty_tracker() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        open_tracker(Path(folder, "tracker.db")).close()
        return Path(folder, "tracker.db").read_bytes()


# What must hold of the tables, whatever was changed


def problems(tracker: Tracker) -> Iterator[str]:
    """All that is wrong with a tracker between two transactions."""
    yield from _damage(tracker)
    yield from _broken_histories(tracker)
    yield from (f"{row[0]} is {row[1]} and nothing runs for it" for row in tracker.rows(
        "SELECT j.name, j.state FROM jobs j LEFT JOIN attempts a ON a.id = j.attempt AND a.job_id = j.id WHERE"
        " j.state IN ('submitted', 'running') AND (a.id IS NULL OR a.phase IN ('ended', 'lost'))"))  # fmt: skip
    yield from (f"{row[0]} was superseded and is {row[1]}" for row in tracker.rows(
        f"SELECT name, state FROM jobs WHERE NOT current AND state NOT IN ({FINAL_WORDS})"))  # fmt: skip
    yield from (f"{row[0]} stands twice" for row in tracker.rows(
        "SELECT name FROM jobs WHERE current GROUP BY production_id, name HAVING count(*) > 1"))  # fmt: skip
    yield from (f"{row[0]} counts {row[1]} open needs and has {row[2]}" for row in tracker.rows(
        "SELECT name, unmet, found FROM (SELECT j.name, j.unmet, (SELECT count(*) FROM needs n JOIN jobs k"
        f"  ON k.id = n.need_id WHERE n.job_id = j.id AND k.state NOT IN ({FINAL_WORDS}))"
        " + (SELECT count(*) FROM awaited a WHERE a.job_id = j.id) AS found FROM jobs j WHERE j.current)"
        " WHERE unmet <> found"))  # fmt: skip
    counted = "SELECT production_id, step, state, count(*) AS n FROM jobs WHERE current GROUP BY 1, 2, 3"
    told = "SELECT production_id, step, state, n FROM tallies WHERE n <> 0"
    yield from (f"the tally of {tuple(row)} is not the count" for row in tracker.rows(
        f"SELECT * FROM ({counted} EXCEPT {told}) UNION SELECT * FROM ({told} EXCEPT {counted})"))  # fmt: skip


def _damage(tracker: Tracker) -> Iterator[str]:
    yield from (row[0] for row in tracker.rows("PRAGMA integrity_check") if row[0] != "ok")
    yield from (f"{row[0]} names a {row[2]} that is none" for row in tracker.rows("PRAGMA foreign_key_check"))


def _broken_histories(tracker: Tracker) -> Iterator[str]:
    """A job is born waiting, or failed; each move begins where the last one ended; it stands where they end."""
    stands = {row["id"]: row["state"] for row in tracker.rows("SELECT id, state FROM jobs")}
    told: dict[int, str] = {}
    for job, old, new in tracker.rows("SELECT job_id, old, new FROM events WHERE new IS NOT NULL ORDER BY id"):
        if old != told.get(job, old if old == "failed" else "waiting"):
            yield f"job {job} moves from {old} and was {told.get(job)}"
        if JobState(new) not in MOVES[JobState(old)]:
            yield f"job {job}: {old} -> {new}"
        told[job] = new
    for job, state in stands.items():
        if state != told.get(job, state if state == "failed" else "waiting"):
            yield f"job {job} is {state} and its history ends with {told.get(job)}"


# A process that dies


class Death:
    """The process dies when it begins its ``last``-th statement; 0 lets it live. Counts them either way."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.last:
            raise Crash


def mortal(tracker: Tracker, death: Death) -> None:
    tracker.wrap(lambda connection: MortalConnection(connection, death))  # type: ignore[arg-type, return-value]


def what_stands_on_disk(path: Path, folder: Path) -> Tracker:
    """A tracker made of the bytes that a process which died now would leave: nothing is rolled back or closed."""
    folder.mkdir()
    for end in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(path.with_name(path.name + end), folder / (path.name + end))
    return open_tracker(folder / path.name)


def contents(tracker: Tracker) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    tables = tracker.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {one: [tuple(row) for row in tracker.rows(f"SELECT * FROM {one}")] for (one,) in tables}


def carry_out(tracker: Tracker, verb: Callable[[Tracker], Any]) -> Any:
    """Do something wholly; what is refused is told by its error. The process may die after it, too."""
    try:
        with tracker.transaction():
            value = verb(tracker)
    except LofarGridError as error:
        value = error
    tracker.value("SELECT 1")
    return value


class Dying:
    """A tracker in a folder of its own that outlives its processes."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self._lives = 0
        path = self._place() / "tracker.db"
        path.parent.mkdir()
        path.write_bytes(empty_tracker())
        self.tracker = open_tracker(path)

    def _place(self) -> Path:
        self._lives += 1
        return self.folder / str(self._lives)

    def again(self) -> None:
        """The process ends and another begins."""
        path = self.tracker.path
        self.tracker.close()
        self.tracker = open_tracker(path)

    def do(self, verb: Callable[[Tracker], Any]) -> Any:
        """Let a process that lives do something."""
        return carry_out(self.tracker, verb)

    def die(self, verb: Callable[[Tracker], Any], thousandths: int) -> tuple[bool, Any]:
        """Let a process die in something: it has happened as it does in a process that lives, or not at all.

        Returns
        -------
        happened, value
            Whether it has, and what it would have given.
        """
        before = contents(self.tracker)
        life = Death()
        with closing(what_stands_on_disk(self.tracker.path, self._place())) as twin:
            mortal(twin, life)
            value = carry_out(twin, verb)
            whole = contents(twin)
        mortal(self.tracker, Death(1 + thousandths * (life.steps - 1) // 1000))
        with pytest.raises(Crash):
            self._until_death(verb)
        after = contents(self.tracker)
        assert after in (before, whole), "it happened by half"
        return after == whole, value

    def _until_death(self, verb: Callable[[Tracker], Any]) -> None:
        dead = self.tracker

        def and_look(tracker: Tracker) -> Any:
            try:
                return verb(tracker)
            except Crash:
                self.tracker = what_stands_on_disk(dead.path, self._place())
                raise

        try:
            carry_out(dead, and_look)
        except Crash:
            if self.tracker is dead:  # it died as it began, or as it committed, or after that
                self.tracker = what_stands_on_disk(dead.path, self._place())
            raise
        finally:
            dead.close()

    def end(self) -> None:
        self.tracker.close()
        shutil.rmtree(self.folder)
