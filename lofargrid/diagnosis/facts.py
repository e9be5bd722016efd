"""What is known of a job, of what it waits for and of what it failed by: gathered here, judged in diagnosis.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from lofargrid.decisions import health, placement, retry
from lofargrid.decisions.demands import demand_of, most_of
from lofargrid.decisions.placement import Ranking, Standing
from lofargrid.decisions.retry import Rule
from lofargrid.decisions.splitting import Beam
from lofargrid.diagnosis.finding import Diagnosis
from lofargrid.documents.pipelines import Step
from lofargrid.engine.failing import past_of
from lofargrid.engine.sourcing import demand_by
from lofargrid.model import Demand, Job, Site
from lofargrid.productions.retrying import CONSEQUENCES
from lofargrid.recipes import storing
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.diagnoses import Rival, Trouble, Wait
from lofargrid.tracker.records import AttemptRecord, ProductionRecord, QuarantineRecord

_SHOWN = 3
LOOK_BACK = timedelta(days=2)
_LONG_AGO = "0001-01-01T00:00:00.000+00:00"


@dataclass(frozen=True)
class Awaited:
    """Needs of a job that are not final. ``shown`` are some of them by name and state, ``counts`` has all.

    ``steps`` are the grouped steps whose jobs are not made yet, ``silent`` how many subbands have yet to tell their
    frequency before they can be.
    """

    shown: tuple[tuple[str, JobState], ...] = ()
    counts: Mapping[JobState, int] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    silent: int = 0


@dataclass(frozen=True)
class Turn:
    """How a job stands that could run. ``held`` says what keeps it from each open site that may run it.

    ``shut`` are the quarantined sites that could run it, ``trying`` those that get few jobs because they come from
    quarantine, ``barren`` those that do because all their known nodes are in quarantine. ``running`` and ``most`` are
    how many jobs of its production are on their way and may be, ``ahead`` is how many of its production go before it,
    ``rivals`` are the productions that do. ``ready`` is how many of its production are ready, while it is not.
    """

    ranking: Ranking | None
    held: Mapping[str, str]
    shut: tuple[QuarantineRecord, ...]
    trying: tuple[QuarantineRecord, ...]
    barren: tuple[str, ...]
    running: int
    most: int | None
    ahead: int
    rivals: tuple[Rival, ...]
    ready: int


@dataclass(frozen=True)
class Flight:
    """How the attempt stands that a job waits for, and how long such things take. None is unknown.

    ``node`` is the quarantine of its node, ``site`` of its site, ``shut`` the quarantined nodes of its site,
    ``avoided`` the nodes that it keeps away from. ``guarded`` says whether what no node takes is taken back.
    """

    usual_s: float | None
    usual_queue_s: float | None
    walltime_s: float
    node: QuarantineRecord | None
    site: QuarantineRecord | None
    shut: tuple[QuarantineRecord, ...]
    avoided: tuple[str, ...]
    guarded: bool


@dataclass(frozen=True)
class Facts:
    """All that a diagnosis needs. ``now`` is the time, empty if unknown; ``ticking`` whether a process moves jobs.

    ``failures`` are the attempts that failed since the operator's last retry, ``remark`` what was decided after the
    last one, ``attempt`` the last of all. ``root`` is known of the job that the cause lies in, if it is another one,
    ``told`` is that one's diagnosis; ``alike`` counts the other jobs that failed for its reason. ``lacks`` are the
    subbands that it went without: of ``problems`` they could not be read, of ``unplaced`` nobody told the frequency.
    """

    job: Job
    wait: Wait
    now: str = ""
    ticking: bool | None = None
    failures: tuple[AttemptRecord, ...] = ()
    attempt: AttemptRecord | None = None
    remark: str = ""
    paused_since: str | None = None
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    rule: Rule | None = None
    step_tries: int = 0
    awaited: Awaited | None = None
    turn: Turn | None = None
    flight: Flight | None = None
    lacks: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    unplaced: tuple[str, ...] = ()
    unpublished: bool = False
    successors: tuple[str, ...] = ()
    root: "Facts | None" = None
    told: Diagnosis | None = None
    alike: int = 0


@dataclass(frozen=True)
class Gatherer:
    """Gathers facts. ``sites`` are those of the engine; without them it is not known where a job could run."""

    tracker: Tracker
    sites: Mapping[str, Site]
    now: str
    ticking: bool | None

    def of(self, job: Job) -> Facts:
        """The facts about a job."""
        tracker = self.tracker
        wait = tracker.wait(job.id)
        attempts = tuple(tracker.attempts(job.id))
        facts = partial(
            Facts, job=job, wait=wait, now=self.now, ticking=self.ticking, remark=tracker.remark(job.id),
            failures=tuple(tracker.failures(job.id)), attempt=attempts[-1] if attempts else None,
        )  # fmt: skip
        if not wait.standing:
            base = job.key.partition("p")[0]
            return facts(successors=tuple(tracker.successors(wait.production_id, job.step, base, _SHOWN)))
        if job.state is JobState.SUCCEEDED:
            return self._of_succeeded(facts, job, wait)
        if job.state in (JobState.FAILED, JobState.CANCELLED):
            root, alike = self._culprit(job) if job.reason in CONSEQUENCES else (None, 0)
            return facts(root=self.of(root) if root else None, alike=alike)
        return self._of_unfinished(facts, job, wait)

    def _of_succeeded(self, facts: "partial[Facts]", job: Job, wait: Wait) -> Facts:
        lacks = tuple(self.tracker.lacks(job.id))
        root, alike = self._culprit(job) if lacks else (None, 0)
        listed = self.tracker.subbands_of(wait.production_id, job.role, lacks)
        return facts(
            lacks=lacks,
            problems={one.key: one.problem for one in listed if one.reason},
            unplaced=tuple(self.tracker.without_place(wait.production_id, job.role, lacks)),
            unpublished=self.tracker.unpublished(job.id),
            troubles=self.tracker.troubles(),
            root=self.of(root) if root else None,
            alike=alike,
        )

    def _culprit(self, job: Job) -> tuple[Job | None, int]:
        """What a job goes without and why: the most frequent failure among its needs, or below another merge.

        Where no group could be made of a subband no need has failed: then it is what failed over that subband.
        """
        for failed in self.tracker.failed_needs(job.id)[:1] or self.tracker.failed_over_lacks(job.id)[:1]:
            first = self.tracker.job_by_id(failed.first)
            deeper, alike = self._culprit(first) if first.reason in CONSEQUENCES else (None, 0)
            return (deeper, alike) if deeper else (first, failed.count - 1)
        for need in self.tracker.lacking_needs(job.id):
            found, alike = self._culprit(self.tracker.job_by_id(need))
            if found:
                return found, alike
        return None, 0

    def _of_unfinished(self, facts: "partial[Facts]", job: Job, wait: Wait) -> Facts:
        production = self.tracker.production_by_id(wait.production_id)
        recipe = self._recipe(production, job)
        step = recipe.steps[job.step]
        facts = partial(
            facts,
            troubles=self.tracker.troubles(),
            paused_since=self.tracker.paused_since(production.id) if production.paused else None,
            rule=retry.rule_of(job.reason, rules_of(step)) if job.reason else None,
            step_tries=step.retry.tries,
        )
        if job.state in (JobState.SUBMITTED, JobState.RUNNING):
            return facts(flight=self._flight(job, recipe, wait))
        if job.state is JobState.WAITING and job.unmet:
            awaited, blocker = self._awaited(job, wait)
            return facts(awaited=awaited, root=self.of(blocker) if blocker else None)
        if job.state is JobState.RECALLING or wait.not_before:
            return facts()
        turn = self._turn(job, recipe, wait, production)
        head = self.tracker.first_ready(production.id) if turn.ready else None
        return facts(turn=turn, root=None if head is None else self.of(self.tracker.job_by_id(head)))

    def _recipe(self, production: ProductionRecord, job: Job) -> Recipe:
        """The recipe with the subbands of the job alone; a production may list many."""
        subbands = self.tracker.subbands_of(production.id, job.role, job.subbands)
        return storing.from_json(self.tracker.recipe(production.id), subbands)

    # What it waits for

    def _awaited(self, job: Job, wait: Wait) -> tuple[Awaited, Job | None]:
        tracker = self.tracker
        steps = tuple(tracker.awaited_steps(job.id))
        silent = self._silent(job, wait) if steps else []
        shown = tuple(tracker.open_needs(job.id, _SHOWN))
        blocker = tracker.blocker(job.id) if shown else None
        first = blocker if blocker is not None else next(iter(silent), None)
        awaited = Awaited(shown, tracker.open_need_counts(job.id), steps, len(silent))
        return awaited, None if first is None else tracker.job_by_id(first)

    def _silent(self, job: Job, wait: Wait) -> list[int]:
        beam: Beam = (job.role, job.key.partition("-")[0], job.sap)
        return self.tracker.silent(wait.production_id, beam)

    # Its turn

    def _turn(self, job: Job, recipe: Recipe, wait: Wait, production: ProductionRecord) -> Turn:
        counts = list(self.tracker.counts(production.id).values())
        running = sum(one.get(state, 0) for one in counts for state in (JobState.SUBMITTED, JobState.RUNNING))
        quarantines = self.tracker.quarantines()
        whole = [one for one in quarantines if not one.node]
        barren = self._barren(quarantines)
        ranking, held = self._place(job, recipe, whole, barren) if self.sites else (None, {})
        able = {one.site for one in ranking.candidates} if ranking else set()
        ready = sum(one.get(JobState.READY, 0) for one in counts)
        return Turn(
            ranking=ranking,
            held=held,
            shut=tuple(one for one in whole if ranking and one.site in ranking.shut),
            trying=tuple(one for one in whole if one.state == "probation" and one.site in able),
            barren=tuple(name for name in barren if name in able),
            running=running,
            most=production.max_running,
            ahead=self.tracker.ahead(job.id, wait),
            rivals=tuple(self.tracker.rivals(production.priority, _SHOWN)),
            ready=ready if job.state is JobState.WAITING else 0,
        )

    def _barren(self, quarantines: list[QuarantineRecord]) -> list[str]:
        """The sites whose known nodes are all in quarantine; see quarantining.py."""
        suspects = sorted({one.site for one in quarantines if one.node})
        if not self.now or not suspects:
            return []
        since = (datetime.fromisoformat(self.now) - LOOK_BACK).isoformat(timespec="milliseconds")
        return [name for name in suspects if not self.tracker.good_nodes(name, since)]

    def _place(
        self, job: Job, recipe: Recipe, quarantines: list[QuarantineRecord], barren: list[str]
    ) -> tuple[Ranking, Mapping[str, str]]:  # fmt: skip
        """What placement would say of the job now."""
        demand = demand_by(self.tracker, recipe, job, self.sites)
        standings = self._standings(quarantines, barren)
        ranking = placement.rank(demand, standings, recipe.allowed(self.sites), job.shunned)
        return ranking, _held(ranking, standings, demand)

    def _standings(self, quarantines: list[QuarantineRecord], barren: list[str]) -> dict[str, Standing]:
        closed = {one.site: one.state for one in quarantines if one.state == "quarantined"}
        limited = {*barren, *(one.site for one in quarantines if one.state == "probation")}
        standings = {
            name: Standing(site, closed=closed.get(name, ""), limit=health.PROBATION_JOBS if name in limited else None)
            for name, site in self.sites.items()
        }
        return placement.with_load(
            standings, (one.burden for one in self.tracker.load(self.now or _LONG_AGO))
        )  # fmt: skip

    # Its attempt

    def _flight(self, job: Job, recipe: Recipe, wait: Wait) -> Flight | None:
        attempt = self.tracker.attempt(job.attempt or "")
        if attempt is None:
            return None
        step = recipe.steps[job.step]
        demand = demand_of(job, step, {}, self.sites)
        here = [self.sites[attempt.site]] if attempt.site in self.sites else []
        overtime_min = retry.overtime_min(demand, most_of(here, demand), rules_of(step))
        there = {one.node: one for one in self.tracker.quarantines() if one.site == attempt.site}
        return Flight(
            usual_s=self.tracker.usual_s(wait.production_id, job.step, attempt.site),
            usual_queue_s=self.tracker.usual_queue_s(attempt.site),
            walltime_s=60.0 * (demand.walltime_min + overtime_min),
            node=there.get(attempt.node) if attempt.node else None,
            site=there.get(""),
            shut=tuple(one for one in there.values() if one.node),
            avoided=self._avoided(job, step, attempt),
            guarded=self.sites.get(attempt.site, Site("")).guarded,
        )

    def _avoided(self, job: Job, step: Step, attempt: AttemptRecord) -> tuple[str, ...]:
        """The nodes that were named to the backend when it was handed over; see handing.py."""
        if not self.sites.get(attempt.site, Site("")).guarded:
            return ()
        past = [past_of(one) for one in self.tracker.failures(job.id)]
        return retry.avoided(past, attempt.site, rules_of(step))


def rules_of(step: Step) -> Mapping[Reason, Rule]:
    """What is done after a failure of a step."""
    return retry.with_own(retry.RULES, step.retry)


def _held(ranking: Ranking, standings: Mapping[str, Standing], demand: Demand) -> dict[str, str]:
    """Why a job does not go to any of its sites now; empty if it can go to the best of them."""
    held = {}
    for place, one in enumerate(ranking.candidates):
        here = standings[one.site]
        sources = [name for name, size_bytes in demand.bytes_at.items() if size_bytes and name != one.site]
        ends = [standings[name] for name in (one.site, *sources) if name in standings]
        if not here.free:
            held[one.site] = f"all slots are taken, {here.in_flight} of {here.most}"
        elif not one.local and not all(end.free_copies for end in ends):
            held[one.site] = "as many copies cross the links as may"
        elif place:
            held[one.site] = f"free, but to copy its inputs there takes {one.copy_s / 60:.0f} min"
        else:
            return {}
    return held
