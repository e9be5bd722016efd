"""Tar archives, taken for what strangers may have written: compared member by member, unpacked with care."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from lofargrid.compare.outcome import (
    DifferenceError,
    UnreadableError,
    reading,
    require_equal,
    require_same_names,
)

CHUNK_BYTES = 1 << 20


def compare_tars(first: Path, second: Path) -> str:
    """Compare names, kinds and contents of the members; not their times, owners and order.

    Returns
    -------
    detail
        How many members they share.

    Raises
    ------
    DifferenceError
        They are not the same.
    UnreadableError
        One of them is no tar, or a damaged one.
    """
    with _opened(first) as one, _opened(second) as other:
        members, others = _members(one, first), _members(other, second)
        require_same_names("member", set(members), set(others))
        for name, member in members.items():
            require_equal(f"kind of {name}", _kind(member), _kind(others[name]))
            if member.isfile():
                _compare_content(name, _content(one, member, first), _content(other, others[name], second))
    return f"the same {len(members)} members in other bytes"


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    with ExitStack() as stack:
        with reading(path):
            archive = stack.enter_context(tarfile.open(path, "r:"))
        yield archive


def _members(archive: tarfile.TarFile, path: Path) -> dict[str, tarfile.TarInfo]:
    with reading(path):
        members = {member.name: member for member in archive}
        # tarfile takes the end of the file for the end of the archive.
        with path.open("rb") as file:
            file.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
            if any(file.read()):
                raise tarfile.ReadError("the tar ends early")
    return members


def _kind(member: tarfile.TarInfo) -> str:
    if member.isfile():
        return f"a file of {member.size} bytes"
    if member.issym() or member.islnk():
        return f"a link to {member.linkname}"
    return "a folder" if member.isdir() else "a device or pipe"


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Iterator[bytes]:
    with reading(path):
        file = archive.extractfile(member)
        assert file is not None, "a regular file has content"
    while chunk := _read(file, path):
        yield chunk


def _read(file: IO[bytes], path: Path) -> bytes:
    with reading(path):
        return file.read(CHUNK_BYTES)


def _compare_content(name: str, first: Iterator[bytes], second: Iterator[bytes]) -> None:
    for one, other in zip(first, second, strict=True):
        if one != other:
            raise DifferenceError(f"content of {name}")


def unpack_measurement_set(path: Path, folder: Path) -> Path:
    """Unpack a tar of one MeasurementSet.

    Parameters
    ----------
    path
        The tar.
    folder
        A folder that is not there yet.

    Returns
    -------
    measurement_set
        The only folder in it.

    Raises
    ------
    UnreadableError
        The tar is damaged, holds something else, or has members that could write elsewhere.
    """
    with _opened(path) as archive:
        members = _members(archive, path)
        for member in members.values():
            _place(archive, member, path, folder)
    tops = list(folder.iterdir()) if folder.exists() else []
    if len(tops) != 1 or not (tops[0] / "table.dat").is_file():
        raise UnreadableError(f"{path} cannot be read: it holds no single MeasurementSet")
    return tops[0]


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, folder: Path) -> None:
    safe = (member.isfile() or member.isdir()) and not member.issparse()
    if not safe or member.name.startswith("/") or ".." in member.name.split("/"):
        raise UnreadableError(f"{path} cannot be read: its member {member.name!r} ({_kind(member)}) is unsafe")
    target = folder / member.name
    with reading(path):
        (target if member.isdir() else target.parent).mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(member)
        if content is not None:
            with target.open("xb") as file:
                shutil.copyfileobj(content, file, CHUNK_BYTES)
