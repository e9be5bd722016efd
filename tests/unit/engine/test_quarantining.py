"""Bad nodes and sites get no jobs until a probe, or a few jobs, show that they work again; good ones go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lofargrid.backends.base import Observation
from lofargrid.decisions import health
from lofargrid.engine.following import PILOTLESS_S
from lofargrid.model import Pilots, Site
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker.records import QuarantineRecord
from tests.unit.engine_factories import BAND, FIRST, GROUP, World, name, recipe

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
ALONE = {"first": FIRST}
PATIENT = {"first": FIRST | {"retry": {"tries": 9}}}
ONCE = {"first": FIRST | {"retry": {"tries": 1}}}
SURF = "SURF"


def farm(folder: Path, *others: str, slots: int = 50, guarded: bool = True) -> World:
    """A site that holds all inputs, and others; the links between them bound nothing."""
    one = Site(SURF, slots=slots, guarded=guarded, prefixes=("file:///",), transfers=10_000, bandwidth_mb_s=1e6)
    return World(folder, sites={SURF: one} | {site: replace(one, name=site, prefixes=()) for site in others})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return farm(tmp_path)


def started(world: World, count: int = 10, steps: Mapping[str, Any] = PATIENT) -> World:
    """Jobs 100, 101 ... are under way; 109 runs on a good node, the others wait for theirs."""
    world.enter(recipe(range(100, 100 + count), steps))
    world.tick()
    world.backend.run(name(109), "good")
    return world


def end(world: World, number: int, node: str, reason: Reason | None = Reason.PAYLOAD_FAILED) -> None:
    """Let a job run on a node and end there, unseen."""
    world.backend.run(name(number), node)
    if reason is Reason.LOST:
        world.backend.lose(name(number))
    elif reason:
        world.backend.fail(name(number), reason)
    else:
        world.backend.succeed(name(number))


def lost(world: World, *numbers: int, nodes: int = 4) -> None:
    for number in numbers:
        end(world, number, f"wn{number % nodes}", Reason.LOST)


def standing(world: World) -> dict[tuple[str, str], str]:
    return {(one.site, one.node): one.state for one in world.tracker.quarantines()}


def record(world: World, node: str = "", site: str = SURF) -> QuarantineRecord:
    found = world.tracker.quarantined(site, node)
    assert found
    return found


def told(world: World, node: str = "") -> list[str]:
    return [one.text for one in reversed(world.tracker.site_events(SURF, 99)) if one.node == node]


def condemned(world: World, node: str = "bad") -> World:
    """Two jobs have failed on a node, and a probe of it is under way."""
    started(world)
    end(world, 100, node)
    end(world, 101, node)
    world.tick()
    return world


def probes(world: World, node: str = "bad") -> list[str]:
    return [spec.attempt for spec in world.backend.specs.values() if spec.job == f"probe-{node}"]


def minutes_until(world: World, one: QuarantineRecord) -> float:
    return (datetime.fromisoformat(one.until) - world.time).total_seconds() / 60


# A bad node


def test_a_node_that_failed_two_jobs_in_a_row_gets_no_more_and_is_probed_at_once(world: World) -> None:
    condemned(world)
    assert standing(world) == {(SURF, "bad"): "probed"}
    assert world.backend.avoided == {SURF: ["bad"]}
    probe = world.backend.spec("probe-bad")
    assert (probe.step, probe.node, probe.site, probe.commands, probe.outputs) == ("probe", "bad", SURF, (), ())
    assert (probe.owner, probe.contact) == ("someone", "someone@example.org")
    assert told(world, "bad") == ["quarantined and probed: 2 jobs in a row failed there: payload-failed"]


def test_a_success_between_them_keeps_a_node(world: World) -> None:
    started(world)
    for number, reason in ((100, Reason.LOST), (101, None), (102, Reason.LOST)):
        end(world, number, "wn1", reason)
        world.tick(later_s=1)
    assert standing(world) == {}


def test_a_node_of_a_site_that_is_not_guarded_is_never_in_quarantine(tmp_path: Path) -> None:
    condemned(farm(tmp_path, guarded=False))
    assert standing(World(tmp_path)) == {}


def test_what_ended_on_no_node_speaks_against_none(world: World) -> None:
    started(world)
    for number in (100, 101):
        world.backend.lose(name(number))
    world.tick()
    assert standing(world) == {}


def test_a_node_is_known_from_the_report_of_what_nobody_saw_run(world: World) -> None:
    started(world)
    world.backend.fail(name(100))
    world.backend.fail(name(101))
    world.tick()
    assert standing(world) == {(SURF, "wn1"): "probed"}


def test_a_black_hole_loses_no_jobs_for_good_and_costs_them_no_try(world: World) -> None:
    condemned(world)
    for number in (100, 101):
        assert world.job(name(number)).state is JobState.SUBMITTED
        assert world.backend.spec(name(number)).avoid == ("bad",)
        end(world, number, f"good{number}", Reason.CHECK_FAILED)
    world.tick()
    assert [world.job(name(number)).tries for number in (100, 101)] == [1, 1]


def test_jobs_in_other_slots_of_a_bad_node_are_not_charged_either(world: World) -> None:
    started(world)
    for number in range(100, 105):
        end(world, number, "bad")
    world.tick()
    blamed = [world.tracker.attempts(world.job(name(number)).id)[0].blamed for number in range(100, 105)]
    assert blamed == [True] * 5
    for number in range(102, 105):
        assert world.job(name(number)).tries == 0


@pytest.mark.parametrize("reason", [Reason.PAYLOAD_FAILED, Reason.SOFTWARE_MISSING])
def test_jobs_that_failed_for_good_by_a_nodes_fault_are_tried_again(world: World, reason: Reason) -> None:
    started(world, steps=ONCE)
    end(world, 100, "bad", reason)
    world.tick()
    assert world.job(name(100)).state is JobState.FAILED
    end(world, 101, "bad", reason)
    world.tick()
    assert f"{name(100)} is tried again: the node was at fault" in told(world, "bad")
    world.tick(later_s=60)
    assert {world.job(name(number)).state for number in (100, 101)} == {JobState.SUBMITTED}


def test_a_job_is_revived_too_when_it_failed_for_good_somewhere_else(world: World) -> None:
    """Of the two nodes that failed it one turns out to be bad: one good node is not enough."""
    started(world, steps=ALONE)
    end(world, 100, "bad")
    world.tick()
    world.tick(later_s=1)
    end(world, 100, "wn2")
    world.tick()
    assert world.job(name(100)).state is JobState.FAILED
    end(world, 101, "bad")
    end(world, 102, "bad")
    world.tick(2)
    assert record(world, "bad").state == "probed"
    assert world.job(name(100)).state is JobState.SUBMITTED


def test_what_failed_there_for_reasons_of_its_own_stays_failed(world: World) -> None:
    started(world)
    end(world, 102, "bad", Reason.INPUT_MISSING)
    end(world, 100, "bad")
    end(world, 101, "bad")
    world.tick()
    assert world.job(name(102)).state is JobState.FAILED
    assert not world.tracker.attempts(world.job(name(102)).id)[0].blamed


def group_without_100(world: World) -> str:
    """Subband 100 has failed for good on a bad node before it told its frequency; the group of 101 is under way."""
    world.enter(recipe([100, 101], {**ONCE, "band": BAND}, minimum_subbands=0.1))
    world.tick()
    world.backend.run(name(101), "good")
    world.backend.succeed(name(101))
    end(world, 100, "bad")
    world.tick()
    assert world.job(GROUP).subbands == ("L1-SAP000-SB101",)
    return world.backend.spec(GROUP).attempt


def test_a_group_that_was_made_without_a_job_that_is_revived_is_stopped_and_made_once_more(world: World) -> None:
    incomplete = group_without_100(world)
    world.enter(recipe([200], ONCE, production="another"))
    world.tick()
    end(world, 200, "bad")
    world.tick(2)
    assert world.backend.cancelled == [incomplete]
    world.backend.succeed("probe-bad")
    world.finish()
    assert world.job(GROUP).subbands == ("L1-SAP000-SB100", "L1-SAP000-SB101")
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def test_so_it_is_when_its_own_failure_shows_that_the_node_is_bad(world: World) -> None:
    group_without_100(world)
    world.backend.run(GROUP, "bad")
    world.backend.fail(GROUP)
    assert world.tick(2).troubles == ()
    assert record(world, "bad").state == "probed"
    world.backend.succeed("probe-bad")
    world.finish()
    assert world.job(GROUP).subbands == ("L1-SAP000-SB100", "L1-SAP000-SB101")
    assert set(world.states().values()) == {JobState.SUCCEEDED}


# Probes


def test_a_node_whose_probe_succeeds_is_back(world: World) -> None:
    condemned(world)
    world.backend.succeed("probe-bad")
    world.tick(2)
    assert (standing(world), world.backend.avoided) == ({}, {})
    assert told(world, "bad")[-1] == "back from quarantine: its probe succeeded"


def test_what_failed_on_a_node_whose_first_probe_succeeds_may_have_been_the_jobs_fault(world: World) -> None:
    condemned(world)
    attempts = [world.tracker.attempts(world.job(name(number)).id)[0].id for number in (100, 101)]
    assert all(one and one.blamed for one in map(world.tracker.attempt, attempts))
    world.backend.succeed("probe-bad")
    world.tick()
    assert not any(one and one.blamed for one in map(world.tracker.attempt, attempts))


def test_a_node_stays_out_longer_with_each_probe_that_fails_and_not_for_ever(world: World) -> None:
    condemned(world)
    waits = []
    for _ in range(4):
        world.backend.fail("probe-bad", Reason.NODE_UNFIT)
        world.tick()
        one = record(world, "bad")
        assert (one.state, one.probe) == ("quarantined", "")
        waits.append(minutes_until(world, one))
        world.tick(later_s=waits[-1] * 60 - 1)
        assert record(world, "bad").state == "quarantined"
        world.tick(later_s=1)
    assert waits == [10, 20, 20, 20]
    assert len(set(probes(world))) == 5
    world.backend.succeed("probe-bad")
    world.tick()
    assert standing(world) == {}
    blamed = world.tracker.attempts(world.job(name(100)).id)[0].blamed
    assert blamed, "it was bad, and is repaired"


def test_a_probe_that_vanishes_or_is_held_does_not_answer(world: World) -> None:
    condemned(world)
    world.backend.run("probe-bad", "bad")
    world.backend.hold("probe-bad")
    world.tick()
    assert record(world, "bad").state == "probed"
    world.backend.lose("probe-bad")
    world.tick()
    assert (record(world, "bad").state, record(world, "bad").strikes) == ("quarantined", 1)


def test_a_probe_without_an_answer_is_cancelled_and_counts_as_failed(world: World) -> None:
    [probe] = probes(condemned(world))
    world.tick(later_s=health.PROBE_S - 1)
    assert record(world, "bad").state == "probed"
    world.tick(later_s=1)
    assert (record(world, "bad").strikes, world.backend.cancelled) == (1, [probe])
    world.tick()
    assert record(world, "bad").strikes == 1, "that it was cancelled says nothing more"


def test_a_probe_that_comes_back_late_changes_nothing(world: World) -> None:
    [probe] = probes(condemned(world))
    world.tick(later_s=health.PROBE_S)
    world.backend._tell(Observation(probe, Phase.LOST))
    world.tick()
    assert record(world, "bad").strikes == 1


def test_a_probe_that_did_not_get_through_is_handed_over_again(world: World) -> None:
    started(world)
    end(world, 100, "bad")
    end(world, 101, "bad")
    world.backend.accepts = 0
    assert world.tick().troubles
    assert (probes(world), record(world, "bad").state) == ([], "quarantined")
    world.tick()
    assert (len(probes(world)), record(world, "bad").state) == (1, "probed")
    assert world.backend.avoided == {SURF: ["bad"]}


def test_a_probe_is_not_doubled_by_a_crash_after_it_was_handed_over(world: World) -> None:
    condemned(world)
    one = record(world, "bad")
    world.tracker.put_in_quarantine(QuarantineRecord(
        one.site, one.node, "quarantined", one.since, world.now, 0, one.reason, one.probe
    ))  # fmt: skip
    world.restart()
    world.tick()
    assert (probes(world), record(world, "bad").state) == ([one.probe], "probed")
    world.backend.succeed("probe-bad")
    world.tick()
    assert standing(world) == {}


def test_a_process_that_starts_tells_its_backend_what_to_avoid(world: World) -> None:
    condemned(world)
    world.backend.avoided = {}
    world.tick()
    assert world.backend.avoided == {}, "it is told once"
    world.restart()
    world.tick()
    assert world.backend.avoided == {SURF: ["bad"]}


def test_a_node_that_deceives_its_probe_is_not_believed_at_once_again(world: World) -> None:
    condemned(world)
    world.backend.succeed("probe-bad")
    world.tick()
    world.time += MINUTE
    for number in (102, 103):
        end(world, number, "bad")
    world.tick()
    assert (record(world, "bad").state, record(world, "bad").strikes) == ("quarantined", 1)
    assert told(world, "bad")[-1].startswith(f"quarantined until {record(world, 'bad').until}: 2 jobs in a row")


def test_a_node_that_has_worked_since_its_probe_is_judged_as_any_other(world: World) -> None:
    condemned(world)
    world.backend.succeed("probe-bad")
    world.tick()
    world.time += MINUTE
    end(world, 104, "bad", None)
    world.tick(later_s=1)
    for number in (102, 103):
        end(world, number, "bad")
    world.tick()
    assert (record(world, "bad").state, record(world, "bad").strikes) == ("probed", 0)


def test_what_failed_before_a_node_came_back_is_no_evidence_any_more(world: World) -> None:
    condemned(world)
    world.backend.succeed("probe-bad")
    world.tick()
    end(world, 102, "bad")
    world.tick(later_s=1)
    assert standing(world) == {}


# Bad files and bad steps on good nodes


def test_a_bad_file_that_is_run_on_five_good_nodes_quarantines_none(world: World) -> None:
    started(world)
    for node in range(5):
        end(world, 100, f"wn{node}")
        world.tick()
        world.retry(name(100))
        world.tick(later_s=60)
    assert (standing(world), told(world)) == ({}, [])


def test_five_bad_files_on_five_good_nodes_quarantine_none(world: World) -> None:
    started(world)
    for node in range(5):
        end(world, 100 + node, f"wn{node}")
    world.tick()
    assert standing(world) == {}


def test_two_bad_files_in_a_row_take_a_good_node_away_for_one_probe_only(world: World) -> None:
    """They go on together, from node to node, and cannot take one after the other with them."""
    started(world)
    for node in ("wn1", "wn2", "wn3"):
        for number in (100, 101):
            if world.job(name(number)).state is JobState.SUBMITTED:
                end(world, number, node)
        world.tick()
        if (SURF, node) in standing(world):
            world.backend.succeed(f"probe-{node}")
        world.tick(2, later_s=60)
    assert {world.job(name(number)).state for number in (100, 101)} == {JobState.FAILED}
    assert world.job(name(100)).reason is Reason.PAYLOAD_FAILED
    assert standing(world) == {}
    assert [len(probes(world, node)) for node in ("wn1", "wn2", "wn3")] == [1, 0, 0]


def test_a_step_that_fails_everywhere_and_never_succeeds_takes_no_nodes_away(world: World) -> None:
    started(world)
    for number in range(100, 110):
        end(world, number, f"wn{number % 5}")
    world.tick()
    assert standing(world) == {}


def test_a_step_that_fails_on_one_node_and_succeeds_elsewhere_takes_it_away(world: World) -> None:
    started(world)
    end(world, 105, "good", None)
    for number, node in ((100, "a"), (101, "b"), (102, "c"), (103, "c")):
        end(world, number, node)
    world.tick()
    assert standing(world) == {(SURF, "c"): "probed"}


def test_nodes_that_are_bad_from_the_start_are_found_while_the_step_runs_on_all_others(world: World) -> None:
    started(world, count=20)
    for number in range(108, 120):
        world.backend.run(name(number), f"good{number}")
    for number in (100, 102, 104, 106):
        world.backend.run(name(number), f"bad{number}")
    world.tick()
    world.time += 10 * SECOND
    for number in (100, 102, 104, 106):
        world.backend.fail(name(number))
    world.tick()
    assert standing(world) == {}
    for number in (101, 103, 105, 107):
        world.backend.run(name(number), f"bad{number - 1}")
    world.tick()
    world.time += 10 * SECOND
    for number in (101, 103, 105, 107):
        world.backend.fail(name(number))
    world.tick()
    assert standing(world) == {(SURF, f"bad{number}"): "probed" for number in (100, 102, 104, 106)}


# Sites


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
