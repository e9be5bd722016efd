"""The engine: `Engine.tick` moves everything that can move one step. No SQL, no subprocess, no clock of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from lofargrid_runner.contract import JobSpec, Report

from lofargrid import merging, retry
from lofargrid.backends.base import Backend, Observation
from lofargrid.errors import BackendError, LofarGridError
from lofargrid.frequency import absolute_subband
from lofargrid.merging import Need, Verdict
from lofargrid.model import Job, StoredOutput
from lofargrid.productions import Recipes, refresh
from lofargrid.provenance import provenance
from lofargrid.recipes import Recipe
from lofargrid.rendering import Surroundings, render
from lofargrid.scratch import Scratch
from lofargrid.software import Software
from lofargrid.sourcing import sources_of
from lofargrid.states import FINAL, JobState, Phase, Reason
from lofargrid.storage.base import Storage
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import AttemptRecord, Expansion, ProductionRecord

_BATCH = 500


@dataclass(frozen=True)
class Places:
    """Where the engine finds and puts things. The functions take a production's recipe.

    ``sandbox`` gives the folder of its frozen sandbox, ``scratch`` the folder URL of its intermediates,
    ``software`` its release and the versions of the tools in it.
    """

    owner: str
    contact: str
    sandbox: Callable[[Recipe], str]
    scratch: Callable[[Recipe], str]
    software: Callable[[Recipe], tuple[Software, Mapping[str, str]]]


@dataclass(frozen=True)
class Tick:
    """What a tick did: moves made, jobs in flight, and troubles that keep something from moving."""

    moves: int
    in_flight: int
    troubles: tuple[str, ...] = ()


class Engine:
    """Moves the jobs of one tracker over one backend.

    Parameters
    ----------
    tracker
        The one source of truth; only one engine at a time may hold it.
    backend
        Where attempts run.
    storage
        Where files lie.
    places
        Names and folders.
    clock
        Gives the time, aware UTC.
    """

    def __init__(
        self,
        tracker: Tracker,
        backend: Backend,
        storage: Storage,
        places: Places,
        clock: Callable[[], datetime],
    ) -> None:
        self._tracker = tracker
        self._backend = backend
        self._storage = storage
        self._places = places
        self._clock = clock
        self._cursor: str | None = None
        self._recipes = Recipes(tracker)
        self._scratch = Scratch(tracker, storage, self._recipes, places.scratch)
        self._moves = 0
        self._troubles: list[str] = []
        # What a tick has to look at again: productions in which something ended, jobs that succeeded. After a
        # start everything is looked at.
        self._touched: set[int] | None = None
        self._settled: set[int] = set()
        self._succeeded: set[int] | None = None
        self._changed = False

    def tick(self) -> Tick:
        """Take every step that can be taken now. Calling it at any time, after any crash, does no harm."""
        self._moves, self._troubles = 0, []
        self._guard(self._heed)
        self._guard(self._follow)
        self._guard(self._publish)
        self._guard(self._expand)
        self._guard(self._start)
        self._guard(self._submit)
        self._guard(self._clean)
        return Tick(self._moves, self._tracker.in_flight(self._backend.name), tuple(self._troubles))

    def _guard(self, stage: Callable[[], None]) -> bool:
        """A service or a disk that is in trouble stops its own stage only; the next tick tries again."""
        try:
            stage()
        except (BackendError, OSError) as error:
            self._troubles.append(str(error))
            return False
        return True

    def _now(self, later_s: float = 0.0) -> str:
        return (self._clock() + timedelta(seconds=later_s)).astimezone(UTC).isoformat(timespec="milliseconds")

    def _move(self, job: Job, new: JobState, reason: Reason | None = None, detail: str = "") -> None:
        if self._tracker.move(job, new, self._now(), reason, detail):
            self._moves += 1
            if new in FINAL:
                self._touch(job)

    def _touch(self, job: Job) -> None:
        production_id = self._production(job).id
        self._settled.add(production_id)
        if self._touched is not None:
            self._touched.add(production_id)

    def _look_at(self, job_id: int) -> None:
        """See to it that this tick looks which files this job and its needs may do without."""
        if self._succeeded is not None:
            self._succeeded.add(job_id)

    def _production(self, job: Job) -> ProductionRecord:
        production = self._tracker.production(job.production)
        assert production is not None, "a job has a production"
        return production

    # Follow

    def _heed(self) -> None:
        """Another process changed the tracker: look at all productions, stop what it made superfluous."""
        self._changed = self._tracker.changed_outside() or self._changed
        if self._changed:
            self._touched = None
            self._cancel_unwanted()
            self._changed = False

    def _cancel_unwanted(self) -> None:
        attempts = self._tracker.unfinished_attempts(self._backend.name)
        unwanted = [one.id for one in attempts if not _awaits(self._tracker.job_by_id(one.job_id), one)]
        if unwanted:
            self._backend.cancel(unwanted)

    def _follow(self) -> None:
        first = self._cursor is None
        changes = self._backend.changes(self._cursor)
        with self._tracker.transaction():
            for observation in changes.observations:
                self._observe(observation)
        if first:
            self._reconcile({observation.attempt for observation in changes.observations})
        self._cursor = changes.cursor

    def _reconcile(self, known: set[str]) -> None:
        """After a start: what stands as intended is handed over again, what the backend does not know is lost.

        What no job waits for any more is not handed over, or cancelled if the backend has it.
        """
        intended: list[tuple[Job, str]] = []
        for attempt in self._tracker.unfinished_attempts(self._backend.name):
            if attempt.id in known:
                continue
            job = self._tracker.job_by_id(attempt.job_id)
            if attempt.phase is Phase.INTENDED and _awaits(job, attempt):
                intended.append((job, attempt.id))
            else:
                lost = Observation(attempt.id, Phase.LOST, detail="the backend does not know it")
                with self._tracker.transaction():
                    self._observe(lost)
        self._cancel_unwanted()
        self._hand_over(intended)

    def _observe(self, observation: Observation) -> None:
        attempt = self._tracker.attempt(observation.attempt)
        if attempt is None or attempt.phase in (Phase.ENDED, Phase.LOST):
            return
        job = self._tracker.job_by_id(attempt.job_id)
        if observation.phase in (Phase.ENDED, Phase.LOST):
            self._ended(job, attempt, observation)
            return
        now = self._now()
        self._tracker.note_phase(attempt.id, observation.phase, now, observation.node, observation.batch_id)
        if observation.phase is Phase.RUNNING and job.state is JobState.SUBMITTED and _awaits(job, attempt):
            self._move(job, JobState.RUNNING)

    def _ended(self, job: Job, attempt: AttemptRecord, observation: Observation) -> None:
        report = observation.report
        succeeded = report is not None and report.succeeded
        reason = None if succeeded else _reason(report)
        detail = report.detail if report else observation.detail
        phase = Phase.ENDED if report else Phase.LOST
        self._tracker.end_attempt(attempt.id, phase, self._now(), reason, detail, observation.report_text or None)
        if not _awaits(job, attempt):
            # A zombie: its job was cancelled, superseded or given to another attempt. It changes nothing, but
            # may have left files.
            self._touch(job)
        elif report and succeeded:
            self._succeed(job, report)
        else:
            self._fail(job, _reason(report), detail)

    def _succeed(self, job: Job, report: Report) -> None:
        production = self._production(job)
        step = self._recipes.of(production).steps[job.step]
        for stored in report.outputs:
            output = step.outputs[stored.name]
            name, suffix = stored.name, output.suffix
            file = StoredOutput(
                job.id, report.attempt, name, job.name + suffix, stored.url, stored.size_bytes, stored.adler32
            )
            self._tracker.add_file(file, output.product)
        measured = {key: value for check in report.measurements.values() for key, value in check.items()}
        self._tracker.remember(job.id, measured)
        if step.split == "subband":
            self._place(job, production, measured)
        self._move(job, JobState.SUCCEEDED)
        self._tracker.mark_stale(job.id)
        self._look_at(job.id)

    def _place(self, job: Job, production: ProductionRecord, measured: Mapping[str, Any]) -> None:
        """Remember where a subband lies in the spectrum, if a check has told and LOFAR has such a place."""
        frequency_hz = measured.get("centre_frequency_hz")
        if not isinstance(frequency_hz, int | float):
            return
        try:
            place = absolute_subband(frequency_hz, measured.get("clock_mhz"))
        except ValueError as error:
            text = f"its frequency is not used: {error}"
            self._tracker.event(self._now(), production.id, job.id, job.attempt, text=text)
            return
        self._tracker.place(production.id, job.role, job.key, place)

    def _fail(self, job: Job, reason: Reason, detail: str) -> None:
        step = self._recipes.of(self._production(job)).steps[job.step]
        same_before = self._tracker.same_failures(job.id, reason) - 1
        decision = retry.decide(reason, job.tries, same_before, step.retry.tries)
        if not decision.again:
            self._move(job, JobState.FAILED, reason, detail)
            return
        later = self._now(decision.wait_s)
        self._tracker.move(job, JobState.WAITING, self._now(), reason, detail, not_before=later, tries=decision.tries)
        self._moves += 1

    # Expand and start

    def _expand(self) -> None:
        """Make the jobs of grouped steps whose subbands have all told their frequency, or never will."""
        pending = self._tracker.expansions()
        for expansion in pending:
            due = self._touched is None or expansion.production_id in self._touched
            if due and self._tracker.undecided(expansion) == 0 and not self._given_up(expansion.production_id):
                self._expand_one(expansion)
        self._touched = set()

    def _given_up(self, production_id: int) -> bool:
        """Whether the operator cancelled a production: nothing is left to do, and not because all was done."""
        counts = self._tracker.counts(production_id).values()
        states = {state for step in counts for state in step}
        return JobState.CANCELLED in states and states <= FINAL

    def _expand_one(self, expansion: Expansion) -> None:
        production = self._tracker.production_by_id(expansion.production_id)
        with self._tracker.transaction():
            entered = refresh(self._tracker, production.id, self._recipes.of(production), self._now())
            self._tracker.expanded(expansion, self._now())
            self._moves += 1
        if entered.live:
            self._backend.cancel(entered.live)

    def _start(self) -> None:
        """Judge the jobs whose needs are final; one that fails may make others startable at once."""
        while jobs := self._tracker.to_start(self._now(), _BATCH):
            with self._tracker.transaction():
                for job in jobs:
                    self._start_one(job)

    def _start_one(self, job: Job) -> None:
        recipe = self._recipes.of(self._production(job))
        verdict = self._judge(job, recipe)
        if recipe.steps[job.step].merges:
            self._tracker.set_lacks(job.id, verdict.lacks)
        if verdict.reason:
            self._move(job, JobState.FAILED, verdict.reason, verdict.detail)
        else:
            self._move(job, JobState.READY)

    def _judge(self, job: Job, recipe: Recipe) -> Verdict:
        step = recipe.steps[job.step]
        merges = step.merges
        needs = [Need(one, tuple(self._tracker.lacks(one.id)) if merges else ()) for one in self._tracker.needs(job.id)]
        listed = recipe.subbands if merges else ()
        unusable = {one.key: one.problem for one in listed if one.role == job.role and one.reason}
        return merging.judge(job, step, needs, unusable, recipe.minimum_subbands, recipe.gaps)

    # Submit

    def _submit(self) -> None:
        free = self._backend.most_in_flight - self._tracker.in_flight(self._backend.name)
        if free <= 0:
            return
        with self._tracker.transaction():
            pairs = []
            for job in self._tracker.ready(free):
                attempt = self._tracker.intend(job, self._backend.name, self._backend.site, self._now())
                pairs.append((self._tracker.job_by_id(job.id), attempt))
                self._moves += 1
        self._hand_over(pairs)

    def _hand_over(self, pairs: Sequence[tuple[Job, str]]) -> None:
        # Until this has come to its end the next tick reconciles: what stands as intended is handed over again.
        cursor, self._cursor = self._cursor, None
        specs = self._specs(pairs)
        if specs:
            self._backend.submit(specs)
            with self._tracker.transaction():
                for spec in specs:
                    self._tracker.note_phase(spec.attempt, Phase.QUEUED, self._now())
        self._cursor = cursor

    def _specs(self, pairs: Sequence[tuple[Job, str]]) -> list[JobSpec]:
        """What the backend is to get; a job that cannot be written down fails, the others go on."""
        specs: list[JobSpec] = []
        for job, attempt in pairs:
            try:
                specs.append(self._spec(job, attempt))
            except LofarGridError as error:
                with self._tracker.transaction():
                    self._tracker.end_attempt(attempt, Phase.ENDED, self._now(), Reason.SUBMIT_FAILED, str(error), None)
                    self._fail(job, Reason.SUBMIT_FAILED, str(error))
        return specs

    def _spec(self, job: Job, attempt: str) -> JobSpec:
        recipe = self._recipes.of(self._production(job))
        software, versions = self._places.software(recipe)
        around = Surroundings(
            attempt=attempt,
            owner=self._places.owner,
            contact=self._places.contact,
            site=self._backend.site,
            sandbox=self._places.sandbox(recipe),
            destination=self._places.scratch(recipe),
            software=software,
            versions=versions,
        )
        return render(recipe, job, sources_of(self._tracker, recipe, job), around)

    # Publish and clean

    def _publish(self) -> None:
        """Give products their final names; one that cannot be stored does not keep back the others."""
        for file in self._tracker.to_publish():
            self._guard(partial(self._publish_one, file))

    def _publish_one(self, file: StoredOutput) -> None:
        job = self._tracker.job_by_id(file.job_id)
        production = self._production(job)
        recipe = self._recipes.of(production)
        url = f"{recipe.output}/{file.filename}"
        self._storage.copy(file.url, url, file.adler32)
        self._storage.write(f"{url}.json", provenance(self._tracker, recipe, job, file))
        with self._tracker.transaction():
            self._tracker.note_published(file, url)
            self._tracker.event(self._now(), production.id, job.id, job.attempt, text=f"published {url}")
        self._settled.add(production.id)
        self._look_at(job.id)
        self._moves += 1

    def _clean(self) -> None:
        """Delete what no job will read. After a start everything on scratch is looked at."""
        succeeded, self._succeeded = self._succeeded, set()
        settled, self._settled = self._settled, set()
        if succeeded is None:
            candidates = self._tracker.on_scratch()
            settled |= {self._production(self._tracker.job_by_id(job_id)).id for job_id in candidates}
        else:
            candidates = [*succeeded, *(need.id for one in succeeded for need in self._tracker.needs(one))]
        for job_id in dict.fromkeys(candidates):
            if not self._guard(partial(self._scratch.delete_disposable, job_id)):
                self._succeeded.add(job_id)
        for production_id in settled:
            if not self._guard(partial(self._scratch.sweep, production_id)):
                self._settled.add(production_id)


def _awaits(job: Job, attempt: AttemptRecord) -> bool:
    """Whether a job waits for this attempt, and not for another one or none."""
    return job.attempt == attempt.id and job.state in (JobState.SUBMITTED, JobState.RUNNING)


def _reason(report: Report | None) -> Reason:
    if report is None:
        return Reason.LOST
    return Reason(report.reason) if report.reason else Reason.RUNNER_ERROR
