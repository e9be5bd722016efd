"""Start: judge jobs whose needs are final, as many as may soon be handed over."""

from collections.abc import Collection, Mapping

from lofargrid.decisions import merging, sharing
from lofargrid.decisions.demands import lesson
from lofargrid.decisions.merging import Need, Verdict
from lofargrid.decisions.sharing import Claim
from lofargrid.engine.moving import Moves
from lofargrid.engine.recalling import Recalling
from lofargrid.engine.sourcing import demand_by
from lofargrid.engine.turns import Key, claims_of, key_of
from lofargrid.model import Job, Site
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState
from lofargrid.tracker import Tracker

_BATCH = 500


class Starting:
    """Starts jobs: they are ready then, or recalled from tape first, or cannot be made.

    Parameters
    ----------
    tracker, sites
        The tracker, and the sites that the backend reaches.
    recipes, moves
        The productions' recipes; moves jobs.
    recalling
        Brings online what is on tape.
    """

    def __init__(
        self, tracker: Tracker, sites: Mapping[str, Site], recipes: Recipes, moves: Moves, recalling: Recalling
    ) -> None:
        self._tracker = tracker
        self._sites = sites
        self._recipes = recipes
        self._moves = moves
        self._recalling = recalling
        self._slots = sum(site.slots for site in sites.values())
        self._nothing_to_start: object = None
        self._lessons: dict[tuple[str, str], Mapping[str, float]] = {}

    def start(self, stuck: Collection[Key]) -> None:
        """Judge the jobs whose needs are final, as many as may soon be handed over; the furthest go first.

        Parameters
        ----------
        stuck
            The kinds of ready jobs that cannot use what is free.
        """
        with self._tracker.transaction():
            self._tracker.wake(self._moves.now())
        as_it_is = self._tracker.version(), frozenset(stuck)
        if as_it_is == self._nothing_to_start:
            return
        self._lessons.clear()
        most = 2 * self._slots
        kinds = self._tracker.ready_kinds()
        idle = [kind for kind in kinds if key_of(kind) in stuck]
        # Jobs that cannot use what is free must not keep others from being ready; nor may they pile up.
        held_up = {kind.production_id for kind in idle} if sum(kind.count for kind in idle) >= most else set()
        # What waits for tapes is bounded by their windows; where these are full no more is started.
        held_up |= self._tracker.recalls_unasked()
        going = claims_of(self._tracker, (kind for kind in kinds if key_of(kind) not in stuck))
        room = most - sum(claim.most for claim in going.values())
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
