"""Storage by URL scheme, and the checksum that is taken of every byte that passes.

Local disks are an entry of `STORAGES`; grid storages are reached through tools, see `lofargrid_runner.tools`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from . import local
from .contract import Reason
from .failure import Failure
from .stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from .remote import Manner, Stream

CHUNK_BYTES = 1 << 20


class Facts(NamedTuple):
    """What a storage says of a file: its checksum, and its size at least where nobody keeps one."""

    size_bytes: int | None
    adler32: str | None = None


class Storage(NamedTuple):
    """How files of one URL scheme are read and written. All raise OSError, or Failure if they know the cause.

    ``open`` gives a stream of the whole file. ``store`` lets its second argument write the content, and
    guarantees: when it returns the file stands complete under its name, when it raises nothing does.
    ``fetch`` brings a file to a path of this node, where there is a faster way than the stream. ``facts`` is None
    where there is no such file. ``remove`` may be called for what is not there. ``free`` says in words how much space
    is left.
    """

    open: Callable[[str], Stream]
    store: Callable[[str, Callable[[BinaryIO], None]], None]
    facts: Callable[[str], Facts | None]
    remove: Callable[[str], None]
    free: Callable[[str], str]
    fetch: Callable[[str, str], None] | None = None


def _on_disk(url: str) -> Facts | None:
    size_bytes = local.size(url)
    return None if size_bytes is None else Facts(size_bytes)


STORAGES = {"file": Storage(local.open_file, local.store, _on_disk, local.remove, local.free)}


class Storages:
    """The storages that this node reaches: its own disks, and those that it has a tool for.

    Parameters
    ----------
    manner
        How they are spoken to.
    environment
        The one that the batch system gave us: PATH, and where proxy and authorities are.
    tools
        Those that may be used, the best first; the first one that is here and speaks a URL's protocol is.
    """

    def __init__(self, manner: Manner, environment: Mapping[str, str], tools: Sequence[str]) -> None:
        self._manner = manner
        self._environment = environment
        self._tools = tools

    def of(self, url: str, token: str = "") -> Storage:
        """Choose the storage by the scheme of a URL; a file with a bearer token may open it in place of a proxy.

        Raises
        ------
        Failure
            ``SOFTWARE_MISSING``: no tool of this node speaks it.
        """
        scheme = "file" if url.startswith("/") else url.partition(":")[0]
        if scheme in STORAGES:
            return STORAGES[scheme]
        from .clients import client_of
        from .remote import Remote

        remote = Remote(client_of(scheme, self._tools, self._environment, self._manner, token), self._manner)
        return Storage(remote.open, remote.store, remote.facts, remote.remove, remote.free, remote.fetch)


class Source:
    """A readable stream that counts and sums what passes, and hears the wish to stop."""

    def __init__(self, stream: Stream, label: str, stop: Stop) -> None:
        self._stream = stream
        self._label = label
        self._stop = stop
        self.size = 0
        self._adler = 1

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """Read some bytes, none at the end.

        Raises
        ------
        Failure
            ``INPUT_UNREADABLE``, or ``STOPPED``.
        """
        self._stop.check()
        try:
            data = self._stream.read(size)
        except OSError as error:
            where = f"{self._label}: after {self.size} bytes"
            raise Failure(Reason.INPUT_UNREADABLE, f"{where}: {error.strerror or error}") from error
        self.size += len(data)
        self._adler = zlib.adler32(data, self._adler)
        return data

    def drain(self) -> None:
        """Read to the very end, for the sake of the checksum."""
        while self.read():
            pass

    @property
    def adler32(self) -> str:
        """The checksum so far, as eight hex digits."""
        return f"{self._adler:08x}"


class Sink:
    """A writable stream that counts and sums what passes, and hears the wish to stop."""

    def __init__(self, stream: BinaryIO, stop: Stop) -> None:
        self._stream = stream
        self._stop = stop
        self.size = 0
        self._adler = 1

    def write(self, data: bytes) -> int:
        """Write all of ``data``."""
        self._stop.check()
        rest = memoryview(data)
        while rest:
            rest = rest[self._stream.write(rest) :]
        self.size += len(data)
        self._adler = zlib.adler32(data, self._adler)
        return len(data)

    @property
    def adler32(self) -> str:
        """The checksum so far, as eight hex digits."""
        return f"{self._adler:08x}"
