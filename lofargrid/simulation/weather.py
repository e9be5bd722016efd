"""What is wrong with sites and services, and when: windows of time drawn from the seed."""

import random
from collections.abc import Iterator, Mapping, Sequence

from lofargrid.simulation.clock import Clock
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.streams import Streams
from lofargrid.simulation.trace import Trace

Window = tuple[float, float]
SERVICES = ("backend", "storage", "recall")
EVERYWHERE = "*"


def windows(a_day: float, length_s: float, horizon_s: float, stream: random.Random) -> Iterator[Window]:
    """Begin and end of what happens by chance ``a_day`` times a day and lasts ``length_s`` in the mean."""
    if a_day <= 0.0:
        return
    begin_s = stream.expovariate(a_day / 86400.0)
    while begin_s < horizon_s:
        end_s = begin_s + stream.expovariate(1.0 / length_s)
        yield begin_s, end_s
        begin_s = end_s + stream.expovariate(a_day / 86400.0)


class Weather:
    """The troubles of sites and services over the whole time.

    Parameters
    ----------
    clock
        The time.
    faults
        How often what happens.
    sites
        The sites, "" for the submit host.
    streams, trace
        Randomness, and where troubles are written.
    """

    def __init__(self, clock: Clock, faults: Faults, sites: Sequence[str], streams: Streams, trace: Trace) -> None:
        self._clock = clock
        self._trace = trace
        self._windows: dict[tuple[Cause, str], list[Window]] = {}
        places: Mapping[Cause, tuple[float, Sequence[str]]] = {
            Cause.SERVICE_DOWN: (faults.service_down_a_day, SERVICES),
            Cause.STORAGE_DOWN: (faults.storage_down_a_day, sites),
            Cause.STORAGE_SLOW: (faults.storage_slow_a_day, sites),
            Cause.STORAGE_FULL: (faults.storage_full_a_day, sites),
            Cause.SOFTWARE_DOWN: (faults.software_down_a_day, [site for site in sites if site]),
            Cause.CREDENTIAL_REFUSED: (faults.credential_refused_a_day, [site for site in sites if site]),
            Cause.CREDENTIAL_EXPIRED: (faults.credential_expired_a_day, [EVERYWHERE]),
        }
        for cause, (a_day, where) in places.items():
            for place in where:
                stream = streams.stream(f"weather:{cause}:{place}")
                for begin_s, end_s in windows(a_day, faults.trouble_s, faults.horizon_s, stream):
                    self.add(cause, place, begin_s, end_s)

    def add(self, cause: Cause, place: str, begin_s: float, end_s: float) -> None:
        """Let something be wrong at a place from one moment to another, in seconds since the start."""
        self._windows.setdefault((cause, place), []).append((begin_s, end_s))
        self._clock.at(begin_s - self._clock.elapsed_s, lambda: self._tell(cause, place, end_s))

    def is_bad(self, cause: Cause, place: str = EVERYWHERE) -> bool:
        """Whether something is wrong there now."""
        now_s = self._clock.elapsed_s
        return any(begin_s <= now_s < end_s for begin_s, end_s in self._windows.get((cause, place), ()))

    def windows_of(self, cause: Cause, place: str) -> Sequence[Window]:
        """When it is wrong there."""
        return self._windows.get((cause, place), ())

    def _tell(self, cause: Cause, place: str, end_s: float) -> None:
        self._trace.fault(cause, place=place or "submit-host", until=end_s)
