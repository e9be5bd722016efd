#!/usr/bin/env python3
"""Measure calibration solutions (h5parm): are they all there, in order, and do they look like a calibration?

Prints one JSON object. Its names differ from those of inspect_ms.py: a job's measurements are put together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tables
from tell import tell


@dataclass(frozen=True)
class SolutionTable:
    """One table of solutions: ``values`` has the axes in the order of ``axes``; ``good`` says which count."""

    name: str
    kind: str
    axes: dict[str, np.ndarray]
    values: np.ndarray
    good: np.ndarray

    def by_frequency(self) -> list[float | None]:
        """Mean of the good values of each frequency: a fingerprint that shows whose values stand where."""
        if "freq" not in self.axes:
            return []
        axis = list(self.axes).index("freq")
        values, good = np.moveaxis(self.values, axis, 0), np.moveaxis(self.good, axis, 0)
        return [float(np.mean(row[use])) if use.any() else None for row, use in zip(values, good)]


def read(path: str) -> Iterator[tuple[str, SolutionTable]]:
    """Read the tables of all solution sets."""
    if Path(path).is_dir():
        raise ValueError("it is a folder; DP3 writes an h5parm only to a name that ends in .h5")
    with tables.open_file(path, "r") as file:
        for group in file.root._f_iter_nodes("Group"):
            for node in group._f_iter_nodes("Group"):
                if "val" in node:
                    yield group._v_name, solution_table(node)


def solution_table(node: Any) -> SolutionTable:
    """Read one table. A solution counts when it is a number and its weight is not 0."""
    names = node.val.attrs["AXES"]
    names = (names.decode() if isinstance(names, bytes) else str(names)).split(",")
    values = node.val[...]
    good = np.isfinite(values) & (node.weight[...] != 0 if "weight" in node else True)
    kind = node._v_attrs["TITLE"] if "TITLE" in node._v_attrs else node._v_name.rstrip("0123456789")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    axes = {name: node._f_get_child(name)[...] for name in names}
    return SolutionTable(node._v_name, kind, axes, values, good)


def measure(path: str) -> dict[str, Any]:
    """Measure all tables of an h5parm.

    Parameters
    ----------
    path
        The h5parm.
    """
    found = list(read(path))
    if not found:
        raise ValueError("it holds no solutions")
    every = [entry for _, entry in found]
    return {
        "solution_sets": sorted({name for name, _ in found}),
        "solution_tables": sorted(entry.name for entry in every),
        "solution_axes": {entry.name: {axis: len(of) for axis, of in entry.axes.items()} for entry in every},
        "solution_fraction": min(float(np.mean(entry.good)) if entry.good.size else 0.0 for entry in every),
        "solution_times": max(len(entry.axes.get("time", ())) for entry in every),
        "solution_stations": max(len(entry.axes.get("ant", ())) for entry in every),
        **frequencies(every),
        **amplitudes([entry for entry in every if entry.kind == "amplitude"]),
        "phase_by_frequency": fingerprint([entry for entry in every if entry.kind == "phase"]),
    }


def frequencies(every: list[SolutionTable]) -> dict[str, Any]:
    """Measure the frequency axis, which all tables should share."""
    axes = [entry.axes["freq"] for entry in every if "freq" in entry.axes]
    first = axes[0] if axes else np.zeros(0)
    return {
        "solution_frequencies": len(first),
        "solution_frequencies_hz": first,
        "duplicate_frequencies": max((len(axis) - len(np.unique(axis)) for axis in axes), default=0),
        "frequencies_agree": all(np.array_equal(axis, first) for axis in axes),
        "frequency_ordered": all(bool(np.all(np.diff(axis) > 0)) for axis in axes),
    }


def amplitudes(every: list[SolutionTable]) -> dict[str, Any]:
    """Measure gain amplitudes. A solver that did not converge leaves some that are far from all others."""
    good = np.concatenate([entry.values[entry.good] for entry in every]) if every else np.zeros(0)
    low, high = (float(good.min()), float(good.max())) if good.size else (None, None)
    return {
        "amplitude_minimum": low,
        "amplitude_median": float(np.median(good)) if good.size else None,
        "amplitude_maximum": high,
        "amplitude_ratio": high / low if low and high and low > 0 else None,
        "amplitude_by_frequency": fingerprint(every),
    }


def fingerprint(every: list[SolutionTable]) -> list[float | None] | None:
    """Fingerprint of the first table of a kind; None when there is no such table."""
    return every[0].by_frequency() if every else None


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="the h5parm")
    path = parser.parse_args(arguments).path
    return tell(path, lambda: measure(path))


if __name__ == "__main__":
    sys.exit(main())
