"""Sources in the demo sky, their sky models and their visibilities."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.constants import c
from numpy.random import Generator

from lofargrid.demo.options import ComplexArray, FloatArray

SPEED_OF_LIGHT_M_S = float(c.value)
ARCMIN = np.pi / 180 / 60
SPECTRAL_INDEX = -0.7

CALIBRATOR_NAME = "3C196"
CALIBRATOR_RA = float(np.radians(123.400138))
CALIBRATOR_DEC = float(np.radians(48.217377))
CALIBRATOR_FLUX_JY = 80.0

# Close to the calibrator and overhead when it is observed, so that the beam is round.
FIELD_RA = float(np.radians(127.5))
FIELD_DEC = float(np.radians(52.0))
SAP_STEP_ARCMIN = 2.0

# Offsets east and north of the field centre in arcmin, flux in Jy, in the model or left out.
# All within 5 arcmin: averaging two times and two channels then smears less than 0.1 percent.
FIELD_LAYOUT = (
    (-1.0, -0.8, 9.0, True),
    (3.1, 1.4, 8.0, True),
    (-3.2, 2.3, 7.0, True),
    (1.2, -3.6, 6.0, True),
    (-2.6, -2.8, 5.0, True),
    (0.9, 3.6, 0.5, False),
)
JITTER_ARCMIN = 0.3
FAINT_RADIUS_ARCMIN = 5.0
FAINT_FLUX_JY = 0.0002


@dataclass(frozen=True)
class Source:
    """A point source.

    Attributes
    ----------
    name
        Name in the sky model and in the truth.
    ra, dec
        Position, J2000, radians.
    flux_jy
        Flux density at `reference_hz`.
    reference_hz
        Frequency of `flux_jy`.
    spectral_index
        Power of frequency that the flux follows.
    modelled
        Whether the sky model that pipelines get contains it.
    """

    name: str
    ra: float
    dec: float
    flux_jy: float
    reference_hz: float
    spectral_index: float = SPECTRAL_INDEX
    modelled: bool = True

    def flux_at(self, frequency_hz: FloatArray | float) -> FloatArray:
        """Flux density in Jy at one or more frequencies in hertz."""
        ratio = np.asarray(frequency_hz) / self.reference_hz
        return np.asarray(self.flux_jy * ratio**self.spectral_index)


def calibrator_sky(reference_hz: float) -> tuple[Source, ...]:
    """One bright source in the middle of the calibrator field."""
    name = CALIBRATOR_NAME
    return (Source(name, CALIBRATOR_RA, CALIBRATOR_DEC, CALIBRATOR_FLUX_JY, reference_hz),)


def target_sky(random: Generator, reference_hz: float) -> tuple[Source, ...]:
    """Sources of the target field: a fixed layout, a little moved and changed by chance."""
    sources = []
    for number, (east, north, flux_jy, modelled) in enumerate(FIELD_LAYOUT):
        jitter = random.uniform(-JITTER_ARCMIN, JITTER_ARCMIN, 2)
        offset = (np.array([east, north]) + jitter) * ARCMIN
        name = f"field{number}" if modelled else f"hidden{number}"
        ra, dec = _place((FIELD_RA, FIELD_DEC), *offset)
        flux = round(flux_jy * random.uniform(0.9, 1.1), 3)
        sources.append(Source(name, ra, dec, flux, reference_hz, modelled=modelled))
    return tuple(sources)


def faint_sky(random: Generator, centre: tuple[float, float], count: int, reference_hz: float) -> tuple[Source, ...]:
    """Sources around a field centre, each far below the noise and all in the sky model.

    They disturb nothing that is measured. They are there because sky models of real fields have
    thousands of components, which is what calibration spends its time on.
    """
    sources = []
    for number in range(count):
        east, north = random.uniform(-FAINT_RADIUS_ARCMIN, FAINT_RADIUS_ARCMIN, 2) * ARCMIN
        ra, dec = _place(centre, east, north)
        flux = round(random.uniform(0.5, 1.5) * FAINT_FLUX_JY, 7)
        sources.append(Source(f"faint{number}", ra, dec, flux, reference_hz))
    return tuple(sources)


def _place(centre: tuple[float, float], east: float, north: float) -> tuple[float, float]:
    """Position beside another; angles in radians, rounded to the digits of a sky model."""
    ra, dec = centre
    return round(ra + east / np.cos(dec), 10), round(dec + north, 10)


def sap_centre(sap: int) -> tuple[float, float]:
    """Pointing of a SAP of the target in radians: each lies a little further north."""
    return FIELD_RA, FIELD_DEC + sap * SAP_STEP_ARCMIN * ARCMIN


def skymodel_text(sources: Iterable[Source]) -> str:
    """Sky model of the modelled sources in the text format that DP3 calls a source database."""
    lines = ["FORMAT = Name, Type, Ra, Dec, I, ReferenceFrequency, SpectralIndex='[]'"]
    for source in sources:
        if source.modelled:
            lines.append(
                f"{source.name}, POINT, {_hms(source.ra)}, {_dms(source.dec)}, "
                f"{source.flux_jy}, {source.reference_hz}, [{source.spectral_index}]"
            )
    return "\n".join(lines) + "\n"


def _hms(angle: float) -> str:
    """Hours, minutes and seconds to a microsecond, 12:34:56.123456."""
    return _sexagesimal(np.degrees(angle) % 360 / 15, ":")


def _dms(angle: float) -> str:
    """Degrees, minutes and seconds with dots, +12.34.56.123456, as source databases want."""
    return ("-" if angle < 0 else "+") + _sexagesimal(abs(np.degrees(angle)), ".")


def _sexagesimal(value: float, separator: str) -> str:
    # Whole microseconds first, so that 59.9999999 becomes the next minute and not 60.
    whole = round(float(value) * 3600e6)
    seconds, micro = divmod(whole, 1_000_000)
    minutes, second = divmod(seconds, 60)
    unit, minute = divmod(minutes, 60)
    return separator.join([f"{unit:02d}", f"{minute:02d}", f"{second:02d}.{micro:06d}"])


def point_visibilities(
    sources: Sequence[Source],
    centre: tuple[float, float],
    station_uvw_m: FloatArray,
    frequencies_hz: FloatArray,
) -> ComplexArray:
    """Stokes I visibilities of point sources between all stations, in Jy.

    Parameters
    ----------
    sources
        What is on the sky, in the model or not.
    centre
        Right ascension and declination of the phase centre in radians.
    station_uvw_m
        Stations in the frame of the phase centre, shape (times, stations, 3).
    frequencies_hz
        Channels, evenly spaced.

    Returns
    -------
    visibilities
        Shape (times, stations, stations, channels). The sign of the phase is that of LOFAR data,
        whose baselines are the second station less the first.
    """
    cosines = np.array([_direction_cosines(source, centre) for source in sources])
    flux = np.array([source.flux_at(frequencies_hz) for source in sources])
    first, spacing = frequencies_hz[0], np.diff(frequencies_hz[:2]).sum()
    times, stations, channels = *station_uvw_m.shape[:2], len(frequencies_hz)
    total = np.empty((times, stations, stations, channels), dtype=np.complex128)
    for time, uvw_m in enumerate(station_uvw_m):
        angle = 2 * np.pi / SPEED_OF_LIGHT_M_S * (uvw_m - uvw_m[0]) @ cosines.T
        # From channel to channel the phase turns by the same step: two exponentials serve all.
        field, step = np.exp(1j * first * angle), np.exp(1j * spacing * angle)
        for channel in range(channels):
            total[time, :, :, channel] = (field.conj() * flux[:, channel]) @ field.T
            field *= step
    return total


def _direction_cosines(source: Source, centre: tuple[float, float]) -> FloatArray:
    """l, m and n - 1 of a source."""
    ra, dec = centre
    east = source.ra - ra
    cosine, sine = np.cos(source.dec), np.sin(source.dec)
    towards = sine * np.sin(dec) + cosine * np.cos(dec) * np.cos(east)
    north = sine * np.cos(dec) - cosine * np.sin(dec) * np.cos(east)
    return np.array([cosine * np.sin(east), north, towards - 1])
