"""Pure: what a job asks of a site: its step's resources, what it has grown to, and where its inputs lie."""

from collections.abc import Iterable, Mapping, Sequence

from lofargrid.decisions.placement import shortage
from lofargrid.documents.pipelines import Step
from lofargrid.documents.sites import site_of
from lofargrid.model import Demand, Job, Site, Source

LESSON_JOBS = 3
LESSON_SHARE = 0.25
"""From so many jobs of a step on, and such a share of them, that it asked for too little the others learn."""


def demand_of(job: Job, step: Step, sources: Mapping[str, Sequence[Source]], sites: Mapping[str, Site]) -> Demand:
    """What the next attempt at a job asks for."""
    resources = step.resources
    every = [one for given in sources.values() for one in given]
    size_bytes = sum(one.size_bytes or 0 for one in every)
    grown = job.grown
    return Demand(
        cores=resources.cores,
        memory_mb=int(grown.get("memory_mb", resources.memory_mb)),
        walltime_min=grown.get("walltime_min", resources.walltime_min),
        scratch_mb=int(grown.get("scratch_mb", round(size_bytes * resources.scratch_factor / 1e6))),
        bytes_at=_bytes_at(every, sites),
    )


def _bytes_at(sources: Iterable[Source], sites: Mapping[str, Site]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in sources:
        site = site_of(one.url, sites)
        found[site] = found.get(site, 0) + (one.size_bytes or 0)
    return found


def growth(asked: Demand, wanted: Demand) -> dict[str, float]:
    """What a job asks for in place of what it asked for before."""
    pairs = {
        "memory_mb": (asked.memory_mb, wanted.memory_mb),
        "walltime_min": (asked.walltime_min, wanted.walltime_min),
        "scratch_mb": (asked.scratch_mb, wanted.scratch_mb),
    }
    return {what: after for what, (before, after) in pairs.items() if after != before}


def lesson(grown: Sequence[Mapping[str, float]], ended: int) -> dict[str, float]:
    """What a job of a step had better ask for from the start, seeing what others of its production grew to.

    Parameters
    ----------
    grown
        What jobs of the step ask for in place of its resources, those that had to grow.
    ended
        How many jobs of the step succeeded.
    """
    if len(grown) < LESSON_JOBS or len(grown) < LESSON_SHARE * (ended + len(grown)):
        return {}
    taught: dict[str, float] = {}
    for what in ("memory_mb", "walltime_min"):
        values = sorted(one[what] for one in grown if what in one)
        if len(values) >= LESSON_SHARE * (ended + len(grown)):
            taught[what] = values[len(values) // 2]
    return taught


def most_of(sites: Iterable[Site], asked: Demand) -> Demand:
    """The most that a job may grow to that asked for so much: what those sites grant that can run it now.

    Each may give more of one thing than the others; none of them is too small for what the job asked for already.
    """
    able = [one for one in sites if one.slots and not shortage(asked, one)]
    return Demand(
        cores=max((one.cores for one in able), default=asked.cores),
        memory_mb=max((one.memory_mb for one in able), default=asked.memory_mb),
        walltime_min=max((one.walltime_min for one in able), default=asked.walltime_min),
        scratch_mb=max((one.scratch_mb for one in able), default=asked.scratch_mb),
    )
