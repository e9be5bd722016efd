"""The jobs of a production: planned from its recipe, and brought into the tracker."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from lofargrid.decisions.replanning import CurrentJob, replan
from lofargrid.decisions.splitting import Beam, Splitting, beams
from lofargrid.frequency import AbsoluteSubband, absolute_subband
from lofargrid.model import Job, PlannedJob
from lofargrid.names import job_name
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import FINAL, JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Expansion


@dataclass(frozen=True)
class Entered:
    """What entering a production changed. ``live`` are attempts of superseded jobs, to be cancelled."""

    production_id: int
    made: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    retried: tuple[str, ...] = ()


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
