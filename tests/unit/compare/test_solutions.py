from pathlib import Path

import numpy as np
import pytest
import tables

ANTENNAS = np.array([b"CS001HBA0", b"CS002HBA0", b"RS106HBA"])
AXES = {
    "time": np.array([5.0e9, 5.0e9 + 12.0]),
    "freq": np.array([143e6, 143.2e6]),
    "ant": ANTENNAS,
    "pol": np.array([b"XX", b"YY"]),
}
SHAPE = tuple(len(axis) for axis in AXES.values())


def default_values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    phase = rng.uniform(-3, 3, SHAPE)
    phase[:, :, 0] = 0.0
    return {
        "amplitude000": rng.uniform(0.9, 1.1, SHAPE),
        "phase000": phase,
        "clock000": rng.normal(scale=1e-9, size=SHAPE),
    }


class H5parm:
    """What to write into a file, to be changed before it is written."""

    def __init__(self):
        self.values = default_values()
        self.weights = {name: np.ones(SHAPE, dtype=np.float32) for name in self.values}
        self.axes = dict(AXES)
        self.order = "time,freq,ant,pol"
        self.kinds = {name: name.rstrip("0") for name in self.values}
        self.history = "made by one"
        self.position = 3.8e6

    def write(self, path: Path) -> None:
        with tables.open_file(str(path), "w") as file:
            solset = file.create_group("/", "sol000")
            solset._v_attrs["h5parm_version"] = "1.0"
            positions = np.array(
                [(name, (self.position, 4.6e5, 5.1e6)) for name in ANTENNAS],
                dtype=[("name", "S16"), ("position", "<f4", (3,))],
            )
            file.create_table(solset, "antenna", positions)
            for name, values in self.values.items():
                self._write_table(file, file.create_group(solset, name, title=self.kinds[name]), name, values)

    def _write_table(self, file, group, name, values):
        for axis in self.order.split(","):
            if axis in self.axes:
                file.create_array(group, axis, self.axes[axis])
        node = file.create_array(group, "val", values)
        node.attrs["AXES"] = np.bytes_(self.order.encode())
        node.attrs["HISTORY000"] = self.history
        if name in self.weights:
            file.create_array(group, "weight", self.weights[name]).attrs["AXES"] = np.bytes_(self.order.encode())


@pytest.fixture
def files():
    one, other = H5parm(), H5parm()
    other.history = "made by another"
    return one, other


@pytest.fixture
def result(pair, compare, files):
    """Write both files and compare them."""

    def compared():
        for path, file in zip(pair("a.h5"), files, strict=True):
            file.write(path)
        return compare(*pair("a.h5"))

    return compared


def test_another_history_leaves_solutions_the_same(result):
    found = result()
    assert (found.same, found.detail) == (True, "equal values, in other bytes")


@pytest.mark.parametrize("name", ["amplitude000", "phase000", "clock000"])
def test_values_may_differ_by_a_part_of_their_size(files, result, name):
    size = {"amplitude000": 1.0, "phase000": 1.0, "clock000": 1e-9}[name]
    values = files[1].values[name]
    values[0, 0, 1, 0] += 0.5e-5 * size
    near = result()
    assert near.same
    assert near.detail.startswith("largest difference ")
    assert near.detail.endswith(f" of the rms in /sol000/{name}, 1e-05 allowed")
    values[0, 0, 1, 0] += 2e-5 * size
    far = result()
    assert not far.same
    assert far.detail.endswith(f" of the rms in /sol000/{name}, 1e-05 allowed")


def test_full_turns_of_a_phase_do_not_count(files, result):
    files[1].values["phase000"] += 2 * np.pi * np.array([1, -2])
    assert result().same


def test_full_turns_of_anything_else_do_count(files, result):
    files[1].values["clock000"] += 2 * np.pi
    assert not result().same


def test_a_phase_near_zero_may_differ_by_the_same_angle(files, result):
    files[1].values["phase000"][0, 0, 0, 0] = 0.9e-5
    assert result().same
    files[1].values["phase000"][0, 0, 0, 0] = 1.5e-5
    assert not result().same


def test_the_phase_of_an_amplitude_of_nearly_zero_means_nothing(files, result):
    for file in files:
        file.values["amplitude000"][1, 1, 2, 1] = 1e-9
    files[1].values["phase000"][1, 1, 2, 1] += 2.0
    assert result().same


def test_the_phase_of_an_undefined_amplitude_counts(files, result):
    for file in files:
        file.values["amplitude000"][1, 1, 2, 1] = np.nan
    files[1].values["phase000"][1, 1, 2, 1] += 2.0
    assert not result().same


def test_phases_without_amplitudes_count_alike(files, result):
    for file in files:
        del file.values["amplitude000"]
    assert result().same
    files[1].values["phase000"][1, 1, 2, 1] += 2e-5
    assert not result().same


def test_a_weak_station_is_compared_with_its_own_gains(files, result):
    for file in files:
        file.values["amplitude000"][:, :, 2] *= 1e-3
    files[1].values["amplitude000"][0, 0, 2, 0] += 1e-7
    assert not result().same


@pytest.mark.parametrize(("kind", "turns"), [("rotation", True), ("rotationmeasure", False), ("", True)])
def test_the_kind_of_a_table_says_whether_full_turns_count(files, result, kind, turns):
    for file in files:
        file.kinds["phase000"] = kind
    files[1].values["phase000"] += 2 * np.pi
    assert result().same is turns


def test_flagged_values_are_not_compared(files, result):
    for file in files:
        file.weights["phase000"][0, 0, 0, 0] = 0
    files[1].values["phase000"][0, 0, 0, 0] = np.nan
    assert result().same


def test_flags_must_be_the_same(files, result):
    files[1].weights["phase000"][0, 1, 2, 0] = 0
    found = result()
    assert not found.same
    assert found.detail == "flags of /sol000/phase000: True and False at [0, 1, 2, 0], 1 differ"


def test_weights_must_be_nearly_the_same(files, result):
    files[1].weights["phase000"][0, 1, 2, 0] = 2
    found = result()
    assert not found.same
    assert "in weights of /sol000/phase000" in found.detail


def test_tables_may_do_without_weights(files, result):
    for file in files:
        file.weights = {}
    assert result().same
    files[1].values["phase000"][0, 0, 0, 0] = 0.1
    assert not result().same


def test_undefined_values_must_be_at_the_same_places(files, result):
    for file in files:
        file.values["phase000"][0, 0, 0, 0] = np.nan
        file.values["phase000"][0, 0, 1, 0] = np.inf
    assert result().same
    files[1].values["phase000"][0, 0, 0, 1] = np.nan
    assert result().detail == "NaNs or infinities at different places"


def test_values_too_large_to_square_are_not_all_the_same(files, result):
    for file in files:
        file.values["clock000"][:] = 1e200
    assert result().same
    files[1].values["clock000"][0] = 1e199
    assert not result().same


@pytest.mark.parametrize("axis", ["time", "freq", "ant", "pol"])
def test_another_axis_is_told_by_name(files, result, axis):
    changed = AXES[axis].copy()
    changed[1] = b"ZZ" if axis in ("ant", "pol") else changed[1] + 10.0
    files[1].axes[axis] = changed
    found = result()
    assert not found.same
    assert found.detail.startswith(f"/sol000/amplitude000/{axis}: ")


def test_the_last_digits_of_an_axis_do_not_count(files, result):
    files[1].axes["freq"] = np.nextafter(AXES["freq"], np.inf)
    files[1].axes["ant"] = AXES["ant"].astype("S20")
    assert result().same


def test_another_length_of_an_axis_is_told(files, result):
    files[1].axes["freq"] = np.array([143e6])
    assert result().detail == "/sol000/amplitude000/freq: shape [2] and shape [1]"


def test_another_order_of_axes_is_told(files, result):
    for file in files:
        file.axes = {}
    files[1].order = "freq,time,ant,pol"
    assert result().detail.startswith("axes of /sol000/amplitude000: ['time', 'freq', 'ant', 'pol'] and ['freq'")


@pytest.mark.parametrize("order", ["ant,time,freq,pol", "ant"])
def test_axes_may_stand_in_any_order(files, result, order):
    axes = ("time", "freq", "ant", "pol")
    keep = order.split(",")
    for file in files:
        file.order = order
        for part in (file.values, file.weights):
            for name, values in part.items():
                moved = np.moveaxis(values, [axes.index(axis) for axis in keep], range(len(keep)))
                part[name] = moved[(...,) + (0,) * (4 - len(keep))]
    assert result().same
    files[1].values["amplitude000"][2] += 1.0
    assert not result().same


def test_many_values_are_read_in_blocks(files, result):
    times = 60_000
    for file in files:
        for part in (file.values, file.weights):
            del part["clock000"], part["amplitude000"]
            part["phase000"] = np.tile(part["phase000"], (times, 1, 1, 1))
        file.axes["time"] = np.arange(2.0 * times)
    files[1].values["phase000"][-1, -1, -1, -1] += 1e-3
    assert not result().same


def test_another_kind_of_table_is_told(files, result):
    files[1].kinds["phase000"] = "scalarphase"
    assert result().detail == "/sol000/phase000: phase and scalarphase"


def test_a_table_of_one_file_only_is_told(files, result):
    del files[1].values["clock000"]
    assert result().detail == "node /sol000/clock000 is only in the first"


def test_stations_must_stand_at_the_same_places(files, result):
    files[1].position += 100.0
    assert result().detail.startswith("/sol000/antenna position: 3800000.0 and 3800100.0 at [0, 0]")


@pytest.mark.parametrize("content", [b"", b"no HDF5 file", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_what_is_no_hdf5_is_unreadable(pair, compare, files, content):
    one, other = pair("a.h5")
    files[0].write(one)
    other.write_bytes(content)
    for order in ((one, other), (other, one)):
        found = compare(*order)
        assert not found.same
        assert found.detail.startswith(f"{other} cannot be read: ")
        assert "\n" not in found.detail


def test_a_file_cut_short_is_unreadable(pair, compare, files):
    one, other = pair("a.h5")
    files[0].write(one)
    other.write_bytes(one.read_bytes()[: one.stat().st_size // 2])
    assert compare(one, other).detail.startswith(f"{other} cannot be read: ")


def test_hdf5_of_another_sort_is_no_h5parm(pair, compare, files):
    one, other = pair("a.h5")
    files[0].write(one)
    with tables.open_file(str(other), "w") as file:
        file.create_array("/", "x", np.arange(3))
    assert compare(one, other).detail.endswith("it holds no solution table, so it is no h5parm")


def test_a_table_that_does_not_name_its_axes_is_unreadable(pair, compare, files):
    one, other = pair("a.h5")
    files[0].write(one)
    files[1].write(other)
    with tables.open_file(str(other), "a") as file:
        del file.root.sol000.phase000.val.attrs.AXES
    assert compare(one, other).detail.startswith(f"{other} cannot be read: ")
