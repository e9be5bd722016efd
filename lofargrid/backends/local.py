"""The embedded backend: the runner as a process on this machine, a few at a time.

Each attempt has a folder below ``active/`` until its end was told, then below ``ended/``. A runner holds a
lock on its folder as long as it lives, so that a later process knows the living from the dead; it goes on
when the process that started it ends.
"""

import contextlib
import errno
import fcntl
import os
import queue
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lofargrid_runner.contract import (
    JOB_FILE,
    LOCK_FILE,
    LOG_FILE,
    REPORT_FILE,
    WORK_MARK,
    JobSpec,
    report_from_json,
    to_json,
)

from lofargrid.backends.base import NO_REPORT, Changes, Observation
from lofargrid.backends.ledger import Ledger
from lofargrid.commands import start
from lofargrid.errors import BackendError
from lofargrid.names import path_of
from lofargrid.states import Phase

_STARTED = "started"
_PID_WIDTH = 20
_LINGER_S = 0.05
_PUT_OFF_S = 1.0
_WORK = "work"
_UNWANTED = "unwanted"
# What this machine's disk says while it is in trouble; no attempt can help that.
_REMEDIES = {
    errno.ENOSPC: "Free space there",
    errno.EDQUOT: "Free space there",
    errno.EROFS: "Make its disk writable",
}


class LocalBackend:
    """Runs attempts on this machine. See `Backend` for what its calls guarantee.

    Parameters
    ----------
    folder
        Where attempts, their logs and reports are kept.
    runner
        The runner's zipapp.
    slots
        How many run at once.
    proxy
        The user's proxy certificate, where attempts are to have another than the one that grid commands find.
    """

    name = "local"

    def __init__(self, folder: Path, runner: Path, slots: int, proxy: Path | None = None) -> None:
        self._active = folder / "active"
        self._ended = folder / "ended"
        self._runner = runner
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._slots = slots
        self._also = {"X509_USER_PROXY": str(proxy)} if proxy else {}
        self._ledger = Ledger()
        self._known: set[str] = set()
        self._trouble = ""
        self._closed = threading.Event()
        for place in (self._active, self._ended):
            try:
                place.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BackendError(f"cannot make {place}: {error.strerror}{_remedy(error)}") from None
        for number in range(slots):
            threading.Thread(target=self._slot, name=f"slot {number}", daemon=True).start()

    def submit(self, jobs: Sequence[JobSpec]) -> None:
        """See `Backend.submit`."""
        for job in jobs:
            if (self._ended / job.attempt).exists():
                continue
            folder = self._active / job.attempt
            try:
                folder.mkdir(exist_ok=True)
                if not (folder / JOB_FILE).exists():
                    part = folder / f"{JOB_FILE}.part"
                    part.write_text(to_json(job))
                    (folder / _WORK).write_text(f"{path_of(job.destination)}/work-{job.attempt}")
                    part.replace(folder / JOB_FILE)
            except OSError as error:
                raise BackendError(f"cannot write {folder}: {error.strerror}{_remedy(error)}") from None
            self._enqueue(job.attempt)

    def changes(self, cursor: str | None) -> Changes:
        """See `Backend.changes`. What was told before ``cursor`` is not kept.

        Raises
        ------
        BackendError
            There is nothing to tell but that the disk keeps attempts from starting. They wait.
        """
        if cursor is None:
            return self._all()
        for observation in self._ledger.before(cursor):
            if observation.phase in (Phase.ENDED, Phase.LOST):
                self._put_away(observation.attempt)
        self._ledger.forget(cursor)
        changes = self._ledger.since()
        if self._trouble and not changes.observations:
            raise BackendError(self._trouble)
        return changes

    def _all(self) -> Changes:
        """Look at every attempt that is not put away; those that wait or run are taken on."""
        alive = sorted(entry.name for entry in self._active.iterdir() if (entry / JOB_FILE).exists())
        for attempt in sorted(alive, key=lambda name: not (self._active / name / _STARTED).exists()):
            self._enqueue(attempt)
        return self._ledger.now(alive)

    def cancel(self, attempts: Sequence[str]) -> None:
        """See `Backend.cancel`."""
        for attempt in attempts:
            folder = self._active / attempt
            if folder.exists():
                (folder / _UNWANTED).touch()
                _stop(folder)

    def avoid(self, nodes: Mapping[str, Collection[str]]) -> None:
        """See `Backend.avoid`. There is one node here, and nobody quarantines it."""

    def fetch(self, attempt: str, into: Path) -> list[Path]:
        """See `Backend.fetch`."""
        found = []
        for root in (self._active, self._ended):
            for name in (LOG_FILE, REPORT_FILE, "runner.log"):
                source = root / attempt / name
                if source.exists():
                    found.append(Path(shutil.copyfile(source, into / name)))
        return found

    def wait(self, timeout_s: float) -> None:
        """See `Backend.wait`. After a change it lingers a moment: what ends together is told together."""
        if self._changed.wait(timeout_s):
            self._closed.wait(min(timeout_s, _LINGER_S))
        self._changed.clear()

    def close(self) -> None:
        """See `Backend.close`. What is queued stays so for the next process."""
        self._closed.set()
        self._changed.set()
        for _ in range(self._slots):
            self._queue.put(None)

    def _enqueue(self, attempt: str) -> None:
        with self._lock:
            if attempt in self._known:
                return
            self._known.add(attempt)
        self._queue.put(attempt)

    def _put_away(self, attempt: str) -> None:
        with self._lock:
            self._known.discard(attempt)
        try:
            if (self._active / attempt).exists():
                (self._active / attempt).rename(self._ended / attempt)
        except OSError as error:
            what = f"cannot put away {self._active / attempt}: {error.strerror}{_remedy(error)}"
            raise BackendError(what) from None

    def _tell(self, observation: Observation) -> None:
        self._ledger.add(observation)
        self._changed.set()

    def _slot(self) -> None:
        """One slot: take the next attempt, see it to its end, and tell."""
        while True:
            attempt = self._queue.get()
            if self._closed.is_set() or attempt is None:
                return
            try:
                observation = self._see_through(attempt)
            except OSError as error:
                if error.errno in _REMEDIES:
                    self._put_off(attempt, error)
                    continue
                observation = Observation(attempt, Phase.LOST, detail=f"it could not be started: {error}")
            self._trouble = ""
            self._tell(observation)

    def _put_off(self, attempt: str, error: OSError) -> None:
        """Let an attempt wait that this machine's disk keeps from starting: it is not to blame, nor are its tries."""
        with self._lock:
            self._trouble = f"cannot start jobs: {error.filename or self._active}: {error.strerror}{_remedy(error)}"
        self._changed.set()
        self._closed.wait(_PUT_OFF_S)
        self._queue.put(attempt)

    def _see_through(self, attempt: str) -> Observation:
        folder = self._active / attempt
        with (folder / LOCK_FILE).open("a") as lock:
            if not _locked(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB):
                # A runner that an earlier process started lives.
                self._tell(Observation(attempt, Phase.RUNNING, node=socket.gethostname()))
            elif not (folder / _STARTED).exists():
                if (folder / _UNWANTED).exists():
                    return Observation(attempt, Phase.LOST, detail="cancelled before it started")
                self._run(attempt, folder, lock.fileno())
        with (folder / LOCK_FILE).open("a") as lock:
            # It falls when the runner has ended, and, if it was killed, the watchman has ended its payload.
            fcntl.flock(lock.fileno(), fcntl.LOCK_SH)
        return self._outcome(attempt, folder)

    def _run(self, attempt: str, folder: Path, lock: int) -> None:
        words = [sys.executable, "-I", "-S", str(self._runner), "run", JOB_FILE]
        work = (folder / _WORK).read_text()
        started = folder / _STARTED
        try:
            started.write_text(" " * _PID_WIDTH)  # room for the process id: once it runs there must be some
            process = start([*words, "--work", work, "--lock-fd", str(lock)], folder, keep=[lock], also=self._also)
        except OSError:
            started.unlink(missing_ok=True)
            raise
        self._trouble = ""
        with contextlib.suppress(OSError), started.open("r+") as stream:
            stream.write(str(process.pid))
        self._tell(Observation(attempt, Phase.RUNNING, node=socket.gethostname(), batch_id=str(process.pid)))
        if (folder / _UNWANTED).exists():
            process.terminate()
        process.wait()

    def _outcome(self, attempt: str, folder: Path) -> Observation:
        observation = _end_of(attempt, folder)
        work = Path((folder / _WORK).read_text())
        # One that was killed leaves it, be its report written or not; one that was told to keep it takes the mark off.
        if observation.phase is Phase.LOST or (work / WORK_MARK).exists():
            shutil.rmtree(work, ignore_errors=True)
        return observation


def _end_of(attempt: str, folder: Path) -> Observation:
    """How an attempt ended whose runner is gone."""
    detail = NO_REPORT
    try:
        text = (folder / REPORT_FILE).read_text()
        if text:
            return Observation(attempt, Phase.ENDED, report_from_json(text), text)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        detail = f"its report cannot be read: {error}"
    return Observation(attempt, Phase.LOST, detail=detail)


def _stop(folder: Path) -> None:
    """Ask the runner of an attempt to end; a free lock says that it has, and its process id may be another's."""
    with contextlib.suppress(OSError, ValueError), (folder / LOCK_FILE).open("a") as lock:
        if not _locked(lock.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB):
            os.kill(int((folder / _STARTED).read_text()), signal.SIGTERM)


def _remedy(error: OSError) -> str:
    return f". {_REMEDIES[error.errno]}; the same command goes on" if error.errno in _REMEDIES else ""


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True
