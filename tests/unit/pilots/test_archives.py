"""Inputs that are tars: what is let in, and what every attack and accident is called."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from typing import Any

import pytest
from lofargrid_runner.contract import InputFile, OutputFile, Reason

from tests.unit.pilots.attempts import Attempt, adler, measurement_set, shell, tar

TOP = ("t/", None)
FILE = ("t/f", b"content")


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tuple[str, Any]:
    return name, {"type": kind, "linkname": to}


def test_a_measurement_set_is_unpacked_verified_and_renamed(attempt: Attempt) -> None:
    content = measurement_set()
    entry = attempt.input(content, kind="ms", size_bytes=len(content), adler32=adler(content).upper())
    report = attempt.run(inputs=(entry,), commands=(("test", "-f", "in.MS/table.dat"),))
    (transfer,) = report.transfers
    assert report.succeeded
    assert (transfer.size_bytes, transfer.adler32, transfer.verified) == (len(content), adler(content), True)


def test_the_checksum_covers_what_follows_the_end_mark(attempt: Attempt) -> None:
    content = measurement_set() + b"\0" * 3_000_000 + b"trailer"
    report = attempt.run(inputs=(attempt.input(content, adler32=adler(content)),))
    assert report.succeeded
    assert report.transfers[0].size_bytes == len(content)


HARMLESS = {
    "dot-slash": [("./", None), ("./t/", None), ("./t/f", b"x")],
    "no folder entries": [("t/a/b/f", b"x")],
    "spaces and unicode": [("t é/", None), ("t é/a b", b"x")],
    "link to a sibling": [TOP, FILE, link("t/l", "f")],
    "link before its target": [TOP, link("t/l", "f"), FILE],
    "dangling link inside": [TOP, link("t/l", "later")],
    "hard link": [TOP, FILE, link("t/h", "t/f", tarfile.LNKTYPE)],
    "link up and down again": [TOP, FILE, ("t/d/", None), link("t/d/l", "../f")],
    "long names": [TOP, ("t/" + "n" * 200, b"x")],
}


@pytest.mark.parametrize("members", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
def test_harmless_archives_are_unpacked(attempt: Attempt, members: list[Any], kind: int) -> None:
    report = attempt.run(inputs=(attempt.input(tar(*members, format=kind)),), commands=(("test", "-d", "in.MS"),))
    assert report.succeeded, report.detail


ATTACKS = {
    "absolute name": [TOP, ("/tmp/lofargrid-evil", b"x")],
    "name that climbs": [TOP, ("t/../../evil", b"x")],
    "link out": [TOP, link("t/l", "../../evil")],
    "absolute link": [TOP, link("t/l", "/etc/passwd")],
    "link to a link out": [TOP, ("t/d/", None), link("t/a", "d/.."), link("t/b", "a/../..")],
    "file through a link": [TOP, link("t/l", "/tmp"), ("t/l/evil", b"x")],
    "link over a file": [TOP, FILE, link("t/f", "g")],
    "hard link out": [TOP, link("t/h", "../../../etc/passwd", tarfile.LNKTYPE)],
    "absolute hard link": [TOP, link("t/h", "/etc/passwd", tarfile.LNKTYPE)],
    "hard link to nothing": [TOP, link("t/h", "t/none", tarfile.LNKTYPE)],
    "hard link to a link": [TOP, link("t/l", "/etc/passwd"), link("t/h", "t/l", tarfile.LNKTYPE)],
    "top is a link": [link("t", "/tmp"), ("t/evil", b"x")],
    "device": [TOP, ("t/null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})],
    "block device": [TOP, ("t/disk", {"type": tarfile.BLKTYPE})],
    "pipe": [TOP, ("t/pipe", {"type": tarfile.FIFOTYPE})],
    "unknown type": [TOP, ("t/odd", {"type": b"V"})],
    "file twice": [TOP, FILE, FILE],
    "file as folder": [TOP, FILE, ("t/f/g", b"x")],
    "folder over a file": [TOP, FILE, ("t/f/", None)],
}


@pytest.mark.parametrize("members", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_unsafe_and_leaves_nothing(attempt: Attempt, members: list[Any]) -> None:
    before = {path: path.stat().st_mtime_ns for path in attempt.base.rglob("*") if path.is_file()}
    report = attempt.run(inputs=(attempt.input(tar(*members)),))
    assert (report.reason, report.stage) == (Reason.INPUT_UNSAFE, "stage-in"), report.detail
    assert "one (file:" in report.detail
    assert not os.path.lexists("/tmp/evil")
    assert not os.path.lexists("/tmp/lofargrid-evil")
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


WRONG_KINDS = {
    "two folders": [TOP, ("u/", None)],
    "two folders, the second by a file": [TOP, FILE, ("u/f", b"x")],
    "a bare file": [("f", b"x")],
    "nothing": [],
    "only itself": [("./", None)],
}


@pytest.mark.parametrize("members", WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_anything_but_one_folder_is_of_the_wrong_kind(attempt: Attempt, members: list[Any]) -> None:
    report = attempt.run(inputs=(attempt.input(tar(*members)),))
    assert report.reason == Reason.INPUT_WRONG_KIND, report.detail


@pytest.mark.parametrize(
    "content", [b"<html>502 Bad Gateway</html>" * 100, b"\x1f\x8b" + b"z" * 9000], ids=["html", "gzip"]
)
def test_what_never_was_a_tar_is_of_the_wrong_kind(attempt: Attempt, content: bytes) -> None:
    report = attempt.run(inputs=(attempt.input(content, adler32=adler(content)),))
    assert report.reason == Reason.INPUT_WRONG_KIND
    assert "no tar" in report.detail


@pytest.mark.parametrize("missing", ["table.dat", "table.info"])
def test_a_folder_without_casacore_tables_is_no_measurement_set(attempt: Attempt, missing: str) -> None:
    members = [TOP, *((f"t/{name}", b"Type = Measurement Set\n") for name in ("table.dat", "table.info"))]
    content = tar(*(member for member in members if not member[0].endswith(missing)))
    report = attempt.run(inputs=(attempt.input(content, kind="ms"),))
    assert report.reason == Reason.INPUT_WRONG_KIND
    assert missing in report.detail


def test_a_table_of_another_type_is_no_measurement_set(attempt: Attempt) -> None:
    content = tar(TOP, ("t/table.dat", b""), ("t/table.info", b"Type = Sky Model\nType = Measurement Set"))
    report = attempt.run(inputs=(attempt.input(content, kind="ms"),))
    assert report.reason == Reason.INPUT_WRONG_KIND
    assert "Sky Model" in report.detail


BIG = tar(TOP, ("t/a", os.urandom(40_000)), ("t/b", os.urandom(40_000)))


@pytest.mark.parametrize("kept", [0, 100, 512, 512 + 512 + 20_000, 512 * 2 + 40_448, 512 * 3 + 40_448 + 39_936])
def test_a_tar_that_ends_early_is_truncated(attempt: Attempt, kept: int) -> None:
    report = attempt.run(inputs=(attempt.input(BIG[:kept], size_bytes=len(BIG), adler32=adler(BIG)),))
    assert report.reason == Reason.INPUT_TRUNCATED, report.detail


def test_a_tar_cut_between_two_files_is_truncated_also_without_a_checksum(attempt: Attempt) -> None:
    with_b = BIG.index(b"t/b\0")
    report = attempt.run(inputs=(attempt.input(BIG[:with_b]),))
    assert report.reason == Reason.INPUT_TRUNCATED, report.detail


def test_a_damaged_header_is_never_taken_for_the_end(attempt: Attempt) -> None:
    at = BIG.index(b"t/b\0")
    damaged = BIG[:at] + b"\xff" * 512 + BIG[at + 512 :]
    report = attempt.run(inputs=(attempt.input(damaged),))
    assert report.reason == Reason.INPUT_CORRUPT
    assert "damaged tar" in report.detail


def test_a_damaged_tar_with_a_known_checksum_is_corrupt_and_shows_both(attempt: Attempt) -> None:
    damaged = b"\xff" * 512 + BIG[512:]
    report = attempt.run(inputs=(attempt.input(damaged, adler32=adler(BIG)),))
    assert report.reason == Reason.INPUT_CORRUPT
    assert adler(BIG) in report.detail
    assert adler(damaged) in report.detail


def test_flipped_bytes_of_data_are_corrupt(attempt: Attempt) -> None:
    flipped = bytearray(BIG)
    flipped[2000:2064] = bytes(byte ^ 0xFF for byte in flipped[2000:2064])
    report = attempt.run(inputs=(attempt.input(bytes(flipped), adler32=adler(BIG)),))
    assert report.reason == Reason.INPUT_CORRUPT
    assert "one" in report.detail


@pytest.mark.parametrize("size", [-1, 1 << 30])
def test_a_header_that_claims_an_absurd_size_is_damage(attempt: Attempt, size: int) -> None:
    info = tarfile.TarInfo("t/f")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = size
    content = tar(TOP)[:512] + info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 20_000
    report = attempt.run(inputs=(attempt.input(content),))
    assert report.reason == Reason.INPUT_CORRUPT
    assert str(size) in report.detail


def test_an_extended_header_that_makes_no_sense_is_damage(attempt: Attempt) -> None:
    info = tarfile.TarInfo("t/f")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 10
    content = tar(TOP)[:512] + info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512 + b"\0" * 1024
    report = attempt.run(inputs=(attempt.input(content),))
    assert report.reason == Reason.INPUT_CORRUPT


def test_scratch_that_fills_up_while_unpacking_is_full(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    report = attempt.run(inputs=(attempt.input(measurement_set()),))
    assert (report.reason, report.stage) == (Reason.SCRATCH_FULL, "stage-in")
    assert "bytes free" in report.detail


def test_setuid_is_dropped_and_files_become_writable(attempt: Attempt) -> None:
    members = [("t/", {"type": tarfile.DIRTYPE, "mode": 0o555}), ("t/f", {"size": 3, "mode": 0o4577})]
    attempt.environment["LOFARGRID_KEEP_WORK"] = "1"
    report = attempt.run(inputs=(attempt.input(tar(*members)),))
    assert report.succeeded
    folder = attempt.work / "in.MS"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "f").stat().st_mode) == 0o755


def test_a_packed_folder_has_the_same_bytes_every_time(attempt: Attempt) -> None:
    script = "mkdir -p o.MS/sub; echo b > o.MS/sub/b; echo a > 'o.MS/a é'; ln -s sub/b o.MS/l"
    script += "; chmod 750 o.MS/sub/b"
    output = OutputFile("o", "o.MS", "o.tar", pack=True)
    contents = []
    for touched in ("199001010000", "200001010000"):
        command = shell(f"{script}; touch -d @0 o.MS/sub/b; touch -t {touched} o.MS o.MS/sub/b")
        assert attempt.run(commands=(command,), outputs=(output,)).succeeded
        contents.append((attempt.out / "o.tar.t1-7").read_bytes())
    assert contents[0] == contents[1]
    with tarfile.open(attempt.out / "o.tar.t1-7") as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == ["o.MS", "o.MS/a é", "o.MS/l", "o.MS/sub", "o.MS/sub/b"]
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}


def test_what_was_packed_can_be_unpacked_again(attempt: Attempt) -> None:
    output = OutputFile("o", "o.MS", "o.tar", pack=True)
    first = attempt.run(commands=(shell("mkdir o.MS; echo x > o.MS/f; ln -s f o.MS/l"),), outputs=(output,))
    (stored,) = first.outputs
    entry = InputFile("one", "", stored.url, "deep/er/in.MS", True, "", stored.size_bytes, stored.adler32)
    second = attempt.run(inputs=(entry,), outputs=(), commands=(("grep", "x", "deep/er/in.MS/l"),))
    assert second.succeeded, second.detail


@pytest.mark.parametrize("odd", ["ln -s /etc/passwd o.MS/l", "ln -s ../f o.MS/l; touch f", "mkfifo o.MS/p"])
def test_a_folder_that_a_consumer_would_refuse_is_not_stored(attempt: Attempt, odd: str) -> None:
    output = OutputFile("o", "o.MS", "o.tar", pack=True)
    report = attempt.run(commands=(shell(f"mkdir o.MS; {odd}"),), outputs=(output,))
    assert report.reason == Reason.STAGE_OUT_FAILED
    assert attempt.stored == []
