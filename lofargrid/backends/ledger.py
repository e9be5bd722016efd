"""What a backend has observed and not told yet. Cursors count observations."""

import threading
from collections.abc import Iterable

from lofargrid.backends.base import Changes, Observation
from lofargrid.states import Phase


class Ledger:
    """Observations in the order they were made, until somebody came back with a cursor from behind them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observations: list[Observation] = []
        self._forgotten = 0
        self._latest: dict[str, Observation] = {}

    def add(self, observation: Observation) -> None:
        """Note an observation."""
        with self._lock:
            self._observations.append(observation)
            self._latest[observation.attempt] = observation

    def latest(self, attempt: str) -> Observation | None:
        """The latest observation of an attempt that is not forgotten."""
        with self._lock:
            return self._latest.get(attempt)

    def before(self, cursor: str) -> list[Observation]:
        """What was observed before a cursor and is not forgotten."""
        with self._lock:
            return self._observations[: max(int(cursor) - self._forgotten, 0)]

    def forget(self, cursor: str) -> None:
        """Forget what was observed before a cursor, and all of the attempts that were over then."""
        with self._lock:
            count = max(int(cursor) - self._forgotten, 0)
            for one in self._observations[:count]:
                if one.phase in (Phase.ENDED, Phase.LOST):
                    self._latest.pop(one.attempt, None)
            del self._observations[:count]
            self._forgotten += count

    def since(self) -> Changes:
        """All observations that are not forgotten."""
        with self._lock:
            return Changes(str(self._forgotten + len(self._observations)), tuple(self._observations))

    def now(self, attempts: Iterable[str]) -> Changes:
        """The latest observation of each of these attempts; those of which nothing is known are queued."""
        with self._lock:
            latest = tuple(self._latest.get(one, Observation(one, Phase.QUEUED)) for one in attempts)
            return Changes(str(self._forgotten + len(self._observations)), latest)
