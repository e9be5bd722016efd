"""Plans become jobs, generation after generation; files and subbands follow them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.decisions.splitting import Beam
from lofargrid.frequency import AbsoluteSubband
from lofargrid.model import StoredOutput
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker.records import Expansion
from tests.unit.engine_factories import GROUP, IMAGE_JOB, SUBBAND_HZ, World, name, recipe, subband

BEAM: Beam = ("target", "L1", 0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def known(*numbers: int) -> list[object]:
    return [subband(n, frequency_hz=n * SUBBAND_HZ) for n in numbers]


def test_an_expansion_noted_twice_is_noted_once(world: World) -> None:
    world.enter(recipe([100, 101]))
    expansion = Expansion(world.production.id, "band", BEAM)
    assert world.tracker.expansions() == [expansion]
    world.tracker.add_expansion(expansion)
    assert world.tracker.expansions() == [expansion]


def test_a_sap_is_decided_when_each_subband_is_placed_or_will_never_tell(world: World) -> None:
    world.enter(recipe([100, 101]))
    [expansion] = world.tracker.expansions()
    assert world.tracker.undecided(expansion)
    world.tracker.place(world.production.id, "target", "L1-SAP000-SB100", AbsoluteSubband(200, 100))
    assert world.tracker.undecided(expansion)
    world.move(name(101), JobState.FAILED)
    assert not world.tracker.undecided(expansion)


def test_a_place_once_measured_stays_when_the_list_is_entered_again(world: World) -> None:
    world.enter(recipe([100, 101]))
    production_id = world.production.id
    world.tracker.place(production_id, "target", "L1-SAP000-SB100", AbsoluteSubband(160, 612))
    world.tracker.set_subbands(production_id, recipe([100, 102]).subbands)
    assert world.tracker.places(production_id, "target") == {"L1-SAP000-SB100": AbsoluteSubband(160, 612)}
    assert [one.number for one in world.tracker.subbands(production_id)] == [100, 102]


def test_a_subband_read_from_another_place_has_to_tell_its_frequency_again(world: World) -> None:
    world.enter(recipe([100]))
    world.tracker.place(world.production.id, "target", "L1-SAP000-SB100", AbsoluteSubband(200, 100))
    world.tracker.set_subbands(world.production.id, [subband(100, url="file:///elsewhere")])
    assert world.tracker.places(world.production.id, "target") == {}


def test_a_subband_comes_back_from_the_tracker_as_it_went_in(world: World) -> None:
    one = subband(100, size_bytes=7, adler32="01020304", frequency_hz=1.5e8, reason=Reason.INPUT_TRUNCATED, problem="x")
    world.enter(recipe([one]))
    assert world.tracker.subbands(world.production.id) == [one]


def test_a_job_that_cannot_be_made_is_entered_as_failed_and_counts_as_final(world: World) -> None:
    bad = subband(100, frequency_hz=100 * SUBBAND_HZ, reason=Reason.INPUT_UNSAFE, problem="leads out")
    world.enter(recipe([bad, *known(101)]))
    job = world.job(name(100))
    assert (job.state, job.reason, job.detail) == (JobState.FAILED, Reason.INPUT_UNSAFE, "leads out")
    assert world.job(GROUP).unmet == 1


def test_superseding_cancels_what_is_not_final_and_tells_what_a_backend_may_have(world: World) -> None:
    world.enter(recipe(known(100, 101, 102)))
    world.move(name(100), JobState.FAILED)
    world.tick()
    old = {one: world.job(one) for one in (name(100), name(101), name(102), GROUP)}
    live = world.enter(recipe(known(100, 101, 102), parameters={"strength": 2}), again=True).live
    assert sorted(live) == sorted(str(old[one].attempt) for one in (name(101), name(102)))
    states = {one: world.tracker.job_by_id(job.id).state for one, job in old.items()}
    assert states == {
        name(100): JobState.FAILED, name(101): JobState.CANCELLED, name(102): JobState.CANCELLED,
        GROUP: JobState.CANCELLED,
    }  # fmt: skip
    assert {job.generation for job in world.tracker.jobs(world.production.id)} == {2}


def test_generations_are_told_apart_and_only_the_standing_one_counts(world: World) -> None:
    world.enter(recipe(known(100, 101)))
    first = world.job(name(100)).id
    world.enter(recipe(known(100, 101), parameters={"strength": 2}), again=True)
    assert world.job(name(100)).id != first
    assert len(world.tracker.jobs(world.production.id)) == 4
    assert world.tracker.unfinished(world.production.id) == 4


def test_a_job_is_usable_while_what_it_made_can_be_read_somewhere(world: World) -> None:
    world.enter(recipe(known(100)))
    world.tick()
    job = world.job(name(100))
    usable = {}
    for label, files in {
        "nothing made": [],
        "made": [("made", "")],
        "deleted": [("deleted", "")],
        "published": [("deleted", "file:///out/x")],
    }.items():
        world.tracker.write("DELETE FROM files")
        for state, published in files:
            file = StoredOutput(job.id, str(job.attempt), "ms", "x.MS", "file:///x", 1, "00000001")
            world.tracker.add_file(file, product=True)
            if state == "deleted":
                world.tracker.note_deleted(file)
            if published:
                world.tracker.note_published(file, published)
        usable[label] = world.tracker.current(world.production.id)[job.name].usable
    assert usable == {"nothing made": True, "made": True, "deleted": False, "published": True}


def test_a_files_location_is_its_scratch_copy_or_else_its_published_one(world: World) -> None:
    world.enter(recipe(known(100, 101)))
    world.finish()
    [file] = world.tracker.files(world.job(IMAGE_JOB).id)
    assert (file.state, file.location) == ("deleted", file.published)
    [intermediate] = world.tracker.files(world.job(name(100)).id)
    assert (intermediate.state, intermediate.location) == ("deleted", "")


def test_attempts_are_numbered_from_one_and_their_ids_start_with_the_trackers(world: World) -> None:
    world.enter(recipe([100]))
    for _ in range(2):
        world.tick(later_s=60)
        world.backend.lose(name(100))
        world.tick()
    job = world.job(name(100))
    assert [one.id for one in world.tracker.attempts(job.id)] == [
        f"{world.tracker.id}-{job.id}-1", f"{world.tracker.id}-{job.id}-2",
    ]  # fmt: skip


def test_an_attempt_keeps_the_first_time_it_ran_and_what_is_not_told_again(world: World) -> None:
    world.enter(recipe([100]))
    world.tick()
    attempt = str(world.job(name(100)).attempt)
    world.tracker.note_phase(attempt, Phase.RUNNING, "t1", node="wn1", batch_id="7.0")
    world.tracker.note_phase(attempt, Phase.RUNNING, "t2")
    found = world.tracker.attempt(attempt)
    assert found
    assert (found.started, found.node, found.batch_id) == ("t1", "wn1", "7.0")
    assert world.tracker.attempt("unknown") is None


def test_a_pause_and_its_end_are_in_the_history(world: World) -> None:
    world.enter(recipe([100]))
    for paused in (True, False):
        world.tracker.pause(world.production.id, paused, world.now)
        assert world.tracker.production_paused("field") is paused
        assert world.production.paused is paused
    texts = [row["text"] for row in world.tracker.rows("SELECT text FROM events WHERE job_id IS NULL ORDER BY id")]
    assert texts == ["entered", "paused", "resumed"]


def test_the_next_generation_has_its_own_recipe(world: World) -> None:
    world.enter(recipe([100]))
    before = world.tracker.recipe(world.production.id)
    world.enter(recipe([100], parameters={"strength": 2}), again=True)
    assert world.production.generation == 2
    assert world.tracker.recipe(world.production.id) != before
    assert world.tracker.production_by_id(world.production.id) == world.production
    assert [one.name for one in world.tracker.productions()] == ["field"]
