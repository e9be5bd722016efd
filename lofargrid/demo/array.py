"""Stations on the ground and the baselines that a source sees."""

import warnings
from dataclasses import dataclass

import erfa
import numpy as np
from astropy.time import Time
from astropy.utils import iers
from lofarantpos.db import LofarAntennaDatabase

from lofargrid.demo.options import FloatArray

SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class Array:
    """Stations of an observation.

    Attributes
    ----------
    names
        Station names, such as CS031HBA0.
    positions_m
        ITRF positions in metres, shape (stations, 3).
    """

    names: tuple[str, ...]
    positions_m: FloatArray

    @property
    def baselines(self) -> tuple[tuple[int, int], ...]:
        """Pairs of station numbers, autocorrelations included, first number slowest."""
        count = len(self.names)
        return tuple((first, second) for first in range(count) for second in range(first, count))


def load_array(stations: tuple[str, ...]) -> Array:
    """Positions of named stations from the tables of `lofarantpos`; needs no network."""
    with warnings.catch_warnings():
        # lofarantpos leaves the closing of its tables to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        known = LofarAntennaDatabase().phase_centres
    unknown = [name for name in stations if name not in known]
    if unknown:
        raise ValueError(f"no such station: {', '.join(unknown)} (known are for example CS001HBA0)")
    return Array(stations, np.array([known[name] for name in stations]))


def station_uvw_m(positions_m: FloatArray, times_mjd_s: FloatArray, ra: float, dec: float) -> FloatArray:
    """Station coordinates in the frame of a source.

    Parameters
    ----------
    positions_m
        ITRF positions in metres, shape (stations, 3).
    times_mjd_s
        UTC as seconds of modified Julian date.
    ra, dec
        Source position, J2000, radians.

    Returns
    -------
    uvw
        Metres, shape (times, stations, 3). A baseline is the second station less the first.
    """
    celestial = np.einsum("tji,sj->tsi", _celestial_to_terrestrial(times_mjd_s), positions_m)
    axes = np.array(
        [
            [-np.sin(ra), np.cos(ra), 0.0],
            [-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)],
            [np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)],
        ]
    )
    return np.asarray(celestial @ axes.T)


def _celestial_to_terrestrial(times_mjd_s: FloatArray) -> FloatArray:
    """Rotation matrices, shape (times, 3, 3); polar motion (0.3 arcsec) is left out."""
    time = Time(times_mjd_s / SECONDS_PER_DAY, format="mjd", scale="utc")
    # The table inside astropy: asking it by name keeps astropy from looking for a newer one.
    time.delta_ut1_utc = time.get_delta_ut1_utc(iers.IERS_B.open())
    matrices = erfa.c2t06a(time.tt.jd1, time.tt.jd2, time.ut1.jd1, time.ut1.jd2, 0.0, 0.0)
    return np.asarray(matrices)


def baseline_uvw_m(station_uvw: FloatArray, baselines: tuple[tuple[int, int], ...]) -> FloatArray:
    """Second station less the first for each baseline, shape (times, baselines, 3)."""
    first, second = np.array(baselines).T
    return np.asarray(station_uvw[:, second] - station_uvw[:, first])
