"""Look after the fleet while a run goes on: start what is short, and say once what keeps pilots away."""

import time
from collections.abc import Callable

from lofargrid.errors import BackendError, InputError
from lofargrid.pilots.fleet import Fleet

PAUSE_S = 10.0


class Supplying:
    """Supplies a fleet every so often.

    Parameters
    ----------
    fleet
        The fleet; None where no site has pilots.
    tell
        Takes a line for the user.
    """

    def __init__(self, fleet: Fleet | None, tell: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._tell = tell
        self._next = time.monotonic()
        self._told: set[str] = set()

    def look(self) -> None:
        """Supply, if it is time. What cannot be done is told and tried again."""
        if self._fleet is None or time.monotonic() < self._next:
            return
        try:
            for line in self._fleet.supply():
                self._tell(line)
            for line in self._fleet.wishes():
                self._tell_once(line)
        except (BackendError, InputError) as error:
            self._tell_once(f"no pilots now: {error}")
        self._next = time.monotonic() + PAUSE_S

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)
