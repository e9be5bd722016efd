"""Groups: when the jobs of a merge are made, of which subbands, and what moves one to another group."""

from __future__ import annotations

from lofargrid.states import JobState, Reason
from tests.unit.engine_factories import (
    BAND,
    FIRST,
    GROUP,
    IMAGE_JOB,
    SUBBAND_HZ,
    World,
    name,
    recipe,
    subband,
)


def test_groups_are_made_when_the_frequencies_of_all_subbands_are_known(world: World) -> None:
    world.enter(recipe([100, 101, 102]))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(101))
    world.tick()
    assert set(world.states()) == {name(100), name(101), name(102), IMAGE_JOB}
    world.backend.succeed(name(102))
    world.tick()
    assert {GROUP, "L1-SAP000-G0051-band"} < set(world.states())
    assert world.job(GROUP).subbands == ("L1-SAP000-SB100", "L1-SAP000-SB101")


def test_groups_are_made_at_once_when_the_list_tells_the_frequencies(world: World) -> None:
    world.enter(recipe([subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101)]))
    assert GROUP in world.states()


def test_a_subband_that_will_never_tell_its_frequency_does_not_hold_up_the_groups(world: World) -> None:
    world.enter(recipe([100, 101, 102], minimum_subbands=0.1))
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.backend.fail(name(102), Reason.INPUT_MISSING)
    world.tick()
    assert world.job(GROUP).state is JobState.SUBMITTED
    world.backend.succeed(GROUP)
    world.tick()
    assert world.tracker.lacks(world.job(IMAGE_JOB).id) == ["L1-SAP000-SB102"]


def test_a_group_never_crosses_a_sap(world: World) -> None:
    world.enter(recipe([100, subband(101, sap=1)]))
    world.finish()
    assert set(world.products()) >= {f"{GROUP}.MS", "L1-SAP001-G0050-band.MS", "L1-SAP000-image.fits"}


def test_one_saps_groups_do_not_wait_for_the_other_sap(world: World) -> None:
    world.enter(recipe([100, subband(101, sap=1)]))
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    assert world.job(GROUP).state is JobState.SUBMITTED


def test_two_subbands_at_one_frequency_fail_their_group(world: World) -> None:
    same = 100 * SUBBAND_HZ
    world.enter(recipe([subband(100, frequency_hz=same), subband(101, frequency_hz=same)]))
    world.finish()
    assert world.job(GROUP).reason is Reason.FREQUENCY_CLASH
    assert world.job(IMAGE_JOB).reason is Reason.TOO_FEW_INPUTS


def test_the_cancelling_of_the_last_silent_subband_by_another_process_lets_the_groups_be_made(world: World) -> None:
    world.enter(recipe([100, 101], minimum_subbands=0.1))
    world.slots = 1
    world.tick()
    world.backend.succeed(name(100))
    world.shut()
    world.tick()
    elsewhere = World(world.folder, backend=world.backend)
    elsewhere.cancel(name(101))
    world.open()
    world.slots = 500
    world.tick()
    assert world.job(GROUP).state is JobState.SUBMITTED


def test_a_place_that_proves_another_than_was_inferred_moves_the_subband_to_its_true_group(world: World) -> None:
    """Subband 102 was placed between its neighbours; made at last, it tells another frequency."""
    world.enter(recipe([100, 101, 102, subband(200, sap=1)], {"first": FIRST, "band": BAND}))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(101))
    world.backend.fail(name(102), Reason.INPUT_MISSING)
    world.tick()
    inferred = world.job("L1-SAP000-G0051-band")
    world.retry(name(102))
    world.tick()
    world.backend.succeed(name(102), measured={"centre_frequency_hz": 101 * SUBBAND_HZ, "clock_mhz": 200})
    world.tick()
    in_flight = {str(world.job(one).attempt) for one in (GROUP, inferred.name)}
    world.backend.succeed("L1-SAP001-SB200-first")
    world.tick()
    assert set(world.backend.cancelled) == in_flight
    assert world.job(GROUP).reason is Reason.FREQUENCY_CLASH
    assert world.tracker.job(world.production.id, inferred.name) is None
