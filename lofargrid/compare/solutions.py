"""Solutions in h5parm files: the same tables of the same antennas, times and frequencies; gains nearly equal."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofargrid.compare.deviation import Deviation, require_same_labels, verdict
from lofargrid.compare.outcome import UnreadableError, reading, require_equal, require_same_names

SOLUTION_TOLERANCE = 1e-5
_BLOCK_VALUES = 1 << 20

Index = tuple[slice, ...]


def compare_solutions(first: Path, second: Path) -> str:
    """Compare two h5parm files.

    An amplitude may differ by a part of the rms amplitude of its antenna. A phase is compared as a gain, so
    that full turns do not count, with the amplitude of the table of the same number where there is one: the
    phase of a gain near zero means nothing. Other kinds (clock, TEC) may differ by a part of the rms of their
    table. Values of weight zero are not compared.

    Returns
    -------
    detail
        How far they are from each other.

    Raises
    ------
    DifferenceError
        They are not the same.
    UnreadableError
        One of them is no h5parm, or a damaged one.
    """
    with _opened(first) as one, _opened(second) as other:
        _compare_structure(one, other)
        parts: dict[str, float] = {}
        for table in one.tables:
            parts.update(_compare_table(table, one, other))
    return verdict(parts, SOLUTION_TOLERANCE, "rms")


class _H5parm:
    """An open file, read by names of nodes such as /sol000/phase000/val."""

    def __init__(self, file: Any, path: Path) -> None:
        self._path = path
        with reading(path):
            self._nodes = {node._v_pathname: node for node in file.walk_nodes("/")}
        if not self.tables:
            raise UnreadableError(f"{path} cannot be read: it holds no solution table, so it is no h5parm")

    @property
    def names(self) -> set[str]:
        return set(self._nodes)

    @property
    def tables(self) -> list[str]:
        return sorted(name.removesuffix("/val") for name in self._nodes if name.endswith("/val"))

    def kind(self, name: str) -> str:
        """Give what a group says it is, such as phase, or the shape of an array."""
        node = self._nodes[name]
        with reading(self._path):
            shape = getattr(node, "shape", None)
            return str(node._v_title) if shape is None else f"shape {[int(length) for length in shape]}"

    def axes(self, table: str) -> list[str]:
        with reading(self._path):
            axes = self._nodes[f"{table}/val"].attrs["AXES"]
            return (axes.decode() if isinstance(axes, bytes) else str(axes)).split(",")

    def shape(self, table: str) -> tuple[int, ...]:
        return tuple(int(length) for length in self._nodes[f"{table}/val"].shape)

    def read(self, name: str, index: Index | None = None) -> NDArray[Any]:
        with reading(self._path):
            return np.asarray(self._nodes[name][slice(None) if index is None else index])


@contextmanager
def _opened(path: Path) -> Iterator[_H5parm]:
    import tables

    with reading(path):
        file = tables.open_file(str(path), "r")
    with file:
        yield _H5parm(file, path)


def _compare_structure(first: _H5parm, second: _H5parm) -> None:
    require_same_names("node", first.names, second.names)
    for name in sorted(first.names):
        require_equal(name, first.kind(name), second.kind(name))
    values = {f"{table}/{name}" for table in first.tables for name in ("val", "weight")}
    for name in sorted(first.names - values):
        if first.kind(name).startswith("shape"):
            require_same_labels(name, first.read(name), second.read(name))


def _compare_table(table: str, first: _H5parm, second: _H5parm) -> dict[str, float]:
    """Give the largest differences of the values and of the weights as parts of their rms."""
    axes, shape = first.axes(table), first.shape(table)
    require_equal(f"axes of {table}", axes, second.axes(table))
    antenna = axes.index("ant") if "ant" in axes and _is_gain(first, table) else None
    values, weights = Deviation(1 if antenna is None else shape[antenna]), Deviation()
    for index in _blocks(shape, antenna):
        weight, other_weight = _weight(first, table, index), _weight(second, table, index)
        use = weight != 0
        require_same_labels(f"flags of {table}", use, other_weight != 0)
        weights.add(*(_rows(array, None) for array in (weight, other_weight, use)))
        size = _size(first, table, index)
        gains = (_values(file, table, index, size) for file in (first, second))
        values.add(*(_rows(array, antenna) for array in (*gains, use)))
    return {table: values.of_rms, f"weights of {table}": weights.of_rms}


def _kind(file: _H5parm, table: str) -> str:
    return file.kind(table) or table.rsplit("/", 1)[1].rstrip("0123456789")


def _is_phase(file: _H5parm, table: str) -> bool:
    kind = _kind(file, table)
    return "phase" in kind or (kind.startswith("rotation") and "measure" not in kind)


def _is_gain(file: _H5parm, table: str) -> bool:
    return _is_phase(file, table) or "amplitude" in _kind(file, table)


def _weight(file: _H5parm, table: str, index: Index) -> NDArray[Any]:
    if f"{table}/weight" in file.names:
        return file.read(f"{table}/weight", index)
    return np.ones_like(file.read(f"{table}/val", index), dtype=np.float32)


def _size(file: _H5parm, table: str, index: Index) -> NDArray[Any] | None:
    """Give the amplitudes that belong to phases, 1 where there is none; None for other kinds."""
    if not _is_phase(file, table):
        return None
    partner = table.replace("phase", "amplitude")
    if partner == table or f"{partner}/val" not in file.names or file.shape(partner) != file.shape(table):
        return np.ones(1)
    amplitude = np.abs(file.read(f"{partner}/val", index))
    return np.where(np.isfinite(amplitude), amplitude, 1.0)


def _values(file: _H5parm, table: str, index: Index, size: NDArray[Any] | None) -> NDArray[Any]:
    values = file.read(f"{table}/val", index)
    if size is None:
        return values
    with np.errstate(invalid="ignore"):
        return np.asarray(size * np.exp(1j * values))


def _blocks(shape: tuple[int, ...], antenna: int | None) -> Iterator[Index]:
    """Cut an array into parts that hold all antennas, along its first other axis."""
    axis = next((number for number in range(len(shape)) if number != antenna), None)
    if axis is None:
        yield (slice(None),) * len(shape)
        return
    step = max(1, _BLOCK_VALUES // max(1, math.prod(shape[:axis] + shape[axis + 1 :])))
    for start in range(0, shape[axis], step):
        yield (*(slice(None),) * axis, slice(start, start + step))


def _rows(array: NDArray[Any], antenna: int | None) -> NDArray[Any]:
    if antenna is None:
        return array.reshape(1, -1)
    return np.moveaxis(array, antenna, 0).reshape(array.shape[antenna], -1)
