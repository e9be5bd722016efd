"""Virtual time: events in their order, and nobody waits for them."""

import heapq
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)
BIN_S = 60.0
"""What is recorded over time is so in bins of this length, from the start."""


class Event:
    """Something that will happen once, unless it is cancelled before."""

    __slots__ = ("action", "time_s")

    def __init__(self, time_s: float, action: Callable[[], None]) -> None:
        self.time_s = time_s
        self.action: Callable[[], None] | None = action


class Clock:
    """A clock that moves when it is told to, from event to event.

    ``elapsed_s`` is the virtual time since ``start`` (aware UTC). Events of one moment happen in the order in which
    they were made.
    """

    def __init__(self, start: datetime = START) -> None:
        self.start = start
        self.elapsed_s = 0.0
        self._heap: list[tuple[float, int, Event]] = []
        self._made = 0
        self._cancelled = 0

    def now(self) -> datetime:
        """The virtual time."""
        return self.moment(self.elapsed_s)

    def moment(self, elapsed_s: float) -> datetime:
        """The time so long after the start."""
        return self.start + timedelta(seconds=elapsed_s)

    def at(self, delay_s: float, action: Callable[[], None]) -> Event:
        """Let ``action`` happen ``delay_s`` from now; a delay below zero is none."""
        event = Event(self.elapsed_s + max(delay_s, 0.0), action)
        self._made += 1
        heapq.heappush(self._heap, (event.time_s, self._made, event))
        return event

    def cancel(self, event: Event) -> None:
        """See that an event does not happen; nothing if it has."""
        if event.action is None:
            return
        event.action = None
        self._cancelled += 1
        if self._cancelled * 2 > len(self._heap) + 100:
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    @property
    def next_s(self) -> float:
        """When the next event happens, infinity if there is none."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else math.inf

    def step(self, until_s: float) -> bool:
        """Let the next event happen, if it does so by ``until_s``; else it is ``until_s`` now.

        Returns
        -------
        happened
            Whether there was one.
        """
        if self.next_s > until_s or not self._heap:
            if until_s != math.inf:  # the end of time is where the last event was
                self.elapsed_s = max(self.elapsed_s, until_s)
            return False
        self.elapsed_s, _, event = heapq.heappop(self._heap)
        action, event.action = event.action, None
        assert action is not None, "cancelled events were passed over"
        action()
        return True

    def advance(self, until_s: float) -> None:
        """Let everything happen that happens by ``until_s``; then it is ``until_s``, or later if it was."""
        while self.step(until_s):
            pass
