"""Input files are judged before any job starts, by the rules of stage-in and from their headers alone."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lofargrid_runner import cli
from lofargrid_runner.contract import Reason
from lofargrid_runner.inspection import inspect

from tests.unit.pilots.attempts import measurement_set, tar

GOOD = measurement_set()
INFO = b"Type = Measurement Set\n"


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Judge a file of these bytes; what is promised of its size may be said."""

    def judge(content: bytes, size_bytes: int | None = None) -> tuple[str, str]:
        path = tmp_path / "in put.tar"
        path.write_bytes(content)
        found = inspect({"path": str(path), "size_bytes": size_bytes})
        return found["reason"], found["detail"]

    return judge


def test_nothing_is_said_of_a_measurement_set(look: Callable[..., tuple[str, str]]) -> None:
    assert look(GOOD) == ("", "")
    assert look(GOOD, len(GOOD)) == ("", "")


def test_links_inside_the_folder_and_long_names_are_as_good_as_files(look: Callable[..., tuple[str, str]]) -> None:
    long = tar(
        ("a.MS/table.dat", b"-"),
        ("a.MS/table.info", INFO),
        (f"a.MS/{'x' * 150}/table.f0", b"-"),
        ("a.MS/link", {"type": tarfile.SYMTYPE, "linkname": "table.dat"}),
        ("a.MS/hard", {"type": tarfile.LNKTYPE, "linkname": "a.MS/table.dat"}),
        format=tarfile.GNU_FORMAT,
    )
    assert look(long) == ("", "")


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (b"", Reason.INPUT_TRUNCATED, "the tar ends early"),
        (b"no tar at all " * 100, Reason.INPUT_WRONG_KIND, "no tar, or a damaged one"),
        (gzip.compress(GOOD) + b"x" * 1000, Reason.INPUT_WRONG_KIND, "no tar, or a damaged one"),
        (GOOD[:1000], Reason.INPUT_TRUNCATED, "the tar ends early"),
        (GOOD[:2560], Reason.INPUT_TRUNCATED, "the tar ends early: the end mark is missing"),
        (tar(("../a/table.dat", b"")), Reason.INPUT_UNSAFE, "'../a/table.dat' leads out of the folder"),
        (tar(("/etc/passwd", b"")), Reason.INPUT_UNSAFE, "'/etc/passwd' leads out of the folder"),
        (tar(("a/b", {"type": tarfile.FIFOTYPE})), Reason.INPUT_UNSAFE, "'a/b' is a device or pipe"),
        (tar(("a/b", {"type": tarfile.CHRTYPE})), Reason.INPUT_UNSAFE, "'a/b' is a device or pipe"),
        (tar(("a.MS/table.dat", b""), ("b.MS/table.dat", b"")), Reason.INPUT_WRONG_KIND, "it holds 'a.MS' and 'b.MS'"),
        (tar(("table.dat", b"")), Reason.INPUT_WRONG_KIND, "is a file where a folder is expected"),
        (tar(), Reason.INPUT_WRONG_KIND, "it holds no folder"),
        (tar(("a.MS", None)), Reason.INPUT_WRONG_KIND, "no MeasurementSet: table.dat, table.info missing"),
        (tar(("a.MS/table.dat", b"")), Reason.INPUT_WRONG_KIND, "no MeasurementSet: table.info missing"),
        (
            tar(("a.MS/sub/table.dat", b""), ("a.MS/sub/table.info", INFO)),
            Reason.INPUT_WRONG_KIND,
            "no MeasurementSet: table.dat, table.info missing",
        ),
        (
            tar(("a.MS/table.dat", b""), ("a.MS/table.info", b"Type = Image\n")),
            Reason.INPUT_WRONG_KIND,
            "no MeasurementSet: table.info says 'Type = Image'",
        ),
        (
            tar(("a.MS/table.dat", b""), ("a.MS/table.info", b"\xff\xfe")),
            Reason.INPUT_WRONG_KIND,
            "no MeasurementSet: table.info says",
        ),
    ],
)
def test_what_no_job_could_use_is_told_with_its_reason_and_name(
    look: Callable[..., tuple[str, str]], content: bytes, reason: Reason, detail: str
) -> None:
    found, told = look(content)
    assert found == reason.value
    assert told.startswith("in put.tar: ")
    assert detail in told
    assert "\n" not in told


def test_a_size_that_was_not_promised_is_corrupt_though_the_tar_is_sound(
    look: Callable[..., tuple[str, str]],
) -> None:
    expected = f"in put.tar: 1 bytes expected, {len(GOOD)} found"
    assert look(GOOD, 1) == (Reason.INPUT_CORRUPT.value, expected)


def test_a_promise_of_nothing_is_a_promise(look: Callable[..., tuple[str, str]]) -> None:
    assert look(GOOD, 0)[0] == Reason.INPUT_CORRUPT.value


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "reason", "detail"),
    [
        (Path.mkdir, Reason.INPUT_WRONG_KIND, "a.tar: a tar is expected: not a regular file"),
        (fifo, Reason.INPUT_WRONG_KIND, "a.tar: a tar is expected: not a regular file"),
        (lambda path: None, Reason.INPUT_MISSING, "a.tar: No such file or directory"),
        (link_to_itself, Reason.INPUT_UNREADABLE, "a.tar: Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_told_by_its_kind_and_hangs_nothing(
    tmp_path: Path, make: Callable[[Path], Any], reason: Reason, detail: str
) -> None:
    path = tmp_path / "a.tar"
    make(path)
    assert inspect({"path": str(path), "size_bytes": None}) == {"reason": reason.value, "detail": detail}


def test_a_disk_that_cannot_read_is_told_so() -> None:
    # Page 0 of a process is never mapped: reading it is an input/output error.
    found = inspect({"path": "/proc/self/mem", "size_bytes": None})
    assert found == {"reason": Reason.INPUT_UNREADABLE.value, "detail": "mem: Input/output error"}


@pytest.mark.parametrize("size_bytes", [1 << 20, 1 << 40, 1 << 50])
def test_a_header_that_claims_more_than_the_file_holds_is_found_out_and_reads_nothing_more(
    look: Callable[..., tuple[str, str]],
    size_bytes: int,
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w"):
        info = tarfile.TarInfo("a.MS/table.dat")
        info.size = size_bytes
        buffer.write(info.tobuf())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert look(buffer.getvalue())[0] in (Reason.INPUT_TRUNCATED.value, Reason.INPUT_WRONG_KIND.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255), cut=st.integers(0, len(GOOD)))
def test_whatever_is_damaged_the_answer_is_a_reason_and_no_crash(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    path.write_bytes((GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])[:cut])
    found = inspect({"path": str(path), "size_bytes": None})
    assert found["reason"] in {"", *(one.value for one in Reason)}
    assert bool(found["reason"]) == bool(found["detail"])


# The verb.


def test_the_verb_answers_every_entry_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.tar").write_bytes(GOOD)
    asked = [{"path": str(tmp_path / name), "size_bytes": None} for name in ("none.tar", "good.tar")]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asked)))
    assert cli.main(["inspect"], {}) == cli.EXIT_SUCCEEDED
    assert [one["reason"] for one in json.loads(capsys.readouterr().out)] == ["input-missing", ""]


def test_the_verb_refuses_what_is_not_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a.tar"))
    assert cli.main(["inspect"], {}) == cli.EXIT_USAGE
    assert "no JSON on the standard input" in capsys.readouterr().err


def test_the_verb_takes_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", "a.tar"], {}) == cli.EXIT_USAGE
    assert capsys.readouterr().err.startswith("lofargrid runner: usage:")
