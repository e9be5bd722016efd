"""Crashes: the engine's process dies between any two statements, or on either side of any call to the outside."""

import random
import sqlite3
from collections.abc import Iterable
from typing import Any


class Crash(BaseException):
    """The process is gone. What was not committed did not happen; nothing catches it but who starts it anew."""


class Executioner:
    """Decides at which step of the process it dies.

    Parameters
    ----------
    chance
        The mean number of crashes a step.
    stream
        Randomness of its own.
    """

    def __init__(self, chance: float, stream: random.Random) -> None:
        self._chance = chance
        self._stream = stream
        self.armed = False
        self.crashes = 0
        self._left = self._draw()

    def step(self) -> None:
        """Take a step that may be the last.

        Raises
        ------
        Crash
            It was.
        """
        if not self.armed or self._chance <= 0:
            return
        self._left -= 1
        if self._left <= 0:
            self._left = self._draw()
            self.crashes += 1
            raise Crash

    def _draw(self) -> int:
        return 1 + int(self._stream.expovariate(self._chance)) if self._chance > 0 else 0


class MortalConnection:
    """An sqlite connection whose process may die before and after each statement."""

    def __init__(self, connection: sqlite3.Connection, executioner: Executioner) -> None:
        self._connection = connection
        self._executioner = executioner

    def execute(self, sql: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        """See `sqlite3.Connection.execute`."""
        self._executioner.step()
        return self._connection.execute(sql, tuple(values))

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        """See `sqlite3.Connection.executemany`."""
        self._executioner.step()
        return self._connection.executemany(sql, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class MortalPort:
    """A backend or a storage whose caller may die before and after each call."""

    def __init__(self, port: object, executioner: Executioner) -> None:
        self._port = port
        self._executioner = executioner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*words: Any, **named: Any) -> Any:
            self._executioner.step()
            answer = found(*words, **named)
            self._executioner.step()
            return answer

        return call
