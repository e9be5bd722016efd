"""Absolute subband numbers: which slot of the sky's spectrum a subband fills.

A station samples at 200 or 160 MHz and cuts each Nyquist zone (half the clock wide) into 512 subbands.
"""

from collections.abc import Collection
from dataclasses import dataclass

SUBBANDS_PER_ZONE = 512
CLOCKS_MHZ = (200, 160)


@dataclass(frozen=True, order=True)
class AbsoluteSubband:
    """The place of a subband: ``number`` counts through all zones of one clock, so that it grows with frequency."""

    clock_mhz: int
    number: int

    @property
    def zone(self) -> int:
        """The Nyquist zone, from 1."""
        return self.number // SUBBANDS_PER_ZONE + 1

    @property
    def abn(self) -> int:
        """The absolute subband number within its zone, 0 to 511."""
        return self.number % SUBBANDS_PER_ZONE

    @property
    def frequency_hz(self) -> float:
        """The centre."""
        return self.number * subband_width_hz(self.clock_mhz)


def subband_width_hz(clock_mhz: int) -> float:
    """195 312.5 Hz at 200 MHz, 156 250 Hz at 160 MHz."""
    return clock_mhz * 1e6 / 2 / SUBBANDS_PER_ZONE


def absolute_subband(frequency_hz: float, clock_mhz: int | None = None) -> AbsoluteSubband:
    """Find the absolute subband that is centred nearest to a frequency.

    Without a known clock the one on whose grid the frequency lies best is taken; 200 MHz if both fit.

    Raises
    ------
    ValueError
        The frequency or the clock is not one that LOFAR has.
    """
    if clock_mhz is not None and clock_mhz not in CLOCKS_MHZ:
        raise ValueError(f"{clock_mhz} MHz is not a clock of LOFAR (200 or 160)")
    if not 1e6 <= frequency_hz < 300e6:
        raise ValueError(f"{frequency_hz / 1e6:g} MHz is outside LOFAR's 1 to 300 MHz")
    clocks = CLOCKS_MHZ if clock_mhz is None else (clock_mhz,)
    candidates = [AbsoluteSubband(clock, round(frequency_hz / subband_width_hz(clock))) for clock in clocks]
    return min(candidates, key=lambda one: round(abs(one.frequency_hz - frequency_hz), -2))


def part_of(abn: int, size: int, parts: int) -> int:
    """The part of its group that a subband belongs to, where a group of ``size`` is made in several."""
    return abn % size * parts // size


def parts_that_divide(abns: Collection[int], size: int, parts: int) -> int:
    """In how many parts a group must be made, at least twice as many as now, so that some subbands of it part."""
    while parts < size:
        parts *= 2
        if len({part_of(abn, size, parts) for abn in abns}) > 1:
            break
    return parts


def group_of(subband: AbsoluteSubband, size: int) -> int:
    """The group of a subband: floor(ABN / size), after those of the zones below, so that no group crosses two."""
    groups_per_zone = -(-SUBBANDS_PER_ZONE // size)
    return (subband.zone - 1) * groups_per_zone + subband.abn // size
