"""Something that goes on in virtual time: a generator that yields what it waits for."""

from collections.abc import Callable, Generator
from typing import Generic, NamedTuple, TypeVar

from lofargrid.simulation.clock import Clock, Event
from lofargrid.simulation.network import Copy, Network

Ended = TypeVar("Ended")


class Order(NamedTuple):
    """A copy to be waited for, from site to site."""

    source: str
    target: str
    size_bytes: int


Wait = float | Order
Life = Generator[Wait, None, Ended]
"""Yields seconds or copies to wait for, and returns how it ended."""


class Process(Generic[Ended]):
    """Runs a life.

    Parameters
    ----------
    clock, network
        Where it waits.
    life
        What happens.
    ended
        Called with what the life returned; not if it was killed.
    """

    def __init__(self, clock: Clock, network: Network, life: Life[Ended], ended: Callable[[Ended], None]) -> None:
        self._clock = clock
        self._network = network
        self._life = life
        self._ended = ended
        self._event: Event | None = None
        self._copy: Copy | None = None

    def start(self) -> None:
        """Begin."""
        self._go_on()

    def interrupt(self, error: Exception) -> None:
        """Raise an error in the life where it waits."""
        self._drop()
        self._follow(lambda: self._life.throw(error))

    def kill(self) -> None:
        """End the life where it is. It leaves everything as it stands."""
        self._drop()
        self._life.close()

    def _go_on(self) -> None:
        self._event = self._copy = None
        self._follow(lambda: next(self._life))

    def _follow(self, resume: Callable[[], Wait]) -> None:
        try:
            wait = resume()
        except StopIteration as end:
            self._ended(end.value)
            return
        if isinstance(wait, Order):
            self._copy = self._network.copy(*wait, self._go_on)
        else:
            self._event = self._clock.at(wait, self._go_on)

    def _drop(self) -> None:
        if self._event is not None:
            self._clock.cancel(self._event)
        if self._copy is not None:
            self._copy.route.cancel(self._copy)
        self._event = self._copy = None
