import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lofargrid.demo import measure_sources, read_truth, sky
from lofargrid.demo.comparison import find_top, integrate

PIXEL_ARCSEC = 1.0
BEAM_ARCSEC = (9.0, 7.0)
BEAM_ANGLE = 0.5
SIZE = 700


def header(frequency_hz, ra=sky.FIELD_RA):
    axes = {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "FREQ", "CTYPE4": "STOKES"}
    values = {"CRVAL1": np.degrees(ra), "CRVAL2": np.degrees(sky.FIELD_DEC), "CRVAL3": frequency_hz}
    steps = {"CDELT1": -PIXEL_ARCSEC / 3600, "CDELT2": PIXEL_ARCSEC / 3600, "CDELT3": 1e6, "CDELT4": 1.0}
    pixels = {"CRPIX1": SIZE // 2 + 1, "CRPIX2": SIZE // 2 + 1, "CRPIX3": 1, "CRPIX4": 1, "CRVAL4": 1.0}
    units = {"CUNIT1": "deg", "CUNIT2": "deg", "CUNIT3": "Hz"}
    beam = {"BMAJ": BEAM_ARCSEC[0] / 3600, "BMIN": BEAM_ARCSEC[1] / 3600, "BPA": 0.0}
    # wsclean writes a date without a modified Julian date, about which astropy would warn.
    return fits.Header({**axes, **values, **steps, **pixels, **units, **beam, "DATE-OBS": "2020-01-15T00:20:00.0"})


def gaussian(rows, columns, row, column):
    """A beam of unit height at a place in pixels."""
    major, minor = np.array(BEAM_ARCSEC) / PIXEL_ARCSEC / np.sqrt(8 * np.log(2))
    along = (rows - row) * np.cos(BEAM_ANGLE) + (columns - column) * np.sin(BEAM_ANGLE)
    across = (columns - column) * np.cos(BEAM_ANGLE) - (rows - row) * np.sin(BEAM_ANGLE)
    return np.exp(-0.5 * ((along / major) ** 2 + (across / minor) ** 2))


class Picture:
    """An image of the true sky that a test may falsify before it is written."""

    def __init__(self, demo):
        self.truth = demo.truth
        self.sources = read_truth(demo.truth).sources
        self.frequency_hz = 1.1 * self.sources[0].reference_hz
        self.header = header(self.frequency_hz)
        self.flux_factor = {}
        self.shift_arcsec = {}
        self.noise_jy = 0.0

    def write(self, path):
        wcs = WCS(self.header, fix=False).celestial
        rows, columns = np.indices((SIZE, SIZE))
        image = np.random.default_rng(1).normal(0, 1, (SIZE, SIZE)) * self.noise_jy
        for source in self.sources[1:]:
            north = np.radians(self.shift_arcsec.get(source.name, 0) / 3600)
            column, row = wcs.wcs_world2pix([np.degrees([source.ra, source.dec + north])], 0)[0]
            flux = source.flux_at(self.frequency_hz) * self.flux_factor.get(source.name, 1)
            image += flux * gaussian(rows, columns, row, column)
        fits.writeto(path, image[np.newaxis, np.newaxis].astype(np.float32), self.header)
        return path

    def measure(self, folder):
        return {found.name: found for found in measure_sources(self.write(folder / "i.fits"), self.truth)}


@pytest.fixture
def picture(demo):
    return Picture(demo)


def test_a_true_image_agrees(picture, tmp_path):
    found = picture.measure(tmp_path)
    assert list(found) == ["field0", "field1", "field2", "field3", "field4", "hidden5"]
    for comparison in found.values():
        assert comparison.agrees(flux_percent=0.02, position_arcsec=0.005), comparison
    assert [comparison.modelled for comparison in found.values()] == [True] * 5 + [False]


def test_the_calibrator_is_not_looked_for_in_the_target_field(picture, tmp_path):
    assert sky.CALIBRATOR_NAME not in picture.measure(tmp_path)


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_wrong_flux_is_reported(picture, tmp_path, factor):
    picture.flux_factor = {"field3": factor}
    found = picture.measure(tmp_path)
    assert found["field3"].flux_offset_percent == pytest.approx(100 * (factor - 1), abs=0.05)
    assert not found["field3"].agrees()
    assert found["field2"].agrees()


@pytest.mark.parametrize("shift", [-0.8, 0.8, 9.0])
def test_a_shifted_source_is_reported(picture, tmp_path, shift):
    picture.shift_arcsec = {"field1": shift}
    found = picture.measure(tmp_path)
    assert found["field1"].position_offset_arcsec == pytest.approx(abs(shift), abs=0.02)
    assert found["field1"].flux_offset_percent == pytest.approx(0, abs=0.05)
    assert not found["field1"].agrees()
    assert found["field0"].agrees()


def test_flux_at_another_frequency_is_reported(picture, tmp_path):
    """The image says that it was made elsewhere in the band: the spectral index counts."""
    picture.header["CRVAL3"] = picture.sources[0].reference_hz
    assert picture.measure(tmp_path)["field0"].flux_offset_percent == pytest.approx(100 * (1.1**-0.7 - 1), abs=0.05)


def test_a_source_that_was_subtracted_is_reported_as_gone(picture, tmp_path):
    picture.flux_factor = dict.fromkeys(["field0", "field1", "field2", "field3", "field4"], 0.0)
    found = picture.measure(tmp_path)
    assert found["hidden5"].agrees()
    assert found["field0"].flux_jy == pytest.approx(0, abs=0.01)
    assert found["field0"].flux_offset_percent == pytest.approx(-100, abs=0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e21, -1.0])
def test_an_image_gone_wrong_never_agrees(picture, tmp_path, value):
    path = picture.write(tmp_path / "i.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[:] = value
    assert not any(found.agrees() for found in measure_sources(path, picture.truth))


def test_noise_is_not_mistaken_for_a_hill(picture, tmp_path):
    picture.flux_factor = {source.name: 0.0 for source in picture.sources}
    picture.noise_jy = 0.01
    for comparison in picture.measure(tmp_path).values():
        assert abs(comparison.flux_jy) < 0.1
        assert not comparison.agrees()


def test_an_image_of_another_field_is_an_error(picture, tmp_path):
    path = picture.write(tmp_path / "i.fits")
    fits.setval(path, "CRVAL1", value=np.degrees(sky.FIELD_RA) + 10)
    with pytest.raises(ValueError, match="none of the sources"):
        measure_sources(path, picture.truth)


@pytest.mark.parametrize("key", ["BMAJ", "CTYPE3"])
def test_an_image_that_is_not_restored_is_an_error(picture, tmp_path, key):
    path = picture.write(tmp_path / "i.fits")
    fits.delval(path, key)
    with pytest.raises(ValueError, match="no beam or no frequency axis"):
        measure_sources(path, picture.truth)


def test_flux_is_the_sum_where_clean_has_spread_a_source():
    rows, columns = np.indices((25, 25)) - 12
    one, other = (np.exp(-((rows - 0.3) ** 2 + (columns + at) ** 2) / 18) for at in (0.5, -0.5))
    pixels = (one + other) / 2
    beam = 3 * np.sqrt(8 * np.log(2))
    offset = find_top(pixels[8:17, 8:17])
    assert offset == pytest.approx([0.3, 0.0], abs=1e-3)
    assert integrate(pixels, offset, (beam, beam)) == pytest.approx(1.0, abs=1e-4)
    assert pixels.max() < 0.99


@pytest.mark.parametrize(
    "surface",
    [
        lambda row, column: 1.0 + 0 * row,
        lambda row, column: np.exp(row**2 - column**2),
        lambda row, column: np.exp(-0.01 * ((row - 9) ** 2 + (column - 9) ** 2)),
        lambda row, column: 1.0 - 0.5 * (row**2 + column**2),
        lambda row, column: np.inf + 0 * row,
    ],
    ids=["flat", "saddle", "top elsewhere", "below zero", "infinite"],
)
def test_where_there_is_no_hill_the_top_is_the_middle(surface):
    rows, columns = np.indices((5, 5)) - 2
    assert find_top(surface(rows, columns)).tolist() == [0, 0]
