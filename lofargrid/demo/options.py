"""What a demo observation pair looks like: the numbers a caller may choose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
ComplexArray = NDArray[np.complex128]

CLOCK_MHZ = 200.0
SUBBAND_WIDTH_HZ = CLOCK_MHZ * 1e6 / 1024
HBA_LOW_START_HZ = 100e6
SUBBANDS_PER_ZONE = 512

# Searched for low sidelobes (0.27) and a round beam of about 6 arcsec in a few minutes of observation:
# mostly core stations give sidelobes of 0.7, with which CLEAN diverges.
DEFAULT_STATIONS = (
    "CS026HBA0",
    "CS028HBA0",
    "CS030HBA0",
    "CS302HBA0",
    "RS106HBA",
    "RS205HBA",
    "RS208HBA",
    "RS210HBA",
    "RS305HBA",
    "RS306HBA",
    "RS307HBA",
    "RS310HBA",
    "RS406HBA",
    "RS409HBA",
    "RS503HBA",
    "RS508HBA",
)


@dataclass(frozen=True)
class DemoOptions:
    """Size, seed and names of a demo observation pair.

    Attributes
    ----------
    subbands
        Subbands in each SAP, counted from 0, before `gaps` are taken out.
    times
        Integrations in each observation.
    channels
        Channels in each subband.
    interval_s
        Length of an integration in seconds.
    first_abn
        Absolute subband number of subband 0. The default is a multiple of 4 and of 10, so that
        eight subbands fill two groups of 4, or lie in one group of 10 that lacks two.
    stations
        Names as in `lofarantpos`, such as CS031HBA0.
    seed
        Everything random follows from it.
    noise_jy
        Standard deviation of the real and of the imaginary part of each visibility.
    faint_sources
        Sources in each field that are too weak to be seen, which give DP3 work to do.
    calibrator_sas_id, target_sas_id
        Observation numbers, used in the file names.
    target_saps
        Pointings of the target observation, a few arcminutes apart so that one sky model and one
        image size serve all.
    gaps
        Subband numbers that are missing, in both observations and in every SAP.
    """

    subbands: int = 8
    times: int = 36
    channels: int = 8
    interval_s: float = 12.0
    first_abn: int = 220
    stations: tuple[str, ...] = DEFAULT_STATIONS
    seed: int = 1
    noise_jy: float = 1.5
    faint_sources: int = 5000
    calibrator_sas_id: int = 900001
    target_sas_id: int = 900002
    target_saps: int = 1
    gaps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be made, saying what could."""
        for name in ("subbands", "times", "channels", "target_saps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give 1 or more")
        if self.first_abn < 0 or self.first_abn + self.subbands > SUBBANDS_PER_ZONE:
            raise ValueError(
                f"subbands {self.first_abn} to {self.first_abn + self.subbands - 1} (ABN): "
                f"the HBA low band has 0 to {SUBBANDS_PER_ZONE - 1}"
            )
        if len(self.stations) < 2 or len(set(self.stations)) < len(self.stations):
            raise ValueError(f"stations {self.stations}: give two or more, each once")
        if self.calibrator_sas_id == self.target_sas_id:
            raise ValueError(f"both observations are L{self.target_sas_id}: give two numbers")
        if not self.present_subbands:
            raise ValueError(f"gaps {self.gaps} leave no subband of {self.subbands}")

    @property
    def present_subbands(self) -> tuple[int, ...]:
        """Subband numbers that are made."""
        return tuple(number for number in range(self.subbands) if number not in self.gaps)

    def abn(self, subband: int) -> int:
        """Absolute subband number of a subband."""
        return self.first_abn + subband

    def centre_hz(self, subband: int) -> float:
        """Frequency of the middle of a subband in hertz."""
        return HBA_LOW_START_HZ + self.abn(subband) * SUBBAND_WIDTH_HZ

    def frequencies_hz(self, subband: int) -> FloatArray:
        """Frequency of the middle of each channel of a subband in hertz."""
        steps = np.arange(self.channels) - (self.channels - 1) / 2
        return np.asarray(self.centre_hz(subband) + steps * self.channel_width_hz)

    @property
    def channel_width_hz(self) -> float:
        """Width of a channel in hertz."""
        return SUBBAND_WIDTH_HZ / self.channels

    @property
    def band_centre_hz(self) -> float:
        """Middle of the whole band in hertz, gaps or not."""
        return (self.centre_hz(0) + self.centre_hz(self.subbands - 1)) / 2
