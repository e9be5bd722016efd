"""What a production will take, told before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lofargrid.model import PlannedJob, Subband
from lofargrid.productions.jobs import listed_places, plan
from lofargrid.recipes.planning import Plan, summarise
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import Reason
from tests.unit import engine_factories
from tests.unit.engine_factories import FIRST, recipe, subband

SIZED = {
    **engine_factories.BAND,
    "resources": {"cores": 2, "memory_mb": 4000, "walltime_min": 90, "scratch_factor": 6},
}
STEPS = {"first": FIRST, "band": SIZED, "image": engine_factories.IMAGE}


def jobs_of(one: Recipe, known: bool) -> list[PlannedJob]:
    silent = {("band", ("target", "L1", sap)) for sap in range(3)}
    places = {role: listed_places(one, role) for role in one.pipeline.roles}
    return plan(one, places if known else {}, () if known else silent)


def planned(subbands: Sequence[Any], sizes: dict[str, int] | None = None, known: bool = False, slots: int = 1) -> Plan:
    one = recipe(subbands, STEPS)
    return summarise(one, jobs_of(one, known), sizes or {}, slots)


def listed(number: int, **changes: Any) -> Subband:
    return subband(number, frequency_hz=number * engine_factories.SUBBAND_HZ, **changes)


def test_each_step_in_its_order_has_its_jobs_and_what_one_takes() -> None:
    first, band, image = planned(range(100, 104)).steps
    assert (first.step, first.split, first.jobs, first.about, first.products) == ("first", "subband", 4, False, ())
    assert (band.step, band.split, band.cores, band.memory_mb) == ("band", "group of 2", 2, 4000)
    assert band.products == (".MS",)
    assert (image.step, image.split, image.jobs) == ("image", "all", 1)


def test_core_hours_are_jobs_times_cores_times_the_longest_that_each_may_take() -> None:
    band = planned(range(100, 104)).steps[1]
    assert band.core_hours_at_most == 2 * 2 * 1.5


@pytest.mark.parametrize(("count", "jobs"), [(1, 1), (2, 1), (3, 2), (4, 2)])
def test_where_frequencies_are_not_known_groups_are_estimated_from_their_size(count: int, jobs: int) -> None:
    band = planned(range(100, 100 + count)).steps[1]
    assert (band.jobs, band.about) == (jobs, True)


def test_the_estimate_counts_each_sap_by_itself() -> None:
    subbands = [*(subband(number) for number in range(3)), *(subband(number, sap=1) for number in range(3))]
    assert planned(subbands).steps[1].jobs == 4


def test_where_frequencies_are_known_groups_are_counted() -> None:
    within, across = planned([listed(100), listed(101)], known=True), planned([listed(101), listed(102)], known=True)
    assert (within.steps[1].jobs, within.steps[1].about) == (1, False)
    assert (across.steps[1].jobs, across.steps[1].about) == (2, False)


def test_a_sap_without_frequencies_is_estimated_beside_one_that_is_counted() -> None:
    one = recipe([listed(101), listed(102), subband(100, sap=1), subband(101, sap=1)], STEPS)
    known = {"target": listed_places(one, "target")}
    told = summarise(one, plan(one, known, {("band", ("target", "L1", 1))}), {}, 1)
    assert (told.steps[1].jobs, told.steps[1].about) == (3, True)


def test_subbands_are_counted_by_role_and_the_unusable_named() -> None:
    lost = subband(101, reason=Reason.INPUT_MISSING, problem="no such file")
    plan = planned([100, lost])
    assert plan.subbands == {"target": 2}
    assert plan.unusable == {lost.key: "no such file"}


def test_bytes_are_those_of_the_inputs_and_scratch_has_room_for_the_work_of_every_slot() -> None:
    sizes = {subband(100).url: 100, subband(101).url: 300}
    plan = planned([100, 101], sizes, slots=3)
    assert plan.input_bytes == 400
    assert plan.scratch_bytes_at_most == 400 + 3 * 300 * 6


def test_without_any_size_nothing_is_claimed() -> None:
    plan = planned([100])
    assert (plan.input_bytes, plan.scratch_bytes_at_most) == (0, 0)


def test_the_plan_is_of_this_recipe() -> None:
    one = recipe([100], STEPS, output="file:///out")
    plan = summarise(one, [], {}, 1)
    assert (plan.production, plan.pipeline, plan.output) == ("field", "bands", "file:///out")
    assert plan.recipe_hash == one.hash
