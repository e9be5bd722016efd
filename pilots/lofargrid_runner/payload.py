"""The payload: the science commands, one after the other, and what to make of their ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

from .contract import JobSpec, Reason, Stage
from .environment import Place, program_of
from .failure import Failure
from .log import Log
from .node import MIB
from .process import Program
from .stop import Stop, stopped
from .watch import Bounds, Ending, execute

TELLING_BYTES = 1 << 16
# The first that occurs wins. DP3 and wsclean say `std exception detected: ...`.
TELLING_WORDS = ("std exception", "Error", "ERROR", "error", "Exception")
# The kernel's killer strikes a little before our sample sees the limit reached.
NEAR_THE_LIMIT = 0.8


class Tail:
    """The last bytes that a command wrote."""

    def __init__(self, size: int = TELLING_BYTES) -> None:
        self._size = size
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Append, and forget what is too old."""
        self._data += data
        if len(self._data) > 2 * self._size:
            del self._data[: -self._size]

    def read(self) -> bytes:
        """Give what is kept."""
        return bytes(self._data[-self._size :])


def run_payload(
    spec: JobSpec, place: Place, bounds: Bounds, stop: Stop, log: Log, note: Callable[[Ending], None]
) -> None:
    """Run all commands in order; the bounds hold for all of them together.

    Parameters
    ----------
    note
        Takes each ending, good or bad, for the report.

    Raises
    ------
    Failure
        A command ended badly, was ended by its bounds, or is not there; later ones are not started.
    """
    for command in spec.commands:
        stop.check()
        program = program_for(command, place, spec)
        log.line(f"payload: {' '.join(command)}")
        tail = Tail()

        def output(data: bytes, tail: Tail = tail) -> None:
            log.write(data)
            tail.add(data)

        ending = execute(program, bounds, stop, output)
        note(ending)
        log.line(f"payload: {describe(ending)}")
        judge(command, ending, tail.read(), spec, stop)


def program_for(command: Sequence[str], place: Place, spec: JobSpec) -> Program:
    """Look up the first word of a command as the payload's environment finds it."""
    path = program_of(command[0], place, spec.aliases)
    return Program(path, command, place.environment, place.folder)


def describe(ending: Ending) -> str:
    """Say in a line how a command ended and what it took."""
    how = f"exit code {ending.exit_code}" if ending.signal is None else f"killed by {signal_name(ending.signal)}"
    took = f"{ending.cpu_s:.1f} s of cpu, {ending.peak_bytes / MIB:.0f} MB at its peak"
    left = f"; {ending.left_behind} processes left behind were killed" if ending.left_behind else ""
    return f"{how}; {took}{left}"


def signal_name(number: int) -> str:
    """Name a signal; real-time signals have numbers only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def judge(command: Sequence[str], ending: Ending, tail: bytes, spec: JobSpec, stop: Stop) -> None:
    """Turn a bad ending into the reason that fits best.

    Raises
    ------
    Failure
        Unless the command ended with exit code 0 by itself.
    """
    if ending.breach is Reason.STOPPED:
        raise stopped(stop.signal or signal.SIGTERM)
    if ending.breach is not None:
        raise Failure(ending.breach, _breach_text(command, ending, spec), ending.exit_code, ending.signal)
    if ending.exit_code != 0:
        reason = _reason(ending, tail, spec.limits.memory_mb * MIB)
        lines = telling(tail)
        detail = f"{' '.join(command)}: {describe(ending)}" + (f": {lines}" if lines else "")
        raise Failure(reason, detail, ending.exit_code, ending.signal)


def _breach_text(command: Sequence[str], ending: Ending, spec: JobSpec) -> str:
    if ending.breach is Reason.OUT_OF_TIME:
        more = f", and up to {spec.overtime_s:g} s more while it works" if spec.overtime_s else ""
        return f"{' '.join(command)}: ended by the runner after {spec.limits.walltime_s} s of walltime{more}"
    used = f"{ending.peak_bytes / MIB:.0f} MB of memory where {spec.limits.memory_mb} MB are allowed"
    return f"{' '.join(command)}: ended by the runner at {used}"


def _reason(ending: Ending, tail: bytes, memory_bytes: float) -> Reason:
    from . import causes  # only a failure pays for it

    stage, text = Stage.PAYLOAD.value, tail.decode("utf-8", "replace")
    told = causes.cause_by_words(stage, text, ending.exit_code, ending.signal)
    silent_kill = told is None and causes.killer_of(ending.exit_code, ending.signal) == signal.SIGKILL
    if silent_kill or told is Reason.PAYLOAD_KILLED:
        # Words cannot tell the kernel's killer from another; what was used can.
        near = ending.peak_bytes >= NEAR_THE_LIMIT * memory_bytes
        return Reason.OUT_OF_MEMORY if near else Reason.PAYLOAD_KILLED
    return told or causes.cause_by_ending(stage, ending.exit_code, ending.signal)


def telling(tail: bytes) -> str:
    """Pick from a command's output what tells a human why it failed, as one line."""
    text = tail.decode("utf-8", "replace").replace("\r", "\n")
    lines = ["".join(filter(str.isprintable, line)).strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    for word in TELLING_WORDS:
        for line in reversed(lines):
            if word in line:
                return line[:400]
    return " | ".join(line[:200] for line in lines[-3:])
