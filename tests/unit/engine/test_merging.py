"""What a merge goes without, and what becomes of it when that comes after all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

from lofargrid.productions.retrying import redo_stale
from lofargrid.states import JobState, Reason
from lofargrid.tracker import Tracker
from tests.unit.engine_factories import (
    ALONE,
    BAND,
    FIRST,
    GROUP,
    IMAGE_JOB,
    World,
    name,
    recipe,
    subband,
)

# Merge rules


def run_with_failures(world: World, *failing: int) -> None:
    """Run all, the named subbands fail."""
    world.tick()
    for spec in world.backend.waiting():
        number = int(spec.job.partition("-SB")[2][:3])
        if number in failing:
            world.backend.fail(spec.job, Reason.INPUT_MISSING, "gone")
        else:
            world.backend.succeed(spec.job)
    world.finish()


def test_a_merge_goes_without_what_failed_if_enough_is_there(world: World) -> None:
    world.enter(recipe([100, 101, 102, 103], minimum_subbands=0.5, parameters={"group_size": 4}))
    run_with_failures(world, 101)
    assert world.job("L1-SAP000-G0025-band").state is JobState.SUCCEEDED
    assert world.tracker.lacks(world.job("L1-SAP000-G0025-band").id) == ["L1-SAP000-SB101"]
    assert world.tracker.lacks(world.job(IMAGE_JOB).id) == ["L1-SAP000-SB101"]


def test_a_merge_with_too_little_fails_with_its_own_reason(world: World) -> None:
    world.enter(recipe([100, 101, 102, 103], minimum_subbands=0.8))
    run_with_failures(world, 101)
    assert world.job(GROUP).state is JobState.SUCCEEDED, "a group has a minimum of its own"
    job = world.job(IMAGE_JOB)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.TOO_FEW_INPUTS)
    assert job.detail == "3 of 4 subbands, 80% are asked for; lacking: L1-SAP000-SB101"


def test_a_merge_of_nothing_is_never_run(world: World) -> None:
    world.enter(recipe([100, 101], minimum_subbands=0))
    run_with_failures(world, 100, 101)
    assert world.job(IMAGE_JOB).reason is Reason.TOO_FEW_INPUTS
    assert IMAGE_JOB not in world.backend.started


def test_a_groups_own_minimum_goes_before_that_of_the_production(world: World) -> None:
    steps = {"first": FIRST, "band": BAND | {"minimum": 0.25}}
    world.enter(recipe([100, 101, 102, 103], steps, minimum_subbands=0.95, parameters={"group_size": 4}))
    run_with_failures(world, 101, 102, 103)
    assert world.job("L1-SAP000-G0025-band").state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("gaps", "state", "slots"),
    [("flag", JobState.SUCCEEDED, 3), ("skip", JobState.SUCCEEDED, 2), ("fail", JobState.FAILED, None)],
)
def test_the_gaps_policy_decides_what_an_absent_subband_does(
    world: World, gaps: str, state: JobState, slots: int | None
) -> None:
    words = [["join", "{{ slots | length }}"]]
    world.enter(recipe([99, 100, 101], {"first": FIRST, "band": BAND | {"commands": words}}, gaps=gaps,
                       parameters={"group_size": 100}))  # fmt: skip
    run_with_failures(world, 100)
    # 99 is a group of its own; 100 was placed between its neighbours.
    job = world.job("L1-SAP000-G0001-band")
    assert (job.state, job.reason) == (state, None if slots else Reason.GAP)


@pytest.mark.parametrize(("gaps", "slots"), [("flag", "3"), ("skip", "2")])
def test_flagged_gaps_keep_their_slot_and_skipped_ones_do_not(world: World, gaps: str, slots: str) -> None:
    words = [["join", "{{ slots | length }}"]]
    world.enter(recipe([100, 101, 102], {"first": FIRST, "band": BAND | {"commands": words}}, gaps=gaps,
                       parameters={"group_size": 100}))  # fmt: skip
    run_with_failures(world, 101)
    assert world.backend.spec("L1-SAP000-G0001-band").commands == (("join", slots),)


def test_an_input_known_to_be_unusable_is_not_given_to_a_merge_of_raw_subbands(world: World) -> None:
    merge = BAND | {"split": "all", "inputs": {"ms": {"from": "target", "path": "in/{key}.MS"}}}
    bad = subband(101, reason=Reason.INPUT_TRUNCATED, problem="cut")
    world.enter(recipe([100, bad], {"merge": merge}))
    world.tick()
    assert [one.key for one in world.backend.spec("L1-SAP000-merge").inputs] == ["L1-SAP000-SB100"]
    assert world.tracker.lacks(world.job("L1-SAP000-merge").id) == ["L1-SAP000-SB101"]


def test_a_need_that_failed_fails_what_cannot_go_without(world: World) -> None:
    second = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    world.enter(recipe([100], {"first": FIRST, "second": second}))
    world.tick()
    world.backend.fail(name(100), Reason.INPUT_UNSAFE)
    world.tick()
    job = world.job(name(100, "second"))
    assert (job.state, job.reason, job.detail) == (
        JobState.FAILED, Reason.NEED_FAILED, f"{name(100)} failed (input-unsafe)",
    )  # fmt: skip


def test_failures_run_down_a_whole_chain_in_one_tick(world: World) -> None:
    steps = {"first": FIRST}
    for number in range(2, 6):
        before = "first" if number == 2 else f"s{number - 1}"
        steps[f"s{number}"] = FIRST | {"inputs": {"ms": {"from": f"{before}.ms", "path": "in.MS"}}}
    world.enter(recipe([100], steps))
    world.tick()
    world.backend.fail(name(100), Reason.INPUT_MISSING)
    world.tick()
    assert set(world.states().values()) == {JobState.FAILED}


class InterruptedTracker(Tracker):
    """Something happens just before the next transaction begins."""

    interruption: Callable[[], None] | None = None

    @contextmanager
    def transaction(self) -> Any:
        happens, self.interruption = self.interruption, None
        if happens:
            happens()
        with super().transaction():
            yield


def test_a_job_cancelled_by_another_process_while_a_tick_looks_at_it_stays_cancelled(world: World) -> None:
    world.enter(recipe([100], ALONE))
    tracker = InterruptedTracker(sqlite3.connect(world.tracker.path, isolation_level=None), world.tracker.path)
    engine = world.new_engine(tracker)
    engine.tick()
    world.retry(name(100))
    world.cancel(name(100))
    world.retry(name(100))
    # The tick's first transaction is that of `_follow`; the second judges the job.
    seen: list[str] = []

    def second() -> None:
        seen.append("follow")
        tracker.interruption = lambda: world.cancel(name(100))

    tracker.interruption = second
    engine.tick()
    assert seen
    assert world.job(name(100)).state is JobState.CANCELLED
    assert len(world.tracker.attempts(world.job(name(100)).id)) == 1
    tracker.close()


# Late successes


def with_a_late_success(world: World) -> None:
    """Band and image were made without subband 101; then it was mended and made."""
    world.enter(recipe([100, 101, 102, 103], minimum_subbands=0.5))
    run_with_failures(world, 101)
    world.retry(name(101))
    world.finish()


def test_a_late_success_makes_its_merge_stale_and_changes_nothing_else(world: World) -> None:
    with_a_late_success(world)
    stale = [job.name for job in world.tracker.jobs(world.production.id) if job.stale]
    assert stale == [GROUP]
    assert {job.generation for job in world.tracker.jobs(world.production.id)} == {1}


def test_redo_stale_makes_group_and_image_anew_and_keeps_the_rest(world: World) -> None:
    with_a_late_success(world)
    before = len(world.backend.started)
    assert world.scratch_files() == [name(101)], "what came late is wanted"
    entered = redo_stale(world.tracker, world.production, world.now)
    assert entered.made == (name(100), GROUP, IMAGE_JOB), "100 too: its file went when the group was verified"
    assert {name(101), "L1-SAP000-G0051-band"} < set(entered.kept)
    world.finish()
    assert world.scratch_files() == []
    assert world.backend.started[before:] == [name(100), GROUP, IMAGE_JOB]
    assert world.tracker.lacks(world.job(IMAGE_JOB).id) == []
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert not any(job.stale for job in world.tracker.jobs(world.production.id))
    assert json.loads((world.output / f"{IMAGE_JOB}.fits.json").read_text())["missing_subbands"] == {}


def merging_without_101(world: World, shut: bool = False) -> str:
    """Subbands 100 and 102 are there, 101 failed, and their merge is on its way."""
    world.enter(recipe([100, 101, 102], {"first": FIRST, "band": BAND}, minimum_subbands=0.5,
                       parameters={"group_size": 100}))  # fmt: skip
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(102))
    world.backend.fail(name(101), Reason.INPUT_MISSING)
    if shut:
        world.shut()
    world.tick()
    return "L1-SAP000-G0001-band"


def test_two_stale_groups_make_their_image_anew_once(world: World) -> None:
    world.enter(recipe([100, 101, 102, 103], minimum_subbands=0.5))
    run_with_failures(world, 101, 103)
    world.retry()
    world.finish()
    assert sum(job.stale for job in world.tracker.jobs(world.production.id)) == 2
    redo_stale(world.tracker, world.production, world.now)
    before = len(world.backend.started)
    world.finish()
    assert world.backend.started[before:].count(IMAGE_JOB) == 1
    assert world.tracker.lacks(world.job(IMAGE_JOB).id) == []


def test_a_merge_that_is_running_when_its_late_input_comes_ends_stale(world: World) -> None:
    group = merging_without_101(world)
    world.backend.run(group)
    world.retry(name(101))
    world.tick()
    world.backend.succeed(name(101))
    world.tick()
    world.backend.succeed(group)
    world.tick()
    assert (world.job(group).state, world.job(group).stale) == (JobState.SUCCEEDED, True)
    assert world.tracker.lacks(world.job(group).id) == ["L1-SAP000-SB101"]


def test_a_merge_that_is_tried_again_takes_the_late_input_and_is_not_stale(world: World) -> None:
    group = merging_without_101(world)
    world.retry(name(101))
    world.tick()
    world.backend.succeed(name(101))
    world.tick()
    assert world.job(group).stale
    world.backend.lose(group)
    world.finish()
    assert len(world.backend.spec(group).inputs) == 3
    assert world.tracker.lacks(world.job(group).id) == []
    assert not world.job(group).stale


def test_a_merge_not_handed_over_yet_waits_for_an_input_that_is_tried_again(world: World) -> None:
    group = merging_without_101(world, shut=True)
    assert world.job(group).state is JobState.READY
    world.retry(name(101))
    assert world.job(group).state is JobState.WAITING
    world.open()
    world.finish()
    assert (len(world.backend.spec(group).inputs), world.tracker.lacks(world.job(group).id)) == (3, [])


# Retry


def test_all_subbands_failed_and_were_mended_then_retry_makes_groups_and_image(world: World) -> None:
    world.enter(recipe([100, 101, 102, 103]))
    run_with_failures(world, 100, 101, 102, 103)
    assert world.job(IMAGE_JOB).state is JobState.FAILED
    world.retry()
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert len(world.job(IMAGE_JOB).subbands) == 4
    assert world.products()[0] == f"{GROUP}.MS"


def test_a_retried_subband_that_had_no_place_gets_into_a_group(world: World) -> None:
    world.enter(recipe([100, 101], {"first": FIRST, "band": BAND}))
    run_with_failures(world, 101)
    assert world.job(GROUP).subbands == ("L1-SAP000-SB100",)
    world.retry()
    world.finish()
    assert world.job(GROUP).subbands == ("L1-SAP000-SB100", "L1-SAP000-SB101")
    assert world.job(GROUP).state is JobState.SUCCEEDED


def test_retry_gives_back_all_tries(world: World) -> None:
    world.enter(recipe([100], ALONE))
    for _ in range(2):
        world.tick(later_s=60)
        world.backend.fail(name(100))
    world.tick()
    assert world.retry() == (name(100),)
    for state in (JobState.SUBMITTED, JobState.FAILED):  # it was tried, and once more
        world.tick()
        world.backend.fail(name(100))
        world.tick()
        assert world.job(name(100)).state is state
