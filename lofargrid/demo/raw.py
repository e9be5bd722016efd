"""What one raw subband holds, before it is written."""

from dataclasses import dataclass

from lofargrid.demo.array import Array
from lofargrid.demo.options import ComplexArray, FloatArray


@dataclass(frozen=True)
class RawSubband:
    """Contents of one raw measurement set.

    Attributes
    ----------
    sas_id, sap, abn
        Observation, pointing and absolute subband number.
    field
        Name of the pointing.
    centre
        Right ascension and declination of the phase centre in radians.
    array
        Stations; its baselines give the order of rows within a time.
    times_mjd_s
        Middle of each integration, UTC as seconds of modified Julian date.
    interval_s
        Length of an integration in seconds.
    frequencies_hz
        Middle of each channel.
    channel_width_hz
        Width of a channel.
    uvw_m
        Shape (times, baselines, 3).
    data
        Visibilities, shape (times, baselines, channels, 4).
    """

    sas_id: int
    sap: int
    abn: int
    field: str
    centre: tuple[float, float]
    array: Array
    times_mjd_s: FloatArray
    interval_s: float
    frequencies_hz: FloatArray
    channel_width_hz: float
    uvw_m: FloatArray
    data: ComplexArray

    @property
    def time_range_mjd_s(self) -> tuple[float, float]:
        """Start of the first integration and end of the last."""
        half = self.interval_s / 2
        return float(self.times_mjd_s[0]) - half, float(self.times_mjd_s[-1]) + half

    @property
    def middle_mjd_s(self) -> float:
        """Middle of the observation."""
        return sum(self.time_range_mjd_s) / 2

    @property
    def duration_s(self) -> float:
        """Length of the observation."""
        start, end = self.time_range_mjd_s
        return end - start
