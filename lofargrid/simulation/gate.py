"""What a service does to the calls that go through it: refuses them, loses answers, does things twice."""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from lofargrid.errors import BackendError, UncertainError
from lofargrid.simulation.clock import Clock
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.trace import Trace
from lofargrid.simulation.weather import Weather

Answer = TypeVar("Answer")
One = TypeVar("One")


class Gate:
    """The way to one service.

    Parameters
    ----------
    service
        Its name.
    clock, weather, trace
        The time, which a slow call takes; when it is down; where faults are written.
    faults
        How often what happens.
    stream
        Randomness of this gate alone.
    """

    def __init__(
        self, service: str, clock: Clock, weather: Weather, trace: Trace, faults: Faults, stream: random.Random
    ) -> None:
        self.service = service
        self._clock = clock
        self._weather = weather
        self._trace = trace
        self._faults = faults
        self._stream = stream
        calm = (faults.call_refused, faults.answer_lost, faults.call_doubled, faults.call_cut_short, faults.call_slow)
        self._calm = not any(calm)

    def call(self, what: str, act: Callable[[], Answer]) -> Answer:
        """Do something through the gate.

        Raises
        ------
        BackendError
            The service refused, or its answer was lost after it acted.
        """
        return self.call_each(what, (), lambda _: act())

    def call_each(self, what: str, things: Sequence[One], act: Callable[[Sequence[One]], Answer]) -> Answer:
        """Do something to many things through the gate; it may be cut short after some of them.

        Raises
        ------
        BackendError
            See `call`.
        """
        if self._weather.is_bad(Cause.SERVICE_DOWN, self.service):
            raise self._error(what, "does not answer")
        if self._calm:
            return act(things)
        if self._happens(self._faults.call_slow, Cause.CALL_SLOW, what):
            seconds = self._stream.expovariate(1.0 / self._faults.call_slow_s)
            self._clock.advance(self._clock.elapsed_s + seconds)
        if self._happens(self._faults.call_refused, Cause.CALL_REFUSED, what):
            raise self._error(what, "connection refused")
        if len(things) > 1 and self._happens(self._faults.call_cut_short, Cause.CALL_CUT_SHORT, what):
            act(things[: self._stream.randrange(len(things))])
            raise self._error(what, "connection reset")
        answer = act(things)
        if self._happens(self._faults.call_doubled, Cause.CALL_DOUBLED, what):
            answer = act(things)
        if self._happens(self._faults.answer_lost, Cause.ANSWER_LOST, what):
            raise UncertainError(str(self._error(what, "timed out")))
        return answer

    def _happens(self, chance: float, cause: Cause, what: str) -> bool:
        if self._stream.random() >= chance:
            return False
        self._trace.fault(cause, service=self.service, call=what)
        return True

    def _error(self, what: str, how: str) -> BackendError:
        return BackendError(f"cannot {what}: {self.service} service: {how}")
