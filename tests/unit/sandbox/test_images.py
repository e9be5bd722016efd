"""Images: what wsclean says "all is well" to, and how a picture of a good one looks."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import fits_image
import inspect_image
import numpy as np
import picture
import pytest
from astropy import wcs
from astropy.io import fits

COMMON = Path(__file__).parents[3] / "sandbox" / "common"
CLEAN = ("-no-update-model-required", "-pol", "I", "-size", "100", "100", "-scale", "20asec", "-niter", "400")


@pytest.fixture(scope="session")
def clean(subbands, run, tmp_path_factory):
    """Image with wsclean; the folder of the images."""

    def call(*options: str) -> Path:
        folder = tmp_path_factory.mktemp("clean")
        done = run(
            folder,
            "wsclean",
            *CLEAN,
            *options,
            "-name",
            "x",
            *(str(subbands / f"sb{n}.MS") for n in range(2)),
        )
        assert done.returncode == 0, done.stderr
        return folder

    return call


@pytest.fixture(scope="session")
def sound(clean):
    return clean("-mgain", "0.8")


@pytest.fixture
def verdict(inspect, engine):
    """What the expectations of the image step say of a folder of wsclean's images."""

    def judge(folder: Path) -> set[str]:
        others = {"residual": "x-residual.fits", "dirty": "x-dirty.fits", "model": "x-model.fits"}
        options = [word for name, file in others.items() for word in (f"--{name}", folder / file)]
        found = inspect("inspect_image", folder / "x-image.fits", *options)
        expect = engine.pipeline("calibrate-image")["steps"]["image"]["checks"]["image"]["expect"]
        return engine.broken(expect, found, {**engine.parameters("calibrate-image"), "image_size": 100})

    return judge


def write_fits(path: Path, pixels: np.ndarray, **header: object) -> Path:
    """Write a FITS file, by hand as the reader reads it."""
    cards = {"SIMPLE": "T", "BITPIX": -32, "NAXIS": pixels.ndim}
    cards |= {f"NAXIS{n}": side for n, side in enumerate(reversed(pixels.shape), 1)} | header
    text = "".join(f"{key:8}= {value:>20}".ljust(80) for key, value in cards.items()) + "END".ljust(80)
    blocks = [text.ljust(-len(text) // 2880 * -2880).encode(), pixels.astype(">f4").tobytes()]
    path.write_bytes(b"".join(block.ljust(-(-len(block) // 2880) * 2880, b" ") for block in blocks))
    return path


def test_the_reader_agrees_with_astropy(sound):
    with fits.open(sound / "x-image.fits", memmap=False) as opened:
        header, pixels = dict(opened[0].header), opened[0].data.copy()
    image = fits_image.read_image(str(sound / "x-image.fits"))
    assert np.array_equal(image.pixels, pixels)
    names = ("BMAJ", "BPA", "CRVAL1", "CRVAL3", "CTYPE3", "CDELT2", "BUNIT", "SIMPLE")
    assert {key: image.header[key] for key in names} == {key: header[key] for key in names}


def test_a_sound_image(inspect, sound, verdict):
    found = inspect("inspect_image", sound / "x-image.fits", "--dirty", sound / "x-dirty.fits")
    assert found["size"] == [100, 100]
    assert 9 < found["peak_jy"] < 11
    assert found["dynamic_range"] > 50
    assert len(found["beam_arcsec"]) == 2
    assert found["frequency_hz"] == pytest.approx(136.8e6, rel=0.01)
    assert verdict(sound) == set()


def test_it_runs_as_a_job_runs_it(environment, sound):
    words = [sys.executable, COMMON / "inspect_image.py", "x-image.fits", "--dirty", "x-dirty.fits"]
    done = subprocess.run(words, cwd=sound, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["finite"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    "options", [("-gain", "2.1", "-mgain", "0.8"), ("-gain", "2.5")], ids=["far", "beyond numbers"]
)
def test_a_diverged_clean_ends_with_code_0_and_is_exposed(clean, verdict, options):
    assert {"peak_to_dirty", "residual_to_dirty", "model_to_dirty"} <= verdict(clean(*options))


@pytest.mark.parametrize(
    ("fill", "exposed"),
    [(0.0, {"empty", "dynamic_range"}), (np.nan, {"finite", "dynamic_range"})],
    ids=["empty", "nan"],
)
def test_an_empty_image_is_exposed(tmp_path, verdict, fill, exposed):
    for name in ("image", "residual", "dirty", "model"):
        write_fits(tmp_path / f"x-{name}.fits", np.full((100, 100), fill))
    assert exposed | {"peak_to_dirty"} <= verdict(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a FITS file"),
        (b"\x89PNG".ljust(9000), "not a FITS file"),
        ("SIMPLE  =                    T".ljust(2880).encode(), "ends in its header"),
    ],
    ids=["empty", "png", "header only"],
)
def test_what_is_not_an_image_is_one_line_and_not_code_0(tmp_path, capfd, content, message):
    (tmp_path / "a.fits").write_bytes(content)
    assert inspect_image.main([str(tmp_path / "a.fits")]) == 1
    assert message in capfd.readouterr().err


def test_a_truncated_image_is_refused(tmp_path, sound, capfd):
    content = (sound / "x-image.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(content[: len(content) // 2])
    assert inspect_image.main([str(tmp_path / "a.fits")]) == 1
    assert "of 10000 pixels" in capfd.readouterr().err


def test_other_sorts_of_fits_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not a floating point image"):
        fits_image.read_image(str(write_fits(tmp_path / "a.fits", np.zeros((9, 9)), BITPIX=16)))
    with pytest.raises(ValueError, match="not a floating point image"):
        fits_image.read_image(str(write_fits(tmp_path / "a.fits", np.zeros((9, 9)), BSCALE=2.0)))


def test_header_values(tmp_path):
    cards = {"TEXT": "'it''s'  / a note", "YES": "T", "NO": "F", "MANY": "1.5D3", "ODD": "1 2"}
    header = fits_image.read_image(str(write_fits(tmp_path / "a.fits", np.zeros((9, 9)), **cards))).header
    assert [header[key] for key in cards] == ["it's", True, False, 1500.0, "1 2"]


def png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, once its check sums agree."""
    content, at, size = path.read_bytes(), 8, (0, 0)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        body = content[at + 4 : at + 8 + length]
        assert zlib.crc32(body) == struct.unpack(">I", content[at + 8 + length : at + 12 + length])[0]
        size = struct.unpack(">II", body[4:12]) if kind == b"IHDR" else size
        at += 12 + length
    return size


def test_a_picture(sound, tmp_path, capsys):
    assert picture.main([str(sound / "x-image.fits"), str(tmp_path / "a.png"), "--title", "L1 SAP 0"]) == 0
    assert min(png_size(tmp_path / "a.png")) > 900
    assert capsys.readouterr().err == ""


def test_its_coordinates_agree_with_astropy(sound):
    image = fits_image.read_image(str(sound / "x-image.fits"))
    names = ("CTYPE", "CRVAL", "CDELT", "CRPIX", "CUNIT")
    world = wcs.WCS({f"{name}{axis}": image.header[f"{name}{axis}"] for name in names for axis in (1, 2)})
    field = picture.Field(image.header, 100, 100)
    ra, dec = (float(image.header[f"CRVAL{n}"]) + np.array([-0.2, 0, 0.25]) for n in (1, 2))
    assert np.allclose(field.pixel(ra, dec), world.wcs_world2pix(ra, dec, 0), atol=1e-6)


def test_its_words(sound):
    image = fits_image.read_image(str(sound / "x-image.fits"))
    figure = picture.draw(image, "L1 SAP 0")
    axes, bar = figure.axes
    assert axes.get_title() == "L1 SAP 0"
    assert "MHz" in axes.texts[0].get_text()
    assert "mJy/beam" in axes.texts[0].get_text()
    assert (axes.get_xlabel(), bar.get_ylabel()) == ("Right ascension (J2000)", "Jy/beam")
    assert all("ʰ" in label.get_text() for label in axes.get_xticklabels())
    assert 3 <= len(axes.get_xticks()) <= 9
    assert len(axes.patches) == 2


@pytest.mark.parametrize(
    ("seconds", "step", "units", "signed", "text"),
    [
        (30600.0, 10, "ʰᵐˢ", False, "08ʰ30ᵐ00ˢ"),
        (30600.0, 60, "ʰᵐˢ", False, "08ʰ30ᵐ"),
        (12.34, 0.1, "ʰᵐˢ", False, "00ʰ00ᵐ12.3ˢ"),
        (3599.99, 0.1, "ʰᵐˢ", False, "01ʰ00ᵐ00.0ˢ"),
        (187500.0, 300, "°′″", True, "+52°05′"),
        (-1805.0, 5, "°′″", True, "\N{MINUS SIGN}00°30′05″"),
    ],
)
def test_sexagesimal(seconds, step, units, signed, text):
    assert picture.sexagesimal(seconds, step, units, signed) == text


@pytest.mark.parametrize("declination", [0.0, -89.9, 90.0])
def test_a_picture_anywhere_on_the_sky_and_without_noise_or_beam(tmp_path, declination, capsys):
    pixels = np.zeros((1, 1, 64, 64))
    pixels[0, 0, 32, 32] = 0.2
    scale = {
        "CDELT1": -0.01,
        "CDELT2": 0.01,
        "CRPIX1": 33,
        "CRPIX2": 33,
        "CRVAL1": 0.05,
        "CRVAL2": declination,
    }
    image = write_fits(tmp_path / "a.fits", pixels, **scale)
    assert picture.main([str(image), str(tmp_path / "a.png")]) == 0


def test_a_picture_of_what_are_not_numbers_is_refused(tmp_path, capsys):
    image = write_fits(tmp_path / "a.fits", np.full((64, 64), np.nan))
    assert picture.main([str(image), str(tmp_path / "a.png")]) == 1
    assert "pixels that are not numbers" in capsys.readouterr().err


def test_a_large_plane_is_averaged():
    assert picture.thinned(np.ones((5000, 4100))).shape == (1000, 820)
    assert picture.thinned(np.ones((1999, 1999))).shape == (1999, 1999)


@pytest.mark.parametrize(("value", "text"), [(11.32, "11.3 Jy/beam"), (0.0455, "45.5 mJy/beam"), (2e-6, "2 µJy/beam")])
def test_flux(value, text):
    assert picture.flux(value) == text


@pytest.mark.parametrize(("written", "shown"), [(73.0, 73.0), (-127.0, 53.0), (170.0, -10.0)])
def test_the_angle_of_the_beam_is_within_a_quarter_turn(written, shown):
    assert picture.beam_of({"BMAJ": 2 / 3600, "BMIN": 1 / 3600, "BPA": written}) == pytest.approx((2, 1, shown))
