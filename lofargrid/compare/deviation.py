"""Arrays against arrays: labels that must be equal, values that may differ by a part of their size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofargrid.compare.outcome import DifferenceError, require_equal

# Room for the last digits of a sum in another order: 0.1 mHz at 150 MHz, 5 ms in a modified Julian date.
_LABEL_TOLERANCE = 1e-12


def require_same_labels(what: str, first: NDArray[Any], second: NDArray[Any], tolerance: float = 0.0) -> None:
    """Demand that two arrays that name or place something (frequencies, antennas, flags) are equal.

    Parameters
    ----------
    what
        Their name, for the message.
    first, second
        Numbers, flags or text, or records of these. Floats are equal but for their last digits.
    tolerance
        Largest difference that floats may have beside that, in their own unit.

    Raises
    ------
    DifferenceError
        The shapes or the values differ.
    """
    require_equal(f"shape of {what}", first.shape, second.shape)
    if first.dtype.names:
        require_equal(f"fields of {what}", first.dtype.names, second.dtype.names)
        for name in first.dtype.names:
            require_same_labels(f"{what} {name}", first[name], second[name], tolerance)
        return
    wrong = np.argwhere(~_equal(first, second, tolerance))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise DifferenceError(f"{what}: {first[place]} and {second[place]} at {list(place)}, {len(wrong)} differ")


def _equal(first: NDArray[Any], second: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
    if first.dtype.kind != "f" or second.dtype.kind != "f":
        return np.asarray(first == second)
    digits = 2 * max(float(np.finfo(first.dtype).eps), float(np.finfo(second.dtype).eps))
    rtol = max(_LABEL_TOLERANCE, digits)
    near = np.isclose(first, second, rtol=rtol, atol=tolerance + _LABEL_TOLERANCE, equal_nan=True)
    return np.asarray(near)


class Deviation:
    """The largest difference of values that come block by block, against the size of those values.

    Parameters
    ----------
    bins
        How many groups of values have a size of their own, such as stations with different gains.
    """

    def __init__(self, bins: int = 1) -> None:
        self._worst = np.zeros(bins)
        self._peak = np.zeros(bins)
        self._power = np.zeros(bins)
        self._count = np.zeros(bins)

    def add(self, first: NDArray[Any], second: NDArray[Any], use: NDArray[np.bool_]) -> None:
        """Add a block.

        Parameters
        ----------
        first, second
            Real or complex values, bins x values.
        use
            Which of them count, of the same shape.

        Raises
        ------
        DifferenceError
            A value that is not finite stands in one of them only.
        """
        finite = np.isfinite(first) & np.isfinite(second)
        odd = use & ~finite
        if not np.array_equal(first[odd], second[odd], equal_nan=True):
            raise DifferenceError("NaNs or infinities at different places")
        one, other = (self._used(values, use & finite) for values in (first, second))
        sizes = np.abs(one), np.abs(other)
        self._worst = np.maximum(self._worst, np.abs(one - other).max(axis=1, initial=0))
        for size in sizes:
            self._peak = np.maximum(self._peak, size.max(axis=1, initial=0))
            with np.errstate(over="ignore"):
                self._power += np.square(size).sum(axis=1) / 2
        self._count += np.count_nonzero(use & finite, axis=1)

    @staticmethod
    def _used(values: NDArray[Any], use: NDArray[np.bool_]) -> NDArray[Any]:
        wide = np.complex128 if values.dtype.kind == "c" else np.float64
        return np.where(use, values, 0).astype(wide)

    @property
    def of_rms(self) -> float:
        """The largest difference as a part of the rms of its bin."""
        return self._part(np.sqrt(self._power / np.maximum(self._count, 1)))

    @property
    def of_peak(self) -> float:
        """The largest difference as a part of the largest value in its bin."""
        return self._part(self._peak)

    def _part(self, size: NDArray[np.float64]) -> float:
        # Infinite sizes come of values too large to square: no difference is a small part of nonsense.
        known = np.isfinite(size) & (size > 0)
        part = np.divide(self._worst, size, out=np.full(len(size), np.inf), where=known)
        return float(np.where(self._worst == 0, 0.0, part).max(initial=0))


def verdict(parts: Mapping[str, float], tolerance: float, size: str) -> str:
    """Tell the largest of several differences.

    Parameters
    ----------
    parts
        By name of what was compared: the largest difference, as a part of its size.
    tolerance
        The part that is allowed.
    size
        What the size is, for the message.

    Raises
    ------
    DifferenceError
        It is more than is allowed.
    """
    name, worst = max(parts.items(), key=lambda item: item[1], default=("", 0.0))
    if worst == 0:
        return "equal values, in other bytes"
    text = f"largest difference {worst:.2g} of the {size} in {name}, {tolerance:g} allowed"
    if not worst <= tolerance:
        raise DifferenceError(text)
    return text
