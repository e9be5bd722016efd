"""FITS images: the same pixels on the same sky at the same frequency with the same beam."""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lofargrid.compare.deviation import Deviation, verdict
from lofargrid.compare.outcome import DifferenceError, reading, require_equal, require_same_names

IMAGE_TOLERANCE = 1e-4
_PIXEL_TOLERANCE = 1e-5
_BLOCK_PIXELS = 1 << 20
_TEXTS = re.compile(r"(CTYPE|CUNIT)\d+|RADESYS|SPECSYS|BUNIT|BTYPE")
_NUMBERS = re.compile(
    r"(NAXIS|CRVAL|CRPIX|CDELT|CROTA)\d+|(PC|CD|PV)\d+_\d+"
    r"|WCSAXES|LONPOLE|LATPOLE|EQUINOX|RESTFRQ|BMAJ|BMIN|BPA"
)
_BEAM = ("BMAJ", "BMIN", "BPA")


def compare_images(first: Path, second: Path) -> str:
    """Compare two FITS files.

    Returns
    -------
    detail
        How far they are from each other.

    Raises
    ------
    DifferenceError
        They are not the same.
    UnreadableError
        One of them is no FITS file, or a damaged one.
    """
    deviation = Deviation()
    with _opened(first) as one, _opened(second) as other:
        require_equal("number of HDUs", len(one), len(other))
        for number in range(len(one)):
            _compare_headers(_Header.of(one, number, first), _Header.of(other, number, second))
            _compare_data(_data(one, number, first), _data(other, number, second), deviation)
    return verdict({"pixels": deviation.of_peak}, IMAGE_TOLERANCE, "peak")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from astropy.io import fits

    with warnings.catch_warnings(), ExitStack() as stack:
        _set_warnings()
        with _reading(path):
            # Opened here, because astropy leaves open what it cannot read.
            stream = stack.enter_context(path.open("rb"))
            # The default reads HDUs when they are asked for, and leaves out damaged ones without a word.
            file = stack.enter_context(fits.open(stream, memmap=True, lazy_load_hdus=False))
        yield file


def _set_warnings() -> None:
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyUserWarning

    # A file that is cut short is only a warning to astropy; headers not quite to the standard are harmless.
    warnings.simplefilter("error", AstropyUserWarning)
    warnings.simplefilter("ignore", VerifyWarning)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    from astropy.io.fits import VerifyError
    from astropy.utils.exceptions import AstropyUserWarning

    with reading(path, VerifyError, AstropyUserWarning):
        yield


@dataclass(frozen=True)
class _Header:
    """The keywords that say where the pixels are and what they mean."""

    texts: dict[str, str]
    numbers: dict[str, float]

    @classmethod
    def of(cls, file: Any, number: int, path: Path) -> Self:
        with _reading(path):
            header = file[number].header
            texts = {key: str(header[key]) for key in header if _TEXTS.fullmatch(key)}
            numbers = {key: float(header[key]) for key in header if _NUMBERS.fullmatch(key)}
        return cls(texts, numbers)


def _data(file: Any, number: int, path: Path) -> NDArray[Any] | None:
    """Give the pixels of an image, the bytes of a table, or None where there is nothing."""
    from astropy.io import fits

    with _reading(path):
        hdu = file[number]
        # astropy maps no pixels into memory that it has to scale.
        data = fits.getdata(path, number, memmap=False) if _is_scaled(hdu.header) else hdu.data
        if data is None or hdu.is_image:
            return None if data is None else np.asarray(data)
        return np.frombuffer(data.tobytes(), dtype=np.uint8)


def _is_scaled(header: Any) -> bool:
    return "BLANK" in header or header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0


def _compare_headers(first: _Header, second: _Header) -> None:
    for kind in ("texts", "numbers"):
        require_same_names("header keyword", set(getattr(first, kind)), set(getattr(second, kind)))
    for key in sorted(first.texts):
        require_equal(key, first.texts[key], second.texts[key])
    one, other = first.numbers, second.numbers
    for key in sorted(one.keys() - _BEAM):
        if not abs(one[key] - other[key]) <= _allowed(key, one):
            raise DifferenceError(f"{key}: {one[key]:.15g} and {other[key]:.15g}")
    if one.keys() >= set(_BEAM):
        _compare_beams([one[key] for key in _BEAM], [other[key] for key in _BEAM])


def _allowed(key: str, header: Mapping[str, float]) -> float:
    """Give the difference that moves nothing by more than a hundred-thousandth of a pixel."""
    axis = re.sub(r"\D", "", key)
    cell = abs(header.get(f"CDELT{axis}", 0.0))
    if key.startswith("CRPIX"):
        return _PIXEL_TOLERANCE
    if key.startswith("CRVAL") and cell:
        return _PIXEL_TOLERANCE * cell
    if key.startswith("CDELT"):
        return _PIXEL_TOLERANCE * cell / max(1.0, header.get(f"NAXIS{axis}", 1.0))
    return 1e-9 * abs(header[key])


def _compare_beams(first: list[float], second: list[float]) -> None:
    """Compare restoring beams as ellipses, because the angle of a round one means nothing."""
    one, other = _ellipse(*first), _ellipse(*second)
    if not np.abs(one - other).max() <= 2 * IMAGE_TOLERANCE * np.abs(one).max():
        raise DifferenceError(f"beam ({', '.join(_BEAM)}): {first} and {second}")


def _ellipse(major: float, minor: float, angle_deg: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.asarray(turn @ np.diag([major**2, minor**2]) @ turn.T)


def _compare_data(first: NDArray[Any] | None, second: NDArray[Any] | None, deviation: Deviation) -> None:
    if first is None or second is None:
        require_equal("an HDU without data", first is None, second is None)
        return
    require_equal("shape", first.shape[::-1], second.shape[::-1])
    one, other = first.reshape(1, -1), second.reshape(1, -1)
    for start in range(0, one.shape[1], _BLOCK_PIXELS):
        block = slice(start, start + _BLOCK_PIXELS)
        use = np.ones(one[:, block].shape, dtype=np.bool_)
        deviation.add(one[:, block], other[:, block], use)
