"""What ends an attempt: a reason for the retry rules, and a sentence for people."""

from __future__ import annotations

import errno

from .contract import Reason

# "Full" has three faces: the disk, the quota, and a limit on the size of one file.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Failure(Exception):  # noqa: N818 - it is one: the word the reports use
    """The attempt cannot go on; every stage ends by raising this or by returning.

    ``exit_code`` and ``signal`` are the payload's, where it was the payload that ended badly.
    """

    def __init__(self, reason: Reason, detail: str, exit_code: int | None = None, signal: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.exit_code = exit_code
        self.signal = signal


def scratch_failure(error: OSError, folder: str) -> Failure:
    """Say why this node's scratch could not be written: full, or not fit for work."""
    if error.errno in FULL:
        return Failure(Reason.SCRATCH_FULL, f"no space left in {folder} ({free_text(folder)}): {error.strerror}")
    where = error.filename or folder
    return Failure(Reason.NODE_UNFIT, f"cannot write {where}: {error.strerror or error}")


def free_text(folder: str) -> str:
    """Say how many bytes are free where ``folder`` is, as far as that can be known."""
    import os

    try:
        return f"{free_bytes(folder)} bytes free"
    except OSError as error:
        return f"free space unknown: {os.strerror(error.errno or 0)}"


def free_bytes(folder: str) -> int:
    """Count the bytes that we may still write where ``folder`` is."""
    import os

    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
