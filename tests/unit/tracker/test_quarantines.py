"""Quarantines as the tracker holds them, and what it tells of nodes: what ended there, and what happened elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lofargrid.decisions.health import AMBIGUOUS, EVIDENCE, Ended
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker.records import QuarantineRecord
from tests.unit.engine_factories import FIRST, World, name, recipe

ALONE = {"first": FIRST, "second": FIRST}
SURF, NOW = "SURF", "2024-01-01T10:00:00.000+00:00"
FAILED = Reason.PAYLOAD_FAILED
COUNTER = itertools.count(1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    one = World(tmp_path)
    one.enter(recipe(range(100, 120), ALONE))
    return one


def at(minute: int, second: int = 0) -> str:
    return f"2024-01-01T{10 + minute // 60:02d}:{minute % 60:02d}:{second:02d}.000+00:00"


def attempt(
    world: World, number: int, node: str, reason: Reason | None = FAILED, ended: str | None = NOW, started: str = NOW,
    site: str = SURF, step: str = "first", copy_s: float = 0.0, count: int | None = None,
) -> str:  # fmt: skip
    """Enter an attempt; one that has not ended runs."""
    label = f"t-{next(COUNTER):04d}"
    world.tracker.write(
        "INSERT INTO attempts (id, job_id, number, phase, backend, site, node, intended, started, ended, reason,"
        " copy_s) VALUES (?, ?, ?, ?, 'x', ?, ?, '', ?, ?, ?, ?)",
        label, world.job(name(number, step)).id, count or 1, Phase.ENDED if ended else Phase.RUNNING, site, node,
        started, ended, reason, copy_s,
    )  # fmt: skip
    return label


def record(node: str = "wn1", state: str = "quarantined", **changes: object) -> QuarantineRecord:
    given = {"since": NOW, "until": at(10), "strikes": 1, "reason": "why", "probe": "", **changes}
    return QuarantineRecord(SURF, node, state, **given)  # type: ignore[arg-type]


def ended_there(world: World, node: str | None = "wn1", since: str = "", limit: int = 10) -> list[Ended]:
    return world.tracker.ended_at(SURF, node, since, limit)


def blamed(world: World, label: str) -> bool:
    found = world.tracker.attempt(label)
    assert found
    return found.blamed


# Quarantines


def test_a_quarantine_comes_back_as_it_was_put_in_and_a_later_one_takes_its_place(world: World) -> None:
    world.tracker.put_in_quarantine(record())
    world.tracker.put_in_quarantine(record(strikes=2, probe="p1"))
    world.tracker.put_in_quarantine(record(""))
    assert world.tracker.quarantines() == [record(""), record(strikes=2, probe="p1")]
    assert world.tracker.quarantined(SURF, "wn1") == record(strikes=2, probe="p1")
    assert world.tracker.quarantined(SURF, "wn2") is None
    assert world.tracker.probed("p1") == record(strikes=2, probe="p1")
    assert world.tracker.probed("p2") is None


def test_one_that_is_released_stands_no_more_and_is_remembered(world: World) -> None:
    world.tracker.put_in_quarantine(record(probe="p1", strikes=3))
    world.tracker.release(SURF, "wn1", at(5))
    assert world.tracker.quarantines() == []
    assert world.tracker.quarantined(SURF, "wn1") == record(state="released", since=at(5), strikes=3)
    assert world.tracker.probed("p1") is None


def test_probes_have_ids_of_their_own_and_of_this_tracker(world: World) -> None:
    first, second = world.tracker.probe_id(), world.tracker.probe_id()
    assert first != second
    assert world.tracker.is_probe(first)
    assert not world.tracker.is_probe("beef-probe-1")
    assert not world.tracker.is_probe(f"{world.tracker.id}-1-1")
    world.restart()
    assert world.tracker.probe_id() not in (first, second)


# What ended


def test_what_ended_at_a_node_is_told_the_latest_first(world: World) -> None:
    attempt(world, 100, "wn1", ended=at(1))
    attempt(world, 101, "wn1", None, ended=at(3))
    attempt(world, 102, "wn1", Reason.GAP, ended=at(2), copy_s=9.0)
    attempt(world, 103, "wn2", ended=at(4))
    attempt(world, 104, "wn1", ended=at(5), site="Juelich")
    attempt(world, 105, "wn1", None, ended=None)
    ids = {number: world.job(name(number)).id for number in range(100, 106)}
    found = ended_there(world)
    assert [(one.job_id, one.reason, one.remote) for one in found] == [
        (ids[101], None, False), (ids[102], Reason.GAP, True), (ids[100], FAILED, False),
    ]  # fmt: skip
    assert [one.job_id for one in ended_there(world, since=at(1))] == [ids[101], ids[102]]
    assert [one.job_id for one in ended_there(world, limit=1)] == [ids[101]]


def test_what_ended_at_a_site_is_told_with_its_nodes(world: World) -> None:
    attempt(world, 100, "wn1", Reason.LOST, ended=at(1))
    attempt(world, 101, "", Reason.HELD, ended=at(2))
    attempt(world, 102, "wn1", Reason.LOST, ended=at(3), site="Juelich")
    assert [(one.node, one.reason) for one in ended_there(world, None)] == [("", Reason.HELD), ("wn1", Reason.LOST)]


def test_other_nodes_on_which_the_job_failed_alike_are_counted_each_once(world: World) -> None:
    attempt(world, 100, "wn1")
    for node, reason in (("wn2", FAILED), ("wn2", FAILED), ("wn3", FAILED), ("wn4", Reason.LOST), ("", FAILED)):
        attempt(world, 100, node, reason)
    attempt(world, 101, "wn5")
    assert ended_there(world)[0].nodes_alike == 2
    attempt(world, 100, "wn1", site="Juelich")
    assert ended_there(world)[0].nodes_alike == 3, "a node of the same name at another site is another node"


def test_a_node_that_was_at_fault_itself_does_not_count(world: World) -> None:
    attempt(world, 100, "wn1")
    attempt(world, 100, "wn2")
    world.tracker.blame(SURF, "wn2", [world.job(name(100)).id])
    assert ended_there(world)[0].nodes_alike == 0


def test_nodes_on_which_the_step_failed_alike_are_counted_this_one_too(world: World) -> None:
    for number, node in ((100, "wn1"), (101, "wn2"), (102, "wn2"), (103, "wn3")):
        attempt(world, number, node)
    attempt(world, 104, "wn4", Reason.CHECK_FAILED)
    attempt(world, 105, "wn5", step="second")
    assert ended_there(world)[0].step_nodes == 3


def test_nodes_count_on_which_the_step_runs_for_clearly_longer_than_it_took_to_fail(world: World) -> None:
    attempt(world, 100, "wn1", started=at(30), ended=at(40))
    for number, node, started in ((101, "wn2", 24), (102, "wn3", 26), (103, "wn4", 0), (104, "wn4", 39)):
        attempt(world, number, node, None, ended=None, started=at(started))
    attempt(world, 105, "wn5", None, ended=None, started=at(0), step="second")
    attempt(world, 106, "wn6", None, ended=None, started=at(0))
    attempt(world, 107, "wn6", ended=at(20))
    assert ended_there(world)[0].step_runs == 2, "wn2 and wn4"


def test_whether_the_step_has_succeeded_anywhere_is_told(world: World) -> None:
    attempt(world, 100, "wn1")
    assert not ended_there(world)[0].step_succeeds
    world.move(name(101, "second"), JobState.READY, JobState.SUBMITTED, JobState.SUCCEEDED)
    assert not ended_there(world)[0].step_succeeds
    world.move(name(101), JobState.READY, JobState.SUBMITTED, JobState.SUCCEEDED)
    assert ended_there(world)[0].step_succeeds


def test_nothing_is_looked_up_that_could_not_matter(world: World) -> None:
    reasons = [None, *sorted(set(Reason) - AMBIGUOUS)]
    for minute, reason in enumerate(reasons):
        attempt(world, 100, "wn1", reason, ended=at(minute))
        attempt(world, 100, "wn2", reason)
    found = ended_there(world, limit=100)
    plain = [Ended(world.job(name(100)).id, "wn1", reason) for reason in reversed(reasons)]
    assert [replace(one, began="") for one in found] == plain


# Good nodes


def test_a_node_is_good_if_something_ran_there_lately_and_it_is_not_in_quarantine(world: World) -> None:
    assert not world.tracker.good_nodes(SURF, "")
    attempt(world, 100, "wn1", ended=at(10))
    assert world.tracker.good_nodes(SURF, at(9))
    assert not world.tracker.good_nodes(SURF, at(10)), "that was long ago"
    assert not world.tracker.good_nodes("Juelich", "")
    world.tracker.put_in_quarantine(record())
    assert not world.tracker.good_nodes(SURF, at(9))
    world.tracker.release(SURF, "wn1", at(11))
    assert world.tracker.good_nodes(SURF, at(9))


def test_a_node_on_which_something_runs_is_good_though_nothing_has_ended_there(world: World) -> None:
    attempt(world, 100, "", None, ended=None)
    assert not world.tracker.good_nodes(SURF, ""), "that waits still"
    attempt(world, 101, "wn2", None, ended=None)
    assert world.tracker.good_nodes(SURF, "")
    world.tracker.put_in_quarantine(record("wn2"))
    assert not world.tracker.good_nodes(SURF, "")
    attempt(world, 102, "wn3", Reason.LOST, ended=at(1))
    assert world.tracker.good_nodes(SURF, "")


# Blame


def test_a_bad_node_is_blamed_for_what_nodes_can_be_blamed_for(world: World) -> None:
    labels = {reason: attempt(world, 100, "wn1", reason) for reason in Reason}
    world.tracker.blame(SURF, "wn1", [world.job(name(100)).id])
    assert {reason for reason, label in labels.items() if blamed(world, label)} == EVIDENCE


def test_a_node_is_blamed_for_these_jobs_there_and_for_nothing_else(world: World) -> None:
    there = attempt(world, 100, "wn1")
    others = [
        attempt(world, 101, "wn1"), attempt(world, 100, "wn2"), attempt(world, 100, "wn1", site="Juelich"),
        attempt(world, 100, "wn1", None), attempt(world, 100, "wn1", None, ended=None),
    ]  # fmt: skip
    world.tracker.blame(SURF, "wn1", [world.job(name(100)).id])
    assert (blamed(world, there), [blamed(world, one) for one in others]) == (True, [False] * 5)


def test_a_node_may_be_absolved(world: World) -> None:
    here, there = attempt(world, 100, "wn1"), attempt(world, 100, "wn2")
    for node in ("wn1", "wn2"):
        world.tracker.blame(SURF, node, [world.job(name(100)).id])
    world.tracker.absolve(SURF, "wn1")
    assert (blamed(world, here), blamed(world, there)) == (False, True)


def fail(world: World, number: int, reason: Reason = FAILED) -> int:
    world.move(name(number), JobState.READY, JobState.SUBMITTED)
    assert world.tracker.move(world.job(name(number)), JobState.FAILED, NOW, reason)
    return world.job(name(number)).id


def test_jobs_that_failed_for_good_for_a_reason_that_a_node_is_blamed_for_failed_wrongly(world: World) -> None:
    last, before, innocent, alive = (world.job(name(number)).id for number in (100, 101, 102, 103))
    attempt(world, 100, "wn1")
    attempt(world, 101, "wn1")
    attempt(world, 101, "wn2", count=2)
    attempt(world, 102, "wn1", Reason.LOST)
    attempt(world, 103, "wn1")
    every = [last, before, innocent, alive]
    world.tracker.blame(SURF, "wn1", every)
    for number in (100, 101, 102):
        fail(world, number)
    assert world.tracker.wrongly_failed(every) == [last, before]
    assert world.tracker.wrongly_failed([last]) == [last]
    assert world.tracker.wrongly_failed([]) == []


def test_what_happened_before_the_operators_retry_revives_nobody(world: World) -> None:
    attempt(world, 100, "wn1")
    job_id = fail(world, 100)
    world.tracker.blame(SURF, "wn1", [job_id])
    world.retry(name(100))
    assert world.tracker.wrongly_failed([fail(world, 100)]) == []


# Cost


def effort(world: World, call: Callable[[], object]) -> int:
    """How many steps of sqlite's machine a call takes."""
    steps = itertools.count()
    world.tracker._connection.set_progress_handler(lambda: next(steps) and 0, 1)
    call()
    world.tracker._connection.set_progress_handler(None, 0)
    return next(steps)


def test_what_a_node_is_judged_by_costs_no_more_the_more_attempts_there_are(world: World) -> None:
    for number in range(100, 110):
        attempt(world, number, f"wn{number % 3}")
    world.enter(recipe(range(100), ALONE, production="other"))
    calls: dict[str, Callable[[], object]] = {
        "node": lambda: ended_there(world, since=at(0)[:-10]),
        "site": lambda: ended_there(world, None),
        "good": lambda: world.tracker.good_nodes(SURF, at(0)[:-10]),
        "wrong": lambda: world.tracker.wrongly_failed([1, 2]),
        "blame": lambda: world.tracker.blame(SURF, "wn0", [1]),
    }
    before = {label: effort(world, call) for label, call in calls.items()}
    world.tracker.write_many(
        "INSERT INTO attempts (id, job_id, number, phase, backend, site, node, intended, started, ended, reason)"
        " VALUES (?, ?, 1, 'ended', 'x', ?, ?, '', ?, ?, ?)",
        ((f"old-{n}", 41 + n % 100, ("Leiden", "Delft")[n % 2], f"wn{n % 50}", NOW, NOW, (FAILED, None)[n % 2])
         for n in range(5000)),
    )  # fmt: skip
    after = {label: effort(world, call) for label, call in calls.items()}
    assert {label: (before[label], after[label]) for label in calls if after[label] > 1.2 * before[label] + 50} == {}
