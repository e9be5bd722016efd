"""HTCondor as a backend: attempts are jobs of a schedd, and their event log tells what becomes of them.

Jobs stay in the queue until their end is written down, so that nothing is lost however long nobody looks. All that
is known is one query of the queue; what has changed is read from the event log, from where the last look ended. A
schedd on another machine writes no log here: its queue is asked again every few seconds, and files travel through its
spool.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from lofargrid_runner.contract import LOG_FILE, JobSpec

from lofargrid.backends.base import Changes, Observation
from lofargrid.backends.htcondor import schedd, submission
from lofargrid.backends.htcondor.events import Event, EventLog, What
from lofargrid.backends.htcondor.folders import SHARED, Folders
from lofargrid.backends.htcondor.nodes import Machine, Wanted, hopeless
from lofargrid.backends.htcondor.schedd import QueuedJob, Schedd, called_back
from lofargrid.backends.htcondor.submission import Reach
from lofargrid.backends.ledger import Ledger
from lofargrid.commands import run
from lofargrid.credentials.secret import read_secret
from lofargrid.errors import BackendError, InputError
from lofargrid.states import Phase

_LOOK_S = 0.2
_LINGER_S = 0.05
_WORDS_S = 20.0
_ASK_S = 2.0
_ASK_ANYHOW_S = 60.0
_REST = 20
"""A long queue is asked less often: for so many times as long as the answer took it is not."""
_JUDGE_S = 10.0
_LEARNS_S = 300.0
"""A collector that comes back has heard of all nodes within this time: that is how often they speak to it."""


class HTCondorBackend:
    """Runs attempts through HTCondor. See `Backend` for what its calls guarantee.

    Parameters
    ----------
    folders
        Where attempts, their logs and reports are kept.
    tracker
        The tracker's id: attempts of others are not looked at.
    sites
        How sites are reached, by our names.
    bootstrap, template
        pilots/bootstrap.sh, and the text of the submit description.
    proxy
        The user's proxy certificate, where jobs are to have it. HTCondor brings a renewed one to jobs that run.
    """

    name = "htcondor"

    def __init__(
        self, folders: Folders, tracker: str, sites: Mapping[str, Reach], bootstrap: Path, template: str,
        proxy: Path | None = None,
    ) -> None:  # fmt: skip
        self._folders = folders
        self._schedd = Schedd(tracker)
        self._sites = sites
        self._tracker = tracker
        self._bootstrap = bootstrap
        self._template = template
        self._proxy = proxy
        self._events = EventLog(folders.log)
        self._ledger = Ledger()
        self._jobs: dict[str, QueuedJob] = {}
        self._attempts: dict[tuple[int, int], str] = {}
        self._over: set[str] = set()
        self._shunned: Mapping[str, Collection[str]] = {}
        self._unheard: set[str] = set()
        self._asked_at = 0.0
        self._answer_s = 0.0
        self._waiting: set[str] = set()
        self._judge_at = 0.0
        self._hopeless = ""
        self._away_at = -_LEARNS_S
        self._closed = threading.Event()

    # Handing over

    def submit(self, jobs: Sequence[JobSpec]) -> None:
        """See `Backend.submit`."""
        new = [one for one in jobs if one.attempt not in self._jobs and not self._folders.has_ended(one.attempt)]
        # Somebody wrote these down before, and died: before HTCondor had them, or after.
        tried = [one.attempt for one in new if not self._folders.make(one.attempt)]
        found = self._schedd.some(tried) if tried else []
        # Nobody is left to send the files of these.
        torn = [one.attempt for one in found if one.spools]
        for one in [one for one in found if not one.spools] + (self._schedd.drop(torn) if torn else []):
            self._know(one)
        new = [one for one in new if one.attempt not in self._jobs]
        if new:
            with self._wary():
                self._submit(new)

    def _submit(self, jobs: Sequence[JobSpec]) -> None:
        self._require_proxy()
        rows = []
        for one in jobs:
            carried, brought = self._folders.write(one)
            shunned = () if one.node else self._shunned.get(one.site, ())
            rows.append(submission.fields(one, self._sites[one.site], shunned, carried, brought))
        places: dict[str, Path | str | int] = {
            "bootstrap": self._bootstrap,
            "attempts": self._folders.active,
            "log": "" if self._schedd.is_elsewhere() else self._folders.log,
            "shared": SHARED,
            "tracker": self._tracker,
            "proxy": self._proxy or "",
        }
        description = submission.describe(self._template, places, rows)
        items = self._folders.enlist(description.items)
        cluster, first = self._schedd.submit(description.text, description.fields, items)
        for proc, one in enumerate(jobs, first):
            self._know(
                QueuedJob(
                    cluster, proc, one.attempt, schedd.IDLE, job=one.job, site=self._sites[one.site].name,
                    cores=one.limits.cores, memory_mb=one.limits.memory_mb,
                    walltime_s=one.limits.walltime_s + one.overtime_s,
                )
            )  # fmt: skip
        self._waiting |= {one.attempt for one in jobs}

    def _require_proxy(self) -> None:
        """How long it is valid is for HTCondor to say."""
        try:
            if self._proxy:
                read_secret(self._proxy)
        except InputError as error:
            raise BackendError(f"{error}; the same command goes on") from None

    def _know(self, job: QueuedJob) -> None:
        self._jobs[job.attempt] = job
        self._attempts[job.cluster, job.proc] = job.attempt

    # What becomes of them

    def changes(self, cursor: str | None) -> Changes:
        """See `Backend.changes`. What was told before ``cursor`` is not kept, here or in the queue.

        Raises
        ------
        BackendError
            HTCondor does not answer, or there is nothing to tell but that no node can take what waits.
        """
        if cursor is None:
            return self._all()
        with self._wary():
            self._acknowledge(cursor)
            self._hear()
        changes = self._ledger.since()
        if not changes.observations:
            self._refuse_hopeless()
        return changes

    def _hear(self) -> None:
        """Read what has happened, and look into the queue now and then."""
        events = self._events.read()
        if events is None:
            # The log is not the one that we have read from: what it would have told is in the queue.
            self._all()
            self._unheard = {one.attempt for one in self._jobs.values() if one.attempt not in self._over}
        else:
            for event in events:
                self._happened(event)
            self._ask()

    @contextlib.contextmanager
    def _wary(self) -> Iterator[None]:
        """Look into the queue as soon as a schedd answers again that was in trouble: it may have lost something."""
        try:
            yield
        except BackendError:
            self._asked_at = 0.0
            raise

    def _refuse_hopeless(self) -> None:
        """Say what no node of the pool can take; it waits all the same, for nodes may come."""
        if not self._waiting:
            return
        if time.monotonic() >= self._judge_at:
            self._judge_at = time.monotonic() + _JUDGE_S
            jobs = [self._jobs[one] for one in sorted(self._waiting) if one in self._jobs]
            wanted = [Wanted(one.job, one.site, one.cores, one.memory_mb, one.walltime_s) for one in jobs]
            pilots = [site.pilot for site in self._sites.values() if site.pilot]
            self._hopeless = hopeless(wanted, [*self._machines(), *pilots])
        if self._hopeless:
            raise BackendError(self._hopeless)

    def _machines(self) -> list[Machine]:
        """The nodes of the pool; any could be there while a collector that was away learns of them anew."""
        try:
            found = self._schedd.machines()
        except BackendError:
            self._away_at = time.monotonic()
            raise
        if time.monotonic() < self._away_at + _LEARNS_S:
            found += [Machine(site.name, sys.maxsize, sys.maxsize) for site in self._sites.values()]
        return found

    def _ask(self) -> None:
        """Look into the queue for what no event tells.

        A schedd elsewhere writes no log here, whatever ran when a log was lost may go on writing to the lost one, and
        a job that HTCondor itself has lost, on a disk that was full, is in no log at all.
        """
        pause_s = _ASK_S if self._unheard or self._schedd.is_elsewhere() else _ASK_ANYHOW_S
        began = time.monotonic()
        if began < self._asked_at + max(pause_s, _REST * self._answer_s):
            return
        self._asked_at = began
        wanted = self._jobs.keys() - self._over
        if not wanted:
            return
        found = self._schedd.all()
        self._let_go_again(found)
        jobs = [one for one in found if one.attempt in wanted]
        self._answer_s = time.monotonic() - began
        self._bring_home(jobs)
        for one in jobs:
            self._know(one)
            self._see_change(self._observed(one))
        for attempt in wanted - {one.attempt for one in jobs}:
            self._see(self._folders.outcome(attempt, detail="HTCondor does not know it any more"))
        self._unheard &= {one.attempt for one in jobs if one.status == schedd.RUNNING}

    def _all(self) -> Changes:
        self._events.skip()
        # The files of those that we do not know came never whole: they will be handed over again.
        found = self._schedd.all()
        self._let_go_again(found)
        jobs = [one for one in found if not one.spools or one.attempt in self._jobs]
        self._bring_home(jobs)
        for one in jobs:
            self._know(one)
            # One that was told already stays in the queue for a moment.
            if one.attempt not in self._over and not self._folders.has_ended(one.attempt):
                self._see(self._observed(one))
        known = [one.attempt for one in jobs if not self._folders.has_ended(one.attempt)]
        return self._ledger.now(known)

    def _let_go_again(self, jobs: Sequence[QueuedJob]) -> None:
        """Let jobs go whose end was told long ago: a schedd that dies on a full disk may forget that it was."""
        told = [one.id for one in jobs if one.has_left and one.attempt not in self._jobs
                and self._folders.has_ended(one.attempt)]  # fmt: skip
        if told:
            self._schedd.let_go(told)

    def _bring_home(self, jobs: Sequence[QueuedJob]) -> None:
        if self._schedd.is_elsewhere():
            new = [one for one in jobs if one.attempt not in self._over and not self._folders.has_ended(one.attempt)]
            self._schedd.bring_home([one for one in new if one.has_left])

    def _observed(self, job: QueuedJob) -> Observation:
        if job.status == schedd.COMPLETED:
            return self._folders.outcome(job.attempt)
        if job.has_left:
            return self._removed(job)
        if job.status == schedd.HELD and not job.spools:
            return Observation(job.attempt, Phase.HELD, detail=job.hold, batch_id=job.id)
        if job.status != schedd.RUNNING or not job.shadows:
            return Observation(job.attempt, Phase.QUEUED, batch_id=job.id)
        return Observation(job.attempt, Phase.RUNNING, node=job.node, batch_id=job.id)

    def _happened(self, event: Event) -> None:
        attempt = self._attempts.get((event.cluster, event.proc))
        if attempt is None or attempt in self._over:
            return
        job = self._jobs[attempt]
        if event.what is What.ENDED:
            self._see(self._folders.outcome(attempt))
        elif event.what is What.REMOVED:
            self._see(self._removed(job, event.text))
        elif event.what is What.HELD:
            self._see(Observation(attempt, Phase.HELD, detail=event.text, batch_id=job.id))
        elif event.what is What.RUNS:
            self._see(Observation(attempt, Phase.RUNNING, node=event.node, batch_id=job.id))
        else:
            self._see(Observation(attempt, Phase.QUEUED, batch_id=job.id))

    def _removed(self, job: QueuedJob, text: str = "") -> Observation:
        why = text or job.removal or "removed from the queue"
        spool = None if self._schedd.is_elsewhere() else self._schedd.spool(job.cluster, job.proc)
        return self._folders.outcome(job.attempt, spool, why)

    def _see_change(self, observation: Observation) -> None:
        if observation != self._ledger.latest(observation.attempt):
            self._see(observation)

    def _see(self, observation: Observation) -> None:
        if observation.phase in (Phase.ENDED, Phase.LOST):
            self._over.add(observation.attempt)
        if observation.phase is Phase.QUEUED:
            self._waiting.add(observation.attempt)
        else:
            self._waiting.discard(observation.attempt)
        self._ledger.add(observation)

    def _acknowledge(self, cursor: str) -> None:
        """Let those leave the queue whose end was told."""
        over = [one.attempt for one in self._ledger.before(cursor) if one.phase in (Phase.ENDED, Phase.LOST)]
        ids = [self._jobs[one].id for one in over if one in self._jobs]
        if ids:
            self._schedd.let_go(ids)
        for attempt in over:
            self._folders.put_away(attempt)
            job = self._jobs.pop(attempt, None)
            if job:
                self._attempts.pop((job.cluster, job.proc), None)
        self._ledger.forget(cursor)

    # And the rest of the port

    def cancel(self, attempts: Sequence[str]) -> None:
        """See `Backend.cancel`."""
        wanted = [one for one in attempts if one not in self._over and not self._folders.has_ended(one)]
        unknown = [one for one in wanted if one not in self._jobs]
        found = [self._jobs[one] for one in wanted if one in self._jobs]
        found += self._schedd.some(unknown) if unknown else []
        ids = [one.id for one in found if one.status not in (schedd.REMOVED, schedd.COMPLETED)]
        if ids:
            self._schedd.remove(ids)

    def avoid(self, nodes: Mapping[str, Collection[str]]) -> None:
        """See `Backend.avoid`."""
        for site in {*nodes, *self._shunned} & self._sites.keys():
            self._schedd.shun(self._sites[site].name, submission.nodes(nodes.get(site, ())))
        self._shunned = {site: tuple(names) for site, names in nodes.items()}

    def fetch(self, attempt: str, into: Path) -> list[Path]:
        """See `Backend.fetch`. From a node that works HTCondor brings the end of the log."""
        found = self._folders.fetch(attempt, into)
        if found or not self._folders.is_there(attempt):
            return found
        job = self._jobs.get(attempt) or next(iter(self._schedd.some([attempt])), None)
        if job is None:
            return []
        words = ["condor_tail", "-no-stdout", "-maxbytes", "1000000", job.id, LOG_FILE]
        told = run(words, called_back(), timeout_s=_WORDS_S)
        if told.exit_code or not told.stdout:
            return []
        log = into / LOG_FILE
        log.write_text(told.stdout)
        return [log]

    def wait(self, timeout_s: float) -> None:
        """See `Backend.wait`."""
        waited_s = 0.0
        while waited_s < timeout_s and not self._closed.is_set():
            if self._events.has_grown():
                self._closed.wait(_LINGER_S)
                return
            self._closed.wait(min(_LOOK_S, timeout_s - waited_s))
            waited_s += _LOOK_S

    def close(self) -> None:
        """See `Backend.close`."""
        self._closed.set()
        self._events.close()


def open_htcondor(
    root: Path, runner: Path, tracker: str, sites: Mapping[str, Reach], content: Path, proxy: Path | None = None
) -> HTCondorBackend:  # fmt: skip
    """Open HTCondor as a backend.

    Parameters
    ----------
    root
        The folder of its attempts.
    runner
        The runner's zipapp.
    tracker
        The tracker's id.
    sites
        How sites are reached, by our names.
    content
        The folder that holds jdl/ and pilots/.
    proxy
        The user's proxy certificate, where jobs are to have it.

    Raises
    ------
    BackendError
        Its folders cannot be made, or what it needs cannot be read.
    """
    try:
        template = (content / "jdl" / "htcondor.sub.j2").read_text()
    except OSError as error:
        raise BackendError(f"cannot read {error.filename}: {error.strerror}") from None
    return HTCondorBackend(Folders(root, runner), tracker, sites, content / "pilots" / "bootstrap.sh", template, proxy)
