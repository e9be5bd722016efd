"""Pilots as the tracker holds them, and what ran where: by pilot, batch id and node."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.states import Phase, Reason
from tests.unit.engine_factories import World, name, recipe

NOW, LATER = "2026-01-02T03:00:00.000+00:00", "2026-01-02T04:00:00.000+00:00"


@pytest.fixture
def world(tmp_path: Path) -> World:
    one = World(tmp_path)
    one.enter(recipe(range(100, 120)))
    return one


def attempt(
    world: World, number: int, node: str = "wn5.example.org", *, ended: str | None = None, reason: Reason | None = None,
    batch_id: str = "", pilot: str = "", phase: Phase = Phase.RUNNING,
) -> str:  # fmt: skip
    label = f"a{number}"
    world.tracker.write(
        "INSERT INTO attempts (id, job_id, number, phase, backend, site, node, batch_id, intended, started, ended,"
        " reason, pilot) VALUES (?, ?, 1, ?, 'htcondor', 'Leiden', ?, ?, '', ?, ?, ?, ?)",
        label, world.job(name(number, "first")).id, Phase.ENDED if ended else phase, node, batch_id, NOW, ended,
        reason, pilot,
    )  # fmt: skip
    return label


def enter(world: World, pilot: str, now: str = NOW, site: str = "Leiden") -> None:
    world.tracker.enter_pilot(pilot, site, "slurm", "jti", LATER, now)


def running(world: World, node: str = "", *batch_ids: str) -> list[str]:
    return [one.attempt for one in world.tracker.runs_at(node, batch_ids)]


def ended(world: World, word: str, limit: int = 10) -> list[str]:
    return [one.attempt for one in world.tracker.ran_at(word, limit)]


def test_a_pilot_is_known_by_its_id_and_by_what_its_batch_system_calls_it(world: World) -> None:
    enter(world, "p1")
    enter(world, "p2", LATER)
    for pilot in ("p1", "p2"):
        world.tracker.name_pilot(pilot, "4711")
    [first, second] = [world.tracker.pilot(word) for word in ("p1", "4711")]
    assert first
    assert second
    assert (first.id, second.id) == ("p1", "p2"), "batch systems count anew some day: the latest is meant"
    assert world.tracker.pilot("") is None
    assert world.tracker.pilot("4712") is None


def test_a_pilot_is_first_seen_once_and_ends_once(world: World) -> None:
    enter(world, "p1")
    world.tracker.see_pilot("p1", "wn1", NOW)
    world.tracker.see_pilot("p1", "wn2", LATER)
    world.tracker.end_pilot("p1", LATER, "lost", "it ended without a word")
    world.tracker.end_pilot("p1", LATER, None, "once more")
    found = world.tracker.pilot("p1")
    assert found
    assert (found.node, found.joined, found.reason, found.detail) == ("wn2", NOW, "lost", "it ended without a word")
    assert world.tracker.living_pilots() == []


def test_the_latest_pilots_of_a_site_are_told_the_oldest_first(world: World) -> None:
    for number in range(3):
        enter(world, f"p{number}", f"2026-01-02T0{number}:00:00.000+00:00")
    enter(world, "other", LATER, "Nikhef")
    assert [one.id for one in world.tracker.pilots_of("Leiden", 2)] == ["p1", "p2"]
    assert [one.id for one in world.tracker.pilots_of("", 10)] == ["p0", "p1", "p2", "other"]


def test_a_pilots_jobs_are_those_that_were_seen_in_it_and_those_that_say_so(world: World) -> None:
    enter(world, "p1")
    seen, told = attempt(world, 100, batch_id="7.0"), attempt(world, 101, batch_id="7.1")
    world.tracker.note_pilot("p1", ["7.0", "9.9"])
    world.tracker.note_ids(told, {"pilot": "p1"})
    found = world.tracker.pilot("p1")
    assert found
    assert found.jobs == 2
    assert {one.attempt: one.pilot for one in world.tracker.runs_at("wn5.example.org", [])} == {seen: "p1", told: "p1"}


def test_what_has_ended_is_not_said_to_be_in_another_pilot(world: World) -> None:
    attempt(world, 100, batch_id="7.0", ended=NOW, pilot="p1")
    world.tracker.note_pilot("p2", ["7.0"])
    assert ended(world, "p1") == ["a100"]


def test_a_number_that_is_a_part_of_an_id_is_none(world: World) -> None:
    label = attempt(world, 100, ended=NOW)
    parts = {"htcondor_cluster": "12", "htcondor_proc": "0", "slurm_array_task": "3", "slurm": "4711", "pbs": ""}
    world.tracker.note_ids(label, parts)
    assert not any(ended(world, word) for word in ("12", "0", "3", ""))
    assert ended(world, "4711") == [label]


def test_a_node_is_known_with_and_without_its_domain_and_is_no_other_one(world: World) -> None:
    attempt(world, 100, "wn5.example.org")
    attempt(world, 101, "wn55.example.org")
    attempt(world, 102, "wn5")
    attempt(world, 103, "wn5.example.org", phase=Phase.QUEUED)
    assert running(world, "wn5") == ["a100", "a102"]
    assert running(world, "wn5.example.org") == ["a100"]
    assert running(world, "") == []
    attempt(world, 104, "wn5.example.org", ended=NOW)
    attempt(world, 105, "wn55.example.org", ended=NOW)
    assert ended(world, "wn5") == ended(world, "wn5.example.org") == ["a104"]


def test_what_a_backend_calls_an_attempt_finds_it_while_it_has_not_ended(world: World) -> None:
    attempt(world, 100, batch_id="7.0")
    attempt(world, 101, batch_id="7.1", ended=NOW)
    assert running(world, "", "7.0", "7.1", "") == ["a100"]


def test_what_ended_last_comes_first_and_not_all_of_it(world: World) -> None:
    enter(world, "p1")
    world.tracker.name_pilot("p1", "4711")
    for number, when in ((100, NOW), (101, LATER), (102, NOW)):
        attempt(world, number, ended=when, pilot="p1", reason=Reason.EVICTED if number == 101 else None)
    assert ended(world, "4711") == ended(world, "p1") == ["a101", "a102", "a100"]
    assert ended(world, "4711", 1) == ["a101"]
    [latest] = world.tracker.ran_at("p1", 1)
    assert (latest.production, latest.job, latest.reason) == ("field", name(101, "first"), Reason.EVICTED)


def test_a_job_is_told_from_what_it_ran_in(world: World) -> None:
    label = attempt(world, 100, ended=NOW, batch_id="7.0")
    world.tracker.note_ids(label, {"slurm": "4711"})
    assert all(map(world.tracker.is_job, (name(100, "first"), label, "7.0")))
    assert not any(map(world.tracker.is_job, ("4711", "wn5.example.org", "")))
