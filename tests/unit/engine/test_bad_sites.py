"""Sites that lose jobs or whose nodes are all bad get none, or a few; what waits there goes where there is room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lofargrid.decisions import health
from lofargrid.engine.following import PILOTLESS_S
from lofargrid.model import Pilots
from lofargrid.states import JobState, Reason
from tests.unit.engine.farms import PATIENT, SURF, end, farm, lost, minutes_until, record, standing, started, told
from tests.unit.engine_factories import World, name, recipe


@pytest.fixture
def world(tmp_path: Path) -> World:
    return farm(tmp_path)


def closed_site(world: World) -> World:
    """Most of what the site was given was lost there."""
    started(world, count=30)
    lost(world, *range(100, 110))
    world.tick()
    assert standing(world)[SURF, ""] == "quarantined"
    return world


def test_a_site_most_of_whose_nodes_lose_jobs_gets_none(tmp_path: Path) -> None:
    world = closed_site(farm(tmp_path, slots=12))
    assert told(world)[-1].startswith(f"quarantined until {record(world).until}: ")
    before = len(world.backend.started)
    tick = world.tick(later_s=60)
    assert (len(world.backend.started), tick.troubles) == (before, ())


def test_jobs_go_to_another_site_meanwhile(tmp_path: Path) -> None:
    world = closed_site(farm(tmp_path, "Juelich", slots=15))
    for number in range(120, 130):
        end(world, number, "jwn1", None)
    world.tick(3, later_s=60)
    late = [spec.site for spec in world.backend.specs.values() if spec.step != "probe" and spec.attempt.endswith("-2")]
    assert late
    assert set(late) <= {"Juelich"}


def test_when_the_last_site_is_in_quarantine_jobs_wait_and_go_on_afterwards(tmp_path: Path) -> None:
    world = closed_site(farm(tmp_path, slots=10))
    tick = world.tick(later_s=600)
    assert (jobs_there(world), tick.troubles) == ([], ())
    world.tick(later_s=300)
    world.finish(most=200)
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def on_probation(folder: Path) -> World:
    world = closed_site(farm(folder, slots=10))
    world.tick(later_s=health.SITE_FIRST_S)
    assert standing(world)[SURF, ""] == "probation"
    return world


def jobs_there(world: World) -> list[str]:
    return [spec.job for spec in world.backend.waiting() if spec.step != "probe"]


def test_after_its_time_a_site_gets_a_few_jobs(tmp_path: Path) -> None:
    world = on_probation(tmp_path)
    assert len(jobs_there(world)) == health.PROBATION_JOBS
    world.tick(3, later_s=60)
    assert len(jobs_there(world)) == health.PROBATION_JOBS
    assert told(world)[-1] == f"on probation: {health.PROBATION_JOBS} jobs at a time until one succeeds"


def test_the_first_success_ends_a_sites_quarantine(tmp_path: Path) -> None:
    world = on_probation(tmp_path)
    world.backend.run(jobs_there(world)[0], "wn77")
    world.backend.succeed(jobs_there(world)[0])
    world.tick(2)
    assert (SURF, "") not in standing(world)
    assert told(world)[-1] == "back from quarantine: a job succeeded there"
    assert len(jobs_there(world)) == 10


def test_a_failure_on_probation_doubles_the_time(tmp_path: Path) -> None:
    world = on_probation(tmp_path)
    world.backend.lose(jobs_there(world)[0])
    world.tick()
    one = record(world)
    assert (one.state, minutes_until(world, one)) == ("quarantined", 2 * health.SITE_FIRST_S / 60)


def test_a_payload_that_fails_on_probation_says_nothing_of_the_site(tmp_path: Path) -> None:
    world = on_probation(tmp_path)
    world.backend.run(jobs_there(world)[0], "wn77")
    world.backend.fail(jobs_there(world)[0])
    world.tick()
    assert record(world).state == "probation"


def test_what_was_lost_before_and_is_told_on_probation_does_not_count(world: World) -> None:
    closed_site(world)
    world.tick(later_s=health.SITE_FIRST_S)
    assert record(world).state == "probation"
    world.backend.lose(name(125))
    world.tick()
    assert (record(world).state, record(world).strikes) == ("probation", 1)


def test_a_closed_site_is_not_judged_once_more(world: World) -> None:
    closed_site(world)
    lost(world, *range(115, 125))
    world.tick()
    assert (record(world).state, record(world).strikes) == ("quarantined", 1)


def test_a_site_whose_known_nodes_are_all_bad_gets_a_few_jobs_until_one_is_good(tmp_path: Path) -> None:
    world = farm(tmp_path, slots=12)
    started(world, count=30)
    for number in range(100, 106):
        end(world, number, f"bad{number % 3}", Reason.PAYLOAD_KILLED if number % 3 else Reason.SCRATCH_FULL)
    for number in range(106, 112):
        end(world, number, f"bad{number % 3}", Reason.INPUT_MISSING)
    world.tick()
    assert sorted(standing(world)) == [(SURF, f"bad{number}") for number in range(3)]
    assert len(jobs_there(world)) == health.PROBATION_JOBS
    world.backend.run(jobs_there(world)[0], "new")
    world.tick(2)
    assert len(jobs_there(world)) == 12, "another node is there, and not known as bad"


def test_scouts_of_a_doubtful_site_are_taken_back_when_others_have_room(tmp_path: Path) -> None:
    world = farm(tmp_path, "other", slots=2)
    world.enter(recipe(range(100, 106), PATIENT))
    world.tick()
    for one in jobs_at(world, SURF):
        world.backend.run(one, "bad")
        world.backend.lose(one)
    world.tick(2)
    assert len(jobs_at(world, SURF)) == 2, "the other site is full: they may find a node that works"
    for _ in range(4):
        for one in jobs_at(world, "other"):
            world.backend.run(one, "good")
            world.backend.succeed(one)
        world.tick(2, later_s=5)
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert len(world.backend.cancelled) == 2


@pytest.mark.parametrize("there", ["a pilot on its way", "a job that runs", "nothing"])
def test_what_waits_for_pilots_that_do_not_come_goes_where_there_is_room(tmp_path: Path, there: str) -> None:
    world = farm(tmp_path, "other", slots=2)
    world.sites["other"] = replace(world.sites["other"], pilots=Pilots(at_most=2))
    world.restart()
    world.enter(recipe(range(100, 104), PATIENT))
    world.tick()
    waiting = jobs_at(world, "other")
    if there == "a pilot on its way":
        world.tracker.enter_pilot("t1-p1", "other", "slurm", "", "", world.now)
    elif there == "a job that runs":
        world.backend.run(waiting[0], "node")
    for one in jobs_at(world, SURF):
        world.backend.run(one, "good")
        world.backend.succeed(one)
    world.tick(2, later_s=5)
    assert jobs_at(world, "other") == waiting, "a pilot takes its time"
    world.tick(2, later_s=PILOTLESS_S)
    world.tick(2, later_s=5)
    assert len(jobs_at(world, SURF)) == (2 if there == "nothing" else 0)


def jobs_at(world: World, site: str) -> list[str]:
    """The jobs that a site has."""
    there = [one for one in world.tracker.unfinished_attempts() if one.site == site]
    return [world.tracker.job_by_id(one.job_id).name for one in there]
