"""Dispatch: judge jobs whose needs are final, choose their sites, and hand them to the backend."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lofargrid_runner.contract import JobSpec

from lofargrid import merging, placement, retry, sharing
from lofargrid.backends.base import Backend
from lofargrid.demands import demand_of
from lofargrid.errors import LofarGridError
from lofargrid.following import Following
from lofargrid.merging import Need, Verdict
from lofargrid.model import Demand, Job, Site
from lofargrid.moving import Moves
from lofargrid.placement import Standing
from lofargrid.productions import Recipes
from lofargrid.quarantining import Quarantine
from lofargrid.recipes import Recipe
from lofargrid.rendering import Surroundings, render
from lofargrid.sharing import Claim
from lofargrid.software import Software
from lofargrid.sourcing import sources_of
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Kind, Load

_BATCH = 500
_LINGER_S = 60.0


@dataclass(frozen=True)
class Places:
    """Where the engine finds and puts things. The functions take a production's recipe.

    ``sandbox`` gives the folder of its frozen sandbox, ``scratch`` the folder URL of its intermediates at a site,
    ``software`` its release and the versions of the tools in it.
    """

    owner: str
    contact: str
    sandbox: Callable[[Recipe], str]
    scratch: Callable[[Recipe, Site], str]
    software: Callable[[Recipe], tuple[Software, Mapping[str, str]]]


class Dispatch:
    """Starts jobs and hands them over.

    Parameters
    ----------
    tracker, backend, sites
        The tracker, the backend, and the sites that it reaches.
    recipes
        The productions' recipes.
    moves
        Moves jobs.
    following
        Decides what comes after a job that cannot be handed over.
    quarantine
        Tells which sites are shut.
    places
        Where things lie.
    clock
        Gives the time, aware UTC.
    """

    def __init__(
        self, tracker: Tracker, backend: Backend, sites: Mapping[str, Site], recipes: Recipes, moves: Moves,
        following: Following, quarantine: Quarantine, places: Places, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._backend = backend
        self._sites = sites
        self._recipes = recipes
        self._moves = moves
        self._following = following
        self._quarantine = quarantine
        self._places = places
        self._clock = clock
        self._slots = sum(site.slots for site in sites.values())
        self._job_s: dict[tuple[int, str], float] = {}

    # Start

    def start(self) -> None:
        """Judge the jobs whose needs are final, as many as may soon be handed over; the furthest go first."""
        with self._tracker.transaction():
            self._tracker.wake(self._moves.now())
        room = 2 * self._slots - self._tracker.ready_count()
        while room > 0:
            with self._tracker.transaction():
                started = self._start_some(min(room, _BATCH))
            if not started:
                return
            room -= started

    def _start_some(self, room: int) -> int:
        claims = [self._claim(production_id) for production_id in self._tracker.startable()]
        started = 0
        for production_id, count in sharing.share(room, claims).items():
            for job in self._tracker.to_start(production_id, count):
                self._start_one(job)
                started += 1
        return started

    def _claim(self, production_id: int) -> Claim:
        """What a production asks for; what of it is ready already counts as if it had its place."""
        production = self._tracker.production_by_id(production_id)
        states = [JobState.READY, JobState.SUBMITTED, JobState.RUNNING]
        counts = self._tracker.counts(production_id).values()
        ahead = sum(one.get(state, 0) for one in counts for state in states)
        waiting = sum(one.get(JobState.WAITING, 0) for one in counts)
        return Claim(production_id, waiting, ahead, production.priority)

    def _start_one(self, job: Job) -> None:
        recipe = self._recipes.of(self._moves.production(job))
        step = recipe.steps[job.step]
        verdict = self._judge(job, recipe)
        if step.merges:
            self._tracker.set_lacks(job.id, verdict.lacks)
        if verdict.reason:
            self._moves.move(job, JobState.FAILED, verdict.reason, verdict.detail)
            return
        self._moves.move(job, JobState.READY)
        self._tracker.settle_at(job.id, self._demand(job, recipe).home)

    def _demand(self, job: Job, recipe: Recipe) -> Demand:
        try:
            sources = sources_of(self._tracker, recipe, job)
        except LofarGridError:
            sources = {}  # handing it over will tell
        return demand_of(job, recipe.steps[job.step], sources, self._sites)

    def _judge(self, job: Job, recipe: Recipe) -> Verdict:
        step = recipe.steps[job.step]
        merges = step.merges
        needs = [Need(one, tuple(self._tracker.lacks(one.id)) if merges else ()) for one in self._tracker.needs(job.id)]
        listed = recipe.subbands if merges else ()
        unusable = {one.key: one.problem for one in listed if one.role == job.role and one.reason}
        return merging.judge(job, step, needs, unusable, recipe.minimum_subbands, recipe.gaps)

    # Place and submit

    def submit(self) -> list[str]:
        """Give ready jobs their sites and hand them over.

        Returns
        -------
        troubles
            Why jobs of some kind can run nowhere.
        """
        kinds = self._tracker.ready_kinds()
        if not kinds:
            return []
        troubles: list[str] = []
        load = self._tracker.load(self._backend.name)
        standings = self._standings(load)
        pairs: list[tuple[Job, str]] = []
        with self._tracker.transaction():
            for kind, count in self._in_turn(kinds, load, standings):
                standings = self._place(kind, count, standings, pairs, troubles)
        self.hand_over(pairs)
        return troubles

    def _standings(self, load: Sequence[Load]) -> dict[str, Standing]:
        closed, limits = self._quarantine.closed(), self._quarantine.limits()
        standings = {
            name: Standing(site, closed=closed.get(name, ""), limit=limits.get(name))
            for name, site in self._sites.items()
        }
        for one in load:
            copies = int(self._copies(one))
            if one.site in standings:
                standings[one.site] = standings[one.site].with_more(1, copies)
            if copies and one.remote_from in standings:
                standings[one.remote_from] = standings[one.remote_from].with_more(0, copies)
        return standings

    def _copies(self, one: Load) -> bool:
        """Whether an attempt copies over a wide-area link now, or will; who is late is given twice the time."""
        if not one.remote_bytes:
            return False
        if one.started is None:
            return True
        ends = [self._sites[name].stream_mb_s for name in (one.site, one.remote_from) if name in self._sites]
        seconds = one.remote_bytes / 1e6 / min(ends, default=1.0)
        ran_s = (self._clock() - datetime.fromisoformat(one.started)).total_seconds()
        return ran_s < 2 * seconds

    def _in_turn(
        self, kinds: Sequence[Kind], load: Sequence[Load], standings: Mapping[str, Standing]
    ) -> list[tuple[Kind, int]]:  # fmt: skip
        """The kinds in the order in which they are served, with how many of each production's share they get."""
        by_production: dict[int, list[Kind]] = defaultdict(list)
        for kind in kinds:
            by_production[kind.production_id].append(kind)
        in_flight: dict[int, int] = defaultdict(int)
        for one in load:
            in_flight[one.production_id] += 1
        claims = []
        for production_id, own in by_production.items():
            production = self._tracker.production_by_id(production_id)
            ready = sum(kind.count for kind in own)
            claims.append(
                Claim(production_id, ready, in_flight[production_id], production.priority, production.max_running)
            )
        room = sum(one.free for one in standings.values())
        turns = []
        for production_id, count in sharing.share(room, claims).items():
            for kind in by_production[production_id]:
                given = min(count, kind.count)
                if given:
                    turns.append((kind, given))
                    count -= given
        return turns

    def _place(
        self, kind: Kind, count: int, standings: Mapping[str, Standing], pairs: list[tuple[Job, str]],
        troubles: list[str],
    ) -> dict[str, Standing]:  # fmt: skip
        first = self._tracker.job_by_id(kind.first)
        recipe = self._recipes.of_id(kind.production_id)
        demand = self._demand(first, recipe)
        ranking = placement.rank(demand, standings, recipe.allowed(self._sites), first.shunned)
        if ranking.nowhere and not any(standing.closed for standing in standings.values()):
            troubles.append(f"no site can run {first.name}: {ranking.nowhere}")
        spread = placement.spread(demand, count, ranking, standings, self._typical_s(kind, demand))
        jobs = iter(self._tracker.ready_of(kind, sum(spread.sent.values())))
        for site, sent in spread.sent.items():
            remote = {name: size for name, size in demand.bytes_at.items() if name != site}
            source = max(sorted(remote), key=lambda name: remote[name], default="")
            for job, _ in zip(jobs, range(sent), strict=False):
                attempt = self._tracker.intend(
                    job, self._backend.name, site, self._moves.now(), source, sum(remote.values())
                )
                pairs.append((self._tracker.job_by_id(job.id), attempt))
                self._moves.count += 1
        return dict(spread.standings)

    def _typical_s(self, kind: Kind, demand: Demand) -> float:
        """How long jobs of a step hold a slot: as the last ones did, or half of what they may."""
        key = (kind.production_id, kind.step)
        measured = self._tracker.typical_s(*key) if key not in self._job_s else None
        if measured:
            self._job_s[key] = measured
        return self._job_s.get(key, demand.walltime_min * 30)

    def hand_over(self, pairs: Sequence[tuple[Job, str]]) -> None:
        """Give attempts to the backend; one that cannot be written down fails, the others go on."""
        specs = self._specs(pairs)
        if specs:
            self._backend.submit(specs)
            with self._tracker.transaction():
                for spec in specs:
                    self._tracker.note_phase(spec.attempt, Phase.QUEUED, self._moves.now())

    def _specs(self, pairs: Sequence[tuple[Job, str]]) -> list[JobSpec]:
        specs: list[JobSpec] = []
        for job, attempt in pairs:
            try:
                specs.append(self._spec(job, attempt))
            except LofarGridError as error:
                with self._tracker.transaction():
                    now = self._moves.now()
                    self._tracker.end_attempt(attempt, Phase.ENDED, now, Reason.SUBMIT_FAILED, str(error), None)
                    self._following.fail(job, Reason.SUBMIT_FAILED, str(error))
        return specs

    def _spec(self, job: Job, attempt: str) -> JobSpec:
        recipe = self._recipes.of(self._moves.production(job))
        record = self._tracker.attempt(attempt)
        assert record is not None, "it was written down"
        site = self._sites[record.site]
        software, versions = self._places.software(recipe)
        sources = sources_of(self._tracker, recipe, job)
        around = Surroundings(
            attempt=attempt,
            owner=self._places.owner,
            contact=self._places.contact,
            site=site.name,
            sandbox=self._places.sandbox(recipe),
            destination=self._places.scratch(recipe, site),
            software=software,
            versions=versions,
            demand=demand_of(job, recipe.steps[job.step], sources, self._sites),
        )
        spec = render(recipe, job, sources, around)
        if not site.guarded:
            return spec
        avoid = self._avoided(job, site.name) if record.number > 1 else ()
        return spec._replace(avoid=avoid, linger_s=_LINGER_S)

    def _avoided(self, job: Job, site: str) -> tuple[str, ...]:
        """The nodes of a site that a job keeps away from; none that would leave it without a node once more."""
        failures = self._tracker.failures(job.id)
        waits = [index for index, one in enumerate(failures) if one.reason is Reason.NOT_STARTED]
        failures = [one for one in failures[max(waits, default=-1) + 1 :] if one.site == site and one.node]
        return tuple(
            sorted({one.node for one in failures if one.reason and retry.rule_of(one.reason).elsewhere == "node"})
        )
