import numpy as np
import pytest
from astropy import units
from astropy.coordinates import CIRS, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from lofargrid.demo.array import Array, baseline_uvw_m, load_array, station_uvw_m

RA, DEC = np.radians([127.5, 52.0])
TIMES = 58863 * 86400.0 + np.array([600.0, 1200.0, 4800.0])
STATIONS = ("CS302HBA0", "RS208HBA", "RS508HBA")


def textbook_uvw(positions, mjd_s, ra, dec):
    """The rotation of Thompson, Moran and Swenson by hour angle and declination of date."""
    of_date = CIRS(obstime=Time(mjd_s / 86400, format="mjd", scale="utc"))
    source = SkyCoord(ra, dec, unit="rad").transform_to(of_date)
    hour_angle = of_date.obstime.earth_rotation_angle(0).rad - source.ra.rad
    sin_h, cos_h = np.sin(hour_angle), np.cos(hour_angle)
    sin_d, cos_d = np.sin(source.dec.rad), np.cos(source.dec.rad)
    rotation = [
        [sin_h, cos_h, 0],
        [-sin_d * cos_h, sin_d * sin_h, cos_d],
        [cos_d * cos_h, -cos_d * sin_h, sin_d],
    ]
    u, v, w = np.array(rotation) @ positions.T
    # The axes of v point to the pole of date, those of the data to that of J2000.
    north = SkyCoord(ra, dec + 1e-3, unit="rad").transform_to(of_date)
    turn = source.position_angle(north).rad
    return np.stack([u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn), w], axis=1)


@pytest.mark.parametrize("number", range(len(TIMES)))
def test_uvw_agrees_with_the_textbook(number):
    positions = load_array(STATIONS).positions_m
    uvw = station_uvw_m(positions, TIMES, RA, DEC)[number]
    with iers.conf.set_temp("auto_download", False):
        expected = textbook_uvw(positions, TIMES[number], RA, DEC)
    difference = (uvw - uvw[0]) - (expected - expected[0])
    # Aberration, 20 arcsec, moves the source of the textbook and not that of the data.
    longest = np.linalg.norm(positions - positions[0], axis=1).max()
    assert np.abs(difference).max() < 1e-4 * longest


def test_uvw_keeps_lengths():
    positions = load_array(STATIONS).positions_m
    uvw = station_uvw_m(positions, TIMES, RA, DEC)
    lengths = np.linalg.norm(uvw[:, 1] - uvw[:, 0], axis=-1)
    assert lengths == pytest.approx(np.linalg.norm(positions[1] - positions[0]), rel=1e-12)


def test_a_source_overhead_sees_the_ground_from_above():
    array = load_array(STATIONS)
    up = SkyCoord(0 * units.deg, 90 * units.deg)
    uvw = station_uvw_m(array.positions_m, TIMES[:1], up.ra.rad, up.dec.rad)[0]
    heights = array.positions_m[:, 2]
    # The pole of date has moved 0.002 rad from that of J2000 at most.
    assert np.abs((uvw[:, 2] - uvw[0, 2]) - (heights - heights[0])).max() < 0.002 * 60e3


def test_a_baseline_is_the_second_station_less_the_first():
    array = Array(("a", "b"), np.zeros((2, 3)))
    stations = np.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
    assert array.baselines == ((0, 0), (0, 1), (1, 1))
    assert baseline_uvw_m(stations, array.baselines).tolist() == [[[0, 0, 0], [9, 18, 27], [0, 0, 0]]]


def test_positions_are_those_of_lofar():
    position = load_array(("CS302HBA0",)).positions_m[0]
    assert np.linalg.norm(position) == pytest.approx(6.364e6, rel=1e-3)


def test_an_unknown_station_is_named():
    with pytest.raises(ValueError, match="no such station: XX001HBA"):
        load_array(("CS302HBA0", "XX001HBA"))
