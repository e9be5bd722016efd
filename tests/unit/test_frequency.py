"""Absolute subbands: a frequency and a clock name one slot of the spectrum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.frequency import (
    CLOCKS_MHZ,
    SUBBANDS_PER_ZONE,
    AbsoluteSubband,
    absolute_subband,
    group_of,
    part_of,
    parts_that_divide,
    subband_width_hz,
)

NUMBERS = st.integers(7, 3 * SUBBANDS_PER_ZONE - 1)


def test_the_width_follows_the_clock() -> None:
    assert [subband_width_hz(clock) for clock in (200, 160)] == [195_312.5, 156_250.0]


@pytest.mark.parametrize(
    ("frequency_hz", "clock_mhz", "zone", "abn"),
    [
        (134.375e6, 200, 2, 176),  # real data: L114220, MSSS HBA
        (152.734375e6, 200, 2, 270),  # real data: L260387
        (58.59375e6, 200, 1, 300),  # LBA
        (210e6 + 156_250 * 64, 160, 3, 384),
        (214.84375e6, 200, 3, 76),
        (80e6, 160, 2, 0),
        (100e6, 200, 2, 0),
    ],
)
def test_a_frequency_of_each_zone_is_found(frequency_hz: float, clock_mhz: int, zone: int, abn: int) -> None:
    found = absolute_subband(frequency_hz, clock_mhz)
    assert (found.zone, found.abn) == (zone, abn)
    assert found.frequency_hz == frequency_hz


@given(NUMBERS, st.sampled_from(CLOCKS_MHZ), st.floats(-0.49, 0.49))
def test_the_nearest_centre_is_taken(number: int, clock_mhz: int, off: float) -> None:
    one = AbsoluteSubband(clock_mhz, number)
    assert absolute_subband(one.frequency_hz + off * subband_width_hz(clock_mhz), clock_mhz) == one


@given(NUMBERS)
def test_without_a_clock_the_grid_that_fits_is_taken(number: int) -> None:
    assert absolute_subband(AbsoluteSubband(200, number).frequency_hz).clock_mhz == 200
    on_both = number % 5 == 0
    assert absolute_subband(AbsoluteSubband(160, number).frequency_hz).clock_mhz == (200 if on_both else 160)


def test_a_list_may_round_a_frequency_to_kilohertz() -> None:
    assert absolute_subband(134.570e6) == AbsoluteSubband(200, 689)


def test_order_is_that_of_frequency() -> None:
    assert sorted([AbsoluteSubband(200, 700), AbsoluteSubband(200, 12)])[0].number == 12


@pytest.mark.parametrize("frequency_hz", [0.0, 0.9e6, 300e6, -150e6, 150.0, float("nan"), float("inf")])
def test_a_frequency_that_lofar_has_not_is_refused(frequency_hz: float) -> None:
    with pytest.raises(ValueError, match="outside LOFAR's 1 to 300 MHz"):
        absolute_subband(frequency_hz)


def test_a_clock_that_lofar_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="195 MHz is not a clock of LOFAR"):
        absolute_subband(150e6, 195)


@given(NUMBERS, st.integers(1, 600))
def test_a_group_is_floor_of_abn_over_size_and_never_crosses_a_zone(number: int, size: int) -> None:
    one, following = AbsoluteSubband(200, number), AbsoluteSubband(200, number + 1)
    together = one.zone == following.zone and one.abn // size == following.abn // size
    assert group_of(following, size) - group_of(one, size) == (0 if together else 1)
    assert group_of(AbsoluteSubband(200, one.abn), size) == one.abn // size


# Parts of groups


def test_a_group_is_cut_into_runs_of_neighbours() -> None:
    assert [part_of(abn, 10, 2) for abn in range(240, 250)] == [0] * 5 + [1] * 5
    assert [part_of(abn, 10, 4) for abn in range(240, 250)] == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert [part_of(abn, 3, 4) for abn in range(3)] == [0, 1, 2]


@given(st.integers(1, 600), st.integers(1, 1200))
def test_each_subband_of_a_group_is_in_one_part_in_order_and_parts_are_alike(size: int, parts: int) -> None:
    found = [part_of(abn, size, parts) for abn in range(size)]
    assert found == sorted(found)
    assert found[0] >= 0
    assert found[-1] < parts
    counts = {found.count(part) for part in range(parts)}
    assert max(counts) - min(counts) <= 1


def test_twice_as_many_parts_if_they_divide() -> None:
    assert parts_that_divide([240, 249], 10, 1) == 2
    assert parts_that_divide([240, 243], 10, 2) == 4
    assert parts_that_divide([242, 243], 10, 1) == 4, "halves leave them together"


@given(st.integers(2, 600), st.integers(1, 600), st.data())
def test_a_group_of_two_subbands_or_more_is_divided_in_the_end(size: int, parts: int, data: st.DataObject) -> None:
    abns = data.draw(st.sets(st.integers(0, size - 1), min_size=2, max_size=9))
    together = {part_of(abn, size, parts) for abn in abns}
    if len(together) == 1:
        more = parts_that_divide(abns, size, parts)
        assert more >= 2 * parts
        assert len({part_of(abn, size, more) for abn in abns}) > 1


def test_what_cannot_be_divided_ends_the_search() -> None:
    assert parts_that_divide([240], 10, 1) == 16
    assert parts_that_divide([240, 241], 10, 16) == 16
