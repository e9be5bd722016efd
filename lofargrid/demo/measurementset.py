"""Writes one raw LOFAR measurement set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from casacore import tables

from lofargrid.demo.raw import RawSubband
from lofargrid.demo.subtables import CORRELATIONS, write_subtables


def write_measurement_set(path: Path, raw: RawSubband) -> None:
    """Write a measurement set; `path` must not exist."""
    _write_main(path, raw)
    write_subtables(path, raw)


def _write_main(path: Path, raw: RawSubband) -> None:
    table = tables.default_ms(str(path), _main_description(raw), _tiles(raw))
    times, baselines, channels, _ = raw.data.shape
    table.addrows(times * baselines)
    cells = (times * baselines, channels, CORRELATIONS)
    table.putcol("DATA", raw.data.reshape(cells).astype(np.complex64))
    table.putcol("FLAG", np.zeros(cells, dtype=np.bool_))
    table.putcol("WEIGHT_SPECTRUM", np.ones(cells, dtype=np.float32))
    table.putcol("UVW", raw.uvw_m.reshape(-1, 3))
    for column, values in _row_columns(raw).items():
        table.putcol(column, values)
    table.close()


def _row_columns(raw: RawSubband) -> dict[str, Any]:
    """Columns of the main table with one small value a row."""
    times, baselines = raw.data.shape[:2]
    rows = times * baselines
    first, second = np.array(raw.array.baselines, dtype=np.int32).T
    middle = np.repeat(raw.times_mjd_s, baselines)
    length = np.full(rows, raw.interval_s)
    ones = np.ones((rows, CORRELATIONS), dtype=np.float32)
    return {
        "ANTENNA1": np.tile(first, times),
        "ANTENNA2": np.tile(second, times),
        "TIME": middle,
        "TIME_CENTROID": middle,
        "INTERVAL": length,
        "EXPOSURE": length,
        "WEIGHT": ones,
        "SIGMA": ones,
        "FLAG_ROW": np.zeros(rows, dtype=np.bool_),
    }


def _main_description(raw: RawSubband) -> dict[str, Any]:
    """Columns of the main table."""
    shape = [raw.data.shape[2], CORRELATIONS]
    # Values that stay the same from row to row take no space with the incremental manager.
    columns = [
        _array_column("DATA", 0j, shape, "TiledColumnStMan", "complex"),
        _array_column("FLAG", False, shape, "TiledColumnStMan", "boolean"),
        _array_column("UVW", 0.0, [3], "TiledColumnStMan", "double"),
        _array_column("WEIGHT_SPECTRUM", 0.0, shape, "IncrementalStMan", "float"),
        _array_column("WEIGHT", 0.0, [CORRELATIONS], "IncrementalStMan", "float"),
        _array_column("SIGMA", 0.0, [CORRELATIONS], "IncrementalStMan", "float"),
    ]
    required = tables.required_ms_desc("MAIN")
    slow = {
        name: {**column, "dataManagerType": "IncrementalStMan", "dataManagerGroup": "Slow"}
        for name, column in required.items()
        if "valueType" in column and not name.startswith("ANTENNA")
    }
    description = {**required, **slow, **tables.maketabdesc(columns)}
    description["UVW"]["keywords"] = {
        "QuantumUnits": ["m", "m", "m"],
        "MEASINFO": {"type": "uvw", "Ref": "J2000"},
    }
    return description


def _tiles(raw: RawSubband) -> dict[str, Any]:
    """Storage managers of the large columns.

    A tile holds one time, so that the last tile is full and nothing is padded.
    """
    baselines, channels = raw.data.shape[1:3]
    tiles = {
        "DATA": [CORRELATIONS, channels, baselines],
        "FLAG": [CORRELATIONS, channels, baselines],
        "UVW": [3, baselines],
    }
    return {
        f"*{number}": {
            "TYPE": "TiledColumnStMan",
            "NAME": f"Tiled{name}",
            "SEQNR": number,
            "SPEC": {"DEFAULTTILESHAPE": tile},
            "COLUMNS": [name],
        }
        for number, (name, tile) in enumerate(tiles.items(), start=1)
    }


def _array_column(name: str, value: object, shape: list[int], manager: str, value_type: str) -> Mapping[str, Any]:
    """Description of a column of arrays that all have one shape."""
    column: Mapping[str, Any] = tables.makearrcoldesc(
        name,
        value,
        ndim=len(shape),
        shape=shape,
        options=5,
        datamanagertype=manager,
        datamanagergroup="Slow" if manager == "IncrementalStMan" else name,
        valuetype=value_type,
    )
    return column
