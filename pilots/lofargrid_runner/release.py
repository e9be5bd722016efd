"""HTCondor's programs on this node: those on PATH, in a folder such as CVMFS has, or out of a tarball."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from typing import NamedTuple

from .contract import Reason
from .failure import Failure, scratch_failure
from .stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

STARTD = "condor_startd"
TARBALL = "htcondor.tar"
PATIENCE_S = 60.0
CHUNK_BYTES = 1 << 20


class Release(NamedTuple):
    """Where the parts of HTCondor lie."""

    sbin: str
    libexec: str
    lib: str

    @property
    def startd(self) -> str:
        """The program that a pilot is."""
        return os.path.join(self.sbin, STARTD)


def find_release(wanted: str, sha256: str, folder: str, environment: Mapping[str, str], stop: Stop) -> Release:
    """Find HTCondor's programs.

    Parameters
    ----------
    wanted
        Empty for what is on PATH; a folder; or a tarball, as a path or an https:// URL.
    sha256
        Of the tarball.
    folder
        Takes what is unpacked.
    environment
        Its PATH is looked at.
    stop
        Ends a long download.

    Raises
    ------
    Failure
        ``SOFTWARE_MISSING``: it is not there, or not what its SHA-256 says. ``SOFTWARE_UNREACHABLE``: it cannot be
        downloaded. ``SCRATCH_FULL``, or ``STOPPED``.
    """
    if not wanted:
        found = shutil.which(STARTD, path=environment.get("PATH", os.defpath))
        if not found:
            raise Failure(Reason.SOFTWARE_MISSING, f"no {STARTD} on PATH ({environment.get('PATH', '')})")
        return _release(os.path.dirname(os.path.dirname(os.path.realpath(found))))
    if os.path.isdir(wanted):
        return _release(wanted)
    if sha256:
        return _release(_unpacked(_fetched(wanted, sha256, folder, stop), folder))
    raise Failure(Reason.SOFTWARE_MISSING, f"there is no folder {wanted} on this node")


def _release(top: str) -> Release:
    for root in (top, os.path.join(top, "usr")):
        libexec = [os.path.join(root, *parts) for parts in (("libexec", "condor"), ("libexec",))]
        if os.access(os.path.join(root, "sbin", STARTD), os.X_OK):
            there = next((one for one in libexec if os.path.isdir(one)), libexec[0])
            return Release(os.path.join(root, "sbin"), there, os.path.join(root, "lib"))
    raise Failure(Reason.SOFTWARE_MISSING, f"no sbin/{STARTD} below {top}")


def _fetched(wanted: str, sha256: str, folder: str, stop: Stop) -> str:
    target = os.path.join(folder, TARBALL)
    digest = hashlib.sha256()
    try:
        with _opened(wanted) as source, open(target, "wb") as file:
            while True:
                chunk = source.read(CHUNK_BYTES)
                if not chunk:
                    break
                stop.check()
                digest.update(chunk)
                _write(file, chunk, folder)
    except OSError as error:
        raise Failure(Reason.SOFTWARE_UNREACHABLE, f"cannot read {wanted}: {error}") from error
    if digest.hexdigest() != sha256:
        what = f"{wanted} is not what was agreed: its SHA-256 is {digest.hexdigest()}, not {sha256}"
        raise Failure(Reason.SOFTWARE_MISSING, what)
    return target


def _opened(wanted: str) -> BinaryIO:
    if not wanted.startswith("https://"):
        return open(wanted, "rb")
    from typing import cast
    from urllib.request import urlopen

    return cast("BinaryIO", urlopen(wanted, timeout=PATIENCE_S))


def _write(file: BinaryIO, chunk: bytes, folder: str) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise scratch_failure(error, folder) from error


def _unpacked(tarball: str, folder: str) -> str:
    """Unpack what was proven to be what it should be, packed in whatever way."""
    into = os.path.join(folder, "htcondor")
    os.mkdir(into)
    words = ["tar", "-xf", tarball, "-C", into, "--no-same-owner"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    os.remove(tarball)
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2]
        reason = Reason.SCRATCH_FULL if os.strerror(errno.ENOSPC) in done.stderr else Reason.SOFTWARE_MISSING
        raise Failure(reason, f"HTCondor's tarball cannot be unpacked: {why}")
    return into
