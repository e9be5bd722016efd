"""One runner per attempt directory."""

from __future__ import annotations

import errno
import fcntl
import os

from .contract import LOCK_FILE

NO_LOCKS_HERE = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


class HeldError(Exception):
    """Somebody else runs in this attempt directory."""


def take(folder: str, inherited: int | None) -> int:
    """Hold the lock of an attempt directory until this process ends.

    Parameters
    ----------
    folder
        The attempt directory.
    inherited
        An open descriptor of the lock file that the parent already locked, or None.

    Returns
    -------
        The descriptor that holds the lock; it is not passed on to programs.

    Raises
    ------
    HeldError
        Another process holds it.
    ValueError
        ``inherited`` is not the lock file of this directory.
    """
    path = os.path.join(folder, LOCK_FILE)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644) if inherited is None else inherited
    if inherited is not None:
        _examine(path, inherited)
    try:
        # On a descriptor that the parent locked this changes nothing: it is the same open file.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise HeldError(f"another runner holds {path}") from None
    except OSError as error:
        # Some parallel file systems have no locks at all: better to run unlocked than never.
        if error.errno not in NO_LOCKS_HERE:
            raise
    return file


def _examine(path: str, inherited: int) -> None:
    try:
        same = os.path.samestat(os.fstat(inherited), os.stat(path))
    except OSError:
        same = False
    if not same:
        raise ValueError(f"descriptor {inherited} is not {path}")
    os.set_inheritable(inherited, False)
