"""MeasurementSets in tars: the same rows, stations, frequencies and flags; unflagged visibilities nearly equal."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofargrid.compare.deviation import Deviation, require_same_labels, verdict
from lofargrid.compare.outcome import reading, require_equal, require_same_names
from lofargrid.compare.tars import unpack_measurement_set

VISIBILITY_TOLERANCE = 1e-5
_TIME_TOLERANCE_S = 1e-3
_BLOCK_SAMPLES = 1 << 20
_TIMES = ("TIME", "TIME_CENTROID", "INTERVAL", "EXPOSURE")
_SUBTABLES = {
    "ANTENNA": ("NAME", "POSITION"),
    "SPECTRAL_WINDOW": ("NUM_CHAN", "CHAN_FREQ", "CHAN_WIDTH", "REF_FREQUENCY"),
    "POLARIZATION": ("CORR_TYPE",),
    "DATA_DESCRIPTION": ("SPECTRAL_WINDOW_ID", "POLARIZATION_ID"),
    "FIELD": ("NAME", "PHASE_DIR"),
}


def compare_measurement_sets(first: Path, second: Path) -> str:
    """Compare two tars of one MeasurementSet each; both are unpacked to the folder for temporary files.

    Rows must stand in the same order. Values may differ by a part of the rms of their column, visibilities
    and weights where they are not flagged; autocorrelations, being much larger, have an rms of their own.

    Returns
    -------
    detail
        How far they are from each other.

    Raises
    ------
    DifferenceError
        They are not the same.
    UnreadableError
        One of them holds no MeasurementSet, or a damaged one.
    """
    with tempfile.TemporaryDirectory(prefix="lofargrid-compare-") as folder:
        one = unpack_measurement_set(first, Path(folder) / "first")
        other = unpack_measurement_set(second, Path(folder) / "second")
        for name, columns in _SUBTABLES.items():
            with _opened(one / name, first) as subtable, _opened(other / name, second) as other_subtable:
                _compare_subtable(name, columns, subtable, other_subtable)
        with _opened(one, first) as main, _opened(other, second) as other_main:
            parts = _compare_rows(main, other_main)
    return verdict(parts, VISIBILITY_TOLERANCE, "rms")


class _Table:
    """An open table of the MeasurementSet in a tar."""

    def __init__(self, table: Any, tar: Path) -> None:
        self._table = table
        self._tar = tar
        with reading(tar):
            self.rows = int(table.nrows())
            self.columns = set(table.colnames())

    def read(self, column: str, start: int = 0, count: int = -1) -> NDArray[Any] | None:
        """Give a column or some rows of it; None where nothing was ever written to it."""
        with reading(self._tar):
            if start >= self.rows or not self._table.iscelldefined(column, start):
                return None
            return np.asarray(self._table.getcol(column, start, count))


@contextmanager
def _opened(folder: Path, tar: Path) -> Iterator[_Table]:
    from casacore.tables import table

    with reading(tar):
        opened = table(str(folder), readonly=True, ack=False)
    with opened:
        yield _Table(opened, tar)


def _compare_subtable(name: str, columns: tuple[str, ...], first: _Table, second: _Table) -> None:
    require_equal(f"rows of {name}", first.rows, second.rows)
    for column in columns:
        _compare_exactly(f"{name} {column}", first.read(column), second.read(column))


def _compare_exactly(
    what: str, first: NDArray[Any] | None, second: NDArray[Any] | None, tolerance: float = 0.0
) -> None:
    if first is None or second is None:
        require_equal(f"{what} is empty", first is None, second is None)
    else:
        require_same_labels(what, first, second, tolerance)


def _compare_rows(first: _Table, second: _Table) -> dict[str, float]:
    """Give the largest difference of each column of values as a part of its rms."""
    require_equal("rows", first.rows, second.rows)
    require_same_names("column", first.columns, second.columns)
    found: dict[str, Deviation] = defaultdict(Deviation)
    flags = first.read("FLAG", 0, 1)
    step = 1 if flags is None else max(1, _BLOCK_SAMPLES // max(1, flags.size))
    for start in range(0, first.rows, step):
        _compare_block(first, second, (start, step), found)
    return {name: deviation.of_rms for name, deviation in found.items()}


def _compare_block(first: _Table, second: _Table, block: tuple[int, int], found: dict[str, Deviation]) -> None:
    _compare_exactly(f"FLAG from row {block[0]}", first.read("FLAG", *block), second.read("FLAG", *block))
    samples = _Samples(first, block)
    for column in sorted(first.columns - {"FLAG"}):
        one, other = first.read(column, *block), second.read(column, *block)
        if one is None or other is None or one.dtype.kind not in "fc" or column in _TIMES:
            what = f"{column} from row {block[0]}"
            _compare_exactly(what, one, other, _TIME_TOLERANCE_S if column in _TIMES else 0.0)
            continue
        require_equal(f"shape of {column}", one.shape, other.shape)
        for kind, use in samples.kinds(one.shape):
            found[column + kind].add(one.reshape(1, -1), other.reshape(1, -1), use.reshape(1, -1))


class _Samples:
    """Which values of a block of rows count, and with which others."""

    def __init__(self, table: _Table, block: tuple[int, int]) -> None:
        flags = table.read("FLAG", *block)
        self._good = None if flags is None else ~flags
        antennas = [table.read(name, *block) for name in ("ANTENNA1", "ANTENNA2")]
        self._auto = np.asarray(antennas[0] == antennas[1])

    def kinds(self, shape: tuple[int, ...]) -> list[tuple[str, NDArray[np.bool_]]]:
        """Give what to add to the name of a column, and the values this means."""
        if self._good is None or shape != self._good.shape:
            return [("", np.ones(shape, dtype=np.bool_))]
        auto = self._auto[:, np.newaxis, np.newaxis]
        kinds = [("", self._good & ~auto), (" of autocorrelations", self._good & auto)]
        return [(name, use) for name, use in kinds if use.any()]
