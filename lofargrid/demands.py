"""Pure: what a job asks of a site: its step's resources, what it has grown to, and where its inputs lie."""

from collections.abc import Iterable, Mapping, Sequence

from lofargrid.model import Demand, Job, Site, Source
from lofargrid.pipelines import Step
from lofargrid.sites import site_of


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


def growth(demand: Demand, step: Step) -> dict[str, float]:
    """What of a demand is more than the step's own resources."""
    resources = step.resources
    grown: dict[str, float] = {}
    if demand.memory_mb > resources.memory_mb:
        grown["memory_mb"] = demand.memory_mb
    if demand.walltime_min > resources.walltime_min:
        grown["walltime_min"] = demand.walltime_min
    return grown


def most_of(sites: Iterable[Site]) -> Demand:
    """The most that any of some sites grants."""
    every = [one for one in sites if one.slots] or [Site("")]
    return Demand(
        cores=max(one.cores for one in every),
        memory_mb=max(one.memory_mb for one in every),
        walltime_min=max(one.walltime_min for one in every),
        scratch_mb=max(one.scratch_mb for one in every),
    )
