"""The work directory: made by us, filled by the job, and gone at the end."""

from __future__ import annotations

import contextlib
import os

from .contract import WORK_MARK, Reason
from .failure import Failure, scratch_failure


def make(path: str, attempt: str) -> None:
    """Make a fresh, empty work directory; what a killed runner of the same attempt left is removed.

    Raises
    ------
    Failure
        It cannot be made, or holds what is not ours.
    """
    try:
        if os.path.isdir(path) and os.listdir(path):
            _require_ours(path, attempt)
            remove(path)
        os.makedirs(path, mode=0o700, exist_ok=True)
        with open(os.path.join(path, WORK_MARK), "w", encoding="utf-8") as file:
            file.write(attempt + "\n")
    except OSError as error:
        with contextlib.suppress(OSError):
            os.rmdir(path)
        raise scratch_failure(error, path) from error


def _require_ours(path: str, attempt: str) -> None:
    try:
        with open(os.path.join(path, WORK_MARK), encoding="utf-8") as file:
            owner = file.read().strip()
    except FileNotFoundError:
        raise Failure(Reason.NODE_UNFIT, f"work directory {path} is not empty and not ours") from None
    if owner != attempt:
        raise Failure(Reason.NODE_UNFIT, f"work directory {path} belongs to attempt {owner}")


def keep(path: str) -> None:
    """Let go of a work directory: it is for people to look at, and for them to remove.

    Raises
    ------
    OSError
        It cannot be written.
    """
    os.unlink(os.path.join(path, WORK_MARK))


def remove(path: str) -> None:
    """Remove a folder with all it holds. Links are removed, never followed.

    Raises
    ------
    OSError
        Something in it could not be removed.
    """
    with _entries(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                remove(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(path)


def _entries(path: str) -> os._ScandirIterator[str]:
    # A payload may leave folders that not even it could read any more.
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        os.chmod(path, 0o700)
    return os.scandir(path)
