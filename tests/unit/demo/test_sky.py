import dataclasses

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import Angle, SkyCoord
from numpy.random import default_rng

from lofargrid.demo import sky
from lofargrid.demo.sky import Source

REFERENCE_HZ = 143e6
FREQUENCIES = REFERENCE_HZ + np.arange(3) * 24414.0625


def parse_skymodel(text):
    """Read the format as its definition says: names in the first line, a source a line."""
    head, *rows = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert head.startswith("FORMAT = ")
    names = [name.split("=")[0].strip() for name in head.removeprefix("FORMAT = ").split(",")]
    return [dict(zip(names, (value.strip() for value in row.split(",")), strict=True)) for row in rows]


def test_skymodel_gives_the_modelled_sources_back():
    sources = sky.target_sky(default_rng(1), REFERENCE_HZ)
    entries = parse_skymodel(sky.skymodel_text(sources))
    modelled = [source for source in sources if source.modelled]
    assert [entry["Name"] for entry in entries] == [source.name for source in modelled]
    for entry, source in zip(entries, modelled, strict=True):
        assert entry["Type"] == "POINT"
        degrees, minutes, seconds = entry["Dec"].split(".", 2)
        assert Angle(entry["Ra"], unit="hourangle").rad == pytest.approx(source.ra, abs=1e-10)
        assert Angle(f"{degrees}d{minutes}m{seconds}s").rad == pytest.approx(source.dec, abs=1e-10)
        assert float(entry["I"]) == source.flux_jy
        assert float(entry["ReferenceFrequency"]) == REFERENCE_HZ
        assert entry["SpectralIndex"] == "[-0.7]"


def test_a_source_is_left_out_of_the_model():
    sources = sky.target_sky(default_rng(1), REFERENCE_HZ)
    hidden = [source for source in sources if not source.modelled]
    assert len(hidden) == 1
    assert hidden[0].name not in sky.skymodel_text(sources)


@pytest.mark.parametrize(
    ("ra", "dec", "text"),
    [
        (0.0, -0.5, "00:00:00.000000, -00.30.00.000000"),
        (-15.0, 59.99999999999, "23:00:00.000000, +60.00.00.000000"),
        (127.5, 52.0, "08:30:00.000000, +52.00.00.000000"),
    ],
)
def test_angles_are_written_without_a_sixtieth_second(ra, dec, text):
    source = Source("s", np.radians(ra), np.radians(dec), 1.0, REFERENCE_HZ)
    assert text in sky.skymodel_text([source])


def test_flux_follows_the_spectral_index():
    source = Source("s", 0, 0, 2.0, REFERENCE_HZ, spectral_index=-1.0)
    assert source.flux_at(2 * REFERENCE_HZ) == pytest.approx(1.0)


@pytest.mark.parametrize("offset_arcmin", [(0.0, 0.0), (5.0, -3.0)])
def test_visibilities_agree_with_the_geometry_of_the_sky(offset_arcmin):
    """The phase is the difference of path lengths to the source and to the phase centre."""
    centre = (2.0, 0.9)
    east, north = np.array(offset_arcmin) * sky.ARCMIN
    source = Source("s", centre[0] + east, centre[1] + north, 3.0, REFERENCE_HZ)
    axes = {}
    for name, (ra, dec) in {"centre": centre, "source": (source.ra, source.dec)}.items():
        axes[name] = SkyCoord(ra, dec, unit="rad").cartesian.xyz.value
    to_centre = axes["centre"]
    to_east = np.array([-np.sin(centre[0]), np.cos(centre[0]), 0])
    frame = np.array([to_east, np.cross(to_centre, to_east), to_centre])
    stations = default_rng(3).uniform(-3e4, 3e4, (1, 4, 3))
    path = (stations @ frame) @ (axes["source"] - axes["centre"])
    turns = path[..., np.newaxis] * FREQUENCIES / 299792458.0
    result = sky.point_visibilities([source], centre, stations, FREQUENCIES)
    expected = source.flux_at(FREQUENCIES) * np.exp(2j * np.pi * (turns[:, np.newaxis, :] - turns[:, :, np.newaxis]))
    assert np.abs(result - expected).max() < 1e-9


def test_visibilities_of_sources_add_up():
    random = default_rng(5)
    sources = sky.target_sky(random, REFERENCE_HZ)
    stations = random.uniform(-3e4, 3e4, (2, 3, 3))
    together = sky.point_visibilities(sources, sky.sap_centre(0), stations, FREQUENCIES)
    apart = sum(sky.point_visibilities([source], sky.sap_centre(0), stations, FREQUENCIES) for source in sources)
    assert together == pytest.approx(apart)
    assert together == pytest.approx(together.conj().swapaxes(1, 2))


def test_one_channel_is_enough():
    source = dataclasses.replace(sky.calibrator_sky(REFERENCE_HZ)[0])
    result = sky.point_visibilities([source], (source.ra, source.dec), np.ones((1, 2, 3)), FREQUENCIES[:1])
    assert result == pytest.approx(sky.CALIBRATOR_FLUX_JY)


def test_faint_sources_are_many_weak_and_close_by():
    centre = (sky.FIELD_RA, sky.FIELD_DEC)
    sources = sky.faint_sky(default_rng(1), centre, 50, REFERENCE_HZ)
    place = SkyCoord([s.ra for s in sources], [s.dec for s in sources], unit="rad")
    distance = place.separation(SkyCoord(*centre, unit="rad"))
    assert len({source.name for source in sources}) == 50
    assert distance.max() < 1.5 * sky.FAINT_RADIUS_ARCMIN * units.arcmin
    assert max(source.flux_jy for source in sources) < 1e-3
    assert all(source.modelled for source in sources)


def test_pointings_of_a_target_share_a_field():
    step = np.subtract(sky.sap_centre(1), sky.sap_centre(0))
    assert step == pytest.approx([0, sky.SAP_STEP_ARCMIN * sky.ARCMIN])
