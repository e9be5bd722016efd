"""What inspect_ms.py says about MeasurementSets that are well, and about those that are not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import inspect_ms
import numpy as np
import pytest
from casacore.tables import table

SCRIPT = Path(__file__).parents[3] / "sandbox" / "common" / "inspect_ms.py"


def test_a_sound_subband(inspect, subbands):
    found = inspect("inspect_ms", subbands / "sb0.MS")
    assert found["rows"] == found["times"] * found["baselines"] == 8 * 15
    assert (found["channels"], found["correlations"], found["stations"]) == (4, 4, 5)
    assert found["centre_frequency_hz"] == pytest.approx(700 * 200e6 / 1024)
    assert found["bandwidth_hz"] == pytest.approx(200e6 / 1024)
    assert found["frequencies_hz"] == pytest.approx(sorted(found["frequencies_hz"]))
    assert (found["start"], found["end"], found["interval_s"]) == (5.0e9, 5.0e9 + 32, 4)
    assert (found["time_coverage"], found["missing_times"], found["clock_mhz"]) == (1, 0, None)
    assert found["complete"]
    assert found["regular"]
    assert found["finite"]
    assert (found["flagged_fraction"], found["zero_fraction"], found["fully_flagged_channels"]) == (0, 0, 0)
    assert found["rms"] == pytest.approx(7.1, rel=0.02)


def test_it_runs_as_a_job_runs_it(environment, subbands):
    words = [sys.executable, SCRIPT, "sb0.MS"]
    done = subprocess.run(words, cwd=subbands, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["complete"]
    assert done.stderr == ""


def test_blocks_of_rows_change_nothing(inspect, subbands, monkeypatch):
    whole = inspect("inspect_ms", subbands / "sb0.MS")
    monkeypatch.setattr(inspect_ms, "BLOCK_BYTES", 1000)
    parts = inspect("inspect_ms", subbands / "sb0.MS")
    assert parts.keys() == whole.keys()
    assert all(parts[key] == pytest.approx(whole[key]) for key in whole)


@pytest.mark.parametrize(
    ("value", "flagged", "expected"),
    [
        (0, False, {"finite": True, "zero_fraction": 1.0}),
        (complex("nan"), False, {"finite": False, "zero_fraction": 0.0}),
        (complex("inf"), False, {"finite": False, "zero_fraction": 0.0}),
        (
            complex("nan"),
            True,
            {"finite": True, "flagged_fraction": 1.0, "fully_flagged_channels": 4, "rms": 0.0},
        ),
    ],
    ids=["zero-filled", "not a number", "infinite", "flagged"],
)
def test_spoilt_data(inspect, tmp_path, subbands, change, value, flagged, expected):
    spoilt = change(subbands / "sb0.MS", tmp_path / "a.MS", "DATA", lambda data: data.fill(value))
    if flagged:
        spoilt = change(spoilt, tmp_path / "b.MS", "FLAG", lambda flags: flags.fill(True))
    found = inspect("inspect_ms", spoilt)
    assert {key: found[key] for key in expected} == expected


def test_one_infinite_sample_is_found_and_leaves_the_rms(inspect, tmp_path, subbands, change):
    def spoil(data):
        data[7, 2, 1] = complex("nan")

    found = inspect("inspect_ms", change(subbands / "sb0.MS", tmp_path / "a.MS", "DATA", spoil))
    assert not found["finite"]
    assert found["rms"] == pytest.approx(7.1, rel=0.02)


def test_half_written_as_after_a_kill(inspect, tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS", tmp_path / "half.MS")
    with table(str(tmp_path / "half.MS"), readonly=False, ack=False) as main:
        main.removerows(np.arange(main.nrows() // 2, main.nrows()))
    found = inspect("inspect_ms", tmp_path / "half.MS", "--source", subbands / "sb0.MS")
    assert (found["time_coverage"], found["kept_time"]) == (0.5, 0.5)
    assert found["complete"]


def test_a_time_cut_in_the_middle_is_not_complete(inspect, tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS", tmp_path / "cut.MS")
    with table(str(tmp_path / "cut.MS"), readonly=False, ack=False) as main:
        main.removerows(np.arange(main.nrows() - 7, main.nrows()))
    assert not inspect("inspect_ms", tmp_path / "cut.MS")["complete"]


def test_a_row_that_stands_twice_in_place_of_another_is_not_complete(inspect, tmp_path, subbands, change):
    def repeat(antennas):
        antennas[3] = antennas[4]

    assert not inspect("inspect_ms", change(subbands / "sb0.MS", tmp_path / "a.MS", "ANTENNA2", repeat))["complete"]


def test_a_gap_in_time_is_counted(inspect, tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS", tmp_path / "gap.MS")
    with table(str(tmp_path / "gap.MS"), readonly=False, ack=False) as main:
        main.removerows(np.arange(30, 60))
    assert inspect("inspect_ms", tmp_path / "gap.MS")["missing_times"] == 2


def test_dp3_hides_that_its_input_was_cut_short_and_the_source_tells(inspect, tmp_path, dp3, new_ms):
    short = new_ms(tmp_path / "short.MS", times=4, observed=32.0)
    assert dp3(tmp_path, "msin=short.MS", "msout=out.MS", "steps=[]").returncode == 0
    found = inspect("inspect_ms", tmp_path / "out.MS", "--source", short)
    assert (found["time_coverage"], found["kept_time"], found["source_time_coverage"]) == (1, 1, 0.5)


def test_what_averaging_loses_is_told(inspect, tmp_path, subbands, dp3):
    keys = ("steps=[filter]", "filter.startchan=0", "filter.nchan=2", "msin.ntimes=6")
    assert dp3(subbands, "msin=sb0.MS", f"msout={tmp_path / 'out.MS'}", *keys).returncode == 0
    found = inspect("inspect_ms", tmp_path / "out.MS", "--source", subbands / "sb0.MS")
    assert (found["kept_time"], found["kept_bandwidth"], found["kept_baselines"]) == (0.75, 0.5, 1)
    assert found["source_complete"]


def test_a_model_subtracted_with_the_wrong_sign_makes_the_data_stronger(inspect, tmp_path, subbands, change):
    doubled = change(subbands / "sb0.MS", tmp_path / "a.MS", "DATA", lambda data: np.multiply(data, 2, out=data))
    found = inspect("inspect_ms", doubled, "--reference", subbands / "sb0.MS")
    assert found["rms_to_reference"] == pytest.approx(2)


def test_headers_only(inspect, subbands):
    found = inspect("inspect_ms", subbands / "sb0.MS", "--headers-only")
    assert found["channels"] == 4
    assert "rms" not in found


@pytest.mark.parametrize(("value", "megahertz"), [(200.0, 200), (160e6, 160)])
def test_clock(value, megahertz):
    assert inspect_ms.clock(np.array([value])) == megahertz


@pytest.mark.parametrize("observed", [None, np.zeros((1, 2))])
def test_no_time_range_is_no_coverage(observed):
    assert inspect_ms.coverage(10.0, observed) is None


def broken_folder(tmp_path, subbands):
    (tmp_path / "a.MS").mkdir()


def truncated(tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS", tmp_path / "a.MS")
    largest = max((tmp_path / "a.MS").iterdir(), key=lambda file: file.stat().st_size)
    with largest.open("r+b") as opened:
        opened.truncate(largest.stat().st_size // 2)


def no_main_table(tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS" / "ANTENNA", tmp_path / "a.MS")


def no_column(tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS", tmp_path / "a.MS")
    with table(str(tmp_path / "a.MS"), readonly=False, ack=False) as main:
        main.removecols("DATA")


def no_rows(tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS", tmp_path / "a.MS")
    with table(str(tmp_path / "a.MS"), readonly=False, ack=False) as main:
        main.removerows(np.arange(main.nrows()))


def two_windows(tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS", tmp_path / "a.MS")
    with table(str(tmp_path / "a.MS::SPECTRAL_WINDOW"), readonly=False, ack=False) as windows:
        windows.addrows(1)
        windows.putcell("CHAN_FREQ", 1, windows.getcell("CHAN_FREQ", 0))
        windows.putcell("CHAN_WIDTH", 1, windows.getcell("CHAN_WIDTH", 0))


def other_channels(tmp_path, subbands):
    shutil.copytree(subbands / "sb0.MS", tmp_path / "a.MS")
    with table(str(tmp_path / "a.MS::SPECTRAL_WINDOW"), readonly=False, ack=False) as windows:
        for column in ("CHAN_FREQ", "CHAN_WIDTH"):
            windows.putcell(column, 0, windows.getcell(column, 0)[:3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tmp_path, subbands: None, "does not exist"),
        (broken_folder, ""),
        (truncated, ""),
        (no_main_table, "this table is not a MeasurementSet"),
        (no_column, "no column DATA"),
        (no_rows, "it has no rows"),
        (two_windows, "2 spectral windows"),
        (other_channels, "where the spectral window has 3 channels"),
    ],
    ids=[
        "absent",
        "broken",
        "truncated",
        "other table",
        "no column",
        "no rows",
        "two windows",
        "other channels",
    ],
)
def test_what_cannot_be_measured_is_one_line_and_not_code_0(tmp_path, subbands, capfd, make, message):
    make(tmp_path, subbands)
    assert inspect_ms.main([str(tmp_path / "a.MS")]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"{tmp_path / 'a.MS'}: cannot be measured: ")
    assert message in err
