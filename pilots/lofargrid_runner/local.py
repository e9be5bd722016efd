"""Files under ``file://`` URLs (or absolute paths): disks that this node mounts."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from .failure import free_text
from .report import forget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


def path_of(url: str) -> str:
    """Give the path that a URL names.

    Raises
    ------
    FileNotFoundError
        It names another host, whose files are not here.
    """
    if url.startswith("/"):
        return url
    path = url[len("file:") :]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            raise FileNotFoundError(errno.ENOENT, f"{url} is on host {host}")
        path = slash + rest
    if "%" in path:
        from urllib.parse import unquote

        path = unquote(path, errors="surrogateescape")
    return path


def open_file(url: str) -> BinaryIO:
    """Open a file for reading.

    Raises
    ------
    IsADirectoryError
        It is a folder, a device or a pipe: whatever is no regular file.
    """
    # O_NONBLOCK: a named pipe must not hang us before we see what it is.
    file = os.open(path_of(url), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise IsADirectoryError(errno.EISDIR, "not a regular file")
    return open(file, "rb", buffering=0)


def store(url: str, fill: Callable[[BinaryIO], None]) -> None:
    """Write a file under a temporary name, make sure it is on disk, and give it its name."""
    path = path_of(url)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    part = f"{path}.part"
    forget(part)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "wb", 0) as raw:
            fill(raw)
            os.fsync(raw.fileno())
        os.replace(part, path)
    except BaseException:
        forget(part)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    # The rename itself must survive a power cut; some network file systems cannot promise that.
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        os.fsync(file)
    os.close(file)


def size(url: str) -> int | None:
    """Give a file's size in bytes, None where there is none."""
    try:
        return os.stat(path_of(url)).st_size
    except FileNotFoundError:
        return None


def remove(url: str) -> None:
    """Remove a file that may not be there."""
    forget(path_of(url))


def free(url: str) -> str:
    """Say how many bytes are free in the folder that is to hold ``url``."""
    return free_text(os.path.dirname(path_of(url)))
