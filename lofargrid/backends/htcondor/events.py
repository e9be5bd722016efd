"""The event log that HTCondor writes of our jobs, read from where the last look ended."""

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import htcondor2
from htcondor2 import JobEventType

from lofargrid.backends.htcondor.schedd import answered, node_of, told_hold


class What(Enum):
    """What an event means for an attempt."""

    QUEUED = auto()
    RUNS = auto()
    ENDED = auto()
    REMOVED = auto()
    HELD = auto()


_MEANINGS = {
    JobEventType.SUBMIT: What.QUEUED,
    JobEventType.EXECUTE: What.RUNS,
    # Neither is the payload's fault: HTCondor has put the job back into its queue.
    JobEventType.JOB_EVICTED: What.QUEUED,
    JobEventType.SHADOW_EXCEPTION: What.QUEUED,
    JobEventType.JOB_RECONNECT_FAILED: What.QUEUED,
    JobEventType.JOB_RELEASED: What.QUEUED,
    JobEventType.JOB_TERMINATED: What.ENDED,
    JobEventType.JOB_ABORTED: What.REMOVED,
    JobEventType.JOB_HELD: What.HELD,
}


@dataclass(frozen=True)
class Event:
    """One event of one job. ``text`` says why, where HTCondor does."""

    cluster: int
    proc: int
    what: What
    node: str = ""
    text: str = ""


class EventLog:
    """The event log of all jobs of one tracker.

    Parameters
    ----------
    path
        The file. It is there, be it empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log: htcondor2.JobEventLog | None = None
        self._inode = 0
        self._read_bytes = 0

    @answered
    def skip(self) -> None:
        """Go to the end: what stands there so far is known."""
        self.close()
        self._path.touch()
        stat = self._path.stat()
        self._inode, self._read_bytes = stat.st_ino, stat.st_size
        # The one way that the bindings have to begin elsewhere than at the start.
        log = htcondor2.JobEventLog.__new__(htcondor2.JobEventLog)
        log.__setstate__(({"_deadline": 0, "_filename": str(self._path)}, stat.st_size))
        self._log = log

    @answered
    def read(self) -> list[Event] | None:
        """What has happened since the last look; None if that cannot be read any more."""
        if self._log is None or not self._is_the_same():
            return None
        self._read_bytes = self._path.stat().st_size
        found = (_event(one) for one in self._log.events(stop_after=0))
        return [one for one in found if one]

    def has_grown(self) -> bool:
        """Whether there is something to read, or the log is another one."""
        return not self._is_the_same() or self._path.stat().st_size > self._read_bytes

    def _is_the_same(self) -> bool:
        try:
            stat = self._path.stat()
        except OSError:
            return False
        return stat.st_ino == self._inode and stat.st_size >= self._read_bytes

    def close(self) -> None:
        """Let go of the file."""
        if self._log is not None:
            self._log.close()
            self._log = None


def _event(one: htcondor2.JobEvent) -> Event | None:
    what = _MEANINGS.get(one.type)
    if what is None:
        return None
    text = str(one.get("Reason", ""))
    if what is What.HELD:
        text = told_hold(one.get("HoldReason", ""), one.get("HoldReasonCode", 0), one.get("HoldReasonSubCode", 0))
    return Event(one.cluster, one.proc, what, node_of(str(one.get("SlotName", ""))), text)
