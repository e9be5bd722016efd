"""Files as they pass: every byte is counted, and its checksum taken."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from .contract import Reason
from .failure import Failure
from .stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Protocol

    class Stream(Protocol):
        """Bytes from a storage. Both raise `Failure`."""

        def read(self, size: int) -> bytes:
            """Read ``size`` bytes; fewer only at the end."""

        def close(self) -> None:
            """Let go of it."""


CHUNK_BYTES = 1 << 20


class Facts(NamedTuple):
    """What a storage says of a file: its checksum, and its size at least where nobody keeps one."""

    size_bytes: int | None
    adler32: str | None = None


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
