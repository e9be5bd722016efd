"""Stage-in and stage-out of files: every byte summed, every accident named, nothing half done."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from lofargrid_runner.contract import InputFile, OutputFile, Reason
from lofargrid_runner.local import path_of
from lofargrid_runner.storages import STORAGES, Storage
from lofargrid_runner.streams import Facts

from tests.unit.pilots.attempts import Attempt, adler, measurement_set, shell

OUT = OutputFile("o", "o", "o.h5")
TWO = (OUT, OutputFile("p", "p", "p.h5"))
FILES = {"o": "output", "p": "second"}


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def plain(attempt: Attempt, content: bytes = b"solutions", **changes: Any) -> InputFile:
    return InputFile("cal", "", attempt.data("a b é.h5", content), "in/cal.h5")._replace(**changes)


def test_a_plain_file_is_copied_and_the_payload_may_write_into_it(attempt: Attempt) -> None:
    entry = plain(attempt, adler32=adler(b"solutions"), size_bytes=9)
    report = attempt.run(inputs=(entry,), commands=(shell("grep solutions in/cal.h5 && echo >> in/cal.h5"),))
    assert report.succeeded
    assert (report.transfers[0].name, report.transfers[0].verified) == ("cal", True)
    assert (attempt.base / "data" / "a b é.h5").read_bytes() == b"solutions"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a%20b/%C3%A9", "/a b/é"),
        ("file://localhost/a", "/a"),
        ("file:/a#b?c", "/a#b?c"),
        ("/a%20b", "/a%20b"),
    ],
)
def test_a_file_url_names_a_path(url: str, path: str) -> None:
    assert path_of(url) == path


@pytest.mark.parametrize(
    ("changes", "reason", "says"),
    [
        ({"size_bytes": 10}, Reason.INPUT_CORRUPT, "10 bytes expected, 9 found"),
        ({"adler32": "00000001"}, Reason.INPUT_CORRUPT, "adler32 00000001 expected, 13c203f1 found"),
        ({"url": "file:///nowhere/x"}, Reason.INPUT_MISSING, "No such file"),
        ({"url": "file:///etc/passwd/x"}, Reason.INPUT_MISSING, "Not a directory"),
        ({"url": "file://elsewhere/x"}, Reason.INPUT_MISSING, "elsewhere"),
        ({"url": "file:///etc"}, Reason.INPUT_WRONG_KIND, "file is expected"),
        ({"url": "ftp://x/y"}, Reason.SOFTWARE_MISSING, "cannot speak ftp://"),
        ({"url": "file:///proc/self/mem"}, Reason.INPUT_UNREADABLE, "Input/output error"),
        ({"kind": "ms"}, Reason.INPUT_WRONG_KIND, "table.dat"),
    ],
)
def test_a_bad_input_has_its_reason(attempt: Attempt, changes: Any, reason: Reason, says: str) -> None:
    report = attempt.run(inputs=(plain(attempt, **changes),))
    assert (report.reason, report.stage, report.transfers) == (reason, "stage-in", ())
    assert says in report.detail
    assert "cal (" in report.detail


def test_an_input_that_may_not_be_read_is_unreadable(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = STORAGES["file"]._replace(open=failing(errno.EACCES))
    monkeypatch.setitem(STORAGES, "davs", refusing)
    report = attempt.run(inputs=(plain(attempt, url="davs://x/y"),))
    assert report.reason == Reason.INPUT_UNREADABLE
    assert "Permission denied" in report.detail


@pytest.mark.parametrize("unpack", [True, False])
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, Reason.SCRATCH_FULL),
        (errno.EDQUOT, Reason.SCRATCH_FULL),
        (errno.EIO, Reason.NODE_UNFIT),
    ],
)
def test_scratch_that_does_not_take_the_input(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, number: int, reason: Reason, unpack: bool
) -> None:
    monkeypatch.setattr(os, "makedirs", _failing_below(attempt.work, number))
    entry = attempt.input(measurement_set()) if unpack else plain(attempt)
    report = attempt.run(inputs=(entry,))
    assert (report.reason, report.stage) == (reason, "stage-in")


def _failing_below(work: Path, number: int) -> Callable[..., None]:
    true = os.makedirs

    def makedirs(path: Any, *arguments: Any, **options: Any) -> None:
        if str(path).startswith(f"{work}/"):
            raise OSError(number, os.strerror(number), str(path))
        true(path, *arguments, **options)

    return makedirs


def test_an_output_is_stored_under_the_attempts_name_and_summed(attempt: Attempt) -> None:
    report = attempt.run(files=FILES, outputs=TWO)
    assert attempt.stored == ["o.h5.t1-7", "p.h5.t1-7"]
    stored = report.outputs[0]
    assert (stored.filename, stored.size_bytes, stored.adler32) == ("o.h5.t1-7", 6, adler(b"output"))
    assert path_of(stored.url) == str(attempt.out / "o.h5.t1-7")
    assert [transfer.name for transfer in report.transfers] == ["o", "p"]


def test_odd_letters_of_a_filename_are_escaped_in_the_url_only(attempt: Attempt) -> None:
    report = attempt.run(files=FILES, outputs=(OUT._replace(filename="100% é.h5"),))
    assert attempt.stored == ["100% é.h5.t1-7"]
    assert report.outputs[0].url.endswith("/100%25%20%C3%A9.h5.t1-7")


def test_a_destination_may_be_a_plain_path(attempt: Attempt) -> None:
    assert attempt.run(files=FILES, outputs=(OUT,), destination=f"{attempt.out}/deeper/").succeeded
    assert os.listdir(attempt.out / "deeper") == ["o.h5.t1-7"]


@pytest.mark.parametrize(
    ("script", "pack", "says"),
    [
        (":", False, "left no o"),
        ("ln -s nothing o", False, "left no o"),
        ("mkdir o", False, "a folder where a file"),
        ("touch o", True, "a file where a folder"),
    ],
)
def test_an_output_that_is_not_there_is_missing(attempt: Attempt, script: str, pack: bool, says: str) -> None:
    report = attempt.run(commands=(shell(script),), outputs=(OUT._replace(pack=pack),))
    assert (report.reason, report.stage) == (Reason.OUTPUT_MISSING, "stage-out")
    assert says in report.detail


def test_nothing_is_stored_when_one_output_is_missing(attempt: Attempt) -> None:
    attempt.run(files={"o": "x"}, outputs=TWO)
    assert attempt.stored == []


def test_the_same_attempt_again_replaces_its_files_and_says_so(attempt: Attempt) -> None:
    attempt.run(files=FILES, outputs=(OUT,))
    attempt.run(files=FILES, outputs=(OUT,))
    assert "replaces" in attempt.log
    assert "other content" not in attempt.log
    attempt.run(files={"o": "new"}, outputs=(OUT,))
    assert f"other content before: adler32 {adler(b'output')}, now {adler(b'new')}" in attempt.log
    assert (attempt.out / "o.h5.t1-7").read_text() == "new"


def test_what_a_killed_runner_left_half_written_is_replaced(attempt: Attempt) -> None:
    attempt.out.mkdir()
    (attempt.out / "o.h5.t1-7.part").symlink_to("/etc/passwd")
    assert attempt.run(files=FILES, outputs=(OUT,)).succeeded
    assert attempt.stored == ["o.h5.t1-7"]


def test_a_destination_that_is_no_folder_fails_stage_out(attempt: Attempt) -> None:
    attempt.out.write_text("in the way")
    report = attempt.run(files=FILES, outputs=(OUT,))
    assert (report.reason, report.stage) == (Reason.STAGE_OUT_FAILED, "stage-out")


def test_a_destination_of_unknown_scheme_fails_stage_out(attempt: Attempt) -> None:
    report = attempt.run(files=FILES, outputs=(OUT,), destination="ftp://x/y")
    assert report.reason == Reason.SOFTWARE_MISSING
    assert "cannot speak ftp" in report.detail


class Disk:
    """A disk in memory with room for so many bytes, behind the scheme ``disk``."""

    def __init__(self, room: int, loses: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        self.room = room
        self.loses = loses
        self.stuck = False

    @property
    def storage(self) -> Storage:
        return Storage(self.open, self.store, self.facts, self.remove, lambda url: f"{self.room} bytes free")

    def open(self, url: str) -> BinaryIO:
        return io.BytesIO(self.files[url])

    def store(self, url: str, fill: Callable[[BinaryIO], None]) -> None:
        stream = io.BytesIO()
        fill(stream)
        if len(stream.getvalue()) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(stream.getvalue())
        self.files[url] = stream.getvalue()[: -1 if self.loses else None]

    def facts(self, url: str) -> Facts | None:
        return Facts(len(self.files[url])) if url in self.files else None

    def remove(self, url: str) -> None:
        if self.stuck:
            raise OSError(errno.EROFS, "Read-only file system")
        self.files.pop(url, None)


def test_a_full_destination_takes_back_what_was_stored_and_says_what_is_free(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(room=8)
    monkeypatch.setitem(STORAGES, "disk", disk.storage)
    report = attempt.run(files=FILES, outputs=TWO, destination="disk://d")
    assert (report.reason, report.outputs, report.transfers) == (Reason.STAGE_OUT_FAILED, (), ())
    assert "2 bytes free" in report.detail
    assert disk.files == {}


def test_a_file_that_cannot_be_taken_back_is_named_in_the_log(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(room=8)
    disk.stuck = True
    monkeypatch.setitem(STORAGES, "disk", disk.storage)
    assert attempt.run(files=FILES, outputs=TWO, destination="disk://d").reason == Reason.STAGE_OUT_FAILED
    assert "could not remove disk://d/o.h5.t1-7" in attempt.log


def test_a_storage_that_loses_bytes_is_found_out(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(room=100, loses=True)
    monkeypatch.setitem(STORAGES, "disk", disk.storage)
    report = attempt.run(files=FILES, outputs=(OUT,), destination="disk://d")
    assert report.reason == Reason.STAGE_OUT_FAILED
    assert "sent were 6 bytes, adler32 " in report.detail
    assert report.detail.endswith("; there is 5 bytes")
    assert disk.files == {}


def test_a_local_disk_that_fills_up_keeps_no_part(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", _full_at(attempt.out / "p.h5.t1-7.part"))
    report = attempt.run(files=FILES, outputs=TWO)
    assert report.reason == Reason.STAGE_OUT_FAILED
    assert "removed" in attempt.log
    assert "bytes free" in report.detail
    assert attempt.stored == []


def _full_at(path: Path) -> Callable[[int], None]:
    true = os.fsync

    def fsync(file: int) -> None:
        if os.readlink(f"/proc/self/fd/{file}") == str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        true(file)

    return fsync


def test_sources_and_sinks_hear_the_wish_to_stop(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def signalling(_: str) -> BinaryIO:
        os.kill(os.getpid(), 15)
        return io.BytesIO(b"x")

    monkeypatch.setitem(STORAGES, "slow", STORAGES["file"]._replace(open=signalling))
    report = attempt.run(inputs=(plain(attempt, url="slow://x"),))
    assert (report.reason, report.stage) == (Reason.STOPPED, "stage-in")


def test_a_protocol_is_one_entry_of_a_table() -> None:
    assert set(STORAGES) == {"file"}
