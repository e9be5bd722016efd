"""Processes that die between any two steps, and attempts that come back when nobody waits for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker import Tracker
from tests.unit.engine_factories import (
    ALONE,
    BAND,
    FIRST,
    GROUP,
    IMAGE_JOB,
    CrashError,
    World,
    name,
    recipe,
)

# Crashes


class Fuse:
    """Counts steps that could be the last; the n-th is."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps: list[str] = []

    def step(self, what: str) -> None:
        self.steps.append(what)
        if len(self.steps) == self.at:
            raise CrashError(what)


class Fused:
    """A port that may die before any call of it, and after it did its work."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port = port
        self._fuse = fuse

    def __getattr__(self, what: str) -> Any:
        found = getattr(self._port, what)
        if not callable(found):
            return found

        def call(*given: Any) -> Any:
            self._fuse.step(f"before {what}")
            answer = found(*given)
            self._fuse.step(f"after {what}")
            return answer

        return call


class FusedTracker(Tracker):
    """A tracker whose process may die before and after every transaction, and just before its commit."""

    fuse: Fuse

    @contextmanager
    def transaction(self) -> Any:
        self.fuse.step("before a transaction")
        with super().transaction():
            yield
            self.fuse.step("before a commit")
        self.fuse.step("after a transaction")


def fused_tick(world: World, fuse: Fuse) -> int:
    """Tick to the end with a fuse in every port; returns the number of steps there were."""
    world.tracker.close()
    tracker = FusedTracker(sqlite3.connect(world.folder / "tracker.db", isolation_level=None), world.tracker.path)
    tracker.fuse = fuse
    backend, storage = world.backend, world.storage
    world.backend, world.storage = Fused(backend, fuse), Fused(storage, fuse)
    engine = world.new_engine(tracker)
    world.backend, world.storage = backend, storage
    backend.auto = True
    try:
        while engine.tick().moves:
            pass
    finally:
        backend.auto = False
        tracker.close()
        world.restart()
    return len(fuse.steps)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: what dies here is a process, not the power."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else tmp_path) as folder:
        yield Path(folder)


def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(quick: Path) -> None:
    at, died = 0, True
    while died:
        at += 1
        world = World(quick / str(at))
        fuse = Fuse(at)
        world.enter(recipe([100, 101]))
        try:
            fused_tick(world, fuse)
            died = False
        except CrashError:
            pass
        world.finish()
        assert set(world.states().values()) == {JobState.SUCCEEDED}, at
        assert sorted(world.backend.started) == sorted(world.states()), f"{fuse.steps[-1]}: something was doubled"
        made = [f"{GROUP}.MS", f"{GROUP}.MS.json", f"{IMAGE_JOB}.fits", f"{IMAGE_JOB}.fits.json"]
        assert sorted(world.products()) == made, at
        assert world.scratch_files() == []
        for job in world.tracker.jobs(world.production.id):
            assert len(world.tracker.attempts(job.id)) == 1
            assert world.history(job.name) == ["ready", "submitted", "succeeded"]
        world.tracker.close()
    assert at > 50


@pytest.mark.parametrize("accepted", [0, 1, 2])
def test_an_intent_that_the_backend_knows_is_adopted_and_another_is_submitted_again(
    world: World, accepted: int
) -> None:
    world.enter(recipe([100, 101, 102], ALONE))
    world.backend.accepts = accepted
    tick = world.tick()
    assert tick.troubles == ("the scripted backend went away",)
    intended = {job.name: job.attempt for job in world.tracker.jobs(world.production.id)}
    world.restart()
    world.tick()
    assert sorted(world.backend.started) == [name(100), name(101), name(102)]
    assert {spec.job: attempt for attempt, spec in world.backend.specs.items()} == intended
    phases = {one.phase for one in world.tracker.unfinished_attempts()}
    assert phases == {Phase.QUEUED}


def test_a_submit_that_failed_is_made_good_by_the_same_process(world: World) -> None:
    world.enter(recipe([100, 101], ALONE))
    world.backend.accepts = 1
    world.tick()
    assert world.tick().troubles == ()
    assert sorted(world.backend.started) == [name(100), name(101)]
    assert [len(world.tracker.attempts(job.id)) for job in world.tracker.jobs(world.production.id)] == [1, 1]


def test_a_backend_that_is_away_for_long_is_a_line_and_loses_nothing(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.backend.down = True
    for _ in range(4):
        assert set(world.tick().troubles) == {"the scripted backend does not answer"}
    world.backend.down = False
    world.finish()
    assert (world.backend.started, world.states()[name(100)]) == ([name(100)], JobState.SUCCEEDED)


def test_an_intent_that_nobody_wants_any_more_is_not_handed_over(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.backend.accepts = 0
    world.tick()
    world.cancel()
    world.tick(2)
    assert world.backend.specs == {}
    assert world.tracker.in_flight() == 0
    assert world.job(name(100)).state is JobState.CANCELLED


def test_a_job_retried_after_such_an_intent_runs_once(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.backend.accepts = 0
    world.tick()
    world.cancel()
    world.retry()
    world.finish()
    assert (world.backend.started, world.states()[name(100)]) == ([name(100)], JobState.SUCCEEDED)


@pytest.mark.parametrize("running", [False, True])
def test_an_attempt_that_the_backend_does_not_know_is_lost_and_tried_again_for_free(
    world: World, running: bool
) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    if running:
        world.backend.run(name(100))
        world.tick()
    world.backend.forget(name(100))
    world.restart()
    world.tick()
    [first] = world.tracker.attempts(world.job(name(100)).id)
    assert (first.phase, first.reason) == (Phase.LOST, Reason.LOST)
    assert (world.job(name(100)).state, world.job(name(100)).tries) == (JobState.WAITING, 0)
    world.finish()
    assert world.states()[name(100)] is JobState.SUCCEEDED


def test_what_ended_while_nobody_looked_is_taken_at_the_next_start(world: World) -> None:
    world.enter(recipe([100, 101], ALONE))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.fail(name(101), Reason.INPUT_UNSAFE)
    world.restart()
    world.tick()
    assert world.states() == {name(100): JobState.SUCCEEDED, name(101): JobState.FAILED}


def test_a_cancel_that_did_not_reach_the_backend_reaches_it_at_the_next_start(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    attempt = world.job(name(100)).attempt
    world.move(name(100), JobState.CANCELLED)
    world.restart()
    world.tick()
    assert world.backend.cancelled == [attempt]


def test_an_unforeseen_error_in_a_tick_leaves_no_half_state_and_the_next_tick_goes_on(world: World) -> None:
    """A disk that fills while the sandbox is frozen: intents stand, nothing was handed over."""
    world.enter(recipe([100, 101], ALONE))

    def full(_: Any) -> str:
        raise OSError(28, "No space left on device", "/sandboxes")

    world.sandbox = full
    assert "No space left on device" in world.tick().troubles[0]
    assert world.backend.specs == {}
    world.sandbox = lambda recipe: "/sandbox"
    world.finish()
    assert sorted(world.backend.started) == [name(100), name(101)]


def test_observations_that_could_not_be_written_down_are_asked_for_again(world: World) -> None:
    world.enter(recipe([100, 101], ALONE))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(101))
    blocker = sqlite3.connect(world.folder / "tracker.db", isolation_level=None)
    impatient = sqlite3.connect(world.folder / "tracker.db", isolation_level=None, timeout=0)
    world.tracker.close()
    world.tracker = Tracker(impatient, world.folder / "tracker.db")
    engine = world.new_engine(world.tracker)
    engine.tick()
    world.enter(recipe([102], ALONE, production="other"))
    engine.tick()
    world.backend.succeed(name(102))
    blocker.execute("BEGIN IMMEDIATE")
    assert any("locked" in trouble for trouble in engine.tick().troubles)
    blocker.execute("ROLLBACK")
    blocker.close()
    engine.tick()
    other = world.tracker.production("other")
    assert other
    assert [job.state for job in world.tracker.jobs(other.id)] == [JobState.SUCCEEDED]


# Zombies


def test_a_zombie_that_comes_back_late_changes_nothing_and_its_files_are_swept(world: World) -> None:
    world.enter(recipe([100], {"first": FIRST | {"outputs": {"ms": BAND["outputs"]["ms"]}}}))
    world.tick()
    zombie = str(world.job(name(100)).attempt)
    spec = world.backend.specs[zombie]
    world.backend.lose(name(100))
    world.tick()
    world.tick(later_s=60)
    world.backend.specs[zombie] = spec
    world.backend.succeed(name(100), attempt=zombie)
    before = world.history(name(100)), world.tracker.attempts(world.job(name(100)).id)
    world.tick()
    after = world.history(name(100)), world.tracker.attempts(world.job(name(100)).id)
    assert after == before, "nor what was written down of the zombie itself"
    assert world.scratch_files() == [name(100)]
    world.finish()
    assert world.scratch_files() == []
    assert sorted(world.products()) == [f"{name(100)}.MS", f"{name(100)}.MS.json"]


def test_a_zombie_of_a_cancelled_and_retried_job_changes_nothing(world: World) -> None:
    """Cancelled, retried, and only then the old attempt's success arrives: the new attempt counts."""
    world.enter(recipe([100], ALONE))
    world.tick()
    old = str(world.job(name(100)).attempt)
    world.move(name(100), JobState.CANCELLED)
    world.retry()
    world.backend.succeed(name(100), attempt=old)
    assert world.tick().troubles == ()
    assert world.job(name(100)).state is JobState.SUBMITTED
    assert world.job(name(100)).attempt != old


def test_a_zombie_that_comes_after_its_productions_end_is_swept_too(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    zombie = str(world.job(name(100)).attempt)
    world.move(name(100), JobState.CANCELLED)
    world.tick()
    world.backend.succeed(name(100), attempt=zombie)
    world.tick()
    assert world.job(name(100)).state is JobState.CANCELLED
    assert world.scratch_files() == []


def test_what_another_process_made_superfluous_is_stopped_by_the_one_that_ticks(world: World) -> None:
    """The group in flight is dropped by a retry elsewhere, which knows no backend."""
    world.enter(recipe([100, 101], {"first": FIRST, "band": BAND}))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.fail(name(101), Reason.INPUT_MISSING)
    world.tick()
    group = world.job(GROUP).attempt
    World(world.folder, backend=world.backend).retry(name(101))
    world.backend.down = True
    world.tick()
    world.backend.down = False
    world.tick()
    assert world.backend.cancelled == [group]
    world.tick(3)
    assert world.backend.cancelled == [group], "it is asked for once"


def test_a_superseded_attempt_is_a_zombie(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    old = str(world.job(name(100)).attempt)
    entered = world.enter(recipe([100], ALONE, parameters={"strength": 2}), again=True)
    assert entered.live == (old,)
    world.backend.succeed(name(100), attempt=old)
    world.tick()
    job = world.job(name(100))
    assert (job.generation, job.state) == (2, JobState.SUBMITTED)
    assert world.backend.spec(name(100)).commands == (("average", "2"),)
