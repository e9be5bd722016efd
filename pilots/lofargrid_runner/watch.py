"""Running one command under watch: output flows, time and memory are bounded, a wish to stop is heard."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from .contract import Reason
from .process import Process, Program, dismiss, guard
from .stop import Stop

SAMPLE_S = 1.0
STRETCH_S = 600.0
AT_WORK = 0.01
"""Beyond its deadline a command works that has used this share of one core since it was looked at last."""


class Bounds(NamedTuple):
    """How far a command may go.

    ``deadline`` is a time of `time.monotonic`. ``grace_s`` passes between SIGTERM and SIGKILL. ``keep``
    are the descriptors that must stay open as long as any process of the command lives. A command that works may
    go on for ``overtime_s`` beyond its deadline.
    """

    deadline: float
    memory_bytes: float
    grace_s: float
    keep: tuple[int, ...] = ()
    overtime_s: float = 0.0


class Ending(NamedTuple):
    """How a command ended. ``breach`` is why the runner ended it, None where it ended by itself."""

    exit_code: int | None
    signal: int | None
    breach: Reason | None
    peak_bytes: int
    cpu_s: float
    left_behind: int = 0


def execute(
    program: Program,
    bounds: Bounds,
    stop: Stop,
    output: Callable[[bytes], None],
    errors: Callable[[bytes], None] | None = None,
) -> Ending:
    """Run a command to its end; nothing that it started in its session outlives this call.

    Raises
    ------
    OSError
        The node could not start one more process.
    """
    watchman = guard(bounds.keep)
    try:
        process = Process(program, output, errors, watchman.ear if watchman else None)
        watch = Watch(process, bounds, stop)
        try:
            while not watch.over():
                process.pump(watch.pause_s(), stop.wake)
                stop.drain()
                watch.look()
        finally:
            left_behind = process.sweep()
    finally:
        if watchman:
            dismiss(watchman)
    return Ending(process.exit_code, process.signal, watch.breach, process.peak_bytes, process.cpu_s, left_behind)


class Watch:
    """Looks at one process again and again, and ends it when it breaks its bounds."""

    def __init__(self, process: Process, bounds: Bounds, stop: Stop) -> None:
        self._process = process
        self._bounds = bounds
        self._stop = stop
        self._interval_s = 0.05
        self._next_sample = time.monotonic() + self._interval_s
        self._kill_at = 0.0
        self._due = bounds.deadline
        self._cpu_s: float | None = None
        self._looked = 0.0
        self.breach: Reason | None = None

    def over(self) -> bool:
        """Whether the command has ended; one that was told to end has so only with its whole session."""
        if not self._process.ended():
            return False
        return self.breach is None or time.monotonic() >= self._kill_at or not self._process.living()

    def pause_s(self) -> float:
        """Say how long nothing needs to be looked at."""
        if self.breach is not None:
            return 0.02
        return max(0.0, min(self._next_sample, self._due) - time.monotonic())

    def look(self) -> None:
        """Compare what the command takes with what it may take."""
        now = time.monotonic()
        if self.breach is not None:
            if now >= self._kill_at:
                self._process.kill(signal.SIGKILL)
        elif self._stop.signal is not None:
            self._end(Reason.STOPPED, now)
        elif now >= self._due:
            self._prolong(now)
        elif now >= self._next_sample:
            self._sample(now)

    def _sample(self, now: float) -> None:
        # Often at first, when memory grows and short commands end; then once a second costs nothing.
        self._interval_s = min(SAMPLE_S, 2 * self._interval_s)
        self._next_sample = now + self._interval_s
        if self._process.sample(self._bounds.memory_bytes) > self._bounds.memory_bytes:
            self._end(Reason.OUT_OF_MEMORY, now)

    def _prolong(self, now: float) -> None:
        """Its time is over: who works may go on for a stretch, and then is looked at again."""
        latest, overtime_s = self._bounds.deadline + self._bounds.overtime_s, self._bounds.overtime_s
        cpu_s = self._process.used_cpu_s() if now < latest else 0.0
        # A process that ended takes its seconds with it: that is a change, too.
        idle = self._cpu_s is not None and abs(cpu_s - self._cpu_s) < AT_WORK * (now - self._looked)
        if now >= latest or idle:
            self._end(Reason.OUT_OF_TIME, now)
            return
        self._cpu_s, self._looked = cpu_s, now
        self._due = min(now + min(STRETCH_S, overtime_s / 4), latest)

    def _end(self, breach: Reason, now: float) -> None:
        self.breach = breach
        self._kill_at = now + self._bounds.grace_s
        self._process.kill(signal.SIGTERM)
