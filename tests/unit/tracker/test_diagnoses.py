"""What `why` asks of the tracker: right where a diagnosis does not show it, and cheap however much stands beside."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lofargrid.diagnosis.diagnosis import diagnose
from lofargrid.states import JobState, Reason
from tests.unit.engine_factories import FIRST, IMAGE_JOB, World, name, recipe

LATER = "2024-01-01T00:10:00.000+00:00"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# Troubles


def since(world: World) -> dict[str, str]:
    return {stage: one.since for stage, one in world.tracker.troubles().items()}


def test_a_trouble_keeps_the_time_at_which_it_began_whatever_is_said_of_it(world: World) -> None:
    world.tracker.note_troubles({"publish": "no space"}, world.now)
    world.tracker.note_troubles({"publish": "no answer"}, LATER)
    assert since(world) == {"publish": world.now}
    assert world.tracker.troubles()["publish"].text == "no answer"


def test_one_trouble_that_moves_to_another_stage_is_as_old_as_it_was(world: World) -> None:
    world.tracker.note_troubles({"submit": "no space"}, world.now)
    world.tracker.note_troubles({"follow": "no space", "publish": "no answer"}, LATER)
    assert since(world) == {"follow": world.now, "publish": LATER}


def test_what_is_in_trouble_no_longer_is_forgotten(world: World) -> None:
    world.tracker.note_troubles({"submit": "no space"}, world.now)
    world.tracker.note_troubles({}, LATER)
    assert since(world) == {}
    world.tracker.note_troubles({"submit": "no space"}, LATER)
    assert since(world) == {"submit": LATER}


def test_ticks_in_the_same_trouble_write_nothing(world: World) -> None:
    world.tick()
    world.backend.down = True
    world.tick()
    connection = sqlite3.connect(world.tracker.path)
    before = connection.execute("PRAGMA data_version").fetchone()
    world.tick(ticks=3)
    assert connection.execute("PRAGMA data_version").fetchone() == before
    connection.close()


# The time it takes


def effort(world: World, call: Callable[[], object]) -> int:
    """How many tens of steps of sqlite's machine a call takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    class Counted:
        """Lets the tracker's own connection count its steps."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            connection.set_progress_handler(count, 10)
            self.connection = connection

    held: list[Counted] = []

    def wrap(connection: sqlite3.Connection) -> sqlite3.Connection:
        held.append(Counted(connection))
        return connection

    world.tracker.wrap(wrap)
    call()
    held[0].connection.set_progress_handler(None, 0)
    return steps


def busy(world: World) -> list[str]:
    """A job in each state and each kind of waiting; one failed for another's fault."""
    chain = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    world.slots = 8
    world.enter(recipe(range(100, 120), {"first": FIRST, "second": chain}))
    world.tick()
    backend = world.backend
    backend.run(name(100))
    backend.succeed(name(101))
    backend.fail(name(102), Reason.INPUT_MISSING)
    backend.lose(name(103))
    world.tick(ticks=2)
    world.cancel(name(104))
    jobs = world.tracker.jobs(world.production.id)
    first = {(job.state, job.reason, job.step, bool(job.unmet)): job.name for job in reversed(jobs)}
    assert {state for state, *_ in first} >= set(JobState) - {JobState.RECALLING}
    return list(first.values())


def crowd(world: World, count: int) -> None:
    """As many other productions, some of whose jobs have ended, failed or never begun."""
    steps = {"first": FIRST, "merge": FIRST | {"split": "all", "inputs": {"ms": {"from": "first.ms", "path": "{key}"}}}}
    moves = (JobState.READY, JobState.SUBMITTED, JobState.RUNNING, JobState.SUCCEEDED)
    given = recipe(range(100, 110), steps)
    with world.tracker.transaction():
        for number in range(count):
            production_id = world.enter(replace(given, production=f"other{number}")).production_id
            for job in world.tracker.jobs(production_id)[:5]:
                attempt = f"{world.tracker.id}-o{job.id}-1"
                world.tracker.write(
                    "INSERT INTO attempts (id, job_id, number, phase, backend, site, node, intended, started, ended,"
                    " reason) VALUES (?, ?, 1, 'ended', 'scripted', 'nowhere', 'wn1', ?1, ?1, ?1, NULL)"
                    .replace("?1", f"'{world.now}'"),
                    attempt, job.id,
                )  # fmt: skip
                for state in moves:
                    world.tracker.move(world.tracker.job_by_id(job.id), state, world.now, attempt=attempt)


def test_why_takes_no_longer_because_the_tracker_holds_other_productions(world: World) -> None:
    asked = [world.job(one) for one in busy(world)]

    def ask() -> None:
        for job in asked:
            diagnose(world.tracker, job, world.sites, world.now, True)

    crowd(world, 60)  # enough for what looks at the last few hundred attempts
    few = effort(world, ask)
    crowd_more = 300
    for number in range(60, 60 + crowd_more, 60):
        _rename(world, number)
        crowd(world, 60)
    assert world.tracker.value("SELECT count(*) FROM jobs") > 3500
    assert effort(world, ask) < 1.2 * few


def _rename(world: World, number: int) -> None:
    """Make room for others of the same names."""
    world.tracker.write("UPDATE productions SET name = name || ? WHERE name LIKE 'other%'", f"-{number}")


def test_a_job_below_many_needs_is_found_at_a_cost_of_those_needs(world: World) -> None:
    world.enter(recipe(range(100, 150)))
    job = world.job(IMAGE_JOB)
    assert effort(world, lambda: diagnose(world.tracker, job, world.sites, world.now, True)) < 5000
