"""Fills the subtables of a measurement set that tools read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from casacore import tables

from lofargrid.demo.options import CLOCK_MHZ
from lofargrid.demo.raw import RawSubband

CORRELATIONS = 4
CORR_TYPE_XX_XY_YX_YY = (9, 10, 11, 12)
FREQUENCY_TOPOCENTRIC = 5
STATION_DIAMETER_M = 31.26


def write_subtables(path: Path, raw: RawSubband) -> None:
    """Fill the empty subtables of a new measurement set."""
    _write_array(path, raw)
    _write_spectrum(path, raw)
    _write_observation(path, raw)
    _write_field(path, raw)
    _write_history(path, raw)


def _write_array(path: Path, raw: RawSubband) -> None:
    stations = len(raw.array.names)
    antenna = {
        "NAME": list(raw.array.names),
        "STATION": ["LOFAR"] * stations,
        "TYPE": ["GROUND-BASED"] * stations,
        "MOUNT": ["X-Y"] * stations,
        "POSITION": raw.array.positions_m,
        "OFFSET": np.zeros((stations, 3)),
        "DISH_DIAMETER": np.full(stations, STATION_DIAMETER_M),
        "FLAG_ROW": [False] * stations,
    }
    feed = {
        "ANTENNA_ID": list(range(stations)),
        "FEED_ID": [0] * stations,
        "SPECTRAL_WINDOW_ID": [-1] * stations,
        "TIME": np.full(stations, raw.middle_mjd_s),
        "INTERVAL": np.full(stations, raw.duration_s),
        "NUM_RECEPTORS": [2] * stations,
        "BEAM_ID": [-1] * stations,
        "BEAM_OFFSET": np.zeros((stations, 2, 2)),
        "POLARIZATION_TYPE": {"shape": [stations, 2], "array": ["X", "Y"] * stations},
        "POL_RESPONSE": np.tile(np.eye(2, dtype=np.complex64), (stations, 1, 1)),
        "POSITION": np.zeros((stations, 3)),
        "RECEPTOR_ANGLE": np.tile([-np.pi / 4, np.pi / 4], (stations, 1)),
    }
    _fill(path / "ANTENNA", stations, antenna)
    _fill(path / "FEED", stations, feed)


def _write_spectrum(path: Path, raw: RawSubband) -> None:
    channels = len(raw.frequencies_hz)
    widths = np.full((1, channels), raw.channel_width_hz)
    window = {
        "NAME": [f"SB-{raw.abn}"],
        "NUM_CHAN": [channels],
        "CHAN_FREQ": raw.frequencies_hz[np.newaxis],
        "CHAN_WIDTH": widths,
        "EFFECTIVE_BW": widths,
        "RESOLUTION": widths,
        "REF_FREQUENCY": [float(np.mean(raw.frequencies_hz))],
        "TOTAL_BANDWIDTH": [channels * raw.channel_width_hz],
        "MEAS_FREQ_REF": [FREQUENCY_TOPOCENTRIC],
        "NET_SIDEBAND": [1],
        "FLAG_ROW": [False],
    }
    polarization = {
        "NUM_CORR": [CORRELATIONS],
        "CORR_TYPE": np.array([CORR_TYPE_XX_XY_YX_YY], dtype=np.int32),
        "CORR_PRODUCT": np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]], dtype=np.int32),
        "FLAG_ROW": [False],
    }
    link = {"SPECTRAL_WINDOW_ID": [0], "POLARIZATION_ID": [0], "FLAG_ROW": [False]}
    _fill(path / "SPECTRAL_WINDOW", 1, window)
    _fill(path / "POLARIZATION", 1, polarization)
    _fill(path / "DATA_DESCRIPTION", 1, link)


def _write_observation(path: Path, raw: RawSubband) -> None:
    # The LOFAR_ columns are those by which a reader turns a frequency into a subband number.
    texts = {
        "LOFAR_OBSERVATION_ID": str(raw.sas_id),
        "LOFAR_ANTENNA_SET": "HBA_DUAL_INNER",
        "LOFAR_FILTER_SELECTION": "HBA_110_190",
    }
    with tables.table(str(path / "OBSERVATION"), readonly=False, ack=False) as table:
        table.addcols(tables.maketabdesc([tables.makescacoldesc(name, "") for name in texts]))
        table.addcols(tables.maketabdesc([tables.makescacoldesc("LOFAR_CLOCK_FREQUENCY", 0.0)]))
        table.addcols(tables.maketabdesc([tables.makescacoldesc("LOFAR_SUB_ARRAY_POINTING", 0)]))
        table.putcolkeywords("LOFAR_CLOCK_FREQUENCY", {"QuantumUnits": ["MHz"]})
    observation = {
        "TELESCOPE_NAME": ["LOFAR"],
        "TIME_RANGE": np.array([raw.time_range_mjd_s]),
        "OBSERVER": ["lofargrid demo"],
        "PROJECT": ["DEMO"],
        "RELEASE_DATE": [raw.time_range_mjd_s[1]],
        "FLAG_ROW": [False],
        **{name: [text] for name, text in texts.items()},
        "LOFAR_CLOCK_FREQUENCY": [CLOCK_MHZ],
        "LOFAR_SUB_ARRAY_POINTING": [raw.sap],
    }
    processor = {"TYPE": ["CORRELATOR"], "SUB_TYPE": [""], "TYPE_ID": [-1], "MODE_ID": [-1]}
    _fill(path / "OBSERVATION", 1, observation)
    _fill(path / "PROCESSOR", 1, {**processor, "FLAG_ROW": [False]})


def _write_field(path: Path, raw: RawSubband) -> None:
    direction = np.array([[raw.centre]])
    field = {
        "NAME": [raw.field],
        "TIME": [raw.middle_mjd_s],
        "NUM_POLY": [0],
        "SOURCE_ID": [-1],
        "DELAY_DIR": direction,
        "PHASE_DIR": direction,
        "REFERENCE_DIR": direction,
        "FLAG_ROW": [False],
    }
    _fill(path / "FIELD", 1, field)


def _write_history(path: Path, raw: RawSubband) -> None:
    # DP3 cannot open a measurement set whose history is empty.
    history = {
        "TIME": [raw.time_range_mjd_s[1]],
        "OBSERVATION_ID": [0],
        "MESSAGE": ["made by lofargrid.demo"],
        "PRIORITY": ["NORMAL"],
        "ORIGIN": ["lofargrid.demo"],
        "OBJECT_ID": [0],
        "APPLICATION": ["lofargrid.demo"],
        "CLI_COMMAND": {"shape": [1, 1], "array": [""]},
        "APP_PARAMS": {"shape": [1, 1], "array": [""]},
    }
    _fill(path / "HISTORY", 1, history)


def _fill(path: Path, rows: int, columns: Mapping[str, Any]) -> None:
    """Add rows to an empty subtable and give its columns their values."""
    with tables.table(str(path), readonly=False, ack=False) as table:
        for column, values in columns.items():
            if isinstance(values, np.ndarray) and values.ndim > 1:
                _fix_shape(table, column, values.shape[1:])
        table.addrows(rows)
        for column, values in columns.items():
            table.putcol(column, values)


def _fix_shape(table: Any, column: str, shape: tuple[int, ...]) -> None:
    """Give every cell of an array column one shape.

    Arrays of free shape go to a file of their own, where casacore leaves whatever was in memory
    between them, and the same data would not give the same bytes.
    """
    description = table.getcoldesc(column)
    description |= {"ndim": len(shape), "shape": list(shape), "option": 5}
    table.removecols(column)
    table.addcols({column: description})
