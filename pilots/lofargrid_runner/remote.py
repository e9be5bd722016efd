"""Files on a grid storage: read in a stream that goes on where it broke, stored whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import NamedTuple

from .contract import Reason
from .failure import Failure
from .report import forget
from .stop import Stop
from .transfers import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Protocol

    from .log import Log

    class Stream(Protocol):
        """Bytes from a storage. Both raise `Failure`."""

        def read(self, size: int) -> bytes:
            """Read ``size`` bytes; fewer only at the end."""

        def close(self) -> None:
            """Let go of it."""


TRIES = 3
SKIP_BYTES = 1 << 20
UPLOAD = ".lofargrid-upload"


class Manner(NamedTuple):
    """How a storage is spoken to, and in which ``stage``: its troubles have other names on the way in than out.

    Nothing may come for ``stall_s``, not more; it is tried again after ``pause_s`` and then twice that. ``keep`` are
    the descriptors that stay open as long as a tool lives, ``folder`` takes what is to be stored, ``proxy`` is the
    user's, if there is one.
    """

    stage: str
    stop: Stop
    log: Log
    folder: str
    stall_s: float = 120.0
    pause_s: float = 15.0
    keep: tuple[int, ...] = ()
    proxy: str = ""


class Client:
    """One way to speak to a storage. All raise `Failure`.

    ``resumes`` says that a file may be read from another byte than the first.
    """

    resumes: bool

    def open(self, url: str, offset: int) -> Stream:
        """Give the file's bytes from ``offset`` on; what is wrong with it may show in the first `read` only."""
        raise NotImplementedError

    def put(self, path: str, url: str) -> None:
        """Store a file of this node."""
        raise NotImplementedError

    def facts(self, url: str) -> Facts | None:
        """Ask for a file; None if it is not there."""
        raise NotImplementedError

    def remove(self, url: str) -> None:
        """Remove a file that may not be there."""
        raise NotImplementedError


class Resumed:
    """A file as one stream, whatever happens to the links: it is opened again where it broke."""

    def __init__(self, client: Client, url: str, manner: Manner) -> None:
        self._client = client
        self._url = url
        self._manner = manner
        self._offset = 0
        self._broke = 0
        self._stream: Stream | None = None

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes; fewer only at the end.

        Raises
        ------
        Failure
            It cannot be read, or broke too often in one place.
        """
        while True:
            try:
                if self._stream is None:
                    self._stream = self._opened()
                data = self._stream.read(size)
            except Failure as failure:
                self.close()
                self._rest(failure)
                continue
            if data:
                self._broke = 0
            self._offset += len(data)
            return data

    def _opened(self) -> Stream:
        """Open it where it broke; who can only begin at the first byte passes over what has come already."""
        if self._client.resumes:
            return self._client.open(self._url, self._offset)
        stream = self._client.open(self._url, 0)
        left = self._offset
        try:
            while left:
                passed = len(stream.read(min(left, SKIP_BYTES)))
                if not passed:
                    raise Failure(Reason.INPUT_CORRUPT, f"{self._url}: it became shorter while it was read")
                left -= passed
        except BaseException:
            stream.close()
            raise
        return stream

    def _rest(self, failure: Failure) -> None:
        """Wait before it is opened again, if that may help."""
        self._broke += 1
        if failure.reason is not Reason.STORAGE_UNAVAILABLE or self._broke >= TRIES:
            raise failure
        pause_s = self._manner.pause_s * 2 ** (self._broke - 1)
        self._manner.log.line(f"{self._url}: {failure.detail}; goes on at byte {self._offset} in {pause_s:g} s")
        self._manner.stop.wait(pause_s)
        self._manner.stop.check()

    def close(self) -> None:
        """Let go of it."""
        stream, self._stream = self._stream, None
        if stream:
            stream.close()


class Remote:
    """The files of one protocol, as stage-in and stage-out want them; see `lofargrid_runner.transfers.Storage`."""

    def __init__(self, client: Client, manner: Manner) -> None:
        self._client = client
        self._manner = manner

    def open(self, url: str) -> Stream:
        """Open a file for reading."""
        return Resumed(self._client, url, self._manner)

    def store(self, url: str, fill: Callable[[BinaryIO], None]) -> None:
        """Write a file on the node first: only what is whole, and of known size, is sent."""
        part = os.path.join(self._manner.folder, UPLOAD)
        forget(part)
        try:
            with open(part, "xb", buffering=0) as file:
                fill(file)
            self.remove(url)  # dCache does not write over a file, XRootD goes on telling the checksum of the old one
            try:
                self._client.put(part, url)
            except Failure:
                with contextlib.suppress(Failure):  # it is told already why this storage does not do as it should
                    self._client.remove(url)
                raise
        finally:
            forget(part)

    def facts(self, url: str) -> Facts | None:
        """Ask for a file; None if it is not there."""
        return self._client.facts(url)

    def remove(self, url: str) -> None:
        """Remove a file that may not be there."""
        self._client.remove(url)

    def free(self, url: str) -> str:
        """Say that nobody tells how much space is left."""
        return "free space unknown"
