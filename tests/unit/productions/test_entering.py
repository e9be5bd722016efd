"""Entering productions, entering them changed, and what an operator's verbs redo."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.errors import InputError
from lofargrid.productions import entering
from lofargrid.productions.jobs import Entered, plan
from lofargrid.productions.recipes import Recipes, recipe_of
from lofargrid.productions.retrying import redo_stale
from lofargrid.states import JobState, Reason
from tests.unit.engine_factories import (
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

ALL = (name(100), name(101), IMAGE_JOB, GROUP)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def done(world: World) -> World:
    """Subbands 100 and 101, their band and image are made; intermediates are deleted."""
    world.enter(recipe([100, 101]))
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    return world


def test_entering_makes_the_jobs_that_can_be_known(world: World) -> None:
    entered = world.enter(recipe([100, 101]))
    assert entered == Entered(world.production.id, made=(name(100), name(101), IMAGE_JOB))
    assert set(world.states().values()) == {JobState.WAITING}
    assert (world.production.name, world.production.generation, world.production.paused) == ("field", 1, False)


def test_the_same_recipe_again_changes_nothing(done: World) -> None:
    before = list(done.tracker.rows("SELECT * FROM jobs")), list(done.tracker.rows("SELECT * FROM events"))
    entered = done.enter(recipe([100, 101]))
    assert (entered.made, sorted(entered.kept), entered.live, entered.retried) == ((), sorted(ALL), (), ())
    assert (list(done.tracker.rows("SELECT * FROM jobs")), list(done.tracker.rows("SELECT * FROM events"))) == before


def test_a_recipe_comes_back_from_the_tracker_with_the_same_hash(world: World) -> None:
    given = world.here(recipe([subband(100, frequency_hz=1.5e8), 101]))
    world.enter(given)
    assert recipe_of(world.tracker, world.production) == given
    assert recipe_of(world.tracker, world.production).hash == given.hash == world.production.recipe_hash


def test_a_changed_recipe_is_refused_with_the_difference_and_the_remedy(done: World) -> None:
    with pytest.raises(InputError) as refusal:
        done.enter(recipe([100, 101], parameters={"iterations": 99}))
    text = str(refusal.value)
    assert "the production field stands already with another recipe" in text
    assert "parameters.iterations: 10 -> 99" in text
    assert "`run --replan`" in text
    assert done.production.generation == 1


def test_a_long_difference_is_cut(done: World) -> None:
    with pytest.raises(InputError, match="and 11 more"):
        done.enter(recipe(range(99, 132)))


def test_two_productions_live_side_by_side(world: World) -> None:
    world.enter(recipe([100]))
    world.enter(recipe([100], production="other"))
    world.finish()
    for one in world.tracker.productions():
        assert {job.state for job in world.tracker.jobs(one.id)} == {JobState.SUCCEEDED}


# Again


def test_again_with_the_same_recipe_keeps_what_succeeded(done: World) -> None:
    entered = done.enter(recipe([100, 101]), again=True)
    assert (entered.made, sorted(entered.kept)) == ((), sorted(ALL))
    started = len(done.backend.started)
    done.finish()
    assert len(done.backend.started) == started


def test_again_redoes_only_what_depends_on_a_changed_parameter(done: World) -> None:
    before = len(done.backend.started)
    entered = done.enter(recipe([100, 101], parameters={"iterations": 99}), again=True)
    assert entered.made == (IMAGE_JOB,), "the band is published: it can be read again"
    assert sorted(entered.kept) == sorted([name(100), name(101), GROUP])
    done.finish()
    assert done.backend.started[before:] == [IMAGE_JOB]
    assert done.backend.spec(IMAGE_JOB).commands == (("image", "99"),)
    assert done.job(IMAGE_JOB).generation == 2
    assert len(done.products()) == 4


def test_again_with_a_change_at_the_start_redoes_everything(done: World) -> None:
    entered = done.enter(recipe([100, 101], parameters={"strength": 2}), again=True)
    assert sorted(entered.made) == sorted(ALL)
    done.finish()
    assert {job.generation for job in done.tracker.jobs(done.production.id)} == {2}
    assert set(done.states().values()) == {JobState.SUCCEEDED}
    assert done.scratch_files() == []


def test_again_redoes_a_producer_whose_intermediate_was_deleted(done: World) -> None:
    """The band is joined in another way: its inputs went when it was verified."""
    band = BAND | {"commands": [["join", "better"]]}
    entered = done.enter(recipe([100, 101], {"first": FIRST, "band": band, "image": IMAGE}), again=True)
    assert sorted(entered.made) == sorted(ALL)


def test_again_keeps_a_producer_whose_intermediate_was_kept(world: World) -> None:
    world.enter(recipe([100, 101], keep_intermediates=True))
    world.finish()
    band = BAND | {"commands": [["join", "better"]]}
    changed = recipe([100, 101], {"first": FIRST, "band": band, "image": IMAGE}, keep_intermediates=True)
    entered = world.enter(changed, again=True)
    assert sorted(entered.made) == sorted([GROUP, IMAGE_JOB])
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def test_again_makes_new_groups_of_a_changed_size(done: World) -> None:
    entered = done.enter(recipe([100, 101], parameters={"group_size": 100}), again=True)
    assert "L1-SAP000-G0001-band" in entered.made
    done.finish()
    assert GROUP not in done.states()
    assert done.job("L1-SAP000-G0001-band").subbands == ("L1-SAP000-SB100", "L1-SAP000-SB101")
    assert set(done.states().values()) == {JobState.SUCCEEDED}


def test_again_with_one_subband_more_makes_what_it_needs(done: World) -> None:
    done.enter(recipe([100, 101, 102]), again=True)
    done.finish()
    assert set(done.states()) == {*ALL, name(102), "L1-SAP000-G0051-band"}
    assert set(done.states().values()) == {JobState.SUCCEEDED}
    assert done.backend.started.count(GROUP) == 1, "the band did not change"
    assert done.backend.started.count(name(100)) == 1
    assert len(done.job(IMAGE_JOB).subbands) == 3


def test_a_group_that_stands_while_its_step_waits_for_frequencies_keeps_its_file(world: World) -> None:
    """One subband more; before it has told its frequency everything on scratch is looked at."""
    band = BAND | {"outputs": {"ms": {"path": "band.MS", "suffix": ".MS"}}}
    steps = {"first": FIRST, "band": band, "image": IMAGE}
    world.enter(recipe([100, 101], steps, minimum_subbands=1))
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.tick()
    world.backend.succeed(GROUP)
    world.tick()
    world.enter(recipe([100, 101, 102], steps, minimum_subbands=1), again=True)
    world.restart()
    world.tick()
    assert GROUP in world.scratch_files()
    world.finish()
    assert world.backend.started.count(GROUP) == 1
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert world.scratch_files() == []


def test_again_with_a_subband_less_drops_it(done: World) -> None:
    done.enter(recipe([100]), again=True)
    done.finish()
    assert set(done.states()) == {name(100), GROUP, IMAGE_JOB}
    assert done.job(GROUP).subbands == ("L1-SAP000-SB100",)


def test_again_tries_what_failed_once_more_with_what_failed_because_of_it(world: World) -> None:
    world.enter(recipe([100, 101], minimum_subbands=1))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.fail(name(101), Reason.INPUT_MISSING)
    world.finish()
    assert world.job(IMAGE_JOB).reason is Reason.TOO_FEW_INPUTS
    entered = world.enter(recipe([100, 101], minimum_subbands=1), again=True)
    assert {name(101), IMAGE_JOB} <= {*entered.retried, *entered.made}
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def test_again_tells_which_attempts_are_superfluous_now(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.tick()
    live = {str(world.job(name(number)).attempt) for number in (100, 101)}
    entered = world.enter(recipe([100, 101], parameters={"strength": 2}), again=True)
    assert set(entered.live) == live


def test_again_while_a_subband_without_a_place_is_retried_keeps_the_groups_of_the_others(world: World) -> None:
    """Subband 103 failed and is being tried again; a changed image must not cost the bands."""
    world.enter(recipe([100, 101, 102, 103], minimum_subbands=0.5))
    world.tick()
    for number in (100, 101, 102):
        world.backend.succeed(name(number))
    world.backend.fail(name(103), Reason.INPUT_MISSING)
    world.finish()
    world.retry(name(103))
    entered = world.enter(recipe([100, 101, 102, 103], minimum_subbands=0.5, parameters={"iterations": 9}), again=True)
    assert entered.made == (IMAGE_JOB,)
    assert {GROUP, "L1-SAP000-G0051-band"} < set(entered.kept)
    world.finish()
    assert set(world.states().values()) == {JobState.SUCCEEDED}


def test_another_saps_groups_cost_no_finished_groups_while_a_subband_is_retried(world: World) -> None:
    world.enter(recipe([100, 101, 102, subband(200, sap=1)], {"first": FIRST, "band": BAND}))
    world.tick()
    for number in (100, 102):
        world.backend.succeed(name(number))
    world.backend.fail(name(101), Reason.INPUT_MISSING)
    world.tick()
    group = world.job(GROUP)
    world.retry(name(101))
    world.backend.succeed("L1-SAP001-SB200-first")
    world.tick()
    assert "L1-SAP001-G0100-band" in world.states()
    assert world.job(GROUP).id == group.id


def test_a_crash_while_entering_leaves_nothing(world: World) -> None:
    with pytest.raises(KeyboardInterrupt), world.tracker.transaction():
        world.enter(recipe([100]))
        raise KeyboardInterrupt
    assert world.tracker.productions() == []


# Retry


def test_retry_brings_back_failed_jobs_and_what_failed_only_because_of_them(world: World) -> None:
    second = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    world.enter(recipe([100, 101], {"first": FIRST, "second": second}))
    world.tick()
    world.backend.fail(name(100), Reason.INPUT_MISSING)
    world.backend.succeed(name(101))
    world.tick()
    world.backend.fail(name(101, "second"), Reason.INPUT_MISSING)
    world.tick()
    assert world.retry(name(100)) == (name(100), name(100, "second"))
    assert world.states()[name(101, "second")] is JobState.FAILED, "it failed by itself"


def test_retry_of_nothing_that_failed_does_nothing(done: World) -> None:
    assert done.retry() == ()


def test_retry_does_not_run_a_group_of_two_subbands_at_one_frequency(world: World) -> None:
    world.enter(recipe([subband(n, frequency_hz=100 * SUBBAND_HZ) for n in (100, 101)], {"first": FIRST, "band": BAND}))
    world.finish()
    assert world.retry() == ()
    world.finish()
    assert GROUP not in world.backend.started


def test_redo_stale_does_nothing_where_nothing_is_stale(done: World) -> None:
    entered = redo_stale(done.tracker, done.production, done.now)
    assert (entered.made, entered.live) == ((), ())


def test_a_plan_without_frequencies_has_no_groups_and_one_with_them_has_all(world: World) -> None:
    given = recipe([subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101)])
    silent = plan(given, {"target": {}}, [("band", ("target", "L1", 0))])
    assert [job.name for job in silent] == [name(100), name(101), IMAGE_JOB]
    assert silent[-1].expansion == ("band",)


# The recipes that an engine has at hand


def test_an_engine_reads_a_recipe_once_a_generation(world: World) -> None:
    world.enter(recipe([100, 101]))
    recipes = Recipes(world.tracker)
    first = recipes.of(world.production)
    assert recipes.of_id(world.production.id) is first
    world.enter(recipe([100, 102], parameters={"strength": 2}), again=True)
    second = recipes.of(world.production)
    assert second.parameters["strength"] == 2
    assert [one.number for one in second.subbands] == [100, 102]


def test_an_engines_recipe_says_the_same_as_the_one_that_was_entered(world: World) -> None:
    given = world.here(recipe([subband(100, frequency_hz=1.5e8), 101]))
    world.enter(given)
    found = Recipes(world.tracker).of(world.production)
    assert (found.hash, tuple(found.subbands), dict(found.listed)) == (given.hash, given.subbands, given.listed)


def test_one_subband_is_found_by_itself_and_an_unlisted_one_is_not(world: World) -> None:
    world.enter(recipe([100, 101]))
    listed = Recipes(world.tracker).of(world.production).listed
    assert listed["target", "L1-SAP000-SB101"] == subband(101)
    with pytest.raises(KeyError, match="target L1-SAP000-SB102"):
        listed["target", "L1-SAP000-SB102"]


def test_the_lists_of_many_productions_are_not_all_kept(world: World) -> None:
    names = [f"field{number}" for number in range(40)]
    for one in names:
        world.enter(recipe([100], production=one))
    recipes = Recipes(world.tracker)
    found = [recipes.of(production) for production in world.tracker.productions()]
    first = [subbands[0] for subbands in (one.subbands for one in found)]
    again = [subbands[0] for subbands in (one.subbands for one in found)]
    assert first == again == [subband(100)] * 40
    assert again[0] is not first[0], "it was read anew"
    assert found[-1].subbands[0] is again[-1], "one asked for lately is kept"


def test_the_difference_names_the_inputs_that_came_and_went(world: World) -> None:
    world.enter(recipe([100, 101]))
    lines = entering.differences(world.tracker, world.production, world.here(recipe([100, 102])))
    assert [line.partition(": [")[0].partition(": absent")[0] for line in lines] == [
        "inputs.target L1-SAP000-SB101", "inputs.target L1-SAP000-SB102",
    ]  # fmt: skip
