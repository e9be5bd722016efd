"""A probe: a few usable subbands of each SAP through the whole pipeline, with a name and a folder of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.model import Subband
from lofargrid.names import safe_name
from lofargrid.recipes.probing import probe_name, probe_of
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal import lofar
from lofargrid.states import Reason
from tests.unit.factories import subband

WHOLE = lofar.observation(1, "T1-1", subbands=10)


def whole(subbands: Sequence[Subband]) -> Recipe:
    return replace(WHOLE, subbands=tuple(subbands))


def numbers(probe: Recipe) -> list[int]:
    return [one.number for one in probe.subbands]


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(1, [100]), (2, [100, 109]), (3, [100, 101, 109]), (10, [*range(100, 110)]), (99, [*range(100, 110)])],
)
def test_neighbours_and_the_last_one_are_taken_so_that_groups_of_different_sizes_come_about(
    count: int, chosen: list[int]
) -> None:
    assert numbers(probe_of(WHOLE, count)) == chosen


def test_each_sap_of_each_role_and_observation_has_its_own() -> None:
    every = [
        subband(number, role=role, observation=observation, sap=sap)
        for role, observation, sap in (("target", "L2", 0), ("target", "L2", 1), ("calibrator", "L1", 0))
        for number in range(5)
    ]
    chosen = probe_of(whole(every), 2).subbands
    assert {(one.role, one.sap, one.number) for one in chosen} == {
        (role, sap, number) for role, sap in (("target", 0), ("target", 1), ("calibrator", 0)) for number in (0, 4)
    }


def test_what_cannot_be_used_is_passed_over() -> None:
    every = [replace(one, reason=Reason.INPUT_MISSING) if one.number in (100, 109) else one for one in WHOLE.subbands]
    assert numbers(probe_of(whole(every), 2)) == [101, 108]


def test_the_order_of_the_list_does_not_matter() -> None:
    assert probe_of(whole(WHOLE.subbands[::-1]), 3).hash == probe_of(WHOLE, 3).hash


def test_it_is_a_production_of_its_own_beside_the_whole_one() -> None:
    probe = probe_of(WHOLE, 3)
    assert (probe.production, probe.output) == (f"{WHOLE.production}-probe", f"{WHOLE.output}/probe")
    assert (probe.pipeline, probe.parameters, probe.software) == (WHOLE.pipeline, WHOLE.parameters, WHOLE.software)


def test_gaps_between_its_few_subbands_fail_nothing() -> None:
    strict = replace(WHOLE, gaps="fail", minimum_subbands=1.0)
    assert (probe_of(strict, 3).gaps, probe_of(strict, 3).minimum_subbands) == ("skip", 0.0)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True))
def test_the_name_of_a_probe_is_a_name(name: str) -> None:
    assert safe_name(probe_name(name))
    assert probe_name(name).endswith("-probe")
    assert len(name) > 58 or probe_name(name).startswith(name)
