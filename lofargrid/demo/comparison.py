"""Compares the sources in an image with the true ones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from lofargrid.demo.options import FloatArray
from lofargrid.demo.sky import Source
from lofargrid.demo.truth import read_truth

SEARCH_BEAMS = 2.0
APERTURE_BEAMS = 1.25
FLUX_LIMIT_PERCENT = 1.0
POSITION_LIMIT_ARCSEC = 0.5


@dataclass(frozen=True)
class SourceComparison:
    """A source in an image beside the true one.

    Attributes
    ----------
    name
        Name in the truth.
    modelled
        Whether it was in the sky model that the pipeline got.
    true_flux_jy
        Flux density at the frequency of the image.
    flux_jy
        Flux density in the image.
    true_ra, true_dec, ra, dec
        Positions, J2000, radians.
    """

    name: str
    modelled: bool
    true_flux_jy: float
    flux_jy: float
    true_ra: float
    true_dec: float
    ra: float
    dec: float

    @property
    def flux_offset_percent(self) -> float:
        """Flux density too high by this part of the true one."""
        return 100 * (self.flux_jy / self.true_flux_jy - 1)

    @property
    def position_offset_arcsec(self) -> float:
        """Distance on the sky from the true position."""
        east = (self.ra - self.true_ra + np.pi) % (2 * np.pi) - np.pi
        offset = np.hypot(east * np.cos(self.true_dec), self.dec - self.true_dec)
        return float(np.degrees(offset) * 3600)

    def agrees(
        self,
        flux_percent: float = FLUX_LIMIT_PERCENT,
        position_arcsec: float = POSITION_LIMIT_ARCSEC,
    ) -> bool:
        """Whether both offsets are within limits; an image without values never agrees."""
        return abs(self.flux_offset_percent) <= flux_percent and self.position_offset_arcsec <= position_arcsec


@dataclass(frozen=True)
class Image:
    """One plane of an image.

    Attributes
    ----------
    pixels
        Jy per beam, shape (rows, columns).
    wcs
        Celestial coordinates of the pixels.
    frequency_hz
        Middle of the band of the image.
    beam_pixels
        Axes of the restoring beam in pixels, full width at half maximum, major axis first.
    """

    pixels: FloatArray
    wcs: WCS
    frequency_hz: float
    beam_pixels: tuple[float, float]


def measure_sources(image_fits: Path, truth: Path) -> list[SourceComparison]:
    """Find the true sources in a restored image.

    The highest pixel within two beams of the true position is taken for the source, whatever it
    is. A source that is not there, as the modelled ones in an image after subtraction, gives what
    stands near its place.

    Parameters
    ----------
    image_fits
        Image in Jy per beam with a frequency axis and a beam, as `wsclean` writes.
    truth
        The truth.json beside the demo data.

    Returns
    -------
    comparisons
        One for each source in the field of view, in the order of the truth. At least one: an
        image of another field is an error, as an empty list would pass every check.
    """
    image = _read_image(image_fits)
    sources = read_truth(truth).sources
    found = (_measure(image, source) for source in sources)
    comparisons = [comparison for comparison in found if comparison is not None]
    if not comparisons:
        raise ValueError(f"{image_fits} shows none of the sources of {truth}: is it another field?")
    return comparisons


def _read_image(path: Path) -> Image:
    with fits.open(path) as hdus:
        header, data = hdus[0].header, hdus[0].data
        # Nothing is to be mended, and astropy would warn about the date that wsclean writes.
        wcs = WCS(header, fix=False)
        axes = {kind: axis for axis, kind in enumerate(wcs.wcs.ctype)}
        if "BMAJ" not in header or "FREQ" not in axes:
            raise ValueError(f"{path} has no beam or no frequency axis: give a restored image")
        pixel_deg = abs(wcs.celestial.wcs.cdelt[1])
        return Image(
            pixels=np.array(data, dtype=np.float64).reshape(data.shape[-2:]),
            wcs=wcs.celestial,
            frequency_hz=float(wcs.wcs.crval[axes["FREQ"]]),
            beam_pixels=(header["BMAJ"] / pixel_deg, header["BMIN"] / pixel_deg),
        )


def _measure(image: Image, source: Source) -> SourceComparison | None:
    """Compare one source; None if it is not well inside the image."""
    search, aperture = (int(np.ceil(beams * image.beam_pixels[0])) for beams in (SEARCH_BEAMS, APERTURE_BEAMS))
    column, row = image.wcs.wcs_world2pix(np.degrees([[source.ra, source.dec]]), 0)[0]
    if not _contains(image.pixels, row, column, margin=search + aperture + 1):
        return None
    middle = round(row), round(column)
    box = _square(image.pixels, middle, search)
    down, right = np.unravel_index(np.argmax(box), box.shape)
    peak = middle[0] - search + int(down), middle[1] - search + int(right)
    reach = max(2, round(image.beam_pixels[1] / 2))
    offset = find_top(_square(image.pixels, peak, reach))
    ra, dec = image.wcs.wcs_pix2world([[peak[1] + offset[1], peak[0] + offset[0]]], 0)[0]
    return SourceComparison(
        name=source.name,
        modelled=source.modelled,
        true_flux_jy=float(source.flux_at(image.frequency_hz)),
        flux_jy=integrate(_square(image.pixels, peak, aperture), offset, image.beam_pixels),
        true_ra=source.ra,
        true_dec=source.dec,
        ra=float(np.radians(ra)),
        dec=float(np.radians(dec)),
    )


def _contains(pixels: FloatArray, row: float, column: float, margin: int) -> bool:
    # Not a number, which stands for a place on the other side of the sky, is never inside.
    rows, columns = pixels.shape
    return bool(margin <= row < rows - margin and margin <= column < columns - margin)


def _square(pixels: FloatArray, middle: tuple[int, int], reach: int) -> FloatArray:
    row, column = middle
    return pixels[row - reach : row + reach + 1, column - reach : column + reach + 1]


def find_top(pixels: FloatArray) -> FloatArray:
    """Place of the top of a Gaussian through a few pixels.

    Parameters
    ----------
    pixels
        Square of odd size with the highest pixel in the middle.

    Returns
    -------
    offset
        Row and column of the top from the middle pixel; zero where there is no hill to fit.
    """
    nowhere = np.zeros(2)
    if not (np.isfinite(pixels) & (pixels > 0)).all():
        return nowhere
    # The logarithm of a Gaussian is a parabola, whatever its shape and direction.
    row, column = (axis.ravel() - pixels.shape[0] // 2 for axis in np.indices(pixels.shape))
    terms = np.stack([np.ones_like(row), row, column, row**2, row * column, column**2], axis=1)
    # The noise of a logarithm goes as one over the value: weigh it back.
    weight = pixels.ravel()
    fit = np.linalg.lstsq(terms * weight[:, np.newaxis], np.log(weight) * weight)[0]
    slope, (rr, rc, cc) = fit[1:3], fit[3:]
    sharpness = -np.array([[2 * rr, rc], [rc, 2 * cc]])
    if not (np.linalg.eigvalsh(sharpness) > 0).all():
        return nowhere
    offset = np.asarray(np.linalg.solve(sharpness, slope))
    return nowhere if (np.abs(offset) > 1).any() else offset


def integrate(pixels: FloatArray, offset: FloatArray, beam_pixels: tuple[float, float]) -> float:
    """Flux density within a circle in Jy: the sum over it, less what of a beam lies outside.

    CLEAN stands for a source between pixels by several beside each other, up and down. That
    lowers the peak by some percent and spoils the shape, but not the sum.

    Parameters
    ----------
    pixels
        Square of odd size in Jy per beam, as wide as the circle.
    offset
        Row and column of the source from the middle pixel.
    beam_pixels
        Axes of the beam, full width at half maximum. Its direction makes no difference.
    """
    reach = pixels.shape[0] // 2
    row, column = (axis - reach - at for axis, at in zip(np.indices(pixels.shape), offset, strict=True))
    inside = np.hypot(row, column) <= reach
    major, minor = beam_pixels
    beam = np.exp(-4 * np.log(2) * ((row / major) ** 2 + (column / minor) ** 2))
    return float(pixels[inside].sum() / beam[inside].sum())
