"""Why a job is where it is: how a cause is worded, and which of several is told. What causes there are: test_causes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lofargrid.diagnosis.diagnosis import diagnose
from lofargrid.diagnosis.finding import Diagnosis
from lofargrid.model import Site
from lofargrid.states import JobState, Reason
from tests.unit.engine_factories import BAND, FIRST, GROUP, IMAGE, IMAGE_JOB, World, name, recipe, subband

MERGE = FIRST | {"split": "all", "inputs": {"ms": {"from": "first.ms", "path": "{key}"}}}
SECOND = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def why(world: World, job: str, **given: Any) -> Diagnosis:
    return diagnose(world.tracker, world.job(job), **given)


def fail(world: World, number: int, detail: str = "") -> None:
    """The others of the first step succeed, this one fails for good."""
    for spec in world.backend.waiting():
        if spec.job == name(number):
            world.backend.fail(spec.job, Reason.INPUT_TRUNCATED, detail)
        else:
            world.backend.succeed(spec.job)
    world.tick()


# What failed


def test_a_failed_job_tells_reason_meaning_detail_and_remedy_in_a_line_each(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    fail(world, 100, "after 7\n   bytes")
    found = why(world, name(100))
    assert (found.job, found.state, found.root, found.since) == (name(100), JobState.FAILED, name(100), world.now)
    assert found.cause == "input-truncated: an input tar ends early: after 7 bytes"
    assert found.remedy == "copy it again from its source, then `retry`"


def test_the_attempts_that_failed_are_the_further_lines(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    world.backend.run(name(100), "wn7")
    world.tick()
    world.backend.fail(name(100), Reason.PAYLOAD_FAILED, "exit code 1")
    world.tick(later_s=60)
    world.backend.fail(name(100), Reason.INPUT_MISSING, "raw.tar")
    world.tick()
    assert why(world, name(100)).details == (
        "attempt 1 at nowhere on wn7, 2024-01-01 00:01:00 UTC: payload-failed: exit code 1",
        "attempt 2 at nowhere on wn1, 2024-01-01 00:01:00 UTC: input-missing: raw.tar",
    )


def test_no_more_than_five_attempts_are_told(world: World) -> None:
    world.enter(recipe([100]))
    for _ in range(7):
        world.tick(later_s=3600)
        world.backend.fail(name(100), Reason.EVICTED)
        world.tick()
    assert [line.partition(" at ")[0] for line in why(world, name(100)).details] == [
        f"attempt {number}" for number in range(3, 8)
    ]


def test_what_failed_because_of_another_job_tells_that_ones_cause_and_remedy(world: World) -> None:
    third = FIRST | {"inputs": {"ms": {"from": "second.ms", "path": "in.MS"}}}
    world.enter(recipe([100], {"first": FIRST, "second": SECOND, "third": third}))
    world.tick()
    fail(world, 100)
    found = why(world, name(100, "third"))
    assert (found.state, found.root) == (JobState.FAILED, name(100))
    assert found.cause == f"{name(100)} failed: input-truncated: an input tar ends early"
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


def test_what_lacks_because_of_a_group_that_failed_names_it_through_what_stands_between(world: World) -> None:
    after = {**IMAGE, "inputs": {"fits": {"from": "image.fits", "path": "in.fits"}}}
    world.enter(recipe(range(100, 104), {"first": FIRST, "band": BAND, "image": IMAGE, "after": after}))
    world.tick()
    for number in range(100, 104):
        world.backend.succeed(name(number))
    world.tick(ticks=3)
    world.backend.fail(GROUP, Reason.SOFTWARE_MISSING, "no concat here")
    world.tick()
    world.finish()
    found = why(world, "L1-SAP000-after")
    assert (found.state, found.root) == (JobState.SUCCEEDED, GROUP)
    assert f"without L1-SAP000-SB100, L1-SAP000-SB101: {GROUP} failed: software-missing" in found.cause


def test_a_merge_of_nothing_names_the_job_without_which_no_group_could_be_made(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    fail(world, 100)
    found = why(world, IMAGE_JOB)
    assert found.root == name(100)
    assert "0 of 1 subbands" in found.cause


def test_a_merge_that_lacks_what_nobody_listed_well_is_its_own_cause(world: World) -> None:
    unusable = [subband(number, reason=Reason.INPUT_MISSING, problem="No such file") for number in (100, 101)]
    merge = MERGE | {"inputs": {"raw": {"from": "target", "path": "{key}"}}}
    world.enter(recipe([*unusable, 102], {"merge": merge}, minimum_subbands=0.9))
    world.tick()
    found = why(world, "L1-SAP000-merge")
    assert (found.root, found.cause.partition(":")[0]) == ("L1-SAP000-merge", "too-few-inputs")


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


def test_an_earlier_decision_is_not_taken_for_the_last_one(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    world.backend.lose(name(100))
    world.tick()
    world.cancel(name(100))
    assert "tried again" not in why(world, name(100)).cause


def test_after_a_retry_the_failures_before_it_are_not_told(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    fail(world, 100)
    world.retry(name(100))
    assert why(world, name(100)).details == ()


# What waits


def test_a_waiting_job_names_some_of_what_it_waits_for(world: World) -> None:
    world.enter(recipe(range(100, 106), parameters={"group_size": 100}))
    world.tick()
    assert why(world, IMAGE_JOB).cause.startswith("waits until the frequencies of all subbands are known")
    for number in range(100, 106):
        world.backend.succeed(name(number))
    world.tick()
    assert why(world, IMAGE_JOB).cause.startswith("waits for L1-SAP000-G0001-band (submitted); L1-SAP000-G0001-band is")


def test_a_long_list_of_needs_is_cut_and_counted(world: World) -> None:
    world.enter(recipe(range(100, 105), {"first": FIRST, "merge": MERGE}))
    assert why(world, "L1-SAP000-merge").cause.startswith(
        f"waits for {name(100)} (waiting), {name(101)} (waiting), {name(102)} (waiting) and 2 more (5 waiting); "
    )


@pytest.mark.parametrize(
    ("doing", "root"),
    [
        (("run", "lose", "run"), 1),
        (("run", "queue", "run"), 1),
        (("succeed", "run", "succeed"), 1),
        (("lose", "queue", "run"), 0),
    ],
)
def test_of_many_needs_that_is_the_root_which_is_furthest_from_its_end(
    world: World, doing: tuple[str, ...], root: int
) -> None:
    world.enter(recipe([100, 101, 102], {"first": FIRST, "merge": MERGE}))
    world.tick()
    for number, what in enumerate(doing, 100):
        if what != "queue":
            getattr(world.backend, what)(name(number))
    world.tick()
    assert why(world, "L1-SAP000-merge").root == name(100 + root)


def test_when_all_have_told_their_frequency_the_next_tick_makes_the_groups(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.cancel(name(100), name(101))
    found = why(world, IMAGE_JOB)
    assert found.cause == "waits for the groups of band, which the next tick makes"


def test_a_job_that_will_be_tried_again_says_after_what(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    world.backend.lose(name(100))
    world.tick()
    found = why(world, name(100))
    assert found.cause == (
        "waits to be tried again on another node, at 2024-01-01 00:00:01 UTC, after lost: the attempt vanished"
        " without a report: the node is gone (1 of at most 10 attempts ended so)"
    )
    assert found.remedy == "nothing to do: it is tried again by itself"
    assert ", in 1 s, after" in why(world, name(100), now=world.now).cause
    world.time += timedelta(seconds=1)
    assert ", which is now, after" in why(world, name(100), now=world.now).cause


def test_a_rule_of_the_step_tells_how_often_it_is_tried(world: World) -> None:
    first = FIRST | {"retry": {"tries": 2, "rules": {Reason.LOST: {"tries": 77}}}}
    world.enter(recipe([100], {"first": first}))
    world.tick()
    world.backend.lose(name(100))
    world.tick()
    assert "1 of at most 77 attempts" in why(world, name(100)).cause


def test_a_time_that_has_come_is_told_with_what_happened_before(world: World) -> None:
    world.slots = 1
    world.enter(recipe([100, 101], {"first": FIRST}))
    world.tick()
    world.backend.lose(name(100))
    world.tick()
    world.tick(later_s=60)
    found = why(world, name(100), sites=world.sites)
    assert world.job(name(100)).state is JobState.READY
    assert "all slots are taken, 1 of 1" in found.cause
    assert found.details


def test_without_sites_a_job_that_could_run_waits_for_a_free_slot(world: World) -> None:
    world.slots = 1
    world.enter(recipe([100, 101], {"first": FIRST}))
    world.tick()
    assert why(world, name(101)).cause == "ready since 2024-01-01 00:00:00 UTC, waits for a free slot"


def test_without_sites_it_is_told_how_many_go_first(world: World) -> None:
    world.slots = 2
    world.enter(recipe(range(100, 105), {"first": FIRST}))
    world.tick()
    ready = [job for job, state in world.states().items() if state is JobState.READY]
    assert why(world, ready[1]).cause.endswith("waits for its turn; 1 job of its production goes before it")


def test_sites_that_keep_it_waiting_for_one_reason_are_told_together(tmp_path: Path) -> None:
    world = World(tmp_path, sites={site: Site(site, slots=1) for site in ("A", "B", "C")})
    world.enter(recipe(range(100, 104), {"first": FIRST}))
    world.tick()
    found = why(world, name(103), sites=world.sites)
    assert found.cause.endswith("waits for a free slot: A, B, C: all slots are taken, 1 of 1")


def test_a_job_that_nothing_keeps_goes_with_the_next_tick(world: World) -> None:
    world.enter(recipe([100]))
    found = why(world, name(100), sites=world.sites)
    assert found.cause == "could run since 2024-01-01 00:00:00 UTC, goes to a site with the next tick"
    assert found.remedy == "nothing to do; `run` must be going"


def test_it_could_run_since_the_last_of_its_needs_had_ended(world: World) -> None:
    world.slots = 1
    world.enter(recipe([100, 101], {"first": FIRST, "second": SECOND}))
    world.tick()
    world.backend.succeed(name(100))
    world.tick(later_s=600)
    waiting = next(job for job, state in world.states().items() if state is JobState.READY)
    found = why(world, name(100, "second"), sites=world.sites)
    assert (waiting, found.since) == (name(101), world.now)


@pytest.mark.parametrize("ticking", [None, True, False])
def test_a_pause_comes_before_everything_else(world: World, ticking: bool | None) -> None:
    world.enter(recipe([100]))
    world.tracker.pause(world.production.id, True, world.now)
    for job in (name(100), IMAGE_JOB):
        found = why(world, job, sites=world.sites, ticking=ticking)
        assert found.cause == "its production field is paused since 2024-01-01 00:00:00 UTC"
        assert found.remedy == "`resume field`"


def test_without_a_run_the_cause_beyond_that_is_told_too(world: World) -> None:
    world.enter(recipe([100, 101]))
    found = why(world, IMAGE_JOB, ticking=False)
    assert found.cause == "no `run` is going, and nothing moves without one"
    assert found.details[0].startswith("beyond that: waits until the frequencies")


def test_what_has_ended_does_not_ask_for_a_run(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.finish()
    assert why(world, GROUP, ticking=False).cause.startswith("succeeded")


# What is under way


def test_a_job_under_way_tells_where_and_since_when(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    attempt = world.job(name(100)).attempt
    assert why(world, name(100)).cause == "submitted to nowhere since 2024-01-01 00:00:00 UTC, waits there for a node"
    assert why(world, name(100)).details == (f"attempt 1 is {attempt}",)
    world.backend.run(name(100), node="wn7")
    world.tick(later_s=5)
    found = why(world, name(100))
    assert found.cause == "running on wn7 at nowhere since 2024-01-01 00:00:05 UTC"
    assert found.details == (f"attempt 1 is {attempt}, batch id 42.0",)
    assert found.remedy == f"nothing to do; `logs {name(100)}` shows it"


def test_a_job_that_runs_while_nobody_ticks_goes_on(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    world.backend.run(name(100), node="wn7")
    world.tick()
    found = why(world, name(100), ticking=False)
    assert found.cause.startswith("running on wn7")
    assert found.cause.endswith("; no `run` is going to take note of its end")


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=40), "40 s"),
        (timedelta(minutes=3, seconds=20), "3 min 20 s"),
        (timedelta(minutes=59, seconds=20), "59 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=2, minutes=5, seconds=9), "2 h 5 min"),
        (timedelta(days=3, hours=4, minutes=1), "3 d 4 h"),
    ],
)
def test_how_long_it_lasts_is_told_as_people_say_it(world: World, passed: timedelta, said: str) -> None:
    world.enter(recipe([100]))
    world.tick()
    world.time += passed
    assert f"UTC, for {said}, waits there" in why(world, name(100), now=world.now).cause


def test_a_trouble_that_is_over_is_not_told(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    world.backend.run(name(100))
    world.tick()
    world.backend.down = True
    world.tick()
    assert "does not answer" in why(world, name(100)).cause
    world.backend.down = False
    world.tick()
    assert "does not answer" not in why(world, name(100)).cause


def test_a_trouble_of_a_process_that_died_is_over_with_the_first_good_tick_of_the_next(world: World) -> None:
    world.tick()
    world.backend.down = True
    world.enter(recipe([100]))
    world.tick()
    world.restart()
    assert "does not answer" in why(world, name(100)).cause
    world.backend.down = False
    world.tick()
    assert "does not answer" not in why(world, name(100)).cause


def test_a_state_that_nothing_more_is_known_of_is_told_as_it_is(world: World) -> None:
    world.enter(recipe([100]))
    world.move(name(100), JobState.READY, JobState.SUBMITTED)  # without an attempt: no engine does that
    assert why(world, name(100)).cause == "submitted since 2024-01-01 00:00:00 UTC"


# What succeeded


def test_a_succeeded_job_tells_what_it_lacks_and_whether_more_has_come(world: World) -> None:
    world.enter(recipe([100, 101, 102], minimum_subbands=0.5, parameters={"group_size": 4}))
    world.tick()
    fail(world, 101)
    world.finish()
    group = "L1-SAP000-G0025-band"
    found = why(world, group)
    assert f", without L1-SAP000-SB101: {name(101)} failed: input-truncated" in found.cause
    assert found.remedy == "copy it again from its source, then `retry`"
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
