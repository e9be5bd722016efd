"""Storage on this machine's disks: ``file://``."""

import contextlib
import errno
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from lofargrid.errors import BackendError
from lofargrid.names import file_url, path_of
from lofargrid.storage.base import Stat

_CHUNK_BYTES = 1 << 20
_REMEDIES = {
    errno.ENOSPC: "Free space there",
    errno.EDQUOT: "Free space there",
    errno.EROFS: "Make its disk writable",
    errno.EACCES: "Make it writable for this user",
}


class LocalStorage:
    """Files on mounted disks. A copy within one disk is a hard link: no bytes move."""

    def is_near(self, *urls: str) -> bool:
        """See `Storage.is_near`."""
        return True

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""
        try:
            return Stat(url, Path(path_of(url)).stat().st_size)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed("look at", url, error) from None

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        try:
            return sorted(file_url(entry.path) for entry in os.scandir(path_of(folder)) if entry.is_file())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failed("list", folder, error) from None

    def copy(self, source: str, target: str, adler32: str) -> None:
        """See `Storage.copy`."""
        with _whole(target, "copy to") as part:
            _link_or_copy(Path(path_of(source)), part)
            found = checksum(part)
            if found != adler32:
                raise BackendError(f"{path_of(source)}: adler32 {found} where {adler32} was stored; not copied")

    def write(self, target: str, content: bytes) -> None:
        """See `Storage.write`."""
        with _whole(target, "write") as part:
            part.write_bytes(content)

    def read(self, url: str) -> bytes:
        """See `Storage.read`."""
        try:
            return Path(path_of(url)).read_bytes()
        except OSError as error:
            raise _failed("read", url, error) from None

    def delete(self, url: str) -> None:
        """See `Storage.delete`."""
        try:
            Path(path_of(url)).unlink(missing_ok=True)
        except OSError as error:
            raise _failed("delete", url, error) from None

    def remove_folder(self, folder: str) -> None:
        """See `Storage.remove_folder`."""
        with contextlib.suppress(OSError):
            Path(path_of(folder)).rmdir()


def checksum(path: Path) -> str:
    """The adler32 of a file, 8 hexadecimal digits."""
    value = 1
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            value = zlib.adler32(chunk, value)
    return f"{value:08x}"


@contextlib.contextmanager
def _whole(target: str, verb: str) -> Iterator[Path]:
    """Give a place to make a file, which then gets its name; if it cannot be made nothing of it stays."""
    place = Path(path_of(target))
    part = place.with_name(f".{place.name}.part")  # always the same, so that a repetition clears up a crash
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        try:
            yield part
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)  # renaming does nothing if both are links to one file already
    except OSError as error:
        raise _failed(verb, target, error) from None


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _failed(verb: str, url: str, error: OSError) -> BackendError:
    remedy = f". {_REMEDIES[error.errno]}; the same command goes on" if error.errno in _REMEDIES else ""
    return BackendError(f"cannot {verb} {path_of(url)}: {error.strerror or error}{remedy}")
