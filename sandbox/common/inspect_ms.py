#!/usr/bin/env python3
"""Measure a MeasurementSet, because the tools that write one end with code 0 whatever they wrote.

Prints one JSON object. Reads in blocks of rows, so that memory does not grow with the MeasurementSet.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from casacore.tables import table
from tell import tell

BLOCK_BYTES = 32_000_000
COMPLEX_BYTES = 8


class Grid:
    """Counts the rows of every time and of every baseline."""

    def __init__(self) -> None:
        self.rows = 0
        self.times: Counter[float] = Counter()
        self.baselines: Counter[int] = Counter()

    def add(self, times: np.ndarray, antenna1: np.ndarray, antenna2: np.ndarray) -> None:
        """Count a block of rows."""
        self.rows += len(times)
        pairs = antenna1.astype(np.int64) << 32 | antenna2
        for counter, values in ((self.times, times), (self.baselines, pairs)):
            found, counts = np.unique(values, return_counts=True)
            counter.update(dict(zip(found.tolist(), counts.tolist())))

    @property
    def complete(self) -> bool:
        """Whether every baseline stands once at every time."""
        times, baselines = len(self.times), len(self.baselines)
        return (
            self.rows == times * baselines > 0
            and set(self.times.values()) == {baselines}
            and set(self.baselines.values()) == {times}
        )


class Samples:
    """Adds up visibilities. Flagged ones count as flagged and as nothing else.

    Amplitudes are those between different stations: a station with itself measures its noise, is not imaged,
    and does not survive Dysco compression.
    """

    def __init__(self, channels: int) -> None:
        self.total = np.zeros(channels)
        self.good = np.zeros(channels)
        self.crossed = np.zeros(channels)
        self.power = np.zeros(channels)
        self.zeros = 0
        self.infinite = 0
        self.highest = 0.0

    def add(self, data: np.ndarray, flags: np.ndarray, crossed: np.ndarray) -> None:
        """Add a block of rows x channels x correlations; ``crossed`` marks rows of two different stations."""
        good = ~flags
        with np.errstate(over="ignore", invalid="ignore"):
            power = np.square(data.real, dtype=np.float64) + np.square(data.imag, dtype=np.float64)
        finite = np.isfinite(power)
        self.infinite += int(np.count_nonzero(good & ~finite))
        self.zeros += int(np.count_nonzero(good & (power == 0)))
        self.total += data.shape[0] * data.shape[2]
        self.good += np.count_nonzero(good, axis=(0, 2))
        use = good & finite & crossed[:, np.newaxis, np.newaxis]
        power[~use] = 0
        self.crossed += np.count_nonzero(use, axis=(0, 2))
        self.power += power.sum(axis=(0, 2))
        self.highest = max(self.highest, float(power.max(initial=0)))

    def measurements(self) -> dict[str, Any]:
        """Say what the samples are; a mean over nothing is 0."""
        good, flagged = self.good.sum(), np.flatnonzero(self.good == 0)
        return {
            "finite": self.infinite == 0,
            "flagged_fraction": 1 - good / max(self.total.sum(), 1),
            "zero_fraction": self.zeros / max(good, 1),
            "fully_flagged_channels": len(flagged),
            "fully_flagged_channel_list": flagged,
            "rms": np.sqrt(self.power.sum() / max(self.crossed.sum(), 1)),
            "max_amplitude": np.sqrt(self.highest),
            "channel_rms": np.sqrt(self.power / np.maximum(self.crossed, 1)),
        }


def measure(
    path: str, column: str, source: str | None, headers_only: bool, reference: str | None = None
) -> dict[str, Any]:
    """Measure a MeasurementSet.

    Parameters
    ----------
    path
        The MeasurementSet.
    column
        Name of its data column.
    source
        What it was made from, to compare time and frequency with; None to compare with nothing.
    headers_only
        Leave the visibilities unread.
    reference
        One whose visibilities are to be compared in strength; None to compare with nothing.
    """
    with open_table(path) as main:
        if "ANTENNA1" not in main.colnames():
            raise ValueError("this table is not a MeasurementSet")
        found = {**times(main, path), **frequencies(path)}
        if not headers_only:
            found.update(correlations_and_samples(main, column, found["channels"]))
    if source:
        found.update(compared(found, source))
    if reference:
        strength = measure(reference, column, None, False)["rms"]
        found["rms_to_reference"] = found["rms"] / strength if strength else None
    return found


def open_table(path: str) -> table:
    """Open a table without waiting for whoever else has it open."""
    return table(path, ack=False, lockoptions="autonoread")


def blocks(rows: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Cut rows to blocks: first row and number of rows."""
    step = max(BLOCK_BYTES // max(row_bytes, 1), 1)
    for start in range(0, rows, step):
        yield start, min(step, rows - start)


def times(main: table, path: str) -> dict[str, Any]:
    """Measure rows, times and baselines."""
    grid = Grid()
    for block in blocks(main.nrows(), 32):
        grid.add(*(main.getcol(name, *block) for name in ("TIME", "ANTENNA1", "ANTENNA2")))
    if not grid.rows:
        raise ValueError("it has no rows")
    first, last, interval = min(grid.times), max(grid.times), float(main.getcell("INTERVAL", 0))
    observation = headers(path, "OBSERVATION")
    span = last - first + interval
    return {
        "rows": grid.rows,
        "times": len(grid.times),
        "missing_times": round(span / interval) - len(grid.times) if interval > 0 else None,
        "baselines": len(grid.baselines),
        "stations": len(headers(path, "ANTENNA")["NAME"]),
        "complete": grid.complete,
        "interval_s": interval,
        "start": first - interval / 2,
        "end": last + interval / 2,
        "time_coverage": coverage(span, observation.get("TIME_RANGE")),
        "clock_mhz": clock(observation.get("LOFAR_CLOCK_FREQUENCY")),
    }


def headers(path: str, name: str) -> dict[str, Any]:
    """Read the columns that matter here of one of the small tables."""
    wanted = {"TIME_RANGE", "LOFAR_CLOCK_FREQUENCY", "NAME", "CHAN_FREQ", "CHAN_WIDTH"}
    with open_table(f"{path}::{name}") as found:
        rows = found.nrows()
        return {column: found.getcol(column) for column in found.colnames() if column in wanted and rows}


def coverage(span: float, observed: np.ndarray | None) -> float | None:
    """Compare the time that is there with the time that was observed; None where nobody wrote that down."""
    if observed is None:
        return None
    duration = float(np.max(observed) - np.min(observed))
    return span / duration if duration > 0 else None


def clock(values: np.ndarray | None) -> int | None:
    """Read the clock in MHz. LOFAR writes MHz, some tools rewrite it to Hz."""
    value = 0.0 if values is None else float(values[0])
    megahertz = round(value / 1e6 if value > 1e6 else value)
    return megahertz or None


def frequencies(path: str) -> dict[str, Any]:
    """Measure the channels of the one spectral window."""
    window = headers(path, "SPECTRAL_WINDOW")
    if len(window.get("CHAN_FREQ", ())) != 1:
        raise ValueError(f"it has {len(window.get('CHAN_FREQ', ()))} spectral windows, one is expected")
    centres, widths = window["CHAN_FREQ"][0], np.abs(window["CHAN_WIDTH"][0])
    low, high = np.min(centres - widths / 2), np.max(centres + widths / 2)
    return {
        "channels": len(centres),
        "frequencies_hz": centres,
        "centre_frequency_hz": (low + high) / 2,
        "channel_width_hz": widths[0],
        "bandwidth_hz": high - low,
        "channel_widths": len(np.unique(np.round(widths, 3))),
        "regular": regular(centres, widths),
    }


def regular(centres: np.ndarray, widths: np.ndarray) -> bool:
    """Tell whether the channels, in order, touch and have one width: to a thousandth of it."""
    near = widths[0] / 1000
    same = np.abs(widths - widths[0]) < near
    return bool(np.all(same) and np.all(np.abs(np.diff(centres) - widths[0]) < near))


def correlations_and_samples(main: table, column: str, channels: int) -> dict[str, Any]:
    """Measure the visibilities of a column, if they have the channels that the headers tell."""
    if column not in main.colnames():
        raise ValueError(f"it has no column {column}")
    shape: list[int] = list(main.getcell(column, 0).shape)
    if len(shape) != 2 or shape[0] != channels:
        raise ValueError(f"{column} has the shape {shape} where the spectral window has {channels} channels")
    samples = Samples(channels)
    for block in blocks(main.nrows(), shape[0] * shape[1] * COMPLEX_BYTES):
        crossed = main.getcol("ANTENNA1", *block) != main.getcol("ANTENNA2", *block)
        samples.add(main.getcol(column, *block), main.getcol("FLAG", *block), crossed)
    return {"correlations": shape[1], **samples.measurements()}


def compared(found: dict[str, Any], source: str) -> dict[str, Any]:
    """Compare with what a MeasurementSet was made from.

    Where that was cut short, only its own headers tell: DP3 writes the time range anew, as if all were there.
    """
    with open_table(source) as main:
        origin = {**times(main, source), **frequencies(source)}
    return {
        "source_complete": origin["complete"],
        "source_time_coverage": origin["time_coverage"],
        "kept_time": (found["end"] - found["start"]) / (origin["end"] - origin["start"]),
        "kept_bandwidth": found["bandwidth_hz"] / origin["bandwidth_hz"],
        "kept_baselines": found["baselines"] / origin["baselines"],
    }


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="the MeasurementSet")
    parser.add_argument("--column", default="DATA", help="data column (default: DATA)")
    parser.add_argument("--source", help="the MeasurementSet that it was made from, to compare with")
    parser.add_argument("--reference", help="a MeasurementSet to compare the strength of the visibilities with")
    parser.add_argument("--headers-only", action="store_true", help="leave the visibilities unread")
    given = parser.parse_args(arguments)
    options = (given.column, given.source, given.headers_only, given.reference)
    return tell(given.path, lambda: measure(given.path, *options))


if __name__ == "__main__":
    sys.exit(main())
