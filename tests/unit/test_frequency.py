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
