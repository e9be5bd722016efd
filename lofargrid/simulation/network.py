"""Links that copies share, and how long a copy takes."""

import heapq
from collections import defaultdict
from collections.abc import Callable

from lofargrid.simulation.clock import BIN_S, Clock, Event

_DUST_MB = 1e-6


class Link:
    """A piece of network that all copies on it share evenly.

    ``capacity_mb_s`` is what it can carry, ``stream_mb_s`` the most that one copy gets. ``moved_mb`` has what it
    carried in each 60 s since the start; ``booked_mb`` what was moved without taking time. ``pace`` below 1 slows it
    down.
    """

    def __init__(self, name: str, capacity_mb_s: float, stream_mb_s: float) -> None:
        self.name = name
        self.capacity_mb_s = capacity_mb_s
        self.stream_mb_s = stream_mb_s
        self.pace = 1.0
        self.copies = 0
        self.most_copies = 0
        self.routes: list[Route] = []
        self.moved_mb: defaultdict[int, float] = defaultdict(float)
        self.booked_mb: defaultdict[int, float] = defaultdict(float)

    @property
    def share_mb_s(self) -> float:
        """What each copy gets now."""
        return min(self.stream_mb_s, self.capacity_mb_s / max(self.copies, 1)) * self.pace

    def carry(self, since_s: float, until_s: float, rate_mb_s: float) -> None:
        """Record what was moved between two moments."""
        while since_s < until_s:
            number = int(since_s / BIN_S)
            upto_s = min((number + 1) * BIN_S, until_s)
            if upto_s <= since_s:  # the rest is too small for a float at this size
                break
            self.moved_mb[number] += (upto_s - since_s) * rate_mb_s
            since_s = upto_s

    def adapt(self) -> None:
        """Let all routes over it take their new rate."""
        for route in self.routes:
            route.adapt()

    @property
    def busiest_mb_s(self) -> float:
        """The mean rate of its fullest 60 s."""
        return max(self.moved_mb.values(), default=0.0) / BIN_S


class Copy:
    """One copy on its way. ``done`` is called at its end, never if it was cancelled."""

    __slots__ = ("done", "finish_mb", "route")

    def __init__(self, route: "Route", finish_mb: float, done: Callable[[], None]) -> None:
        self.route = route
        self.finish_mb = finish_mb
        self.done: Callable[[], None] | None = done


class Route:
    """All copies over the same links. They progress at one rate, the smallest share that any of the links gives.

    One rate for all makes it cheap: a copy is over when the megabytes that each copy here has made so far reach its
    finishing mark, so the marks stand in a heap and a change of the rate moves none of them.
    """

    def __init__(self, clock: Clock, links: tuple[Link, ...]) -> None:
        self._clock = clock
        self.links = links
        self.copies = 0
        self._progress_mb = 0.0
        self._since_s = 0.0
        self._rate_mb_s = 0.0
        self._heap: list[tuple[float, int, Copy]] = []
        self._made = 0
        self._event: Event | None = None
        self._end_s: float | None = None
        for link in links:
            link.routes.append(self)

    def start(self, size_mb: float, done: Callable[[], None]) -> Copy:
        """Begin a copy."""
        self.settle()
        copy = Copy(self, self._progress_mb + size_mb, done)
        self._made += 1
        heapq.heappush(self._heap, (copy.finish_mb, self._made, copy))
        self._count(1)
        return copy

    def cancel(self, copy: Copy) -> None:
        """Break a copy off."""
        if copy.done is not None:
            copy.done = None
            self.settle()
            self._count(-1)

    def settle(self) -> None:
        """Bring the progress up to now."""
        now_s = self._clock.elapsed_s
        if self.copies and now_s > self._since_s:
            self._progress_mb += (now_s - self._since_s) * self._rate_mb_s
            for link in self.links:
                link.carry(self._since_s, now_s, self._rate_mb_s * self.copies)
        self._since_s = now_s

    def adapt(self) -> None:
        """Take the rate that the links give now, and find anew which copy ends next."""
        while self._heap and self._heap[0][2].done is None:
            heapq.heappop(self._heap)
        if not self._heap and self._event is None:
            return
        rate_mb_s = min([link.share_mb_s for link in self.links])
        if rate_mb_s != self._rate_mb_s:
            self.settle()
            self._rate_mb_s = rate_mb_s
        if not self._heap:
            self._expect(None)
        else:
            left_mb = self._heap[0][0] - self._progress_mb
            self._expect(self._since_s + left_mb / rate_mb_s)

    def _expect(self, end_s: float | None) -> None:
        if self._event is not None:
            if end_s == self._end_s:
                return
            self._clock.cancel(self._event)
        self._end_s = end_s
        self._event = None if end_s is None else self._clock.at(end_s - self._clock.elapsed_s, self._finish)

    def _finish(self) -> None:
        self._event = None
        self.settle()
        due_mb = max(self._progress_mb, self._heap[0][0]) + _DUST_MB
        ended = []
        while self._heap and self._heap[0][0] <= due_mb:
            copy = heapq.heappop(self._heap)[2]
            if copy.done is not None:
                ended.append(copy.done)
                copy.done = None
        self._count(-len(ended))
        for done in ended:
            done()

    def _count(self, change: int) -> None:
        self.copies += change
        for link in self.links:
            link.copies += change
            link.most_copies = max(link.most_copies, link.copies)
        for link in self.links:
            link.adapt()


class Network:
    """A local network at each site, and a wide-area link from each to all others.

    A copy within a site takes its local network, one between two sites the wide-area links of both.

    Parameters
    ----------
    clock
        The time.
    local
        The local network of each site by its name.
    wide
        The wide-area link of each site by its name, both ways together.
    """

    def __init__(self, clock: Clock, local: dict[str, Link], wide: dict[str, Link]) -> None:
        self._clock = clock
        self.local = local
        self.wide = wide
        self._routes: dict[tuple[str, str], Route] = {}

    def copy(self, source: str, target: str, size_bytes: int, done: Callable[[], None]) -> Copy:
        """Begin a copy between the storages or nodes of two sites."""
        return self._route(source, target).start(size_bytes / 1e6, done)

    def book(self, source: str, target: str, size_bytes: int) -> None:
        """Record bytes that were moved without taking time."""
        for link in self._route(source, target).links:
            link.booked_mb[int(self._clock.elapsed_s / BIN_S)] += size_bytes / 1e6

    def set_pace(self, site: str, pace: float) -> None:
        """Slow down a site's links, or let them run free with 1."""
        for link in (self.local[site], self.wide[site]):
            link.pace = pace
            link.adapt()

    def settle(self) -> None:
        """Bring all records up to now."""
        for route in self._routes.values():
            route.settle()

    def _route(self, source: str, target: str) -> Route:
        ends = (source, target) if source < target else (target, source)
        if ends not in self._routes:
            links = (self.local[source],) if source == target else (self.wide[ends[0]], self.wide[ends[1]])
            self._routes[ends] = Route(self._clock, links)
        return self._routes[ends]
