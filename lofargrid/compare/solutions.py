"""Solutions in h5parm files: the same tables of the same antennas, times and frequencies; gains nearly equal."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lofargrid.compare.deviation import Deviation, require_same_labels, verdict
from lofargrid.compare.outcome import reading, require_equal, require_same_names

SOLUTION_TOLERANCE = 1e-5
_BLOCK_VALUES = 1 << 20
_SOLUTION_ARRAYS = ("val", "weight")
_GAINS = ("amplitude", "phase")


def compare_solutions(first: Path, second: Path) -> str:
    """Compare two h5parm files.

    An amplitude may differ by a part of the rms amplitude of its antenna. A phase is compared as the gain
    exp(i phase), so that full turns do not count, and weighs as much as the amplitude of the same number and
    shape where there is one: the phase of a gain of zero means nothing. Other kinds (clock, TEC) may differ by a
    part of the rms of their table. Values of zero weight are not compared, their weights are.

    Returns
    -------
    detail
        How far they are from each other.

    Raises
    ------
    DifferenceError
        They are not the same.
    UnreadableError
        One of them is no HDF5 file, or a damaged one.
    """
    with _opened(first) as one, _opened(second) as other:
        nodes, others = (_nodes(file, path) for file, path in ((one, first), (other, second)))
        require_same_names("node", set(nodes), set(others))
        parts = {}
        for name, node in nodes.items():
            if _is_group(node):
                require_equal(f"type of {name}", node._v_title, others[name]._v_title)
            elif node._v_name not in _SOLUTION_ARRAYS:
                _compare_labels(name, (node, first), (others[name], second))
        for name in nodes:
            if name.endswith("/val"):
                pair = (_Table.of(nodes, name, first), _Table.of(others, name, second))
                parts[name.removesuffix("/val")] = _deviation(*pair)
    return verdict(parts, SOLUTION_TOLERANCE, "size")
