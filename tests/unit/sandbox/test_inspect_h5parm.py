"""What inspect_h5parm.py says about solutions that are well, and about those that are not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import inspect_h5parm
import numpy as np
import pytest
import tables

SCRIPT = Path(__file__).parents[3] / "sandbox" / "common" / "inspect_h5parm.py"


@pytest.fixture(scope="session")
def merged(solutions, run):
    """Gains of all four subbands."""
    words = ("H5parm_collector.py", "--clobber", "--outh5parm", "all.h5", *(f"sb{n}.h5" for n in range(4)))
    done = run(solutions, *words)
    assert done.returncode == 0, done.stderr
    return solutions / "all.h5"


@pytest.fixture
def verdict(solutions, inspect, engine):
    """The expectations of cal2 that solutions do not meet."""

    def judge(path: Path) -> set[str]:
        inputs = [
            {
                "measurements": inspect("inspect_ms", solutions / f"sb{n}.MS")
                | inspect("inspect_h5parm", solutions / f"sb{n}.h5")
            }
            for n in range(4)
        ]
        expect = engine.pipeline("calibrate-image")["steps"]["cal2"]["checks"]["gains"]["expect"]
        context = {**engine.parameters("calibrate-image"), "inputs": {"solutions": inputs}}
        return engine.broken(expect, inspect("inspect_h5parm", path), context)

    return judge


@pytest.fixture
def spoilt(merged, tmp_path):
    """Copy the merged solutions and change each of its tables."""

    def change(alter) -> Path:
        path = Path(shutil.copy(merged, tmp_path / "spoilt.h5"))
        with tables.open_file(str(path), "a") as file:
            for name in ("amplitude000", "phase000"):
                alter(file, file.get_node(f"/sol000/{name}"))
        return path

    return change


def replace(file, node, name, values):
    """Write an array anew, with its attributes."""
    axes = node._f_get_child(name).attrs["AXES"] if name in ("val", "weight") else None
    file.remove_node(node, name)
    array = file.create_array(node, name, values)
    if axes is not None:
        array.attrs["AXES"] = axes


def test_gains_of_one_subband(inspect, solutions):
    found = inspect("inspect_h5parm", solutions / "sb1.h5")
    assert found["solution_sets"] == ["sol000"]
    assert found["solution_tables"] == ["amplitude000", "phase000"]
    assert found["solution_axes"]["phase000"]["ant"] == found["solution_stations"] == 5
    assert found["solution_fraction"] == 1
    assert found["solution_frequencies_hz"] == pytest.approx([701 * 200e6 / 1024])
    assert found["amplitude_median"] == pytest.approx(np.sqrt(1.01), rel=0.05)
    assert 1 <= found["amplitude_ratio"] < 1.5


def test_merged_gains_are_as_expected(verdict, merged):
    assert verdict(merged) == set()


def test_it_runs_as_a_job_runs_it(environment, merged):
    done = subprocess.run([sys.executable, SCRIPT, merged], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["solution_frequencies"] == 4
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("members", "exposed"),
    [((0, 1, 3), "solution_frequencies_hz"), ((0, 1, 1, 3), "solution_frequencies_hz")],
    ids=["missing", "doubled for another"],
)
def test_the_collector_says_nothing_of_wrong_members(solutions, run, verdict, tmp_path, members, exposed):
    words = ("H5parm_collector.py", "-c", "-o", str(tmp_path / "out.h5"), *(f"sb{n}.h5" for n in members))
    assert run(solutions, *words).returncode == 0
    assert exposed in verdict(tmp_path / "out.h5")


def test_a_reversed_axis_is_exposed(spoilt, verdict, inspect):
    path = spoilt(lambda file, node: replace(file, node, "freq", node.freq[:][::-1]))
    assert {"frequency_ordered", "solution_frequencies_hz"} <= verdict(path)


def reverse_values(file, node):
    axis = node.val.attrs["AXES"].decode().split(",").index("freq")
    replace(file, node, "val", np.flip(node.val[...], axis))


def test_reversed_values_on_a_right_axis_are_exposed(spoilt, verdict):
    assert verdict(spoilt(reverse_values)) == {"amplitude_by_frequency", "phase_by_frequency"}


def test_a_doubled_frequency_is_exposed(spoilt, verdict, inspect):
    path = spoilt(lambda file, node: replace(file, node, "freq", node.freq[:][[0, 1, 1, 3]]))
    assert {"frequency_ordered", "solution_frequencies_hz"} <= verdict(path)
    assert inspect("inspect_h5parm", path)["duplicate_frequencies"] == 1


def test_tables_that_disagree_are_told(spoilt, inspect):
    def shift(file, node):
        replace(file, node, "freq", node.freq[:] + (1e6 if node._v_name == "phase000" else 0))

    assert not inspect("inspect_h5parm", spoilt(shift))["frequencies_agree"]


def test_times_that_differ_by_a_hair_double_the_time_axis(solutions, run, verdict, tmp_path):
    for number in range(4):
        shutil.copy(solutions / f"sb{number}.h5", tmp_path)
    with tables.open_file(str(tmp_path / "sb2.h5"), "a") as file:
        for node in (file.root.sol000.amplitude000, file.root.sol000.phase000):
            replace(file, node, "time", node.time[:] + 1e-4)
    words = ("H5parm_collector.py", "-c", "-o", "out.h5", *(f"sb{n}.h5" for n in range(4)))
    assert run(tmp_path, *words).returncode == 0
    assert "solution_times" in verdict(tmp_path / "out.h5")


def test_solutions_that_are_not_numbers_do_not_count(spoilt, verdict, inspect):
    path = spoilt(lambda file, node: replace(file, node, "val", np.full(node.val.shape, np.nan)))
    assert {"solution_fraction", "amplitude_by_frequency"} <= verdict(path)
    found = inspect("inspect_h5parm", path)
    assert (found["solution_fraction"], found["amplitude_ratio"]) == (0, None)


def test_gains_that_did_not_converge_are_exposed(spoilt, inspect, engine):
    def run_away(file, node):
        values = node.val[...]
        values.reshape(-1)[3] *= 1e6
        replace(file, node, "val", values)

    expect = engine.pipeline("calibrate-image")["steps"]["cal1"]["checks"]["gains"]["expect"]
    found = inspect("inspect_h5parm", spoilt(run_away))
    assert "amplitude_ratio" in engine.broken(expect, found, engine.parameters("calibrate-image"))


def test_zero_filled_data_give_no_solutions(tmp_path, solutions, dp3, change, inspect, engine):
    zeroed = change(solutions / "sb1.MS", tmp_path / "sb1.MS", "DATA", lambda data: data.fill(0))
    keys = (
        "steps=[gaincal]",
        "gaincal.caltype=diagonal",
        "gaincal.sourcedb=sky.skymodel",
        "gaincal.solint=0",
    )
    out = (f"msout={tmp_path / 'out.MS'}", f"gaincal.parmdb={tmp_path / 'out.h5'}")
    assert dp3(solutions, f"msin={zeroed}", *keys, *out).returncode == 0
    checks = engine.pipeline("calibrate-image")["steps"]["cal1"]["checks"]
    parameters = engine.parameters("calibrate-image")
    samples = inspect("inspect_ms", tmp_path / "out.MS", "--source", zeroed)
    assert "zero_fraction" in engine.broken(checks["averaged"]["expect"], samples, parameters)
    gains = inspect("inspect_h5parm", tmp_path / "out.h5")
    assert engine.broken(checks["gains"]["expect"], gains, parameters)


@pytest.mark.parametrize("size", [0, 100, 4000], ids="{} bytes".format)
def test_a_truncated_file_is_one_line_and_not_code_0(merged, tmp_path, capfd, size):
    cut = tmp_path / "cut.h5"
    cut.write_bytes(merged.read_bytes()[:size])
    assert_refused(cut, capfd, "")


def test_what_holds_no_solutions_is_refused(tmp_path, capfd):
    tables.open_file(str(tmp_path / "empty.h5"), "w").close()
    assert_refused(tmp_path / "empty.h5", capfd, "it holds no solutions")
    assert_refused(tmp_path, capfd, "DP3 writes an h5parm only to a name that ends in .h5")


def assert_refused(path, capfd, message):
    assert inspect_h5parm.main([str(path)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_a_table_without_frequencies(tmp_path, inspect):
    with tables.open_file(str(tmp_path / "clock.h5"), "w") as file:
        node = file.create_group("/sol000", "clock000", createparents=True)
        for name, values in {
            "time": [1.0, 2.0],
            "ant": [b"CS001", b"CS002"],
            "val": [[0.0, 1.0], [0.0, 1.0]],
        }.items():
            file.create_array(node, name, np.array(values))
        node.val.attrs["AXES"] = "time,ant"
    found = inspect("inspect_h5parm", tmp_path / "clock.h5")
    assert (found["solution_frequencies"], found["frequency_ordered"]) == (0, True)
    assert found["amplitude_by_frequency"] is None
