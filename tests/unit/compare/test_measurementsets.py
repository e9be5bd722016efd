import shutil
from pathlib import Path

import numpy as np
import pytest
from casacore.tables import table

from lofargrid.demo.archive import write_tar

NAME = "a.MS.tar"


class Folder:
    """A MeasurementSet to be changed and packed."""

    def __init__(self, path: Path):
        self.path = path

    def set(self, column: str, change, subtable: str = "", start: int = 0, count: int = -1) -> None:
        with table(str(self.path / subtable), readonly=False, ack=False) as opened:
            values = opened.getcol(column, start, count)
            opened.putcol(column, change(np.array(values)), start, count)

    def get(self, column: str):
        with table(str(self.path), ack=False) as opened:
            return opened.getcol(column)


@pytest.fixture
def folders(tmp_path, ms_folder):
    found = []
    for name in ("one", "other"):
        shutil.copytree(ms_folder, tmp_path / name / "band.MS")
        found.append(Folder(tmp_path / name / "band.MS"))
    return found


@pytest.fixture
def result(pair, compare, folders):
    """Pack both MeasurementSets and compare them."""

    def compared():
        for path, folder in zip(pair(NAME), folders, strict=True):
            write_tar(folder.path, path)
        return compare(*pair(NAME))

    return compared


def rms(folder: Folder) -> float:
    return float(np.sqrt(np.mean(np.abs(folder.get("DATA")) ** 2)))


def at(place, value):
    """A change of one value."""

    def change(values):
        values[place] = value(values[place])
        return values

    return change


def test_the_same_folder_gives_the_same_tar(result):
    assert result().detail == "identical"


def test_other_files_beside_the_same_values_are_the_same(result, folders):
    (folders[1].path / "notes").write_text("made elsewhere")
    found = result()
    assert (found.same, found.detail) == (True, "equal values, in other bytes")


def test_nothing_is_left_in_the_folder_for_temporary_files(result, folders, monkeypatch, tmp_path):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    folders[1].set("UVW", lambda values: values + 1)
    assert not result().same
    assert list((tmp_path / "scratch").iterdir()) == []


def test_visibilities_may_differ_by_a_part_of_their_rms(result, folders):
    size = rms(folders[0])
    folders[1].set("DATA", at((3, 1, 0), lambda value: value + 0.8e-5 * size))
    near = result()
    assert near.same
    assert near.detail.startswith("largest difference ")
    assert near.detail.endswith(" of the rms in DATA, 1e-05 allowed")
    folders[1].set("DATA", at((3, 1, 0), lambda value: value + 1j * size))
    assert not result().same


def test_flagged_visibilities_are_not_compared(result, folders):
    for folder in folders:
        folder.set("FLAG", at((3, 1, 0), lambda value: True))
    folders[1].set("DATA", at((3, 1, 0), lambda value: complex("nan")))
    folders[1].set("WEIGHT_SPECTRUM", at((3, 1, 0), lambda value: 0.0))
    assert result().same


def test_flags_must_be_the_same(result, folders):
    folders[1].set("FLAG", at((3, 1, 0), lambda value: True))
    found = result()
    assert (found.same, found.detail) == (False, "FLAG from row 0: False and True at [3, 1, 0], 1 differ")


def test_undefined_visibilities_must_be_at_the_same_places(result, folders):
    folders[1].set("DATA", at((3, 1, 0), lambda value: complex("nan")))
    assert result().detail == "NaNs or infinities at different places"


@pytest.mark.parametrize(("column", "place"), [("WEIGHT_SPECTRUM", (2, 1, 0)), ("UVW", (2, 0))])
def test_weights_and_uvw_may_differ_as_little(result, folders, column, place):
    folders[1].set(column, at(place, lambda value: value * (1 + 2e-6)))
    assert result().same
    folders[1].set(column, at(place, lambda value: value * 1.5))
    found = result()
    assert not found.same
    assert f"of the rms in {column}, 1e-05 allowed" in found.detail


def test_autocorrelations_do_not_set_the_scale_of_the_others(result, folders):
    for folder in folders:
        folder.set("ANTENNA2", at(0, lambda value: 0))
        folder.set("DATA", at(0, lambda value: 1e6 + 0 * value))
    assert result().detail == "identical"
    folders[1].set("DATA", at(0, lambda value: value * (1 + 2e-6)))
    found = result()
    assert found.same
    assert "in DATA of autocorrelations" in found.detail
    row = int(np.argmax(folders[1].get("ANTENNA1") != folders[1].get("ANTENNA2")))
    folders[1].set("DATA", at((row, 0, 0), lambda value: value + 1))
    found = result()
    assert not found.same
    assert "in DATA," in found.detail


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("TIME", lambda values: values + 12.0),
        ("ANTENNA1", lambda values: values[::-1].copy()),
        ("FLAG_ROW", lambda values: ~values),
        ("EXPOSURE", lambda values: values / 2),
    ],
)
def test_rows_of_another_time_or_baseline_are_told(result, folders, column, change):
    folders[1].set(column, change)
    found = result()
    assert not found.same
    assert found.detail.startswith(f"{column} from row 0: ")


def test_a_millisecond_does_not_count(result, folders):
    folders[1].set("EXPOSURE", lambda values: values + 5e-4)
    assert result().same


@pytest.mark.parametrize(
    ("subtable", "column", "change"),
    [
        ("SPECTRAL_WINDOW", "CHAN_FREQ", lambda values: values + 195312.5),
        ("SPECTRAL_WINDOW", "CHAN_FREQ", lambda values: values[:, ::-1].copy()),
        ("ANTENNA", "POSITION", lambda values: values + 1.0),
        ("ANTENNA", "NAME", lambda values: values[::-1].tolist()),
        ("FIELD", "PHASE_DIR", lambda values: values + 1e-6),
        ("POLARIZATION", "CORR_TYPE", lambda values: values[:, ::-1].copy()),
    ],
)
def test_another_frequency_station_or_direction_is_told(result, folders, subtable, column, change):
    folders[1].set(column, change, subtable)
    found = result()
    assert not found.same
    assert found.detail.startswith(f"{subtable} {column}: ")


def test_fewer_rows_are_told(result, folders):
    with table(str(folders[1].path), readonly=False, ack=False) as opened:
        rows = opened.nrows()
        opened.addrows(1)
    assert result().detail == f"rows: {rows} and {rows + 1}"


def test_another_antenna_is_told(result, folders):
    with table(str(folders[1].path / "ANTENNA"), readonly=False, ack=False) as opened:
        opened.addrows(1)
    assert result().detail.startswith("rows of ANTENNA: ")


def test_a_column_of_one_only_is_told(result, folders):
    with table(str(folders[1].path), readonly=False, ack=False) as opened:
        opened.renamecol("DATA", "CORRECTED_DATA")
    assert result().detail == "column CORRECTED_DATA is only in the second"


def test_another_number_of_channels_is_told(pair, compare, ms_folder, other_channels, result, folders):
    shutil.rmtree(folders[1].path)
    shutil.copytree(other_channels, folders[1].path)
    assert result().detail.startswith("SPECTRAL_WINDOW NUM_CHAN: 4 and 2")


def test_many_rows_are_read_in_blocks(result, folders, monkeypatch):
    monkeypatch.setattr("lofargrid.compare.measurementsets._BLOCK_SAMPLES", 3 * 16)
    folders[1].set("DATA", at((20, 0, 0), lambda value: value + 1e6))
    assert not result().same
    folders[1].set("FLAG", at((20, 0, 0), lambda value: True))
    assert result().detail == "FLAG from row 18: False and True at [2, 0, 0], 1 differ"


def test_no_rows_are_the_same_as_no_rows(result, folders):
    for folder in folders:
        full = folder.path.rename(folder.path.with_name("full"))
        with table(str(full), ack=False) as opened:
            opened.query("FALSE").copy(str(folder.path), deep=True).close()
    (folders[1].path / "notes").write_text("made elsewhere")
    assert result().same


def test_a_table_that_is_gone_is_unreadable(result, folders, pair):
    shutil.rmtree(folders[1].path / "ANTENNA")
    found = result()
    assert not found.same
    assert found.detail.startswith(f"{pair(NAME)[1]} cannot be read: ")


@pytest.mark.parametrize("name", ["table.dat", "table.f0"])
def test_a_damaged_table_is_unreadable(result, folders, pair, name):
    content = (folders[1].path / name).read_bytes()
    (folders[1].path / name).write_bytes(content[: len(content) // 3])
    found = result()
    assert not found.same
    assert found.detail.startswith(f"{pair(NAME)[1]} cannot be read: ")


def test_a_column_without_values_in_one_only_is_told(result, folders):
    with table(str(folders[1].path), readonly=False, ack=False) as opened:
        opened.putcol("FLAG_CATEGORY", np.zeros((opened.nrows(), 1, 4, 4), dtype=bool))
    assert result().detail == "FLAG_CATEGORY from row 0 is empty: True and False"
