"""Dispatch: judge jobs whose needs are final, choose their sites, and hand them to the backend."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from lofargrid_runner.contract import JobSpec

from lofargrid.backends.base import Backend
from lofargrid.decisions import merging, retry, sharing
from lofargrid.decisions.demands import demand_of, lesson
from lofargrid.decisions.merging import Need, Verdict
from lofargrid.decisions.placement import BY_DATA, Line, Policy, Ranking, Spread, Standing, with_load
from lofargrid.decisions.sharing import Claim
from lofargrid.documents.software import Software
from lofargrid.engine.following import Following, demand_by, past_of
from lofargrid.engine.moving import Moves
from lofargrid.engine.quarantining import Quarantine
from lofargrid.engine.recalling import Recalling
from lofargrid.engine.sourcing import sources_of
from lofargrid.engine.turns import Key, Turns, key_of
from lofargrid.errors import LofarGridError
from lofargrid.model import Demand, Job, Site
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.recipe import Recipe
from lofargrid.recipes.rendering import Surroundings, render
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Kind

_BATCH = 500
_LINGER_S = 60.0
_PATIENCE_S = 3600.0
_LATE, _LATE_S = 1.1, 60.0
_MOST_STUCK = 200
_MOST_REMEMBERED = 10_000
"""How many kinds of jobs a tick asks in vain whether free slots are of use to them."""


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
    recalling
        Brings online what is on tape.
    places
        Where things lie.
    policy
        How sites are chosen.
    """

    def __init__(
        self, tracker: Tracker, backend: Backend, sites: Mapping[str, Site], recipes: Recipes, moves: Moves,
        following: Following, quarantine: Quarantine, recalling: Recalling, places: Places, policy: Policy = BY_DATA,
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._backend = backend
        self._sites = sites
        self._recipes = recipes
        self._moves = moves
        self._following = following
        self._quarantine = quarantine
        self._recalling = recalling
        self._places = places
        self._policy = policy
        self._slots = sum(site.slots for site in sites.values())
        self._job_s: dict[tuple[int, str], float] = {}
        self._stuck: set[Key] = set()
        self._nothing_to_start: object = None
        self._demands: dict[int, tuple[str, Demand]] = {}
        self._lessons: dict[tuple[str, str], Mapping[str, float]] = {}

    # Start

    def start(self) -> None:
        """Judge the jobs whose needs are final, as many as may soon be handed over; the furthest go first."""
        with self._tracker.transaction():
            self._tracker.wake(self._moves.now())
        as_it_is = self._tracker.version(), frozenset(self._stuck)
        if as_it_is == self._nothing_to_start:
            return
        self._lessons.clear()
        most = 2 * self._slots
        kinds = self._tracker.ready_kinds()
        stuck = [kind for kind in kinds if key_of(kind) in self._stuck]
        # Jobs that cannot use what is free must not keep others from being ready; nor may they pile up.
        held_up = {kind.production_id for kind in stuck} if sum(kind.count for kind in stuck) >= most else set()
        going = self._claims(kind for kind in kinds if key_of(kind) not in self._stuck)
        room = most - sum(claim.most for claim in going.values()) - self._tracker.recalling_count()
        while room > 0:
            with self._tracker.transaction():
                started = self._start_some(min(room, _BATCH), held_up)
            if not started:
                break
            room -= started
        if self._tracker.version() == as_it_is[0]:
            self._nothing_to_start = as_it_is

    def _start_some(self, room: int, held_up: set[int]) -> int:
        # What is ready already counts as if it had its place.
        claims = [
            Claim(one.production_id, one.waiting, one.ready + one.in_flight, one.priority, one.max_running)
            for one in self._tracker.queues([one for one in self._tracker.startable() if one not in held_up])
        ]
        started = 0
        for production_id, count in sharing.share(room, claims).items():
            for job in self._tracker.to_start(production_id, count):
                self._start_one(job)
                started += 1
        return started

    def _start_one(self, job: Job) -> None:
        recipe = self._recipes.of(self._moves.production(job))
        step = recipe.steps[job.step]
        verdict = self._judge(job, recipe)
        if step.merges:
            self._tracker.set_lacks(job.id, verdict.lacks)
        if verdict.reason:
            self._moves.move(job, JobState.FAILED, verdict.reason, verdict.detail)
            return
        taught = self._lesson(recipe, job)
        if taught and not job.grown:
            self._tracker.change_demand(job.id, taught, job.shunned)
        self._moves.move(job, JobState.RECALLING if self._recalling.needed(recipe, job) else JobState.READY)
        self._tracker.settle_at(job.id, demand_by(self._tracker, recipe, job, self._sites).home)

    def _lesson(self, recipe: Recipe, job: Job) -> Mapping[str, float]:
        """What other jobs of the step have taught in this production; looked up once a tick."""
        key = (recipe.production, job.step)
        if key not in self._lessons:
            production_id = self._moves.production(job).id
            succeeded = self._tracker.counts(production_id).get(job.step, {}).get(JobState.SUCCEEDED, 0)
            self._lessons[key] = lesson(self._tracker.grown(production_id, job.step), succeeded)
        return self._lessons[key]

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
        if not self._slots and self._tracker.startable():
            return [f"no site can run anything: {', '.join(self._sites) or 'there are none'}; give one slots"]
        standings: Mapping[str, Standing] = self._standings()
        if not any(one.free for one in standings.values()):
            return []
        nowhere: dict[str, list[str]] = {}
        pairs: list[tuple[Job, str]] = []
        # Too many to ask all at once: those asked in vain the last time let the others go first.
        passed_over = self._stuck if len(self._stuck) >= _MOST_STUCK else ()
        with self._tracker.transaction():
            # Who has its data at a site has the first claim on it: a stranger would copy, and make it copy elsewhere.
            for at_home in (True, False):
                kinds = self._tracker.ready_kinds()
                turns = Turns(kinds, self._claims(kinds), passed_over)
                while len(turns.stuck) < _MOST_STUCK:
                    offers = turns.offer(sum(one.free for one in standings.values()))
                    if not offers:
                        break
                    for kind, count in offers:
                        standings, placed = self._place(kind, count, standings, nowhere, at_home)
                        turns.took(kind, count, len(placed))
                        pairs += placed
        self._stuck = turns.stuck
        self.hand_over(pairs)
        return [f"no site can run {_some(names)}: {why}" for why, names in nowhere.items()]

    def _standings(self) -> dict[str, Standing]:
        closed, limits = self._quarantine.closed(), self._quarantine.limits()
        standings = {
            name: Standing(site, closed=closed.get(name, ""), limit=limits.get(name))
            for name, site in self._sites.items()
        }
        load = self._tracker.load(self._backend.name, self._moves.now())
        return with_load(standings, (one.burden for one in load))

    def _claims(self, kinds: Iterable[Kind]) -> dict[int, Claim]:
        """What the productions of some ready jobs ask for."""
        ready: dict[int, int] = {}
        for kind in kinds:
            ready[kind.production_id] = ready.get(kind.production_id, 0) + kind.count
        return {
            one.production_id: Claim(
                one.production_id, ready[one.production_id], one.in_flight, one.priority, one.max_running
            )
            for one in self._tracker.queues(ready)
        }

    def _place(
        self, kind: Kind, count: int, standings: Mapping[str, Standing], nowhere: dict[str, list[str]], at_home: bool
    ) -> tuple[Mapping[str, Standing], list[tuple[Job, str]]]:
        """Send some jobs of a kind to sites; tell how the sites stand then, and the jobs with their attempts."""
        recipe = self._recipes.of_id(kind.production_id)
        merges = recipe.steps[kind.step].merges
        placed: list[tuple[Job, str]] = []
        # Merges of a kind have their inputs at different sites, besides the one that holds most of them.
        for first in self._tracker.ready_of(kind, count if merges else 1):
            line = Line(kind.count - len(placed), 1 if merges else count, at_home)
            demand = self._demand(recipe, first)
            ranking = self._policy.rank(demand, standings, recipe.allowed(self._sites), first.shunned)
            if ranking.nowhere and not at_home:
                nowhere.setdefault(ranking.nowhere, []).append(first.name)
            spread = self._policy.spread(demand, line, ranking, standings, self._typical_s(kind, demand))
            standings = spread.standings
            jobs = [first] if merges else self._tracker.ready_of(kind, sum(spread.sent.values()))
            placed += self._intend(jobs, spread, demand, ranking)
        return standings, placed

    def _demand(self, recipe: Recipe, job: Job) -> Demand:
        """What a ready job asks for; it stays so while the job waits for its place."""
        known = self._demands.get(job.id)
        if known is None or known[0] != job.updated:
            if len(self._demands) > _MOST_REMEMBERED:
                self._demands.clear()
            known = self._demands[job.id] = job.updated, demand_by(self._tracker, recipe, job, self._sites)
        return known[1]

    def _intend(
        self, jobs: Iterable[Job], spread: Spread, demand: Demand, ranking: Ranking
    ) -> list[tuple[Job, str]]:  # fmt: skip
        rest = iter(jobs)
        pairs = []
        for site, sent in spread.sent.items():
            sources, copy_s = self._copied(demand, ranking, site)
            for job in islice(rest, sent):
                attempt = self._tracker.intend(job, self._backend.name, site, self._moves.now(), sources, copy_s)
                pairs.append((self._tracker.job_by_id(job.id), attempt))
                self._moves.count += 1
        return pairs

    def _copied(self, demand: Demand, ranking: Ranking, site: str) -> tuple[str, float]:
        """The sites that a job copies from, and how long it may use their links: a bit more than it should."""
        remote = [name for name, size_bytes in sorted(demand.bytes_at.items()) if name != site and size_bytes]
        copy_s = next(one.copy_s for one in ranking.candidates if one.site == site)
        return ",".join(remote), _LATE * copy_s + _LATE_S if copy_s else 0.0

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
        avoid: tuple[str, ...] = ()
        if record.number > 1:
            past = [past_of(one) for one in self._tracker.failures(job.id)]
            avoid = retry.avoided(past, site.name, self._following.rules_of(recipe.steps[job.step]))
        return spec._replace(avoid=avoid, linger_s=_LINGER_S, patience_s=_PATIENCE_S)


def _some(names: Sequence[str]) -> str:
    """The first of some names, and how many others there are."""
    return names[0] + (f" and {len(names) - 1} like it" if names[1:] else "")
