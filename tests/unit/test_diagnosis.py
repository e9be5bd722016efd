"""Why a job is where it is: the true cause first, then what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.diagnosis import Diagnosis, diagnose
from lofargrid.states import JobState, Reason
from tests.unit.engine_factories import FIRST, GROUP, IMAGE_JOB, NOW, World, name, recipe


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def why(world: World, job: str) -> Diagnosis:
    return diagnose(world.tracker, world.job(job))


def fail(world: World, number: int, detail: str = "") -> None:
    """The others of the first step succeed, this one fails for good."""
    for spec in world.backend.waiting():
        if spec.job == name(number):
            world.backend.fail(spec.job, Reason.INPUT_TRUNCATED, detail)
        else:
            world.backend.succeed(spec.job)
    world.tick()


def test_a_failed_job_tells_reason_meaning_detail_and_remedy_in_a_line_each(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    fail(world, 100, "after 7\n   bytes")
    found = why(world, name(100))
    assert found == Diagnosis(
        name(100), JobState.FAILED, "input-truncated: an input tar ends early: after 7 bytes",
        "copy it again from its source, then `retry`", name(100),
    )  # fmt: skip


def test_what_failed_because_of_another_job_tells_that_ones_cause_and_remedy(world: World) -> None:
    second = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    third = FIRST | {"inputs": {"ms": {"from": "second.ms", "path": "in.MS"}}}
    world.enter(recipe([100], {"first": FIRST, "second": second, "third": third}))
    world.tick()
    fail(world, 100)
    found = why(world, name(100, "third"))
    assert (found.state, found.root) == (JobState.FAILED, name(100))
    assert found.cause.startswith(f"{name(100)} failed: input-truncated: an input tar ends early (")
    assert found.remedy == why(world, name(100)).remedy


def test_a_merge_with_too_few_inputs_names_the_job_that_failed_even_through_another_merge(world: World) -> None:
    world.enter(recipe([100, 101, 102, 103], minimum_subbands=1))
    world.tick()
    fail(world, 102)
    world.finish()
    found = why(world, IMAGE_JOB)
    assert world.job("L1-SAP000-G0051-band").state is JobState.SUCCEEDED
    assert found.root == name(102)
    assert "3 of 4 subbands, 100% are asked for" in found.cause


def test_a_merge_of_nothing_is_its_own_cause(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    fail(world, 100)
    found = why(world, IMAGE_JOB)
    assert (found.root, found.cause.partition(":")[0]) == (IMAGE_JOB, "too-few-inputs")
    assert "L1-SAP000-SB100" in found.cause


def test_a_cancelled_job_says_so_and_that_retry_brings_it_back(world: World) -> None:
    world.enter(recipe([100]))
    world.cancel(name(100))
    found = why(world, name(100))
    assert (found.cause, found.remedy) == (
        "cancelled: the operator cancelled it: by the operator", "`retry` brings it back",
    )  # fmt: skip


def test_a_cancel_without_a_reason_still_has_a_remedy(world: World) -> None:
    world.enter(recipe([100]))
    world.move(name(100), JobState.CANCELLED)
    found = why(world, name(100))
    assert (found.cause, found.remedy) == ("cancelled: cancelled", "`retry` it")


def test_a_waiting_job_names_some_of_what_it_waits_for(world: World) -> None:
    world.enter(recipe(range(100, 106), parameters={"group_size": 100}))
    world.tick()
    assert why(world, IMAGE_JOB).cause.startswith("waits until the frequencies of all subbands are known")
    for number in range(100, 106):
        world.backend.succeed(name(number))
    world.tick()
    assert why(world, IMAGE_JOB).cause == "waits for L1-SAP000-G0001-band (submitted)"


def test_a_long_list_of_needs_is_cut(world: World) -> None:
    merge = FIRST | {"split": "all", "inputs": {"ms": {"from": "first.ms", "path": "{key}"}}}
    world.enter(recipe(range(100, 105), {"first": FIRST, "merge": merge}))
    assert why(world, "L1-SAP000-merge").cause == (
        f"waits for {name(100)} (waiting), {name(101)} (waiting), {name(102)} (waiting) and 2 more"
    )


def test_a_job_that_will_be_tried_again_says_after_what(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    world.backend.lose(name(100))
    world.tick()
    found = why(world, name(100))
    assert found.cause == (
        "waits to be tried again after lost: the attempt vanished without a report: the node is gone"
    )
    assert found.remedy == "nothing to do"


def test_a_job_that_could_start_waits_for_a_slot(world: World) -> None:
    world.shut()
    world.enter(recipe([100]))
    world.tick()
    assert why(world, name(100)).cause == f"ready since {NOW}, waits for a free slot"


def test_a_paused_production_is_the_cause_for_what_has_not_begun(world: World) -> None:
    world.enter(recipe([100]))
    world.tracker.pause(world.production.id, True, world.now)
    found = why(world, name(100))
    assert (found.cause, found.remedy) == ("its production field is paused", "`resume field`")


def test_a_job_under_way_tells_where_and_since_when(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    attempt = world.job(name(100)).attempt
    assert why(world, name(100)).cause == f"submitted since {NOW} (attempt {attempt})"
    world.backend.run(name(100), node="wn7")
    world.tick(later_s=5)
    found = why(world, name(100))
    assert found.cause == f"running on wn7 since 2024-01-01T00:00:05.000+00:00 (attempt {attempt})"
    assert found.remedy == f"nothing to do; `logs {name(100)}` shows it"


def test_a_succeeded_job_tells_what_it_lacks_and_whether_more_has_come(world: World) -> None:
    world.enter(recipe([100, 101, 102], minimum_subbands=0.5, parameters={"group_size": 4}))
    world.tick()
    fail(world, 101)
    world.finish()
    group = "L1-SAP000-G0025-band"
    found = why(world, group)
    assert found.cause.endswith(", without L1-SAP000-SB101")
    assert found.remedy == "`why` those subbands' jobs"
    world.retry(name(101))
    world.finish()
    found = why(world, group)
    assert found.cause.endswith("without L1-SAP000-SB101; stale: more has come since")
    assert found.remedy == "`retry field`"


def test_a_succeeded_job_that_lacks_nothing_needs_nothing(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.finish()
    found = why(world, GROUP)
    assert (found.cause.partition(" at ")[0], found.remedy) == ("succeeded", "nothing to do")
