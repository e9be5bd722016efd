"""FITS images: the same pixels on the same sky at the same frequency with the same beam."""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofargrid.compare.deviation import Deviation, verdict
from lofargrid.compare.outcome import DifferenceError, reading, require_equal, require_same_names

IMAGE_TOLERANCE = 1e-4
_PIXEL_TOLERANCE = 1e-5
_BLOCK_PIXELS = 1 << 20
_KEYWORDS = re.compile(
    r"(NAXIS|CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)\d+|(PC|CD|PV)\d+_\d+"
    r"|WCSAXES|LONPOLE|LATPOLE|RADESYS|EQUINOX|SPECSYS|RESTFRQ|BUNIT|BTYPE|BMAJ|BMIN|BPA"
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
            _compare_headers(_header(one, number, first), _header(other, number, second))
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


def _header(file: Any, number: int, path: Path) -> dict[str, str | float]:
    """Give the keywords that say where the pixels are and what they mean."""
    with _reading(path):
        header = file[number].header
        return {key: header[key] for key in header if _KEYWORDS.fullmatch(key)}


def _data(file: Any, number: int, path: Path) -> NDArray[Any] | None:
    """Give the pixels of an image, the bytes of a table, or None where there is nothing."""
    with _reading(path):
        data = file[number].data
        if data is None or file[number].is_image:
            return None if data is None else np.asarray(data)
        return np.frombuffer(data.tobytes(), dtype=np.uint8)


def _compare_headers(first: Mapping[str, str | float], second: Mapping[str, str | float]) -> None:
    require_same_names("header keyword", set(first), set(second))
    for key in sorted(first.keys() - _BEAM):
        one, other = first[key], second[key]
        if isinstance(one, str) or isinstance(other, str):
            require_equal(key, one, other)
        elif not abs(one - other) <= _allowed(key, first):
            raise DifferenceError(f"{key}: {one!r} and {other!r}")
    if first.keys() >= set(_BEAM):
        _compare_beams(*([float(header[key]) for key in _BEAM] for header in (first, second)))


def _allowed(key: str, header: Mapping[str, str | float]) -> float:
    """Give the difference that moves nothing by more than a hundred-thousandth of a pixel."""
    axis = re.sub(r"\D", "", key)
    cell = abs(float(header.get(f"CDELT{axis}", 0)))
    if key.startswith("CRPIX"):
        return _PIXEL_TOLERANCE
    if key.startswith("CRVAL") and cell:
        return _PIXEL_TOLERANCE * cell
    if key.startswith("CDELT"):
        return _PIXEL_TOLERANCE * cell / float(header[f"NAXIS{axis}"])
    return 1e-9 * abs(float(header[key]))


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
