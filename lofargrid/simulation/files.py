"""The files of all storages, by URL."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from lofargrid.simulation.clock import BIN_S, Clock
from lofargrid.simulation.faults import Flaw
from lofargrid.storage.base import Locality


@dataclass(slots=True)
class File:
    """A file on a storage.

    ``content`` says what is in it: two files of one content are equal. ``site`` holds it. ``complete`` is False while
    it is written and if that broke off. ``placed`` files were there before anything ran.
    """

    url: str
    size_bytes: int
    adler32: str
    content: str
    site: str
    complete: bool = True
    locality: Locality = Locality.ONLINE
    placed: bool = False


def fingerprint(*content: str) -> str:
    """A short hash of what a content was made of."""
    return hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]


def checksum(content: str) -> str:
    """What stands for the adler32 of a simulated content."""
    return hashlib.sha256(content.encode()).hexdigest()[:8]


class Files:
    """What lies where.

    ``held_bytes`` is what was written at each site and not deleted, ``peak_bytes`` the most of it so far, ``levels``
    how much it was at the end of each 60 s in which it changed; files that were placed do not count. ``flaws`` tells
    which placed files are bad.

    Parameters
    ----------
    clock
        The time.
    holder
        Tells which site holds a URL.
    """

    def __init__(self, clock: Clock, holder: Callable[[str], str]) -> None:
        self._clock = clock
        self._holder = holder
        self._files: dict[str, File] = {}
        self._folders: dict[str, dict[str, None]] = {}
        self.flaws: dict[str, Flaw] = {}
        self.held_bytes: dict[str, int] = {}
        self.peak_bytes: dict[str, int] = {}
        self.levels: dict[str, dict[int, int]] = {}

    def holder(self, url: str) -> str:
        """The site that holds a URL, "" if none does."""
        return self._holder(url)

    def get(self, url: str) -> File | None:
        """The file, or None."""
        return self._files.get(url)

    def put(
        self, url: str, size_bytes: int, adler32: str, content: str, complete: bool = True, placed: bool = False
    ) -> File:
        """Make a file, in place of what stood there."""
        self.remove(url)
        file = File(url, size_bytes, adler32, content, self._holder(url), complete, placed=placed)
        self._files[url] = file
        self._folders.setdefault(folder_of(url), {})[url] = None
        self._count(file, size_bytes)
        return file

    def remove(self, url: str) -> None:
        """See that a file is not there."""
        file = self._files.pop(url, None)
        if file is None:
            return
        folder = self._folders[folder_of(url)]
        del folder[url]
        if not folder:
            del self._folders[folder_of(url)]
        self._count(file, -file.size_bytes)

    def inside(self, folder: str) -> list[str]:
        """The URLs of the files right in a folder, sorted."""
        return sorted(self._folders.get(folder.rstrip("/"), ()))

    def all(self) -> list[File]:
        """Every file, in the order in which they were made."""
        return list(self._files.values())

    def _count(self, file: File, change_bytes: int) -> None:
        if file.placed:
            return
        held = self.held_bytes.get(file.site, 0) + change_bytes
        self.held_bytes[file.site] = held
        self.peak_bytes[file.site] = max(held, self.peak_bytes.get(file.site, 0))
        self.levels.setdefault(file.site, {})[int(self._clock.elapsed_s / BIN_S)] = held


def folder_of(url: str) -> str:
    """The folder a file lies in."""
    return url.rpartition("/")[0]
