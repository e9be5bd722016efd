"""Pure: what of a new plan must be made, what of the old stays, what is superseded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lofargrid.model import PlannedJob
from lofargrid.states import JobState


@dataclass(frozen=True)
class CurrentJob:
    """A job of the generation that stands. ``usable`` says that what it made can still be read."""

    name: str
    signature: str
    state: JobState
    usable: bool


@dataclass(frozen=True)
class Replan:
    """The difference between a plan and what stands; names in plan order."""

    make: tuple[PlannedJob, ...]
    keep: tuple[str, ...]
    drop: tuple[str, ...]


def replan(planned: Sequence[PlannedJob], current: Mapping[str, CurrentJob], redo: Collection[str] = ()) -> Replan:
    """Compare a plan with what stands.

    A job is made if it is new, if its signature changed, if ``redo`` names it or a job that it needs, or if a
    job to be made needs a file of it that was deleted. All else is kept.
    """
    if not current:
        return Replan(tuple(planned), (), ())
    make = _changed(planned, current, set(redo))
    make |= _wanted_again(planned, current, make)
    names = {job.name for job in planned}
    return Replan(
        make=tuple(job for job in planned if job.name in make),
        keep=tuple(job.name for job in planned if job.name not in make),
        drop=tuple(name for name in current if name not in names or name in make),
    )


def _changed(planned: Sequence[PlannedJob], current: Mapping[str, CurrentJob], redo: set[str]) -> set[str]:
    """Plan order is upstream first, so one pass carries ``redo`` down."""
    make: set[str] = set()
    forced: set[str] = set()
    for job in planned:
        standing = current.get(job.name)
        if job.name in redo or not forced.isdisjoint(job.needs):
            forced.add(job.name)
        if standing is None or standing.signature != job.signature or job.name in forced:
            make.add(job.name)
    return make


def _wanted_again(planned: Sequence[PlannedJob], current: Mapping[str, CurrentJob], make: set[str]) -> set[str]:
    wanted: set[str] = set()
    for job in reversed(planned):
        if job.name not in make and job.name not in wanted:
            continue
        for need in job.needs:
            standing = current.get(need)
            if standing and standing.state is JobState.SUCCEEDED and not standing.usable and need not in make:
                wanted.add(need)
    return wanted
