"""Storage by URL scheme, and the checksum that is taken of every byte that passes.

A new protocol is one more entry of `STORAGES`: five functions that take a URL.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

from . import local
from .contract import Reason
from .failure import Failure
from .stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    from typing import BinaryIO

CHUNK_BYTES = 1 << 20


class Storage(NamedTuple):
    """How files of one URL scheme are read and written. All raise OSError.

    ``open`` gives a stream of the whole file. ``store`` lets its second argument write the content, and
    guarantees: when it returns the file stands complete under its name, when it raises nothing does.
    ``size`` is None where there is no such file. ``remove`` may be called for what is not there.
    ``free`` says in words how much space is left.
    """

    open: Callable[[str], BinaryIO]
    store: Callable[[str, Callable[[BinaryIO], None]], None]
    size: Callable[[str], int | None]
    remove: Callable[[str], None]
    free: Callable[[str], str]


STORAGES = {"file": Storage(local.open_file, local.store, local.size, local.remove, local.free)}


def storage_of(url: str) -> Storage:
    """Choose the storage by the scheme of a URL.

    Raises
    ------
    ValueError
        This runner does not speak that scheme.
    """
    scheme = "file" if url.startswith("/") else url.partition(":")[0]
    if scheme not in STORAGES:
        raise ValueError(f"this runner cannot transfer {url}: it speaks {', '.join(STORAGES)}")
    return STORAGES[scheme]


class Source:
    """A readable stream that counts and sums what passes, and hears the wish to stop."""

    def __init__(self, stream: BinaryIO, label: str, stop: Stop) -> None:
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
