"""Hand over: attempts that stand in the tracker are rendered and given to the backend."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from lofargrid_runner.contract import JobSpec

from lofargrid.backends.base import Backend
from lofargrid.decisions import retry
from lofargrid.decisions.demands import demand_of, most_of
from lofargrid.documents.sites import site_of
from lofargrid.engine.failing import Failing, past_of
from lofargrid.engine.moving import Moves
from lofargrid.engine.places import Places
from lofargrid.engine.sourcing import sources_of
from lofargrid.errors import LofarGridError
from lofargrid.model import Job, Site
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.rendering import Surroundings, render
from lofargrid.states import Phase, Reason
from lofargrid.tracker import Tracker

_LINGER_S = 60.0
_PATIENCE_S = 3600.0


class Handing:
    """Gives attempts to the backend.

    Parameters
    ----------
    tracker, backend, sites
        The tracker, the backend, and the sites that it reaches.
    recipes, moves
        The productions' recipes; gives the time.
    failing
        Decides what comes after a job that cannot be handed over.
    places
        Where things lie.
    """

    def __init__(
        self, tracker: Tracker, backend: Backend, sites: Mapping[str, Site], recipes: Recipes, moves: Moves,
        failing: Failing, places: Places,
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._backend = backend
        self._sites = sites
        self._recipes = recipes
        self._moves = moves
        self._failing = failing
        self._places = places

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
                    self._failing.fail(job, Reason.SUBMIT_FAILED, str(error))
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
        rules = self._failing.rules_of(recipe.steps[job.step])
        overtime_min = retry.overtime_min(around.demand, most_of([site], around.demand), rules)
        spec = render(recipe, job, sources, around)
        # What is copied comes first: links are held for as long as that takes, and not while the site's own is read.
        inputs = sorted(spec.inputs, key=lambda one: site_of(one.url, self._sites) == site.name)
        inputs = [one._replace(**asdict(self._places.way(one.url))) for one in inputs]
        token = self._places.token(spec.destination)
        spec = spec._replace(inputs=tuple(inputs), token=token, overtime_s=overtime_min * 60, tools=site.tools)
        if not site.guarded:
            return spec
        avoid: tuple[str, ...] = ()
        if record.number > 1:
            past = [past_of(one) for one in self._tracker.failures(job.id)]
            avoid = retry.avoided(past, site.name, rules)
        return spec._replace(avoid=avoid, linger_s=_LINGER_S, patience_s=_PATIENCE_S)
