"""Files on a grid storage: read in a stream that goes on where it broke, stored whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from . import local
from .contract import Reason
from .failure import Failure
from .report import forget
from .stop import Stop
from .streams import CHUNK_BYTES, Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from .log import Log
    from .streams import Stream

TRIES = 3
SKIP_BYTES = 1 << 20
UPLOAD = ".lofargrid-upload"
PACE_S = 60.0


class Manner(NamedTuple):
    """How a storage is spoken to, and in which ``stage``: its troubles have other names on the way in than out.

    Nothing may come for ``stall_s``, not more; it is tried again after ``pause_s`` and then twice that. ``keep`` are
    the descriptors that stay open as long as a tool lives, ``folder`` takes what is to be stored, ``proxy`` is the
    user's, if there is one. What is stored is sent ``sends`` times at most.
    """

    stage: str
    stop: Stop
    log: Log
    folder: str
    stall_s: float = 120.0
    pause_s: float = 15.0
    keep: tuple[int, ...] = ()
    proxy: str = ""
    sends: int = TRIES


class Client:
    """One way to speak to a storage. All raise `Failure`.

    ``resumes`` says that a span of a file may be read, and that `facts` tell its size.
    """

    resumes: bool

    def open(self, url: str, span: str = "") -> Stream:
        """Give a file's bytes, or those from one to another (``2-9``); what is wrong may show in `read` only."""
        raise NotImplementedError

    def fetch(self, url: str, path: str, pace: Pace) -> None:
        """Bring a file to a file of this node. May raise OSError, too."""
        with contextlib.closing(self.open(url)) as stream:
            append(stream, path, 0, pace)

    def put(self, path: str, url: str) -> None:
        """Store a file of this node."""
        raise NotImplementedError

    def facts(self, url: str) -> Facts | None:
        """Ask for a file; None if it is not there."""
        raise NotImplementedError

    def size(self, url: str) -> int | None:
        """Ask how many bytes a file has; None if it is not there."""
        raise NotImplementedError

    def remove(self, url: str) -> None:
        """Remove a file that may not be there."""
        raise NotImplementedError

    def rename(self, url: str, other: str) -> None:
        """Give a file of a storage another name there."""
        raise NotImplementedError

    def names(self, folder: str) -> list[str]:
        """Tell the files in a folder that may not be there."""
        raise NotImplementedError

    def remove_folder(self, folder: str) -> None:
        """Remove a folder if it is empty, and if that can be made sure of: http would remove what is in it, too."""

    def copies(self, url: str) -> bool:
        """Whether storages may copy the file that a URL names among themselves."""
        return False

    def copy(self, url: str, other: str) -> None:
        """Let two storages copy a file, if it `copies`."""
        raise NotImplementedError


class Pace:
    """Says now and then how far a copy is, so that a long one is not taken for one that hangs."""

    def __init__(self, url: str, log: Log, every_s: float = PACE_S) -> None:
        self._url = url
        self._log = log
        self._every_s = every_s
        self._told = (time.monotonic(), 0)

    def at(self, size_bytes: int) -> None:
        """Hear how many bytes have come."""
        now = time.monotonic()
        since, before = self._told
        if now >= since + self._every_s:
            rate = (size_bytes - before) / (now - since) / 1e6
            self._log.line(f"{self._url}: {size_bytes / 1e6:.0f} MB so far, {rate:.1f} MB/s")
            self._told = (now, size_bytes)


class Patience:
    """Waits where a link broke, before it is tried again; not for ever where nothing comes any more."""

    def __init__(self, url: str, manner: Manner, tries: int = TRIES) -> None:
        self._url = url
        self._manner = manner
        self._tries = tries
        self._broke = 0
        self._furthest = 0

    def rest(self, failure: Failure, offset: int) -> None:
        """Wait, if that may help.

        Raises
        ------
        Failure
            It may not, or was of no use too often.
        """
        if offset > self._furthest:
            self._broke, self._furthest = 0, offset
        self._broke += 1
        if failure.reason is not Reason.STORAGE_UNAVAILABLE or self._broke >= self._tries:
            raise failure
        pause_s = self._manner.pause_s * 2 ** (self._broke - 1)
        self._manner.log.line(f"{self._url}: {failure.detail}; goes on at byte {offset} in {pause_s:g} s")
        self._manner.stop.wait(pause_s)
        self._manner.stop.check()


class Resumed:
    """A file as one stream, whatever happens to the links: it is opened again where it broke."""

    def __init__(self, client: Client, url: str, manner: Manner) -> None:
        self._client = client
        self._url = url
        self._patience = Patience(url, manner)
        self._pace = Pace(url, manner.log)
        self._offset = 0
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
                self._patience.rest(failure, self._offset)
                continue
            self._offset += len(data)
            self._pace.at(self._offset)
            return data

    def _opened(self) -> Stream:
        """Open it where it broke; who can only begin at the first byte passes over what has come already."""
        if self._client.resumes:
            return rest_of(self._client, self._url, self._offset)
        stream = self._client.open(self._url)
        left = self._offset
        try:
            while left:
                passed = len(stream.read(min(left, SKIP_BYTES)))
                if not passed:
                    raise _shorter(self._url)
                left -= passed
        except BaseException:
            stream.close()
            raise
        return stream

    def close(self) -> None:
        """Let go of it."""
        stream, self._stream = self._stream, None
        if stream:
            stream.close()


def rest_of(client: Client, url: str, offset: int) -> Stream:
    """Open a file from a byte on.

    To its last byte by number: XRootD's https gives nothing at all, and no error, if it is asked for "the rest".

    Raises
    ------
    Failure
        ``INPUT_CORRUPT``: it has not that many bytes (any more).
    """
    if not offset:
        return client.open(url)
    facts = client.facts(url)
    if facts is None or facts.size_bytes is None or facts.size_bytes < offset:
        raise _shorter(url)
    if facts.size_bytes == offset:
        return io.BytesIO()
    return client.open(url, f"{offset}-{facts.size_bytes - 1}")


def append(stream: Stream, path: str, offset: int, pace: Pace) -> None:
    """Write a stream to a file behind the first ``offset`` bytes that it has."""
    with open(path, "r+b") as file:
        file.truncate(offset)
        file.seek(offset)
        while True:
            data = stream.read(CHUNK_BYTES)
            if not data:
                return
            file.write(data)
            pace.at(file.tell())


def _shorter(url: str) -> Failure:
    return Failure(Reason.INPUT_CORRUPT, f"{url}: it became shorter while it was read")


class Remote:
    """The files of one protocol, as stage-in and stage-out want them; see `lofargrid_runner.storages.Storage`."""

    def __init__(self, client: Client, manner: Manner) -> None:
        self._client = client
        self._manner = manner
        self._absent: set[str] = set()

    def open(self, url: str) -> Stream:
        """Open a file for reading."""
        return Resumed(self._client, url, self._manner)

    def fetch(self, url: str, path: str) -> None:
        """Bring a file to a path of this node; where the link breaks it goes on, or begins anew if its tool must."""
        patience, pace = Patience(url, self._manner), Pace(url, self._manner.log)
        offset = 0
        while True:
            try:
                if not offset:
                    return self._client.fetch(url, path, pace)
                with contextlib.closing(rest_of(self._client, url, offset)) as stream:
                    return append(stream, path, offset, pace)
            except Failure as failure:
                reached = local.size(path) or 0
                offset = reached if self._client.resumes else 0
                patience.rest(failure, reached)

    def store(self, url: str, fill: Callable[[BinaryIO], None]) -> None:
        """Write a file on the node first: only what is whole, and of known size, is sent."""
        part = os.path.join(self._manner.folder, UPLOAD)
        forget(part)
        try:
            with open(part, "xb", buffering=0) as file:
                fill(file)
            self.put(part, url)
        finally:
            forget(part)

    def put(self, path: str, url: str) -> None:
        """Store a file of this node, once more where a link breaks; where that fails nothing of it stays."""
        patience = Patience(url, self._manner, self._manner.sends)
        while True:
            try:
                with self._made(url):
                    return self._client.put(path, url)
            except Failure as failure:
                patience.rest(failure, 0)

    def copies(self, url: str) -> bool:
        """Whether the file that another URL names can come here without us."""
        return self._client.copies(url)

    def copy(self, url: str, other: str) -> None:
        """Let two storages copy a file; where that fails nothing of it stays."""
        with self._made(other):
            self._client.copy(url, other)

    @contextlib.contextmanager
    def _made(self, url: str) -> Iterator[None]:
        if url not in self._absent:
            self.remove(url)  # dCache does not write over a file, XRootD goes on telling the checksum of the old one
        self._absent.discard(url)
        try:
            yield
        except Failure:
            with contextlib.suppress(Failure):  # it is told already why this storage does not do as it should
                self._client.remove(url)
            raise

    def rename(self, url: str, other: str) -> None:
        """Give a file of this storage another name."""
        self._client.rename(url, other)

    def names(self, folder: str) -> list[str]:
        """Tell the files in a folder that may not be there."""
        return self._client.names(folder)

    def remove_folder(self, folder: str) -> None:
        """Remove a folder if it is empty."""
        self._client.remove_folder(folder)

    def facts(self, url: str) -> Facts | None:
        """Ask for a file; None if it is not there."""
        facts = self._client.facts(url)
        if facts is None:
            self._absent.add(url)
        return facts

    def size(self, url: str) -> int | None:
        """Ask how many bytes a file has; None if it is not there."""
        return self._client.size(url)

    def remove(self, url: str) -> None:
        """Remove a file that may not be there."""
        self._client.remove(url)

    def free(self, url: str) -> str:
        """Say that nobody tells how much space is left."""
        return "free space unknown"
