"""What comes after a failure: more memory, another node, another site, smaller groups; told in the job's history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lofargrid_runner.contract import to_json

from lofargrid.backends.base import Observation
from lofargrid.errors import BackendError
from lofargrid.model import Site
from lofargrid.states import JobState, Phase, Reason
from tests.unit.engine_factories import (
    ALONE,
    BAND,
    FIRST,
    GROUP,
    IMAGE,
    IMAGE_JOB,
    SUBBAND_HZ,
    World,
    name,
    recipe,
    subband,
)

BANDS = {"first": FIRST, "band": BAND, "image": IMAGE}
HERE = {"prefixes": ("file:///",), "transfers": 10_000, "bandwidth_mb_s": 1e6}


def farm(folder: Path, *others: str, **limits: Any) -> World:
    """A guarded site that holds all inputs, and others."""
    one = Site("SURF", slots=50, **HERE, **limits)
    return World(folder, sites={"SURF": one, **{other: Site(other, slots=50, **limits) for other in others}})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return farm(tmp_path)


def step(**changes: Any) -> dict[str, Any]:
    return {"first": FIRST | changes}


def end(world: World, job: str, reason: Reason, node: str = "wn1", peak_memory_mb: float = 0.0) -> None:
    """Let an attempt run on a node and fail there; then let the engine see to it."""
    spec = world.backend.spec(job)
    world.backend.run(job, node)
    report = world.backend._report(spec, reason=reason.value, outcome="failed", peak_memory_mb=peak_memory_mb)
    world.backend._tell(Observation(spec.attempt, Phase.ENDED, report, to_json(report)))
    world.tick()
    world.tick(later_s=60)


def told(world: World, job: str) -> list[str]:
    return [row["text"] for row in world.tracker.events(world.job(job).id) if not row["new"]]


def limits(world: World, job: str) -> tuple[float, float, float]:
    spec = world.backend.spec(job)
    return spec.limits.memory_mb, spec.limits.walltime_s / 60, spec.limits.scratch_mb


# Growth


def test_a_job_that_ran_out_of_memory_gets_more_each_time_and_keeps_what_it_has_grown_to(world: World) -> None:
    world.enter(recipe([100], step(resources={"memory_mb": 1000, "walltime_min": 10})))
    world.tick()
    end(world, name(100), Reason.OUT_OF_MEMORY)
    memory_mb, walltime_min, _ = limits(world, name(100))
    assert (memory_mb > 1000, walltime_min) == (True, 10)
    end(world, name(100), Reason.OUT_OF_TIME)
    assert limits(world, name(100))[0] == memory_mb
    assert limits(world, name(100))[1] > 10
    end(world, name(100), Reason.OUT_OF_MEMORY, peak_memory_mb=40000.0)
    assert limits(world, name(100))[0] == 60000, "half more than was seen"
    assert world.job(name(100)).tries == 0
    assert f"tried again with {memory_mb} MB of memory" in told(world, name(100))


def test_a_payload_that_works_gets_at_once_the_time_that_its_next_attempt_would_get(tmp_path: Path) -> None:
    world = farm(tmp_path, walltime_min=40)
    never = {"rules": {"out-of-time": {"tries": 1}}}
    short, long = {"walltime_min": 10}, {"walltime_min": 30}
    world.enter(recipe([100], step(resources=short)))
    world.enter(recipe([100], step(resources=long), production="long"))
    world.enter(recipe([100], step(resources=short, retry=never), production="never"))
    world.tick()
    got = {one.production: (one.limits.walltime_s, one.overtime_s) for one in world.backend.specs.values()}
    assert got == {"field": (600, 1200), "long": (1800, 600), "never": (600, 0)}


def test_a_lost_attempt_leaves_what_a_job_has_grown_to(world: World) -> None:
    world.enter(recipe([100], step(resources={"memory_mb": 1000})))
    world.tick()
    end(world, name(100), Reason.OUT_OF_MEMORY)
    before = limits(world, name(100))
    world.backend.lose(name(100))
    world.tick()
    world.tick(later_s=60)
    assert before[0] > 1000
    assert limits(world, name(100)) == before


def test_a_step_may_have_its_scratch_grow(world: World) -> None:
    rules = {"scratch-full": {"grow": "scratch", "wait_s": 0}}
    world.enter(recipe([subband(100, size_bytes=10**9)], step(retry={"rules": rules}, resources={"memory_mb": 1000})))
    world.tick()
    end(world, name(100), Reason.OUT_OF_MEMORY)
    memory_mb, _, scratch_mb = limits(world, name(100))
    assert scratch_mb == 4000
    end(world, name(100), Reason.SCRATCH_FULL, "wn2")
    assert limits(world, name(100)) == (memory_mb, 60, 8000)


def test_a_job_that_no_site_grants_more_fails_and_says_so(tmp_path: Path) -> None:
    world = farm(tmp_path, memory_mb=1500)
    world.enter(recipe([100], step(resources={"memory_mb": 1000})))
    world.tick()
    end(world, name(100), Reason.OUT_OF_MEMORY)
    assert limits(world, name(100))[0] == 1500
    end(world, name(100), Reason.OUT_OF_MEMORY)
    job = world.job(name(100))
    assert (job.state, job.reason) == (JobState.FAILED, Reason.OUT_OF_MEMORY)
    assert told(world, name(100))[-1] == "no site grants more memory"


def test_a_job_does_not_grow_to_what_only_a_site_grants_that_cannot_run_it(tmp_path: Path) -> None:
    world = farm(tmp_path, memory_mb=1500, walltime_min=600)
    world.sites["short"] = Site("short", slots=1, memory_mb=64000, walltime_min=10)
    world.enter(recipe([100], step(resources={"memory_mb": 1000})))
    world.tick()
    end(world, name(100), Reason.OUT_OF_MEMORY)
    assert limits(world, name(100))[0] == 1500


# Smaller groups


def grouped(world: World, count: int = 4, steps: Mapping[str, Any] = BANDS, **changes: Any) -> str:
    """Subbands from 100 on are made, and their one group of so many is under way."""
    world.enter(recipe(range(100, 100 + count), steps, parameters={"group_size": count}, **changes))
    world.tick()
    for number in range(100, 100 + count):
        world.backend.succeed(name(number))
    world.tick()
    return f"L1-SAP000-G{100 // count:04d}-band"


def outgrow(world: World, group: str) -> None:
    """Let it run out of memory until it grows no more."""
    for number in range(3):
        end(world, group, Reason.OUT_OF_MEMORY, f"wn{number}")


def bands(world: World) -> dict[str, list[str]]:
    jobs = [job for job in world.tracker.jobs(world.production.id) if job.step == "band"]
    return {job.name: [key[-3:] for key in job.subbands] for job in jobs}


def test_a_group_that_cannot_grow_any_more_is_made_in_halves(world: World) -> None:
    group = grouped(world)
    outgrow(world, group)
    assert bands(world) == {"L1-SAP000-G0025p0-band": ["100", "101"], "L1-SAP000-G0025p1-band": ["102", "103"]}
    texts = [row["text"] for row in world.tracker.rows("SELECT text FROM events")]
    assert "out-of-memory: it has grown enough: smaller groups: made in 2 parts from now on" in texts


def test_what_needs_the_group_is_made_of_its_parts(world: World) -> None:
    group = grouped(world)
    outgrow(world, group)
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert [need.name for need in world.tracker.needs(world.job(IMAGE_JOB).id)] == list(bands(world))
    assert world.tracker.lacks(world.job(IMAGE_JOB).id) == []
    assert world.products() == sorted(
        f"{one}{suffix}"
        for one in ("L1-SAP000-G0025p0-band.MS", "L1-SAP000-G0025p1-band.MS", f"{IMAGE_JOB}.fits")
        for suffix in ("", ".json")
    )
    assert world.scratch_files() == []
    assert world.backend.started.count(IMAGE_JOB) == 1
    assert all(world.backend.started.count(name(number)) == 1 for number in range(100, 104)), "nothing is made twice"


def test_parts_are_halved_again_until_each_holds_one_subband(world: World) -> None:
    group = grouped(world, steps={"first": FIRST, "band": BAND})
    outgrow(world, group)
    outgrow(world, "L1-SAP000-G0025p0-band")
    assert bands(world) == {f"L1-SAP000-G0025p{part}-band": [f"{100 + part}"] for part in range(4)}
    outgrow(world, "L1-SAP000-G0025p0-band")
    job = world.job("L1-SAP000-G0025p0-band")
    assert (job.state, told(world, job.name)[-1]) == (JobState.FAILED, "ended so 3 times")


def test_a_group_whose_subbands_lie_close_together_is_cut_where_they_are(world: World) -> None:
    """Halves and quarters of 64 would leave both in one part, and nothing would have changed."""
    world.enter(recipe([128, 129], {"first": FIRST, "band": BAND}, parameters={"group_size": 64}))
    world.tick()
    world.backend.succeed(name(128))
    world.backend.succeed(name(129))
    world.tick()
    outgrow(world, "L1-SAP000-G0002-band")
    assert list(bands(world).values()) == [["128"], ["129"]]
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def test_a_group_without_a_site_for_more_is_split_at_once(tmp_path: Path) -> None:
    world = farm(tmp_path, memory_mb=2000)
    group = grouped(world)
    end(world, group, Reason.OUT_OF_MEMORY)
    assert len(bands(world)) == 2
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def test_a_group_that_came_late_and_is_split_makes_what_went_without_it_anew(world: World) -> None:
    """The image was made without one band; mended, that band turns out to be too large."""
    known = [subband(n, frequency_hz=n * SUBBAND_HZ) for n in range(100, 104)]
    world.enter(recipe(known, BANDS, minimum_subbands=0.5))
    world.tick()
    for number in range(100, 104):
        world.backend.succeed(name(number))
    world.tick()
    world.backend.fail(GROUP, Reason.INPUT_WRONG_KIND)
    world.finish()
    assert world.tracker.lacks(world.job(IMAGE_JOB).id) == ["L1-SAP000-SB100", "L1-SAP000-SB101"]
    world.retry(GROUP)
    world.tick()
    outgrow(world, GROUP)
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert world.tracker.lacks(world.job(IMAGE_JOB).id) == []
    assert not any(job.stale for job in world.tracker.jobs(world.production.id))


def test_a_split_group_is_not_joined_again_by_the_next_generation(world: World) -> None:
    group = grouped(world, steps={"first": FIRST, "band": BAND})
    outgrow(world, group)
    world.finish()
    world.enter(recipe(range(100, 104), {"first": FIRST, "band": BAND},
                       parameters={"group_size": 4, "strength": 2}), again=True)  # fmt: skip
    world.finish()
    assert sorted(bands(world)) == ["L1-SAP000-G0025p0-band", "L1-SAP000-G0025p1-band"]


def test_a_crash_in_the_middle_of_a_split_leaves_the_whole_or_the_parts(world: World) -> None:
    group = grouped(world)
    outgrow(world, group)
    world.restart()
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert len(bands(world)) == 2


# Elsewhere


def test_the_next_attempt_keeps_away_from_the_nodes_that_failed_it(world: World) -> None:
    world.enter(recipe([100], step(retry={"tries": 9})))
    world.tick()
    assert world.backend.spec(name(100)).avoid == ()
    end(world, name(100), Reason.CHECK_FAILED, "wn1")
    assert world.backend.spec(name(100)).avoid == ("wn1",)
    end(world, name(100), Reason.NODE_UNFIT, "wn3")
    assert world.backend.spec(name(100)).avoid == ("wn1", "wn3")


def test_a_node_is_not_avoided_for_what_it_could_not_help(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    end(world, name(100), Reason.EVICTED, "wn1")
    assert world.backend.spec(name(100)).avoid == ()


def test_after_the_operators_retry_any_node_will_do(world: World) -> None:
    world.enter(recipe([100], step(retry={"tries": 1})))
    world.tick()
    end(world, name(100), Reason.CHECK_FAILED, "wn1")
    world.retry(name(100))
    world.tick()
    assert world.backend.spec(name(100)).avoid == ()


def test_nodes_are_avoided_at_their_own_site_only(tmp_path: Path) -> None:
    world = farm(tmp_path, "Juelich")
    world.enter(recipe([100], step(retry={"tries": 9, "rules": {"payload-failed": {"elsewhere": "site"}}})))
    world.tick()
    end(world, name(100), Reason.CHECK_FAILED, "wn1")
    end(world, name(100), Reason.PAYLOAD_FAILED, "wn2")
    spec = world.backend.spec(name(100))
    assert (spec.site, spec.avoid) == ("Juelich", ())


def test_a_held_job_goes_to_another_site_if_there_is_one(tmp_path: Path) -> None:
    world = farm(tmp_path, "Juelich")
    world.enter(recipe([100], ALONE))
    world.tick()
    world.backend.hold(name(100))
    world.tick()
    world.tick(later_s=60)
    assert (world.backend.spec(name(100)).site, world.job(name(100)).shunned) == ("Juelich", ("SURF",))
    world.backend.hold(name(100))
    world.tick()
    world.tick(later_s=120)
    assert world.backend.spec(name(100)).site == "SURF", "both failed it: the better one"
    assert world.job(name(100)).shunned == ("Juelich", "SURF")


def test_what_was_held_and_could_not_be_cancelled_is_cancelled_later(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    world.backend.hold(name(100))
    held = world.backend.spec(name(100)).attempt
    cancel, world.backend.cancel = world.backend.cancel, _away  # type: ignore[method-assign]
    assert world.tick().troubles == ("away",)
    world.backend.cancel = cancel  # type: ignore[method-assign]
    world.tick()
    assert world.backend.cancelled == [held]


def _away(attempts: object) -> None:
    raise BackendError("away")


@pytest.mark.parametrize("phase", [Phase.HELD, Phase.RUNNING, Phase.QUEUED])
def test_an_attempt_that_was_given_up_and_is_there_again_is_stopped(world: World, phase: Phase) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    zombie = world.backend.spec(name(100)).attempt
    world.backend.lose(name(100))
    world.tick()
    world.backend._tell(Observation(zombie, phase))
    world.tick(2)
    assert world.backend.cancelled == [zombie]
    assert world.job(name(100)).reason is Reason.LOST


def test_what_no_node_takes_is_taken_back_and_goes_elsewhere(tmp_path: Path) -> None:
    world = farm(tmp_path, "Juelich")
    world.enter(recipe([100], ALONE))
    world.tick()
    waiting = world.backend.spec(name(100)).attempt
    world.tick(later_s=23.9 * 3600)
    assert world.backend.cancelled == []
    world.tick(later_s=0.2 * 3600)
    assert world.backend.cancelled == [waiting]
    world.tick(later_s=60)
    assert world.backend.spec(name(100)).site == "Juelich"
    [first, _] = world.tracker.attempts(world.job(name(100)).id)
    assert (first.reason, first.detail) == (Reason.NOT_STARTED, "no node of SURF took it within 24 h")


def test_what_waits_for_nobody_any_more_is_taken_back_too_and_changes_nothing(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    waiting = world.backend.spec(name(100)).attempt
    world.move(name(100), JobState.CANCELLED)
    world.tick(later_s=25 * 3600)
    assert (world.backend.cancelled, world.job(name(100)).state) == ([waiting], JobState.CANCELLED)


def test_a_repeated_attempt_that_avoids_nodes_waits_less_and_then_takes_any(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    end(world, name(100), Reason.CHECK_FAILED, "wn1")
    assert world.backend.spec(name(100)).avoid == ("wn1",)
    world.tick(later_s=2 * 3600)
    world.tick(later_s=60)
    assert (len(world.backend.cancelled), world.backend.spec(name(100)).avoid) == (1, ())


def test_what_waits_at_a_site_that_is_no_more_listed_is_given_up_in_time(tmp_path: Path) -> None:
    world = farm(tmp_path, "Juelich")
    world.enter(recipe([100], ALONE))
    world.tick()
    del world.sites["SURF"]
    world.engine = world.new_engine(world.tracker)
    world.tick(later_s=25 * 3600)
    world.tick(later_s=60)
    assert world.backend.spec(name(100)).site == "Juelich"


# Rules of a step


@pytest.mark.parametrize(
    ("rules", "attempts"),
    [({}, 4), ({"payload-killed": {"tries": 2}}, 2), ({"payload-killed": {"burns": True}}, 3)],
    ids=["as lofargrid does", "fewer tries", "as if the payload were at fault"],
)
def test_a_steps_own_rules_go_before_the_common_ones(world: World, rules: dict[str, Any], attempts: int) -> None:
    world.enter(recipe([100], step(retry={"tries": 3, "rules": rules})))
    world.tick()
    for number in range(9):
        if world.job(name(100)).state is JobState.SUBMITTED:
            world.backend.run(name(100), f"wn{number}")
            world.backend.fail(name(100), Reason.PAYLOAD_KILLED)
            world.tick()
            world.tick(later_s=600)
    assert len(world.tracker.attempts(world.job(name(100)).id)) == attempts
    assert world.job(name(100)).state is JobState.FAILED


def test_a_step_may_have_what_is_never_tried_again_tried_on_another_node(world: World) -> None:
    rules = {"software-missing": {"tries": 2, "burns": False, "elsewhere": "node"}}
    world.enter(recipe([100], step(retry={"rules": rules})))
    world.tick()
    end(world, name(100), Reason.SOFTWARE_MISSING, "wn1")
    assert world.backend.spec(name(100)).avoid == ("wn1",), "its own rule says where, too"


def test_a_step_may_wait_longer(world: World) -> None:
    world.enter(recipe([100], step(retry={"rules": {"lost": {"wait_s": 300}}})))
    world.tick()
    world.backend.lose(name(100))
    world.tick()
    world.tick(later_s=299)
    assert world.job(name(100)).state is JobState.WAITING
    world.tick(later_s=1)
    assert world.job(name(100)).state is JobState.SUBMITTED


# History


def test_the_history_tells_what_was_decided_after_each_failure(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    end(world, name(100), Reason.PAYLOAD_FAILED, "wn1")
    end(world, name(100), Reason.PAYLOAD_FAILED, "wn2")
    assert told(world, name(100)) == ["tried again on another node", "all 2 tries are used"]


def test_what_fails_alike_on_two_healthy_nodes_fails_early(world: World) -> None:
    world.enter(recipe([100], step(retry={"tries": 9})))
    world.tick()
    end(world, name(100), Reason.PAYLOAD_FAILED, "wn1")
    end(world, name(100), Reason.PAYLOAD_FAILED, "wn2")
    assert world.job(name(100)).state is JobState.FAILED
    assert told(world, name(100))[-1] == "failed alike on 2 healthy nodes: it is not the node"
