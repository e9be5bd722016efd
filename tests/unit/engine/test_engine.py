"""The life of jobs, told line by line: what the backend says, one tick, what the tracker holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lofargrid.errors import BackendError
from lofargrid.names import file_url
from lofargrid.productions.retrying import redo_stale
from lofargrid.states import JobState, Phase, Reason
from lofargrid.storage.local import LocalStorage
from lofargrid.tracker import Tracker
from tests.unit.engine_factories import (
    BAND,
    CALIBRATE,
    FIRST,
    GAINS,
    GROUP,
    IMAGE,
    IMAGE_JOB,
    SUBBAND_HZ,
    World,
    name,
    recipe,
    subband,
)

ALONE = {"first": FIRST}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# One job


def test_the_story_of_a_job_that_succeeds(world: World) -> None:
    world.enter(recipe([100], ALONE))
    assert world.states() == {name(100): JobState.WAITING}

    world.tick()
    assert world.history(name(100)) == ["ready", "submitted"]
    assert world.backend.started == [name(100)]

    world.backend.run(name(100), node="wn7")
    world.tick()
    [attempt] = world.tracker.attempts(world.job(name(100)).id)
    assert world.job(name(100)).state is JobState.RUNNING
    assert (attempt.phase, attempt.node, attempt.batch_id, attempt.started) == (
        Phase.RUNNING, "wn7", "42.0", world.now,
    )  # fmt: skip

    world.backend.succeed(name(100))
    tick = world.tick()
    assert world.history(name(100)) == ["ready", "submitted", "running", "succeeded"]
    assert (tick.in_flight, tick.troubles) == (0, ())


def test_a_tick_counts_its_moves_and_what_is_in_flight(world: World) -> None:
    world.enter(recipe([100, 101], ALONE))
    assert (world.tick().moves, world.tracker.in_flight()) == (4, 2)
    idle = world.tick()
    assert (idle.moves, idle.in_flight, idle.troubles) == (0, 2, ())


def test_a_job_may_end_before_anybody_saw_it_run(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    assert world.history(name(100)) == ["ready", "submitted", "succeeded"]


def test_a_failed_attempt_with_tries_left_puts_its_job_back_and_waits(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    world.backend.fail(name(100), Reason.INPUT_UNREADABLE, "no rights")
    world.tick()
    job = world.job(name(100))
    assert (job.state, job.reason, job.detail, job.tries) == (
        JobState.WAITING, Reason.INPUT_UNREADABLE, "no rights", 1,
    )  # fmt: skip
    world.tick()
    assert world.job(name(100)).state is JobState.WAITING, "its time has not come"
    world.tick(later_s=1)
    assert world.job(name(100)).state is JobState.SUBMITTED
    assert [one.number for one in world.tracker.attempts(job.id)] == [1, 2]


def test_a_payload_that_burnt_its_tries_fails_its_job(world: World) -> None:
    world.enter(recipe([100], ALONE))
    for _ in range(2):
        world.tick(later_s=60)
        world.backend.fail(name(100), detail="exit code 3")
    world.tick(later_s=60)
    job = world.job(name(100))
    assert (job.state, job.reason, job.detail) == (JobState.FAILED, Reason.PAYLOAD_FAILED, "exit code 3")


def test_a_lost_attempt_is_tried_again_without_burning_the_payloads_tries(world: World) -> None:
    world.enter(recipe([100], ALONE))
    for _ in range(5):
        world.tick(later_s=60)
        world.backend.lose(name(100))
        world.tick()
    assert (world.job(name(100)).state, world.job(name(100)).tries) == (JobState.WAITING, 0)
    world.finish()
    assert world.job(name(100)).state is JobState.SUCCEEDED


def test_a_failure_without_a_reason_is_the_runners_own(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    world.backend.fail(name(100), None)
    world.tick()
    world.backend.fail(name(100), None)
    world.tick()
    assert world.job(name(100)).reason is Reason.RUNNER_ERROR


def test_a_held_attempt_is_given_up_and_its_job_tried_again(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    world.backend.hold(name(100))
    world.tick()
    [attempt] = world.tracker.attempts(world.job(name(100)).id)
    assert (attempt.phase, attempt.reason, attempt.detail) == (Phase.LOST, Reason.HELD, "no disk")
    assert world.backend.cancelled == [attempt.id]
    world.tick(later_s=60)
    assert world.job(name(100)).state is JobState.SUBMITTED


def test_no_more_is_handed_over_than_the_backend_takes(world: World) -> None:
    world.slots = 2
    world.enter(recipe(range(100, 105), ALONE))
    world.tick(3)
    assert world.backend.started == [name(100), name(101)]
    world.backend.succeed(name(101))
    world.tick()
    assert world.backend.started == [name(100), name(101), name(102)]


def test_what_the_backend_tells_of_strangers_is_passed_over(world: World) -> None:
    other = World(_made(world.folder / "other"), backend=world.backend)
    other.enter(recipe([200], ALONE))
    other.tick()
    world.enter(recipe([100], ALONE))
    world.tick()
    world.backend.succeed(name(200))
    world.backend.succeed(name(100))
    assert world.tick().troubles == ()
    assert world.job(name(100)).state is JobState.SUCCEEDED
    assert other.job(name(200)).state is JobState.SUBMITTED


# Recipes to jobs


def test_the_spec_of_a_job_names_owner_site_software_and_the_attempt(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    spec = world.backend.spec(name(100))
    assert spec.attempt == world.job(name(100)).attempt
    assert spec.attempt.startswith(f"{world.tracker.id}-")
    assert (spec.owner, spec.contact, spec.site) == ("someone", "someone@example.org", "nowhere")
    assert (spec.sandbox, spec.software) == ("/sandbox", {"DP3": "6.3"})
    assert [one.url for one in spec.inputs] == ["file:///raw/L1_SB100.MS"]


def test_a_job_reads_what_its_needs_made_with_their_checksums(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.tick()
    made = [world.tracker.files(world.job(name(number)).id)[0] for number in (100, 101)]
    given = world.backend.spec(GROUP).inputs
    assert [(one.url, one.size_bytes, one.adler32) for one in given] == [
        (one.url, one.size_bytes, one.adler32) for one in made
    ]


def test_a_merge_reads_its_inputs_in_frequency_order_whatever_their_numbers_say(world: World) -> None:
    world.enter(recipe([100, 101, 102], parameters={"group_size": 512}))
    world.tick()
    for number, slot in ((100, 302), (101, 300), (102, 301)):
        world.backend.succeed(name(number), measured={"centre_frequency_hz": slot * SUBBAND_HZ, "clock_mhz": 200})
    world.tick()
    assert [one.key[-5:] for one in world.backend.spec("L1-SAP000-G0000-band").inputs] == ["SB101", "SB102", "SB100"]


def test_an_intermediate_that_is_gone_from_the_tracker_fails_its_reader_with_the_remedy(world: World) -> None:
    second = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    world.enter(recipe([100], {"first": FIRST, "second": second}))
    world.tick()
    world.backend.succeed(name(100))
    world.shut()
    world.tick()
    [file] = world.tracker.files(world.job(name(100)).id)
    world.tracker.note_deleted(file)
    world.open()
    world.tick()
    job = world.job(name(100, "second"))
    assert (job.state, job.reason) == (JobState.FAILED, Reason.SUBMIT_FAILED)
    assert job.detail == f"{name(100)}: its output ms is gone; `run --replan` makes it again"


def test_a_job_that_cannot_be_written_down_fails_and_the_others_go_on(world: World) -> None:
    broken = CALIBRATE | {"commands": [["solve", "{{ nothing }}"]]}
    steps = {"broken": broken, "first": FIRST}
    world.enter(recipe([subband(90, role="calibrator"), 100], steps, ("calibrator", "target")))
    world.tick()
    job = world.job(name(90, "broken"))
    assert (job.state, job.reason) == (JobState.FAILED, Reason.SUBMIT_FAILED)
    assert "nothing" in job.detail
    assert world.backend.started == [name(100)]
    assert world.tracker.in_flight() == 1


def test_when_nothing_can_be_written_down_the_backend_is_left_in_peace(world: World) -> None:
    world.enter(recipe([100], {"first": FIRST | {"commands": [["{{ nothing }}"]]}}))
    world.tick()
    assert world.backend.specs == {}
    assert world.tracker.attempts(world.job(name(100)).id)[0].phase is Phase.ENDED


def test_a_subband_whose_checks_tell_no_frequency_is_in_no_group(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(101), measured={"centre_frequency_hz": "unknown"})
    world.tick()
    assert world.job(GROUP).subbands == ("L1-SAP000-SB100",)


def test_a_frequency_that_lofar_has_not_is_not_believed_and_stops_nothing(world: World) -> None:
    world.enter(recipe([100, 101, 102]))
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.backend.succeed(name(102), measured={"centre_frequency_hz": 1.4e9})
    assert world.tick().troubles == ()
    assert world.job(name(102)).state is JobState.SUCCEEDED
    texts = [row["text"] for row in world.tracker.events(world.job(name(102)).id)]
    assert any("1400 MHz" in text for text in texts)


# Groups


def test_groups_are_made_when_the_frequencies_of_all_subbands_are_known(world: World) -> None:
    world.enter(recipe([100, 101, 102]))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(101))
    world.tick()
    assert set(world.states()) == {name(100), name(101), name(102), IMAGE_JOB}
    world.backend.succeed(name(102))
    world.tick()
    assert {GROUP, "L1-SAP000-G0051-band"} < set(world.states())
    assert world.job(GROUP).subbands == ("L1-SAP000-SB100", "L1-SAP000-SB101")


def test_groups_are_made_at_once_when_the_list_tells_the_frequencies(world: World) -> None:
    world.enter(recipe([subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101)]))
    assert GROUP in world.states()


def test_a_subband_that_will_never_tell_its_frequency_does_not_hold_up_the_groups(world: World) -> None:
    world.enter(recipe([100, 101, 102], minimum_subbands=0.1))
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.backend.fail(name(102), Reason.INPUT_MISSING)
    world.tick()
    assert world.job(GROUP).state is JobState.SUBMITTED
    world.backend.succeed(GROUP)
    world.tick()
    assert world.tracker.lacks(world.job(IMAGE_JOB).id) == ["L1-SAP000-SB102"]


def test_a_group_never_crosses_a_sap(world: World) -> None:
    world.enter(recipe([100, subband(101, sap=1)]))
    world.finish()
    assert set(world.products()) >= {f"{GROUP}.MS", "L1-SAP001-G0050-band.MS", "L1-SAP000-image.fits"}


def test_one_saps_groups_do_not_wait_for_the_other_sap(world: World) -> None:
    world.enter(recipe([100, subband(101, sap=1)]))
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    assert world.job(GROUP).state is JobState.SUBMITTED


def test_two_subbands_at_one_frequency_fail_their_group(world: World) -> None:
    same = 100 * SUBBAND_HZ
    world.enter(recipe([subband(100, frequency_hz=same), subband(101, frequency_hz=same)]))
    world.finish()
    assert world.job(GROUP).reason is Reason.FREQUENCY_CLASH
    assert world.job(IMAGE_JOB).reason is Reason.TOO_FEW_INPUTS


def test_the_cancelling_of_the_last_silent_subband_by_another_process_lets_the_groups_be_made(world: World) -> None:
    world.enter(recipe([100, 101], minimum_subbands=0.1))
    world.slots = 1
    world.tick()
    world.backend.succeed(name(100))
    world.shut()
    world.tick()
    elsewhere = World(world.folder, backend=world.backend)
    elsewhere.cancel(name(101))
    world.open()
    world.slots = 500
    world.tick()
    assert world.job(GROUP).state is JobState.SUBMITTED


def test_a_place_that_proves_another_than_was_inferred_moves_the_subband_to_its_true_group(world: World) -> None:
    """Subband 102 was placed between its neighbours; made at last, it tells another frequency."""
    world.enter(recipe([100, 101, 102, subband(200, sap=1)], {"first": FIRST, "band": BAND}))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(101))
    world.backend.fail(name(102), Reason.INPUT_MISSING)
    world.tick()
    inferred = world.job("L1-SAP000-G0051-band")
    world.retry(name(102))
    world.tick()
    world.backend.succeed(name(102), measured={"centre_frequency_hz": 101 * SUBBAND_HZ, "clock_mhz": 200})
    world.tick()
    in_flight = {str(world.job(one).attempt) for one in (GROUP, inferred.name)}
    world.backend.succeed("L1-SAP001-SB200-first")
    world.tick()
    assert set(world.backend.cancelled) == in_flight
    assert world.job(GROUP).reason is Reason.FREQUENCY_CLASH
    assert world.tracker.job(world.production.id, inferred.name) is None


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


# Crashes


class CrashError(BaseException):
    """The process dies: nothing may catch it."""


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
        world = World(_made(quick / str(at)))
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


# Publishing


def test_products_get_their_final_name_and_intermediates_go(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.finish()
    made = [f"{GROUP}.MS", f"{GROUP}.MS.json", f"{IMAGE_JOB}.fits", f"{IMAGE_JOB}.fits.json"]
    assert sorted(world.products()) == made
    assert (world.output / f"{GROUP}.MS").read_text() == f"{GROUP}.MS of {GROUP}"
    assert all(one.is_file() for one in world.output.iterdir()), "the scratch folder is gone"
    assert {file.published for file in world.tracker.products(world.production.id)} == {
        file_url(str(world.output / one)) for one in (f"{GROUP}.MS", f"{IMAGE_JOB}.fits")
    }


def test_what_a_process_was_killed_over_is_swept_by_the_next_one(world: World) -> None:
    """It was killed between the last file and its folder: no file is on scratch that the tracker knows of."""

    class Killing(LocalStorage):
        def remove_folder(self, folder: str) -> None:
            raise KeyboardInterrupt  # which nothing guards against

    world.enter(recipe([100, 101]))
    world.storage = Killing()
    world.engine = world.new_engine(world.tracker)
    with pytest.raises(KeyboardInterrupt):
        world.finish()
    assert world.tracker.on_scratch() == []
    assert not world.tracker.swept(world.production.id)
    world.storage = LocalStorage()
    world.restart()
    world.tick()
    assert all(one.is_file() for one in world.output.iterdir()), "the scratch folder is gone"
    assert world.tracker.swept(world.production.id)


def test_an_intermediate_stays_until_all_its_consumers_succeeded(world: World) -> None:
    other = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}, "outputs": {}}
    world.enter(recipe([100], {"first": FIRST, "a": other, "b": other}))
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    world.backend.succeed(name(100, "a"))
    world.tick()
    assert world.scratch_files() == [name(100)]
    world.backend.succeed(name(100, "b"))
    world.tick()
    assert world.scratch_files() == []


def test_an_intermediate_stays_while_the_groups_that_read_it_are_yet_to_be_made(world: World) -> None:
    side = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}, "outputs": {}}
    world.enter(recipe([100, 101], {"first": FIRST, "side": side, "band": BAND}))
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    world.backend.succeed(name(100, "side"))
    world.tick()
    assert world.scratch_files() == [name(100)]


def test_what_groups_of_another_role_will_read_stays_until_they_are_made(world: World) -> None:
    """The gains went into all target subbands; the bands, which read them too, await a frequency still."""
    first = FIRST | {"inputs": FIRST["inputs"] | {"gains": {"from": "gains.gains", "path": "gains.h5"}}}
    second = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    ms = {"from": "second.ms", "path": "in/{key}.MS"}
    band = BAND | {"inputs": {"ms": ms, "gains": {"from": "gains.gains", "path": "gains.h5"}}}
    steps = {"calibrate": CALIBRATE, "gains": GAINS, "first": first, "second": second, "band": band}
    calibrator = subband(90, role="calibrator", observation="L2", sap=5)
    world.enter(recipe([calibrator, 100], steps, ("calibrator", "target")))
    world.tick()
    world.backend.succeed("L2-SAP005-SB090-calibrate")
    world.tick()
    world.backend.succeed("L2-SAP005-gains")
    world.tick()
    world.backend.succeed(name(100), measured={})
    world.tick()
    assert world.scratch_files() == sorted(["L2-SAP005-gains", name(100)])
    world.finish()
    assert world.backend.started.count("L2-SAP005-gains") == 1
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert world.scratch_files() == []


def test_a_file_that_could_not_be_deleted_is_deleted_by_a_later_tick_of_the_same_run(tmp_path: Path) -> None:
    storage = StubbornStorage("delete")
    world = World(tmp_path, storage=storage)
    world.enter(recipe([100, 101]))
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.tick()
    world.backend.succeed(GROUP)
    assert len(world.tick().troubles) == 2
    assert world.scratch_files() == sorted([name(100), name(101), GROUP])
    storage.call = "none"
    assert world.tick().troubles == ()
    assert world.scratch_files() == [GROUP], "the image reads it"


def test_keep_intermediates_keeps_them_and_nothing_else(world: World) -> None:
    world.enter(recipe([100, 101], keep_intermediates=True))
    world.tick()
    zombie = str(world.job(name(100)).attempt)
    spec = world.backend.specs[zombie]
    world.backend.lose(name(100))
    world.tick()
    world.backend.specs[zombie] = spec
    world.backend.succeed(name(100), attempt=zombie)
    world.finish()
    assert world.scratch_files() == sorted([name(100), name(101), GROUP, IMAGE_JOB])


@pytest.mark.parametrize("written", ["a+b", "run=1", "with space", "a%2Bb"])
def test_kept_files_are_known_by_whatever_spelling_the_output_url_has(world: World, written: str) -> None:
    world.enter(recipe([100, 101], keep_intermediates=True, output=f"file://{world.folder}/{written}"))
    world.finish()
    [scratch] = world.folder.glob("*/.lofargrid-*")
    assert len(list(scratch.iterdir())) == 4


def test_scratch_is_swept_when_the_last_job_to_end_failed(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    zombie = str(world.job(name(100)).attempt)
    spec = world.backend.specs[zombie]
    world.backend.lose(name(100))
    world.tick()
    world.backend.specs[zombie] = spec
    world.backend.succeed(name(100), attempt=zombie)
    world.tick(later_s=60)
    world.backend.fail(name(100), Reason.INPUT_MISSING)
    world.tick()
    assert (world.job(name(100)).state, world.scratch_files()) == (JobState.FAILED, [])


class PowerCutStorage(LocalStorage):
    """Dies once after a chosen call."""

    def __init__(self, after: str) -> None:
        self.after = after

    def copy(self, source: str, target: str, adler32: str) -> None:
        super().copy(source, target, adler32)
        self._die("copy")

    def write(self, target: str, content: bytes) -> None:
        super().write(target, content)
        self._die("write")

    def delete(self, url: str) -> None:
        super().delete(url)
        self._die("delete")

    def _die(self, call: str) -> None:
        if call == self.after:
            self.after = ""
            raise CrashError(call)


@pytest.mark.parametrize("after", ["copy", "write", "delete"])
def test_publishing_and_deleting_may_be_cut_anywhere_and_repeated(tmp_path: Path, after: str) -> None:
    world = World(tmp_path, storage=PowerCutStorage(after))
    world.enter(recipe([100, 101]))
    with pytest.raises(CrashError):
        world.finish()
    world.restart()
    world.finish()
    made = [f"{GROUP}.MS", f"{GROUP}.MS.json", f"{IMAGE_JOB}.fits", f"{IMAGE_JOB}.fits.json"]
    assert sorted(world.products()) == made, "and no half file beside them"
    assert world.scratch_files() == []


class StubbornStorage(LocalStorage):
    """Refuses calls on URLs that hold a word."""

    def __init__(self, call: str, word: str = "") -> None:
        self.call, self.word = call, word

    def _refuse(self, call: str, url: str) -> None:
        if call == self.call and self.word in url:
            raise BackendError(f"cannot {call} {url}: No space left on device")

    def copy(self, source: str, target: str, adler32: str) -> None:
        self._refuse("copy", target)
        super().copy(source, target, adler32)

    def delete(self, url: str) -> None:
        self._refuse("delete", url)
        super().delete(url)

    def list(self, folder: str) -> list[str]:
        self._refuse("list", folder)
        return super().list(folder)


@pytest.mark.parametrize("call", ["copy", "delete", "list"])
def test_a_storage_in_trouble_is_a_line_and_is_caught_up_with_when_it_is_well_again(tmp_path: Path, call: str) -> None:
    storage = StubbornStorage(call)
    world = World(tmp_path, storage=storage)
    world.enter(recipe([100, 101]))
    world.backend.auto = True
    troubles = {trouble for _ in range(8) for trouble in world.tick(later_s=10).troubles}
    assert troubles
    assert all(one.startswith(f"cannot {call}") for one in troubles)
    assert set(world.states().values()) == {JobState.SUCCEEDED}, "jobs are not held up"
    storage.call = "none"
    world.finish()
    assert len(world.products()) == 4
    assert world.scratch_files() == []
    assert not list(world.output.glob(".lofargrid-*"))


def test_an_output_that_cannot_be_written_holds_up_only_its_own_production(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    steps = {"first": FIRST | {"outputs": {"ms": BAND["outputs"]["ms"]}}}
    scratch = world.scratch
    world.scratch = lambda one, site: scratch(replace(one, output=file_url(str(world.output))))
    world.engine = world.new_engine(world.tracker)
    world.enter(recipe([100], steps, output=file_url(str(tmp_path / "file"))))
    world.enter(recipe([101], steps, production="other"))
    world.backend.auto = True
    world.tick(2)
    [trouble] = world.tick().troubles
    assert trouble.startswith(f"cannot copy to {tmp_path}/file/")
    assert world.products() == [f"{name(101)}.MS", f"{name(101)}.MS.json"]
    (tmp_path / "file").unlink()
    assert world.tick().troubles == ()
    assert (tmp_path / "file" / f"{name(100)}.MS").exists()


# Operators


def test_a_paused_production_starts_nothing_more_and_lets_run_what_runs(world: World) -> None:
    world.slots = 1
    world.enter(recipe([100, 101, 102], ALONE))
    world.tick()
    world.tracker.pause(world.production.id, True, world.now)
    world.backend.succeed(name(100))
    world.tick(3)
    assert world.states()[name(100)] is JobState.SUCCEEDED
    assert world.backend.started == [name(100)]
    world.tracker.pause(world.production.id, False, world.now)
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def test_one_production_runs_while_another_is_paused(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.enter(recipe([101], ALONE, production="other"))
    world.tracker.pause(world.production.id, True, world.now)
    world.tick()
    assert world.backend.started == [name(101)]


def test_cancel_ends_a_production_and_retry_brings_it_back(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.tick()
    world.cancel()
    world.tick(3)
    assert set(world.states().values()) == {JobState.CANCELLED}
    assert len(world.backend.cancelled) == 2
    world.retry()
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


@pytest.mark.parametrize("steps", [{"first": FIRST, "band": BAND}, {"first": FIRST, "band": BAND, "image": IMAGE}])
def test_nothing_more_of_a_cancelled_production_starts_not_even_groups_that_could_be_made(
    world: World, steps: dict[str, Any]
) -> None:
    world.enter(recipe([100, 101], steps))
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    World(world.folder, backend=world.backend).cancel()
    world.tick(3)
    assert GROUP not in world.states()
    world.retry()
    world.finish()
    assert world.job(GROUP).subbands == ("L1-SAP000-SB100", "L1-SAP000-SB101")
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert world.scratch_files() == []


def test_cancelling_one_job_fails_what_cannot_go_without_it_and_retry_brings_both_back(world: World) -> None:
    second = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    world.enter(recipe([100], {"first": FIRST, "second": second}))
    world.tick()
    world.cancel(name(100))
    world.tick()
    assert world.job(name(100, "second")).reason is Reason.NEED_FAILED
    assert world.retry(name(100)) == (name(100), name(100, "second"))
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def test_two_trackers_over_one_backend_never_touch_each_others_attempts(tmp_path: Path) -> None:
    one = World(_made(tmp_path / "one"))
    two = World(_made(tmp_path / "two"), backend=one.backend)
    for world in (one, two):
        world.enter(recipe([100], ALONE))
        world.tick()
    assert one.job(name(100)).attempt != two.job(name(100)).attempt
    one.restart()
    one.tick()
    one.backend.succeed(name(100), attempt=str(two.job(name(100)).attempt))
    one.tick()
    two.tick()
    assert (one.job(name(100)).state, two.job(name(100)).state) == (JobState.SUBMITTED, JobState.SUCCEEDED)


def test_a_mended_input_is_read_from_the_new_generation_though_the_recipe_is_the_same(world: World) -> None:
    bad = subband(101, reason=Reason.INPUT_TRUNCATED, problem="cut")
    merge = BAND | {"split": "all", "inputs": {"ms": {"from": "target", "path": "in/{key}.MS"}}}
    steps = {"merge": merge, "first": FIRST}
    world.enter(recipe([100, bad], steps, minimum_subbands=1))
    world.finish()
    assert world.job("L1-SAP000-merge").reason is Reason.TOO_FEW_INPUTS
    world.enter(recipe([100, 101], steps, minimum_subbands=1), again=True)
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


# What a tick costs


def instructions(world: World, subbands: int) -> tuple[int, int]:
    """SQL statements and sqlite's own steps of an idle tick, after so many jobs have ended."""
    bare = FIRST | {"outputs": {}}
    world.enter(recipe(range(subbands), {"first": bare}))
    world.backend.auto = True
    with world.tracker.transaction():
        for job in world.tracker.jobs(world.production.id):
            world.tracker.move(job, JobState.READY, world.now)
            job = replace(job, state=JobState.READY)
            attempt = world.tracker.intend(job, "scripted", "nowhere", world.now)
            world.tracker.end_attempt(attempt, Phase.ENDED, world.now, None, "", None)
            world.tracker.move(replace(job, state=JobState.SUBMITTED), JobState.SUCCEEDED, world.now)
    world.tracker.close()
    connection = sqlite3.connect(world.folder / "tracker.db", isolation_level=None)
    engine = world.new_engine(Tracker(connection, world.folder / "tracker.db"))
    engine.tick()  # sweeps
    engine.tick()
    statements: list[str] = []
    steps: list[None] = []
    connection.set_trace_callback(statements.append)
    connection.set_progress_handler(lambda: steps.append(None), 1)
    engine.tick()
    connection.close()
    return len(statements), len(steps)


def test_an_idle_tick_costs_the_same_however_many_jobs_have_ended(tmp_path: Path) -> None:
    few = instructions(World(_made(tmp_path / "few")), 10)
    many = instructions(World(_made(tmp_path / "many")), 1000)
    assert many == few
    assert few[0] < 30


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
