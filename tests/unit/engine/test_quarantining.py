"""Bad nodes get no jobs until a probe shows that they work again; good ones go on, whatever files they are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.backends.base import Observation
from lofargrid.decisions import health
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker.records import QuarantineRecord
from tests.unit.engine.farms import (
    MINUTE,
    ONCE,
    SECOND,
    SURF,
    condemned,
    end,
    farm,
    minutes_until,
    probes,
    record,
    standing,
    started,
    told,
)
from tests.unit.engine_factories import ALONE, BAND, GROUP, World, name, recipe


@pytest.fixture
def world(tmp_path: Path) -> World:
    return farm(tmp_path)


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
