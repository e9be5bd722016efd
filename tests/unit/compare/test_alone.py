import json
import sys

import pytest

from lofargrid.compare import Comparison, compare_products
from lofargrid.compare.alone import main


@pytest.fixture
def tars(pair, ms_tar):
    """Two paths of the same MeasurementSet in tars of different length."""
    one, other = pair("a.MS.tar")
    one.write_bytes(ms_tar.read_bytes())
    other.write_bytes(ms_tar.read_bytes() + bytes(512))
    return one, other


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Put a script in the place of the Python that reads the files."""

    def put(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return put


def compared(one, other) -> Comparison:
    [found] = compare_products({one.name: one}, {other.name: other})
    return found


def test_files_are_read_in_a_process_of_their_own(tars):
    assert compared(*tars) == Comparison("a.MS.tar", True, "equal values, in other bytes")


def test_what_the_other_process_cannot_read_is_told(tars):
    tars[1].write_bytes(b"x" * 1000)
    found = compared(*tars)
    assert not found.same
    assert found.detail.startswith(f"{tars[1]} cannot be read: ")


def test_a_reader_that_crashes_is_the_outcome_and_leaves_nothing(tars, reader, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    reader('touch "$TMPDIR/left"; kill -SEGV $$')
    found = compared(*tars)
    assert not found.same
    assert found.detail == f"{tars[0]} or {tars[1]} cannot be read: its reader ended with signal 11"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_reader_that_gives_up_says_why(tars, reader):
    reader("echo Traceback >&2; echo SystemError: nonsense >&2; exit 1")
    assert compared(*tars).detail.endswith("its reader ended with exit code 1 SystemError: nonsense")


def test_words_of_the_libraries_before_the_outcome_do_not_count(tars, reader):
    reader("""echo casacore is talking; echo '{"same": true, "detail": "fine"}'""")
    assert compared(*tars) == Comparison("a.MS.tar", True, "fine")


def test_the_outcome_is_a_line_of_json(tars, capsys):
    main([".MS.tar", *map(str, tars)])
    assert json.loads(capsys.readouterr().out) == {"same": True, "detail": "equal values, in other bytes"}
