"""Small MeasurementSets, the real tools, and a judge of expectations."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import casacore.tables as casacore_tables
import numpy as np
import pytest
import yaml
from jinja2 import Environment, StrictUndefined

SANDBOX = Path(__file__).parents[3] / "sandbox"
COMMON = SANDBOX / "common"
sys.path.insert(0, str(COMMON))

START_S = 5.0e9
INTERVAL_S = 4.0
SUBBAND_HZ = 200e6 / 1024
SKYMODEL = "FORMAT = Name, Type, Ra, Dec, I\ncentre, POINT, 08:13:03.874, +33.03.34.79, 10.0\n"


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    """Environment of the tools: DP3 looks the telescope up in casacore's measures data."""
    data = Path(casacore_tables.__file__).parents[1] / "data"
    casarc = tmp_path_factory.mktemp("environment") / "casarc"
    casarc.write_text(f"measures.directory: {data}\n")
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": tools, "CASARCFILES": str(casarc), "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def run(environment) -> Callable[..., subprocess.CompletedProcess]:
    """Run a tool in a folder."""

    def call(folder: Path, *words: str) -> subprocess.CompletedProcess:
        if shutil.which(words[0], path=environment["PATH"]) is None:
            pytest.fail(f"{words[0]} is not on PATH; `make setup` brings it")
        return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return call


@pytest.fixture(scope="session")
def dp3(run) -> Callable[..., subprocess.CompletedProcess]:
    """Run DP3 as every parset here does: a key that it does not know is an error."""
    return lambda folder, *keys: run(folder, "DP3", "checkparset=1", "numthreads=1", *keys)


@pytest.fixture
def inspect(capsys) -> Callable[..., dict[str, Any]]:
    """Call an inspection in this process and read its JSON."""

    def call(script: str, *arguments: object) -> dict[str, Any]:
        code = __import__(script).main([str(word) for word in arguments])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


def make_ms(path: Path, abn: int = 700, channels: int = 4, times: int = 8, stations: int = 5, **more: Any) -> Path:
    """Make a MeasurementSet of a point source in the phase centre, with casacore alone.

    ``data`` replaces the visibilities, ``start`` the first time, ``observed`` the duration in the headers.
    """
    description = casacore_tables.required_ms_desc("MAIN")
    columns = [
        casacore_tables.makearrcoldesc("DATA", 0j, 2, valuetype="complex"),
        casacore_tables.makearrcoldesc("WEIGHT_SPECTRUM", 0.0, 2, valuetype="float"),
    ]
    description.update(casacore_tables.maketabdesc(columns))
    casacore_tables.default_ms(str(path), description).close()
    _fill_main(path, abn, channels, times, stations, more)
    _fill_headers(path, abn, channels, stations, more.get("observed", times * INTERVAL_S))
    return path


def _fill_main(path: Path, abn: int, channels: int, times: int, stations: int, more: dict[str, Any]) -> None:
    random = np.random.default_rng(abn)
    first, second = (index.astype(np.int32) for index in np.triu_indices(stations))
    rows, shape = len(first) * times, (len(first) * times, channels, 4)
    noise = random.normal(0, 0.5, (2, *shape))
    data = more.get("data", np.array([10, 0, 0, 10]) * (1 + 0.01 * (abn % 10)) + noise[0] + 1j * noise[1])
    stamps = np.repeat(more.get("start", START_S) + INTERVAL_S * (np.arange(times) + 0.5), len(first))
    with casacore_tables.table(str(path), readonly=False, ack=False) as main:
        main.addrows(rows)
        for name, values in {
            "TIME": stamps,
            "TIME_CENTROID": stamps,
            "INTERVAL": np.full(rows, INTERVAL_S),
            "EXPOSURE": np.full(rows, INTERVAL_S),
            "ANTENNA1": np.tile(first, times),
            "ANTENNA2": np.tile(second, times),
            "UVW": random.normal(0, 1000, (rows, 3)) * (np.tile(first != second, times))[:, np.newaxis],
            "DATA": np.broadcast_to(data, shape).astype(np.complex64),
            "FLAG": np.zeros(shape, bool),
            "WEIGHT_SPECTRUM": np.ones(shape, np.float32),
            "WEIGHT": np.ones((rows, 4), np.float32),
            "SIGMA": np.ones((rows, 4), np.float32),
        }.items():
            main.putcol(name, values)


def _fill_headers(path: Path, abn: int, channels: int, stations: int, observed: float) -> None:
    field = dict.fromkeys(("DELAY_DIR", "PHASE_DIR", "REFERENCE_DIR"), np.array([[2.1514, 0.577]]))
    products = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int32)
    time_range = np.array([START_S, START_S + observed])
    rows: dict[str, list[dict[str, Any]]] = {
        "ANTENNA": _stations(stations),
        "SPECTRAL_WINDOW": [_window(abn, channels)],
        "POLARIZATION": [{"NUM_CORR": 4, "CORR_TYPE": np.arange(9, 13, dtype=np.int32), "CORR_PRODUCT": products}],
        "DATA_DESCRIPTION": [{"SPECTRAL_WINDOW_ID": 0, "POLARIZATION_ID": 0}],
        "FIELD": [field | {"SOURCE_ID": -1}],
        "FEED": [_feed(number) for number in range(stations)],
        "OBSERVATION": [{"TELESCOPE_NAME": "LOFAR", "TIME_RANGE": time_range}],
        "PROCESSOR": [{"TYPE": "CORRELATOR"}],
    }
    for name, entries in rows.items():
        with casacore_tables.table(f"{path}::{name}", readonly=False, ack=False) as header:
            header.addrows(len(entries))
            for number, entry in enumerate(entries):
                for column, value in entry.items():
                    header.putcell(column, number, value)


def _stations(count: int) -> list[dict[str, Any]]:
    places = np.random.default_rng(0).normal([3826923.9, 460915.1, 5064643.2], 1000, (count, 3))
    common = {"DISH_DIAMETER": 30.0, "OFFSET": np.zeros(3)}
    return [common | {"NAME": f"CS{n:03d}HBA0", "POSITION": place} for n, place in enumerate(places)]


def _window(abn: int, channels: int) -> dict[str, Any]:
    width = SUBBAND_HZ / channels
    return {
        "NUM_CHAN": channels,
        "CHAN_FREQ": abn * SUBBAND_HZ + (np.arange(channels) - (channels - 1) / 2) * width,
        "REF_FREQUENCY": abn * SUBBAND_HZ,
        "TOTAL_BANDWIDTH": SUBBAND_HZ,
        "MEAS_FREQ_REF": 5,
    } | dict.fromkeys(("CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"), np.full(channels, width))


def _feed(station: int) -> dict[str, Any]:
    return {
        "ANTENNA_ID": station,
        "SPECTRAL_WINDOW_ID": -1,
        "NUM_RECEPTORS": 2,
        "BEAM_ID": -1,
        "BEAM_OFFSET": np.zeros((2, 2)),
        "POLARIZATION_TYPE": {"shape": [2], "array": ["X", "Y"]},
        "POL_RESPONSE": np.eye(2, dtype=complex),
        "POSITION": np.zeros(3),
        "RECEPTOR_ANGLE": np.zeros(2),
    }


@pytest.fixture(scope="session")
def subbands(tmp_path_factory) -> Path:
    """Folder with four neighbours, sb0.MS to sb3.MS, and a sky model. Not to be changed."""
    folder = tmp_path_factory.mktemp("subbands")
    for number in range(4):
        make_ms(folder / f"sb{number}.MS", 700 + number)
    (folder / "sky.skymodel").write_text(SKYMODEL)
    return folder


@pytest.fixture(scope="session")
def solutions(subbands, dp3) -> Path:
    """The same folder, with the gains sb0.h5 to sb3.h5 that DP3 found."""
    for number in range(4):
        keys = (
            "steps=[gaincal]",
            "gaincal.caltype=diagonal",
            "gaincal.sourcedb=sky.skymodel",
            "gaincal.solint=0",
        )
        done = dp3(subbands, f"msin=sb{number}.MS", "msout=", *keys, f"gaincal.parmdb=sb{number}.h5")
        assert done.returncode == 0, done.stdout + done.stderr
    return subbands


@pytest.fixture(scope="session")
def change() -> Callable[..., None]:
    """Copy a MeasurementSet and change a column of the copy."""

    def changed(source: Path, into: Path, column: str, alter: Callable[[np.ndarray], object]) -> Path:
        shutil.copytree(source, into)
        with casacore_tables.table(str(into), readonly=False, ack=False) as main:
            values = main.getcol(column)
            alter(values)
            main.putcol(column, values)
        return into

    return changed


@pytest.fixture(scope="session")
def engine() -> SimpleNamespace:
    """What the tests need of an engine: read a pipeline, render, judge."""
    return SimpleNamespace(pipeline=_pipeline, parameters=_parameters, render=_render, broken=_broken)


@cache
def _pipeline(name: str) -> dict[str, Any]:
    return yaml.safe_load((SANDBOX / name / "pipeline.yaml").read_text())


def _parameters(name: str) -> dict[str, Any]:
    return {key: entry.get("default", "given") for key, entry in _pipeline(name)["parameters"].items()}


def _render(text: Any, context: dict[str, Any]) -> Any:
    if not isinstance(text, str):
        return text
    return yaml.safe_load(Environment(undefined=StrictUndefined).from_string(text).render(context))


def _broken(expect: dict[str, Any], measured: dict[str, Any], context: dict[str, Any]) -> set[str]:
    """Names of the measurements that are not what is expected."""
    found = set()
    for name, entry in expect.items():
        wanted = {key: _render(value, context) for key, value in entry.items()}
        value, low, high = measured.get(name), wanted.get("minimum"), wanted.get("maximum")
        if wanted.get("equals") is not None and not _equal(value, wanted["equals"], wanted.get("within", 0)):
            found.add(name)
        if (low is not None and (value is None or value < low)) or (
            high is not None and (value is None or value > high)
        ):
            found.add(name)
    return found


def _equal(value: Any, wanted: Any, within: float) -> bool:
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_equal(one, other, within) for one, other in zip(value, wanted, strict=True))
        )
    if isinstance(wanted, bool | str):
        return bool(value == wanted)
    return value is not None and abs(value - wanted) <= within


@pytest.fixture(scope="session")
def new_ms() -> Callable[..., Path]:
    """Make a MeasurementSet: see `make_ms`."""
    return make_ms
