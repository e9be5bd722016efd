"""The tape library of a site: cartridges, drives, and the disk cache before them."""

import heapq
import random
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lofargrid.simulation.clock import BIN_S, Clock
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.files import File
from lofargrid.simulation.trace import Trace
from lofargrid.storage.base import Locality

_RETRY_S = 60.0


@dataclass(frozen=True)
class Library:
    """What a site has for its tapes. ``cache_mb`` is the disk that recalled files lie on."""

    drives: int = 4
    mount_s: float = 120.0
    drive_mb_s: float = 250.0
    cache_mb: float = 100e6
    files_per_cartridge: int = 50


class Tape:
    """Brings files from tape to the cache, cartridge by cartridge, and drops what nobody has pinned.

    ``recalled_mb`` has what was read in each 60 s since the start, ``mounts`` how often a cartridge was mounted,
    ``pinned_mb`` what is kept on disk, and ``peak_pinned_mb`` the most that ever was.

    Parameters
    ----------
    site
        Whose tapes these are.
    library
        What there is.
    clock, faults, trace, stream
        The time; what goes wrong, how often; where it is written; randomness.
    """

    def __init__(
        self, site: str, library: Library, clock: Clock, faults: Faults, trace: Trace, stream: random.Random
    ) -> None:
        self.site = site
        self._library = library
        self._clock = clock
        self._faults = faults
        self._trace = trace
        self._stream = stream
        self._cartridges: dict[str, int] = {}
        self._wanted: dict[int, OrderedDict[str, File]] = {}
        self._until_s: dict[str, float] = {}
        self._listeners: dict[str, list[Callable[[str], None]]] = {}
        self._cached: dict[str, File] = {}
        # Pins by their end; an entry that says another end than the dictionary is an old one.
        self._pinned_until_s: dict[str, float] = {}
        self._pins: list[tuple[float, str]] = []
        self._loose: OrderedDict[str, None] = OrderedDict()
        self._idle = library.drives
        self._mounted: set[int] = set()
        self.cached_mb = self.pinned_mb = self.peak_pinned_mb = 0.0
        self.mounts = 0
        self.recalled_mb: defaultdict[int, float] = defaultdict(float)

    def store(self, file: File) -> None:
        """Put a file on tape only."""
        self._cartridges[file.url] = len(self._cartridges) // self._library.files_per_cartridge
        file.locality = Locality.NEARLINE
        if self._stream.random() < self._faults.tape_lost:
            self._trace.fault(Cause.TAPE_LOST, url=file.url)
            file.locality = Locality.LOST

    def recall(self, file: File, lifetime_s: float, told: Callable[[str], None]) -> None:
        """Bring a file online and pin it. ``told`` is called with "" when it is there, or with what went wrong."""
        if file.url in self._cached:
            self.pin(file, lifetime_s)
            self._clock.at(0.0, partial(told, ""))
            return
        self._until_s[file.url] = max(lifetime_s, self._until_s.get(file.url, 0.0))
        self._listeners.setdefault(file.url, []).append(told)
        self._wanted.setdefault(self._cartridges[file.url], OrderedDict()).setdefault(file.url, file)
        self._wake()

    def forget(self, file: File) -> None:
        """Recall a file no longer; one that is being read comes, and is not pinned."""
        self._listeners.pop(file.url, None)
        self._until_s.pop(file.url, None)
        number = self._cartridges.get(file.url, -1)
        if number in self._wanted:
            self._wanted[number].pop(file.url, None)

    def pin(self, file: File, lifetime_s: float) -> None:
        """Keep a cached file for so long from now at least."""
        if file.url in self._cached:
            if file.url not in self._pinned_until_s:
                self.pinned_mb += file.size_bytes / 1e6
                self.peak_pinned_mb = max(self.peak_pinned_mb, self.pinned_mb)
            until_s = max(self._clock.elapsed_s + lifetime_s, self._pinned_until_s.get(file.url, 0.0))
            self._pinned_until_s[file.url] = until_s
            heapq.heappush(self._pins, (until_s, file.url))
            self._loose.pop(file.url, None)

    def unpin(self, file: File) -> None:
        """Let a file go; it is dropped when its space is needed."""
        if file.url in self._cached:
            self._unpinned(file)
            self._loose[file.url] = None

    def _unpinned(self, file: File) -> None:
        if self._pinned_until_s.pop(file.url, None) is not None:
            self.pinned_mb -= file.size_bytes / 1e6

    def _wake(self) -> None:
        while self._idle:
            number = next((one for one, files in self._wanted.items() if files and one not in self._mounted), None)
            if number is None:
                return
            self._idle -= 1
            self._mounted.add(number)
            self.mounts += 1
            self._clock.at(self._library.mount_s, partial(self._read, number))

    def _read(self, number: int) -> None:
        """Read the next file of a mounted cartridge, or unmount it."""
        files = self._wanted.get(number)
        if not files:
            self._wanted.pop(number, None)
            self._mounted.discard(number)
            self._idle += 1
            self._wake()
            return
        file = next(iter(files.values()))
        if not self._make_room(file.size_bytes / 1e6):
            self._clock.at(_RETRY_S, partial(self._read, number))
            return
        del files[file.url]
        self._clock.at(file.size_bytes / 1e6 / self._library.drive_mb_s, partial(self._came, number, file))

    def _came(self, number: int, file: File) -> None:
        self.recalled_mb[int(self._clock.elapsed_s / BIN_S)] += file.size_bytes / 1e6
        problem = self._problem(file)
        if not problem and file.url not in self._cached:
            self._cached[file.url] = file
            self.cached_mb += file.size_bytes / 1e6
            file.locality = Locality.ONLINE
            lifetime_s = self._until_s.pop(file.url, 0.0)
            if self._happens(self._faults.pin_short, Cause.PIN_SHORT, file):
                self._clock.at(lifetime_s * self._stream.random() * 0.5, partial(self._drop, file))
            self.pin(file, lifetime_s)
        self._trace.note("recalled", url=file.url, how="failed" if problem else "online")
        for told in self._listeners.pop(file.url, ()):
            told(problem)
        self._read(number)

    def _problem(self, file: File) -> str:
        if file.locality is Locality.LOST:
            return "the tape cannot be read: Input/output error"
        if self._happens(self._faults.recall_failed, Cause.RECALL_FAILED, file):
            return "the drive failed: request timed out"
        return ""

    def _make_room(self, size_mb: float) -> bool:
        while self._pins and self._pins[0][0] <= self._clock.elapsed_s:
            until_s, url = heapq.heappop(self._pins)
            if self._pinned_until_s.get(url) == until_s:
                self.unpin(self._cached[url])
        while self.cached_mb + size_mb > self._library.cache_mb:
            if not self._loose:
                return not self._cached  # a file larger than the cache passes through an empty one
            self._drop(self._cached[next(iter(self._loose))])
        return True

    def _drop(self, file: File) -> None:
        if self._cached.pop(file.url, None) is None:
            return
        self._unpinned(file)
        self._loose.pop(file.url, None)
        self.cached_mb -= file.size_bytes / 1e6
        file.locality = Locality.NEARLINE
        self._trace.note("dropped", url=file.url)

    def _happens(self, chance: float, cause: Cause, file: File) -> bool:
        if self._stream.random() >= chance:
            return False
        self._trace.fault(cause, url=file.url)
        return True
