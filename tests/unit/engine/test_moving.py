"""Moves of jobs: what they count, and what they give the engine to look at next."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lofargrid.engine.moving import Moves
from lofargrid.states import JobState, Reason
from tests.unit.engine_factories import FIRST, World, name, recipe

LEIDEN = timezone(timedelta(hours=1))


@pytest.fixture
def world(tmp_path: Path) -> World:
    one = World(tmp_path)
    one.enter(recipe([100, 101], {"first": FIRST}))
    return one


def moves(world: World) -> Moves:
    return Moves(world.tracker, lambda: world.time)


def test_times_are_written_in_utc_with_milliseconds(world: World) -> None:
    one = Moves(world.tracker, lambda: datetime(2024, 1, 1, 13, tzinfo=LEIDEN))
    assert one.now() == "2024-01-01T12:00:00.000+00:00"
    assert one.now(90.5) == "2024-01-01T12:01:30.500+00:00"
    assert one.now(-3600) == "2024-01-01T11:00:00.000+00:00"


def test_a_move_counts_and_an_end_has_its_production_looked_at(world: World) -> None:
    one = moves(world)
    one.touched = set()
    one.move(world.job(name(100)), JobState.READY)
    assert (one.count, one.touched, one.settled) == (1, set(), set())
    one.move(world.job(name(100)), JobState.FAILED, Reason.GAP, "why")
    assert (one.count, one.touched, one.settled) == (2, {world.production.id}, {world.production.id})


def test_a_move_that_somebody_else_made_before_counts_for_nothing(world: World) -> None:
    one, seen = moves(world), world.job(name(100))
    one.touched = set()
    world.cancel(name(100))
    one.move(seen, JobState.FAILED)
    assert (one.count, one.touched, world.job(name(100)).state) == (0, set(), JobState.CANCELLED)


def test_at_the_beginning_everything_is_to_be_looked_at(world: World) -> None:
    one = moves(world)
    one.touch(world.job(name(100)))
    one.look_at(world.job(name(100)).id)
    assert (one.touched, one.succeeded, one.settled) == (None, None, {world.production.id})


def test_jobs_to_look_at_are_remembered_each_once(world: World) -> None:
    one = moves(world)
    one.succeeded = set()
    one.look_at(7)
    one.look_at(7)
    assert one.succeeded == {7}


def test_a_job_that_is_put_back_waits_for_its_time(world: World) -> None:
    world.move(name(100), JobState.READY, JobState.SUBMITTED)
    one = moves(world)
    one.put_back(world.job(name(100)), Reason.LOST, "gone", 30.0, 2)
    job = world.job(name(100))
    assert (job.state, job.reason, job.detail, job.tries, one.count) == (
        JobState.WAITING, Reason.LOST, "gone", 2, 1,
    )  # fmt: skip
    world.tracker.wake(one.now(29.9))
    assert name(100) not in [job.name for job in world.tracker.to_start(world.production.id, 9)]
    world.tracker.wake(one.now(30))
    assert name(100) in [job.name for job in world.tracker.to_start(world.production.id, 9)]
