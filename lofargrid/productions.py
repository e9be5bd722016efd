"""Enter productions, renew them, and hand them to the operator's verbs."""

from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import MappingProxyType

from lofargrid import recipes
from lofargrid.errors import Fault, InputError
from lofargrid.frequency import AbsoluteSubband, absolute_subband
from lofargrid.model import Job, PlannedJob, Subband
from lofargrid.names import job_name
from lofargrid.recipes import Listing, Recipe
from lofargrid.replanning import CurrentJob, replan
from lofargrid.splitting import Beam, Splitting, beams
from lofargrid.states import FINAL, JobState, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Expansion, ProductionRecord

_LISTS_KEPT = 32

CONSEQUENCES = (Reason.NEED_FAILED, Reason.TOO_FEW_INPUTS, Reason.GAP)


@dataclass(frozen=True)
class Entered:
    """What entering a production changed. ``live`` are attempts of superseded jobs, to be cancelled."""

    production_id: int
    made: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    retried: tuple[str, ...] = ()


def recipe_of(tracker: Tracker, production: ProductionRecord) -> Recipe:
    """The frozen recipe of a production."""
    return recipes.from_json(tracker.recipe(production.id), tuple(tracker.subbands(production.id)))


class Recipes:
    """The frozen recipes of a tracker's productions, each read once a generation.

    Their subbands are read when they are asked for; those of the productions asked last are kept.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._read: dict[int, tuple[int, Recipe]] = {}
        self._listed: OrderedDict[int, tuple[int, Sequence[Subband]]] = OrderedDict()

    def of(self, production: ProductionRecord) -> Recipe:
        """The recipe of a production's standing generation."""
        generation, recipe = self._read.get(production.id, (0, None))
        if recipe is None or generation != production.generation:
            listing = Listing(partial(self._every, production), partial(self._tracker.subband, production.id))
            recipe = recipes.from_json(self._tracker.recipe(production.id), listing)
            self._read[production.id] = production.generation, recipe
        return recipe

    def of_id(self, production_id: int) -> Recipe:
        """The recipe of the production of an id."""
        return self.of(self._tracker.production_by_id(production_id))

    def _every(self, production: ProductionRecord) -> Sequence[Subband]:
        generation, subbands = self._listed.get(production.id, (0, ()))
        if generation != production.generation:
            subbands = self._tracker.subbands(production.id)
            self._listed[production.id] = production.generation, subbands
        self._listed.move_to_end(production.id)
        if len(self._listed) > _LISTS_KEPT:
            self._listed.popitem(last=False)
        return subbands


def enter(tracker: Tracker, recipe: Recipe, now: str, again: bool = False) -> Entered:
    """Enter a production; the same recipe again changes nothing.

    Parameters
    ----------
    tracker
        The tracker.
    recipe
        What to make.
    now
        The time, ISO 8601 UTC.
    again
        Make a new generation of what a changed recipe affects, and try again what failed.

    Raises
    ------
    InputError
        The production stands with another recipe and ``again`` is not given; the differences are told.
    """
    with tracker.transaction():
        standing = tracker.production(recipe.production)
        if standing is None:
            production_id = tracker.add_production(recipe.production, recipe.hash, recipes.to_json(recipe), now)
            tracker.event(now, production_id, text="entered")
        elif standing.recipe_hash != recipe.hash and not again:
            raise _refusal(recipe, differences(tracker, standing, recipe))
        elif not again:
            return Entered(standing.id, kept=tuple(tracker.current(standing.id)))
        else:
            production_id = standing.id
            tracker.renew_production(production_id, recipe.hash, recipes.to_json(recipe))
            tracker.event(now, production_id, text=f"generation {standing.generation + 1}")
        tracker.set_subbands(production_id, recipe.subbands)
        entered = refresh(tracker, production_id, recipe, now)
        # What has just been made and cannot start, as its file is unusable, would fail the same way once more.
        failed = [job for job in tracker.jobs(production_id, [JobState.FAILED]) if job.name not in entered.made]
        return replace(entered, retried=retry_failed(tracker, failed, now) if again else ())


def differences(tracker: Tracker, standing: ProductionRecord, recipe: Recipe) -> list[str]:
    """What differs between the recipe that a production stands with and another one, a line each."""
    return recipes.differences(tracker.recipe(standing.id), tracker.subbands(standing.id), recipe)


def _refusal(recipe: Recipe, lines: list[str]) -> InputError:
    shown = lines[:20] + ([f"and {len(lines) - 20} more"] if len(lines) > 20 else [])
    what = f"the production {recipe.production} stands already with another recipe"
    remedy = "`run --replan` redoes what depends on the difference; another production name makes all anew"
    return InputError(Fault("\n    ".join([f"{what}. {remedy}:", *shown])))


def plan(
    recipe: Recipe, known: dict[str, dict[str, AbsoluteSubband]], undecided: Collection[tuple[str, Beam]] = (),
    finer: Mapping[tuple[Beam, int], int] = MappingProxyType({}),
) -> list[PlannedJob]:  # fmt: skip
    """All jobs that can be known now, needed ones before those that need them.

    Parameters
    ----------
    recipe
        The recipe.
    known
        For each role the measured places of its subbands.
    undecided
        Grouped steps over SAPs for which it is too early.
    finer
        In how many parts groups are made that are too large whole.
    """
    steps = recipe.split_steps()
    splitting = Splitting(steps, recipe.subbands)
    groups: dict[tuple[str, Beam], list[PlannedJob]] = {}
    for beam in splitting.beams:
        names = [one.name for one in steps if one.grouped and one.over == beam[0] and (one.name, beam) not in undecided]
        placed = splitting.places(beam, known.get(beam[0], {})) if names else {}
        groups |= {(name, beam): splitting.groups(name, beam, placed, finer) for name in names}
    jobs = [_with_groups(job, groups) if job.expansion else job for job in splitting.jobs()]
    jobs += [job for made in groups.values() for job in made]
    order = {one.name: index for index, one in enumerate(steps)}
    return sorted(jobs, key=lambda job: order[job.step])


def _with_groups(job: PlannedJob, groups: Mapping[tuple[str, Beam], Sequence[PlannedJob]]) -> PlannedJob:
    beam = (job.role, job.key.partition("-")[0], job.sap)
    made = [step for step in job.expansion if (step, beam) in groups]
    return replace(
        job,
        needs=(*job.needs, *(group.name for step in made for group in groups[step, beam])),
        expansion=tuple(step for step in job.expansion if step not in made),
    )


def refresh(tracker: Tracker, production_id: int, recipe: Recipe, now: str, redo: Collection[str] = ()) -> Entered:
    """Bring the tracker's jobs to the plan: enter what is new, supersede what changed, keep the rest."""
    known = {role: _known(tracker, production_id, role, recipe) for role in recipe.pipeline.roles}
    current = tracker.current(production_id)
    pending = _undecided(tracker, production_id, recipe, known, current)
    planned = plan(recipe, known, {(one.step, one.beam) for one in pending}, tracker.finer(production_id))
    awaited = tracker.awaited(production_id)
    # A job that needs groups which are to be made once more, and does not await them, holds on to the old ones.
    reopened = {
        job.name for job in planned if job.expansion and not awaited.get(job.name, {*job.expansion}) >= {*job.expansion}
    }
    difference = replan(planned, current, {*redo, *reopened})
    # Groups that were made stand until it is known whether they are still the right ones.
    succeeded = tracker.jobs(production_id, [JobState.SUCCEEDED]) if pending else []
    stand = {job.name for job in succeeded if _is_of(job, pending) and current[job.name].usable}
    difference = replace(
        difference,
        keep=(*difference.keep, *sorted(stand)),
        drop=tuple(name for name in difference.drop if name not in stand),
    )
    generation = tracker.production_by_id(production_id).generation
    live = tracker.adopt(production_id, generation, difference, now)
    for one in pending:
        tracker.add_expansion(one)
    made = tuple(job.name for job in difference.make)
    return Entered(production_id, made, difference.keep, tuple(live))


def _is_of(job: Job, expansions: Collection[Expansion]) -> bool:
    beam = (job.role, job.key.partition("-")[0], job.sap)
    return any(one.step == job.step and one.beam == beam for one in expansions)


@lru_cache(maxsize=10_000)
def _place_at(frequency_hz: float) -> AbsoluteSubband:
    """The subbands of thousands of observations have the same few frequencies."""
    return absolute_subband(frequency_hz)


def listed_places(recipe: Recipe, role: str) -> dict[str, AbsoluteSubband]:
    """The place in the spectrum of each subband whose frequency the list tells."""
    return {
        one.key: _place_at(one.frequency_hz)
        for one in recipe.subbands
        if one.role == role and one.frequency_hz is not None
    }


def _known(tracker: Tracker, production_id: int, role: str, recipe: Recipe) -> dict[str, AbsoluteSubband]:
    return listed_places(recipe, role) | tracker.places(production_id, role)


def _undecided(
    tracker: Tracker,
    production_id: int,
    recipe: Recipe,
    known: Mapping[str, Mapping[str, AbsoluteSubband]],
    current: Mapping[str, CurrentJob],
) -> list[Expansion]:
    """The grouped steps that must wait: a subband that no group holds may still tell its frequency."""
    found = []
    # Only of listed subbands anything is known: where it is known of as many as there are, it is known of all.
    listed = Counter(one.role for one in recipe.subbands)
    unsure = {
        name: step for name, step in recipe.steps.items() if step.grouped and len(known[step.over]) < listed[step.over]
    }
    by_beam = beams(recipe.subbands) if unsure else {}
    for name, step in unsure.items():
        held = tracker.members(production_id, name)
        makers = [one for one, maker in recipe.steps.items() if maker.split == "subband" and maker.over == step.over]
        for beam, members in by_beam.items():
            if beam[0] == step.over:
                keys = (one.key for one in members if one.reason is None)
                silent = (key for key in keys if key not in known[step.over] and key not in held)
                if any(_may_tell(current.get(job_name(key, maker))) for key in silent for maker in makers):
                    found.append(Expansion(production_id, name, beam))
    return found


def _may_tell(job: CurrentJob | None) -> bool:
    """Whether a job over a subband is unfinished, or is not entered yet."""
    return job is None or job.state not in FINAL


def retry_failed(tracker: Tracker, jobs: list[Job], now: str) -> tuple[str, ...]:
    """Bring failed or cancelled jobs back, and those that failed only because of them.

    Groups that were made without one of them are opened again: it may now tell its frequency.

    Returns
    -------
    names
        The jobs that wait again.
    """
    names: list[str] = []
    waiting = list(jobs)
    while waiting:
        job = tracker.job_by_id(waiting.pop().id)
        if job.state not in (JobState.FAILED, JobState.CANCELLED) or job.reason is Reason.FREQUENCY_CLASH:
            continue  # two subbands of one frequency stay so until the list is changed
        if not tracker.reset(job, now):
            continue  # a later generation took its place
        names.append(job.name)
        for one in tracker.dependents(job.id):
            if one.state is JobState.READY:  # what it may go without is judged anew
                tracker.move(one, JobState.WAITING, now)
            elif one.state is JobState.FAILED and one.reason in CONSEQUENCES:
                waiting.append(one)
    for name in {job.production for job in jobs} if names else ():
        production = tracker.production(name)
        assert production is not None, "a job has a production"
        refresh(tracker, production.id, recipe_of(tracker, production), now)
    return tuple(sorted(names))


def redo_stale(tracker: Tracker, production: ProductionRecord, now: str) -> Entered:
    """Build the next generation of the merges that a late success made stale, and of what needs them."""
    with tracker.transaction():
        recipe = recipe_of(tracker, production)
        redo: set[str] = set()
        waiting = [job for job in tracker.jobs(production.id) if job.stale]
        while waiting:
            job = waiting.pop()
            if job.name not in redo:
                redo.add(job.name)
                waiting += tracker.dependents(job.id)
        return refresh(tracker, production.id, recipe, now, redo)
