"""The life of jobs, told line by line: what the backend says, one tick, what the tracker holds."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker import Tracker
from tests.unit.engine_factories import (
    ALONE,
    BAND,
    CALIBRATE,
    FIRST,
    GROUP,
    IMAGE,
    SUBBAND_HZ,
    World,
    name,
    recipe,
    subband,
)

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
    other = World(world.folder / "other", backend=world.backend)
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
    one = World(tmp_path / "one")
    two = World(tmp_path / "two", backend=one.backend)
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
    few = instructions(World(tmp_path / "few"), 10)
    many = instructions(World(tmp_path / "many"), 1000)
    assert many == few
    assert few[0] < 30
