"""Being asked to stop: remembered as a flag, so that no line of the runner is ever cut in half."""

from __future__ import annotations

import contextlib
import os
import signal

from .contract import Reason
from .failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop:
    """Whether a signal asked the runner to stop; ``wake`` becomes readable on any signal.

    A context manager. SIGCHLD only wakes: the runner then learns at once that its payload ended, on
    every kernel and without polling. A signal that was ignored before (``nohup``) stays ignored. The signal ``drain``
    does not stop: it is remembered by itself. If ``attended``, the end of the process that started us is a SIGHUP.
    """

    def __init__(self, drain: int = 0, attended: bool = False) -> None:
        self._signal: int | None = None
        self._parent = os.getppid() if attended else 0
        self.drain_asked = False
        self._drain = drain
        self.wake = -1
        self._write = -1
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Stop:
        self.wake, self._write = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._write, False)
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (*ASKED, self._drain) if self._drain else ASKED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._remember)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self.wake)
        os.close(self._write)

    def _remember(self, number: int, _frame: object) -> None:
        if number == self._drain:
            self.drain_asked = True
        else:
            self._signal = number

    @property
    def signal(self) -> int | None:
        """The signal that asks us to stop, if one does."""
        if self._signal is None and self._parent and os.getppid() != self._parent:
            self._signal = signal.SIGHUP
        return self._signal

    def drain(self) -> None:
        """Forget the wake-ups so far; the flag stays."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wake, 512):
                pass

    def wait(self, seconds: float) -> None:
        """Let time pass, but no more once we are asked to stop."""
        import select
        import time

        until = time.monotonic() + seconds
        while self.signal is None and time.monotonic() < until:
            select.select([self.wake], [], [], max(until - time.monotonic(), 0.0))
            self.drain()

    def rest(self, seconds: float) -> None:
        """Let time pass, but no more once a signal comes, whichever it is."""
        import select

        select.select([self.wake], [], [], seconds)
        self.drain()

    def check(self) -> None:
        """Raise if we were asked to stop. Called between any two chunks of work.

        Raises
        ------
        Failure
            With `Reason.STOPPED`.
        """
        if self.signal is not None:
            raise stopped(self.signal)


def stopped(number: int) -> Failure:
    """Say that the attempt was asked to stop, and by which signal."""
    name = signal.Signals(number).name
    return Failure(Reason.STOPPED, f"{name} asked the runner to stop; the job goes back to its queue")
