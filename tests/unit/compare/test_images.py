import numpy as np
import pytest
from astropy.io import fits

HEADER = {
    "CTYPE1": "RA---SIN", "CRVAL1": 127.5, "CRPIX1": 33.0, "CDELT1": -2.8e-4, "CUNIT1": "deg",
    "CTYPE2": "DEC--SIN", "CRVAL2": 52.0, "CRPIX2": 33.0, "CDELT2": 2.8e-4, "CUNIT2": "deg",
    "CTYPE3": "FREQ", "CRVAL3": 143652343.75, "CRPIX3": 1.0, "CDELT3": 1562500.0, "CUNIT3": "Hz",
    "EQUINOX": 2000.0, "BUNIT": "JY/BEAM", "BMAJ": 1.8e-3, "BMIN": 1.0e-3, "BPA": 73.4, "DATE": "2020-01-01",
}  # fmt: skip


def pixels() -> np.ndarray:
    data = np.random.default_rng(1).normal(scale=0.01, size=(1, 64, 64)).astype(np.float32)
    data[0, 20, 30] = 10.0
    data[0, 0, :5] = np.nan
    return data


def write(path, data=None, *extensions, **header):
    cards = {**HEADER, **header}
    hdu = fits.PrimaryHDU(pixels() if data is None else data)
    hdu.header.update({key: value for key, value in cards.items() if value is not None})
    fits.HDUList([hdu, *extensions]).writeto(path, overwrite=True)


@pytest.fixture
def changed(pair, compare):
    """Compare an image with a changed one."""

    def compared(data=None, *extensions, **header):
        one, other = pair("a.fits")
        write(one)
        write(other, data, *extensions, **header)
        return compare(one, other)

    return compared


def with_pixel(value, place=(0, 5, 5)) -> np.ndarray:
    data = pixels()
    data[place] = value
    return data


def test_other_dates_and_history_leave_an_image_the_same(changed):
    found = changed(DATE="2026-11-22")
    assert (found.same, found.detail) == (True, "equal values, in other bytes")


def test_pixels_may_differ_by_a_ten_thousandth_of_the_peak(changed):
    base = pixels()[0, 5, 5]
    near = changed(with_pixel(base + 0.0009))
    assert near.same
    assert near.detail == "largest difference 9e-05 of the peak in pixels, 0.0001 allowed"
    far = changed(with_pixel(base + 0.002))
    assert not far.same
    assert far.detail == "largest difference 0.0002 of the peak in pixels, 0.0001 allowed"


def test_the_peak_may_be_negative(pair, compare):
    one, other = pair("a.fits")
    write(one, -pixels())
    write(other, -with_pixel(pixels()[0, 5, 5] + 0.0009))
    assert compare(one, other).same


def test_a_diverged_image_is_not_the_same_as_a_good_one(changed):
    assert not changed(with_pixel(1e21)).same


@pytest.mark.parametrize(("value", "place"), [(np.nan, (0, 5, 5)), (np.inf, (0, 0, 0)), (1.0, (0, 0, 0))])
def test_undefined_pixels_must_be_at_the_same_places(changed, value, place):
    found = changed(with_pixel(value, place))
    assert (found.same, found.detail) == (False, "NaNs or infinities at different places")


def test_images_of_nothing_but_nan_are_the_same(pair, compare):
    one, other = pair("a.fits")
    for path, date in ((one, "2020"), (other, "2026")):
        write(path, np.full((4, 4), np.nan, dtype=np.float32), CTYPE3=None, DATE=date)
    assert compare(one, other).same


def test_another_size_is_told_in_the_order_of_fits(changed):
    found = changed(np.zeros((1, 64, 32), dtype=np.float32))
    assert (found.same, found.detail) == (False, "NAXIS1: 64 and 32")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CRVAL1", 127.5 + 2.8e-6),
        ("CRVAL3", 143652343.75 + 195312.5),
        ("CRVAL3", 143652343.75 + 100),
        ("CDELT1", 2.8e-4),
        ("CRPIX2", 33.5),
        ("EQUINOX", 1950.0),
        ("CTYPE1", "RA---TAN"),
        ("BUNIT", "JY/PIXEL"),
    ],
)
def test_another_place_or_frequency_is_told(changed, key, value):
    found = changed(**{key: value})
    assert not found.same
    assert found.detail.startswith(f"{key}: ")


@pytest.mark.parametrize(
    ("key", "value"), [("CRVAL1", 127.5 + 1e-13), ("CRPIX1", 33.0 + 1e-9), ("EQUINOX", 2000.0 + 1e-9)]
)
def test_last_digits_of_a_header_do_not_count(changed, key, value):
    assert changed(**{key: value}).same


def test_a_keyword_of_one_image_only_is_told(changed):
    assert changed(BMAJ=None).detail == "header keyword BMAJ is only in the first"
    assert changed(SPECSYS="TOPOCENT").detail == "header keyword SPECSYS is only in the second"


def test_a_coordinate_matrix_takes_the_place_of_steps(pair, compare):
    one, other = pair("a.fits")
    for path, cd, crval in ((one, 1e-4, 127.5), (other, 1e-4, 127.5 + 1e-6)):
        write(path, CDELT1=None, CD1_1=cd, CRVAL1=crval)
    assert compare(one, other).detail.startswith("CRVAL1: ")


@pytest.mark.parametrize(
    ("beam", "same"),
    [
        ({"BMAJ": 1.8e-3 * 1.00005}, True),
        ({"BMAJ": 1.8e-3 * 1.001}, False),
        ({"BMIN": 1.1e-3}, False),
        ({"BPA": 73.4 - 180}, True),
        ({"BPA": 74.0}, False),
    ],
)
def test_beams_are_compared_as_ellipses(changed, beam, same):
    found = changed(**beam)
    assert found.same is same
    assert same or found.detail.startswith("beam (BMAJ, BMIN, BPA): [0.0018, 0.001, 73.4] and [")


def test_the_angle_of_a_round_beam_means_nothing(pair, compare):
    one, other = pair("a.fits")
    write(one, BMIN=1.8e-3)
    write(other, BMIN=1.8e-3, BPA=10.0)
    assert compare(one, other).same


def table(value: float) -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns([fits.Column("x", "D", array=np.array([1.0, value]))])


def test_tables_behind_the_image_count(pair, compare):
    one, other = pair("a.fits")
    write(one, None, table(2.0))
    write(other, None, table(2.0), DATE="2026")
    assert compare(one, other).same
    write(other, None, table(3.0))
    assert not compare(one, other).same
    write(other)
    assert compare(one, other).detail == "number of HDUs: 2 and 1"


def test_an_hdu_without_data_is_the_same_as_another(pair, compare):
    one, other = pair("a.fits")
    for path, date in ((one, "2020"), (other, "2026")):
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels())]).writeto(path)
        fits.setval(path, "DATE", value=date)
    assert compare(one, other).same
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU()]).writeto(other, overwrite=True)
    assert not compare(one, other).same


def test_images_of_integers_are_scaled(pair, compare):
    one, other = pair("a.fits")
    for path, date in ((one, "2020"), (other, "2026")):
        hdu = fits.PrimaryHDU(np.array([[1.5, 2.5], [0.0, 1.0]]))
        hdu.scale("int16", bscale=0.5)
        hdu.header["DATE"] = date
        hdu.writeto(path)
    assert compare(one, other).same


@pytest.mark.parametrize("size", [10, 2880, 5000, 8000])
def test_a_file_cut_short_is_unreadable(pair, compare, size):
    one, other = pair("a.fits")
    write(one)
    other.write_bytes(one.read_bytes()[:size])
    for order in ((one, other), (other, one)):
        found = compare(*order)
        assert not found.same
        assert found.detail.startswith(f"{other} cannot be read: ")


def test_what_is_no_fits_is_unreadable(pair, compare):
    one, other = pair("a.fits")
    write(one)
    other.write_bytes(b"\0" * 6000)
    assert compare(one, other).detail.startswith(f"{other} cannot be read: ")


@pytest.mark.parametrize(("key", "value"), [("CRVAL1", "here"), ("BMAJ", "wide"), ("CDELT2", "")])
def test_text_where_a_number_must_be_is_unreadable(pair, compare, key, value):
    one, other = pair("a.fits")
    write(one)
    write(other)
    fits.setval(other, key, value=value)
    for order in ((one, other), (other, one)):
        assert compare(*order).detail.startswith(f"{other} cannot be read: ")


def test_a_damaged_header_is_unreadable(pair, compare):
    one, other = pair("a.fits")
    write(one)
    other.write_bytes(one.read_bytes().replace(b"EQUINOX =               2000.0", b"EQUINOX =               20'0.0"))
    found = compare(one, other)
    assert not found.same
    assert found.detail.startswith(f"{other} cannot be read: ")
