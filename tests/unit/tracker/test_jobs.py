"""Moves: one table, one UPDATE with the old state in it, an event with each, and needs counted right."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lofargrid.errors import IllegalMoveError
from lofargrid.states import FINAL, MOVES, JobState, Phase, Reason
from tests.unit.engine_factories import GROUP, IMAGE_JOB, SUBBAND_HZ, World, name, open_needs, recipe, subband

ROADS = {
    JobState.WAITING: (),
    JobState.RECALLING: (JobState.RECALLING,),
    JobState.READY: (JobState.READY,),
    JobState.SUBMITTED: (JobState.READY, JobState.SUBMITTED),
    JobState.RUNNING: (JobState.READY, JobState.SUBMITTED, JobState.RUNNING),
    JobState.SUCCEEDED: (JobState.READY, JobState.SUBMITTED, JobState.SUCCEEDED),
    JobState.FAILED: (JobState.FAILED,),
    JobState.CANCELLED: (JobState.CANCELLED,),
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    one = World(tmp_path)
    one.enter(recipe([subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101)]))
    return one


@pytest.mark.parametrize("new", JobState)
@pytest.mark.parametrize("old", JobState)
def test_only_the_listed_moves_are_made(world: World, old: JobState, new: JobState) -> None:
    world.move(name(100), *ROADS[old])
    job = world.job(name(100))
    if new in MOVES[old]:
        assert world.tracker.move(job, new, world.now)
        assert world.job(name(100)).state is new
    else:
        with pytest.raises(IllegalMoveError, match=f"{name(100)}: {old} -> {new} is no move"):
            world.tracker.move(job, new, world.now)
        assert world.job(name(100)) == job


def test_a_job_that_somebody_moved_before_is_not_moved_again(world: World) -> None:
    seen = world.job(name(100))
    world.move(name(100), JobState.CANCELLED)
    events = len(world.tracker.events(seen.id))
    assert not world.tracker.move(seen, JobState.READY, world.now)
    assert world.job(name(100)).state is JobState.CANCELLED
    assert len(world.tracker.events(seen.id)) == events
    assert world.job(GROUP).unmet == 1, "it was not counted twice"


def test_every_move_writes_its_event_in_the_same_transaction(world: World) -> None:
    job = world.job(name(100))
    with pytest.raises(KeyboardInterrupt), world.tracker.transaction():
        world.tracker.move(job, JobState.READY, world.now)
        raise KeyboardInterrupt
    assert world.job(name(100)).state is JobState.WAITING
    assert world.tracker.events(job.id) == []
    assert world.tracker.move(job, JobState.FAILED, world.now, Reason.GAP, "why")
    [event] = world.tracker.events(job.id)
    assert (event["at"], event["old"], event["new"], event["reason"], event["text"]) == (
        world.now, "waiting", "failed", "gap", "why",
    )  # fmt: skip


def test_a_succeeded_job_never_moves(world: World) -> None:
    world.move(name(100), *ROADS[JobState.SUCCEEDED])
    for new in JobState:
        with pytest.raises(IllegalMoveError):
            world.tracker.move(world.job(name(100)), new, world.now)


@pytest.mark.parametrize("state", [state for state in JobState if state not in (JobState.FAILED, JobState.CANCELLED)])
def test_the_operators_retry_takes_only_failed_and_cancelled_jobs(world: World, state: JobState) -> None:
    world.move(name(100), *ROADS[state])
    assert world.retry(name(100)) == ()
    assert world.job(name(100)).state is state


def test_needs_are_met_when_they_are_final_however_they_ended(world: World) -> None:
    assert world.job(GROUP).unmet == 2
    world.move(name(100), JobState.FAILED)
    world.move(name(101), *ROADS[JobState.SUCCEEDED])
    assert world.job(GROUP).unmet == 0
    world.tracker.reset(world.job(name(100)), world.now)
    assert world.job(GROUP).unmet == 1


def test_a_reset_forgets_reason_tries_and_earlier_failures(world: World) -> None:
    job = world.job(name(100))
    world.tracker.move(job, JobState.READY, world.now)
    attempt = world.tracker.intend(world.job(name(100)), "b", "s", world.now)
    assert world.tracker.failures(job.id) == []
    world.tracker.end_attempt(attempt, Phase.LOST, world.now, Reason.LOST, "", None)
    assert [one.reason for one in world.tracker.failures(job.id)] == [Reason.LOST]
    world.tracker.move(world.job(name(100)), JobState.FAILED, world.now, Reason.LOST, "gone", tries=2)
    world.tracker.reset(world.job(name(100)), world.now)
    again = world.job(name(100))
    assert (again.state, again.reason, again.detail, again.tries) == (JobState.WAITING, None, "", 0)
    assert world.tracker.failures(job.id) == []


def test_jobs_start_in_plan_order_when_their_needs_and_their_time_allow(world: World) -> None:
    tracker, production = world.tracker, world.production.id
    assert [job.name for job in tracker.to_start(production, 10)] == [name(100), name(101)]
    assert [job.name for job in tracker.to_start(production, 1)] == [name(100)]
    world.move(name(100), *ROADS[JobState.SUBMITTED])
    later = "2024-01-01T00:00:10.000+00:00"
    tracker.move(world.job(name(100)), JobState.WAITING, world.now, Reason.LOST, not_before=later)
    tracker.wake(world.now)
    assert [job.name for job in tracker.to_start(production, 10)] == [name(101)]
    tracker.wake(later)
    assert [job.name for job in tracker.to_start(production, 10)] == [name(100), name(101)]


def test_a_paused_production_has_nothing_to_start_and_nothing_ready(world: World) -> None:
    world.move(name(100), JobState.READY)
    assert world.tracker.startable() == [world.production.id]
    assert [kind.count for kind in world.tracker.ready_kinds()] == [1]
    world.tracker.pause(world.production.id, True, world.now)
    assert (world.tracker.startable(), world.tracker.ready_kinds()) == ([], [])


def test_jobs_are_found_by_name_attempt_or_batch_id(world: World) -> None:
    world.tick()
    world.backend.run(name(101))
    world.tick()
    attempt = str(world.job(name(101)).attempt)
    for text in (name(101), attempt, "42.0"):
        assert [job.name for job in world.tracker.find_jobs(text)] == [name(101)]
    assert world.tracker.find_jobs("nothing") == []


def test_a_superseded_job_is_found_by_its_attempt_and_not_by_its_name(world: World) -> None:
    world.tick()
    old = world.job(name(100))
    world.enter(recipe([subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101)], parameters={"strength": 2}), True)
    assert [job.id for job in world.tracker.find_jobs(str(old.attempt))] == [old.id]
    assert [job.generation for job in world.tracker.find_jobs(name(100))] == [2]


def test_counts_tell_each_steps_jobs_by_state(world: World) -> None:
    world.move(name(100), JobState.FAILED)
    assert world.tracker.counts(world.production.id) == {
        "first": {JobState.FAILED: 1, JobState.WAITING: 1},
        "band": {JobState.WAITING: 1},
        "image": {JobState.WAITING: 1},
    }
    assert world.tracker.unfinished(world.production.id) == 3
    assert world.tracker.subband_states(world.production.id) == [
        ("target", "L1-SAP000-SB100", JobState.FAILED),
        ("target", "L1-SAP000-SB101", JobState.WAITING),
    ]


def test_jobs_can_be_asked_for_by_state(world: World) -> None:
    world.move(name(100), JobState.FAILED)
    found = world.tracker.jobs(world.production.id, [JobState.FAILED, JobState.CANCELLED])
    assert [job.name for job in found] == [name(100)]


def test_needs_and_dependents_are_told_in_plan_order(world: World) -> None:
    group = world.job(GROUP)
    assert [job.name for job in world.tracker.needs(group.id)] == [name(100), name(101)]
    assert [job.name for job in world.tracker.dependents(group.id)] == [IMAGE_JOB]


@pytest.mark.parametrize(
    ("state", "stale"),
    [
        (JobState.WAITING, False),
        (JobState.READY, False),
        (JobState.SUBMITTED, True),
        (JobState.RUNNING, True),
        (JobState.SUCCEEDED, True),
        (JobState.FAILED, False),
    ],
)
def test_what_has_gone_without_is_stale_and_what_has_not_begun_is_not(
    world: World, state: JobState, stale: bool
) -> None:
    world.move(GROUP, *ROADS[state])
    assert world.tracker.mark_stale(world.job(name(100)).id) == int(stale)
    assert world.job(GROUP).stale is stale


def test_lacks_and_measurements_are_kept(world: World) -> None:
    job = world.job(GROUP)
    assert (world.tracker.lacks(job.id), world.tracker.measurements(job.id)) == ([], {})
    world.tracker.set_lacks(job.id, ["b", "a"])
    world.tracker.remember(job.id, {"rms": 1.5})
    assert (world.tracker.lacks(job.id), world.tracker.measurements(job.id)) == (["a", "b"], {"rms": 1.5})
    world.tracker.set_lacks(job.id, [])
    assert world.tracker.lacks(job.id) == []


@pytest.mark.parametrize("old", [JobState.FAILED, JobState.CANCELLED])
def test_a_superseded_job_moves_no_more(world: World, old: JobState) -> None:
    world.move(GROUP, old)
    seen = world.job(GROUP)
    changed = [subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101)]
    world.enter(recipe(changed, parameters={"strength": 2}), again=True)
    assert not world.tracker.move(seen, JobState.WAITING, world.now)
    assert world.tracker.job_by_id(seen.id).state is old


class Moves(RuleBasedStateMachine):
    """Whatever operators and engines try, in whatever order: the table is kept and needs are counted right."""

    NAMES = (name(100), name(101), name(102), GROUP, "L1-SAP000-G0051-band", IMAGE_JOB)

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder)
        self.world.enter(recipe([subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101, 102)]))
        self.seen = {one: self.world.job(one) for one in self.NAMES}
        self.strength = 1

    @rule(which=st.sampled_from(NAMES), new=st.sampled_from(list(JobState)), fresh=st.booleans())
    def somebody_tries_to_move_a_job(self, which: str, new: JobState, fresh: bool) -> None:
        before = self.world.job(which)
        known = before if fresh else self.seen[which]
        try:
            moved = self.world.tracker.move(known, new, self.world.now)
        except IllegalMoveError:
            assert new not in MOVES[known.state]
            moved = False
        after = self.world.job(which)
        assert moved == (known.id == before.id and known.state is before.state and new in MOVES[before.state])
        assert after.state is (new if moved else before.state)

    @rule(which=st.sampled_from(NAMES))
    def somebody_looks(self, which: str) -> None:
        self.seen[which] = self.world.job(which)

    @rule(which=st.sampled_from(NAMES))
    def the_operator_retries(self, which: str) -> None:
        self.world.retry(which)

    @precondition(lambda self: self.strength < 3)
    @rule()
    def the_recipe_changes(self) -> None:
        self.strength += 1
        changed = recipe(
            [subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101, 102)], parameters={"strength": self.strength}
        )
        self.world.enter(changed, again=True)

    @invariant()
    def needs_are_counted_right(self) -> None:
        if hasattr(self, "world"):
            for job in self.world.tracker.jobs(self.world.production.id):
                assert job.unmet == open_needs(self.world.tracker, job), job.name

    @invariant()
    def every_job_stands_where_its_history_ends(self) -> None:
        if hasattr(self, "world"):
            for job in self.world.tracker.jobs(self.world.production.id):
                history = ["waiting", *self.world.history(job.name)]
                assert history[-1] == job.state
                steps = itertools.pairwise(history)
                assert all(JobState(new) in MOVES[JobState(old)] for old, new in steps)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.tracker.close()
            shutil.rmtree(self.folder)


Moves.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestMoves = Moves.TestCase


def test_what_awaits_groups_is_counted_as_having_needs(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.enter(recipe([100, 101]))
    assert world.job(IMAGE_JOB).unmet == 1
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.tick()
    assert world.job(IMAGE_JOB).unmet == open_needs(world.tracker, world.job(IMAGE_JOB)) == 1
    assert world.job(IMAGE_JOB).state not in FINAL
