"""What is particular to storage on this machine's disks."""

from __future__ import annotations

import os
import resource
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lofargrid.errors import BackendError
from lofargrid.names import file_url
from lofargrid.storage.local import LocalStorage, checksum


@contextmanager
def disk_of(size_bytes: int) -> Iterator[None]:
    """No file can grow beyond this: the kernel refuses the write, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def url(path: Path) -> str:
    return file_url(str(path))


def test_a_copy_within_one_disk_moves_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    LocalStorage().copy(url(tmp_path / "a"), url(tmp_path / "out" / "b"), checksum(tmp_path / "a"))
    assert (tmp_path / "out" / "b").samefile(tmp_path / "a")


def test_a_disk_that_fills_while_writing_leaves_the_old_file_whole(tmp_path: Path) -> None:
    target = tmp_path / "b.json"
    target.write_bytes(b"old")
    with disk_of(1 << 20), pytest.raises(BackendError, match=f"cannot write {target}: File too large"):
        LocalStorage().write(url(target), b"y" * (2 << 20))
    assert target.read_bytes() == b"old"
    LocalStorage().write(url(target), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]
    assert target.read_bytes() == b"new"


def test_what_a_crash_left_half_copied_is_cleared_by_the_repetition(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"whole")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".b.part").write_bytes(b"who")
    LocalStorage().copy(url(tmp_path / "a"), url(tmp_path / "out" / "b"), checksum(tmp_path / "a"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]


def test_a_checksum_is_eight_digits_over_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(os.urandom(10) * 250_000)
    assert checksum(tmp_path / "empty") == "00000001"
    assert checksum(tmp_path / "large") == f"{zlib.adler32((tmp_path / 'large').read_bytes()):08x}"
