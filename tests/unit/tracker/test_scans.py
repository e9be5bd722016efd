"""No statement of a tick walks over a table that grows with the jobs: it costs what changed, not what exists."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lofargrid.model import Site
from lofargrid.states import Reason
from tests.unit.engine_factories import World, recipe

# These do not grow with the jobs, or hold just what is wanted.
SHORT = {"quarantine", "troubles", "jobs_ready", "files_to_publish", "attempts_unfinished"}
# What lies on scratch is looked through when a production has ended.
AT_ITS_END = {"files_on_scratch"}


class Recorder:
    """A connection that remembers which statements it was given, and with what."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.said: dict[str, Sequence[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        self.said[sql] = values
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        every = list(rows)
        if every:
            self.said[sql] = every[0]
        return self._connection.executemany(sql, every)

    def walks(self) -> Mapping[str, str]:
        """Which statements walk over a table or a whole index, and how."""
        found = {}
        for sql, values in self.said.items():
            if sql.split()[0] in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"):
                for row in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall():
                    step = re.fullmatch(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", row["detail"])
                    if step and not (SHORT | AT_ITS_END) & {*step.groups()} and not _inner(sql, step[1]):
                        found[sql] = row["detail"]
        return found


def _inner(sql: str, name: str) -> bool:
    """Whether a name is that of a subquery or a recursion, which hold what was found, or of what is not looked at."""
    return bool(re.search(rf"\) {name}\b|\b{name}\(", sql)) or name == "CONSTANT" or "IN ()" in sql


@pytest.fixture
def world(tmp_path: Path) -> World:
    one = World(tmp_path)
    one.sites["nowhere"] = replace(Site("nowhere", slots=4), guarded=True)
    one.engine = one.new_engine(one.tracker)
    one.enter(recipe(list(range(100, 116))))
    return one


def test_no_statement_of_a_tick_walks_over_what_has_ended_or_waits(world: World) -> None:
    world.tick()  # the first one looks at everything
    recorders: list[Recorder] = []

    def record(connection: sqlite3.Connection) -> Any:
        recorders.append(Recorder(connection))
        return recorders[0]

    world.tracker.wrap(record)
    (recorder,) = recorders
    running = [spec.job for spec in world.backend.waiting()]
    for job in running:
        world.backend.run(job)
    world.tick()
    succeeds, fails, held, lost = running
    world.backend.succeed(succeeds)
    world.backend.fail(fails, Reason.SCRATCH_FULL)
    world.backend.hold(held)
    world.backend.lose(lost)
    world.tick()
    world.finish()
    assert not world.backend.waiting()
    assert {"job_id", "published"} <= set(re.findall(r"\w+", " ".join(recorder.said))), "it did something"
    assert recorder.walks() == {}
