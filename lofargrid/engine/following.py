"""Follow what backends say of attempts: it moves their jobs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lofargrid_runner.contract import Report

from lofargrid.backends.base import Backend, Observation
from lofargrid.decisions.placement import shortage
from lofargrid.engine.failing import Failing
from lofargrid.engine.moving import Moves
from lofargrid.engine.quarantining import Quarantine
from lofargrid.engine.sourcing import demand_by
from lofargrid.frequency import absolute_subband
from lofargrid.model import Job, Site, StoredOutput
from lofargrid.productions.recipes import Recipes
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import AttemptRecord, ProductionRecord

_OVER = (Phase.ENDED, Phase.LOST)
PATIENCE_S = 2 * 3600.0
FIRST_PATIENCE_S = 24 * 3600.0
"""How long an attempt may wait for a node: one that is repeated keeps away from some, a first one takes any."""
PILOTLESS_S = 120.0
"""How long it waits at a site where no pilot is, or on its way, if others are free."""


class Following:
    """Moves jobs by what becomes of their attempts.

    Parameters
    ----------
    tracker, backend, sites
        The tracker, the backend it follows, and the sites that this one reaches.
    recipes
        The productions' recipes.
    moves
        Moves jobs.
    quarantine
        Weighs what ended for or against its node.
    failing
        Decides what comes after one that failed.
    """

    def __init__(
        self, tracker: Tracker, backend: Backend, sites: Mapping[str, Site], recipes: Recipes, moves: Moves,
        quarantine: Quarantine, failing: Failing,
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._backend = backend
        self._sites = sites
        self._recipes = recipes
        self._moves = moves
        self._quarantine = quarantine
        self._failing = failing
        self._cancel: list[str] = []
        self._revived = False

    def observe(self, observations: Sequence[Observation]) -> None:
        """Take what the backend says. What it still holds and nobody wants is cancelled."""
        with self._tracker.transaction():
            for observation in observations:
                if not self._quarantine.heard(observation):
                    self._observe(observation)
        given_up = [*self._cancel, *self._failing.outdated]
        if given_up:
            self._backend.cancel(list(dict.fromkeys(given_up)))
            self._cancel, self._failing.outdated = [], []
        if self._revived:  # groups may be made once more because of it
            self.cancel_unwanted()
            self._revived = False

    def _observe(self, observation: Observation) -> None:
        attempt = self._tracker.attempt(observation.attempt)
        if attempt is None:
            return
        job = self._tracker.job_by_id(attempt.job_id)
        if attempt.phase in _OVER:
            if observation.phase in _OVER:
                self._moves.touch(job)  # a zombie: it changes nothing, but may have left files
            else:
                self._cancel.append(attempt.id)  # given up before, and still there
            return
        if observation.phase is Phase.HELD:
            self._held(job, attempt, observation)
        elif observation.phase in _OVER:
            self._ended(job, attempt, observation)
        else:
            self._tracker.note_phase(
                attempt.id, observation.phase, self._moves.now(), observation.node, observation.batch_id
            )
            if observation.phase is Phase.RUNNING and job.state is JobState.SUBMITTED and awaits(job, attempt):
                self._moves.move(job, JobState.RUNNING)

    def _held(self, job: Job, attempt: AttemptRecord, observation: Observation) -> None:
        """What a batch system holds for its operator is given up and tried elsewhere."""
        self._cancel.append(attempt.id)
        self._close(attempt, Phase.LOST, Reason.HELD, observation.detail)
        if awaits(job, attempt):
            self._failing.fail(job, Reason.HELD, observation.detail)

    def _ended(self, job: Job, attempt: AttemptRecord, observation: Observation) -> None:
        report = observation.report
        succeeded = report is not None and report.succeeded
        reason = None if succeeded else _reason(report)
        detail = report.detail if report else observation.detail
        # What ends soon after it started may end before anybody saw it run.
        node = observation.node or (str(report.node.get("host", "")) if report else "")
        if node and not attempt.node:
            self._tracker.note_phase(attempt.id, attempt.phase, self._moves.now(), node)
        self._close(attempt, Phase.ENDED if report else Phase.LOST, reason, detail, observation.report_text)
        if report:
            self._tracker.note_ids(attempt.id, report.ids)
        if not awaits(job, attempt):
            # Its job was cancelled, superseded or given to another attempt.
            self._moves.touch(job)
        elif report and succeeded:
            self._succeed(job, report)
        else:
            self._failing.fail(job, _reason(report), detail, report.peak_memory_mb if report else 0.0)

    def _close(
        self, attempt: AttemptRecord, phase: Phase, reason: Reason | None, detail: str, report: str = ""
    ) -> None:  # fmt: skip
        self._tracker.end_attempt(attempt.id, phase, self._moves.now(), reason, detail, report or None)
        current = self._tracker.attempt(attempt.id)
        assert current is not None, "it was just written"
        self._revived |= self._quarantine.consider(current, reason)

    def _succeed(self, job: Job, report: Report) -> None:
        production = self._moves.production(job)
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
        self._moves.move(job, JobState.SUCCEEDED)
        self._tracker.mark_stale(job.id)
        self._moves.look_at(job.id)

    def _place(self, job: Job, production: ProductionRecord, measured: Mapping[str, Any]) -> None:
        """Remember where a subband lies in the spectrum, if a check has told and LOFAR has such a place."""
        frequency_hz = measured.get("centre_frequency_hz")
        if not isinstance(frequency_hz, int | float):
            return
        try:
            place = absolute_subband(frequency_hz, measured.get("clock_mhz"))
        except ValueError as error:
            text = f"its frequency is not used: {error}"
            self._tracker.event(self._moves.now(), production.id, job.id, job.attempt, text=text)
            return
        self._tracker.place(production.id, job.role, job.key, place)

    def take_back(self, idle: Collection[str]) -> None:
        """Take back attempts that no node takes: one that keeps away from nodes may have none left at its site.

        Parameters
        ----------
        idle
            Sites that work and have free slots: what waits at a doubtful site is better off there.
        """
        first, repeated = self._moves.now(-FIRST_PATIENCE_S), self._moves.now(-PATIENCE_S)
        for attempt in self._tracker.not_started(first, repeated):
            if attempt.site not in self._sites or self._sites[attempt.site].guarded:
                hours = (FIRST_PATIENCE_S if attempt.number == 1 else PATIENCE_S) / 3600
                self._give_back(attempt, f"no node of {attempt.site} took it within {hours:g} h")
        if idle:
            self._leave(self._quarantine.doubtful(), 0.0, idle, "has no node that is known to work")
            self._leave(self._pilotless(), PILOTLESS_S, idle, "has no pilot, nor is one on its way")

    def _leave(self, sites: Collection[str], waited_s: float, idle: Collection[str], why: str) -> None:
        """Take back what has waited for so long at some sites, and could run at an idle one that is none of them."""
        since = self._moves.now(-waited_s)
        for attempt in self._tracker.not_started(since, since) if sites else ():
            if attempt.site in sites and self._fits(attempt, {*idle}.difference(sites)):
                self._give_back(attempt, f"{attempt.site} {why}, and others are free")

    def _pilotless(self) -> set[str]:
        piloted = {name for name, site in self._sites.items() if site.pilots}
        return piloted - self._tracker.served_sites() if piloted else set()

    def _give_back(self, attempt: AttemptRecord, detail: str) -> None:
        job = self._tracker.job_by_id(attempt.job_id)
        with self._tracker.transaction():
            self._close(attempt, Phase.LOST, Reason.NOT_STARTED, detail)
            if awaits(job, attempt):
                self._failing.fail(job, Reason.NOT_STARTED, detail)
        self._backend.cancel([attempt.id])

    def _fits(self, attempt: AttemptRecord, idle: Collection[str]) -> bool:
        """Whether one of these sites could run the job of an attempt."""
        job = self._tracker.job_by_id(attempt.job_id)
        recipe = self._recipes.of(self._moves.production(job))
        demand = demand_by(self._tracker, recipe, job, self._sites)
        there = [self._sites[name] for name in recipe.allowed(self._sites) if name in idle]
        return any(not shortage(demand, site) for site in there)

    # After a start, or after another process changed the tracker

    def reconcile(self, known: set[str]) -> list[tuple[Job, str]]:
        """Compare with what the backend knows: what it does not know is lost, or was never handed over.

        Returns
        -------
        intended
            Jobs and their attempts that the backend is to be given once more.
        """
        intended: list[tuple[Job, str]] = []
        for attempt in self._tracker.unfinished_attempts():
            if attempt.id in known:
                continue
            job = self._tracker.job_by_id(attempt.job_id)
            # A site that is no more in sites.yaml cannot be given anything.
            if attempt.phase is Phase.INTENDED and awaits(job, attempt) and attempt.site in self._sites:
                intended.append((job, attempt.id))
            else:
                self.observe([Observation(attempt.id, Phase.LOST, detail="the backend does not know it")])
        self.cancel_unwanted()
        return intended

    def cancel_unwanted(self) -> None:
        """Stop the attempts that no job waits for any more."""
        attempts = self._tracker.unfinished_attempts()
        unwanted = [one.id for one in attempts if not awaits(self._tracker.job_by_id(one.job_id), one)]
        if unwanted:
            self._backend.cancel(unwanted)


def awaits(job: Job, attempt: AttemptRecord) -> bool:
    """Whether a job waits for this attempt, and not for another one or none."""
    return job.attempt == attempt.id and job.state in (JobState.SUBMITTED, JobState.RUNNING)


def _reason(report: Report | None) -> Reason:
    if report is None:
        return Reason.LOST
    return Reason(report.reason) if report.reason else Reason.RUNNER_ERROR
