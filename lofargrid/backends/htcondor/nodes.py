"""Pure: can the nodes of a pool take what waits? Said at once, where a job would idle for ever."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Machine:
    """A node of the pool, as it says of itself: whole, not what is free of it now."""

    site: str
    cores: int
    memory_mb: int
    walltime_s: float = inf


@dataclass(frozen=True)
class Wanted:
    """What a job that waits asks for, and at which site."""

    job: str
    site: str
    cores: int
    memory_mb: int
    walltime_s: float = 0.0


def hopeless(waiting: Iterable[Wanted], machines: Sequence[Machine]) -> str:
    """Why some jobs that wait can start on no node of their site; empty if all can.

    Parameters
    ----------
    waiting
        Jobs in the queue that run nowhere.
    machines
        All nodes of the pool, and those that pilots would be.
    """
    told: dict[str, list[str]] = {}
    for one in waiting:
        why = _lack(one, [machine for machine in machines if machine.site == one.site])
        if why:
            told.setdefault(why, []).append(one.job)
    return "; ".join(f"{why}. Waiting for one: {_some(jobs)}" for why, jobs in told.items())


def _lack(one: Wanted, there: Sequence[Machine]) -> str:
    if not there:
        return f"the pool has no node whose GLIDEIN_Site is {one.site!r} now"
    large = [machine for machine in there if machine.cores >= one.cores and machine.memory_mb >= one.memory_mb]
    if any(machine.walltime_s > one.walltime_s for machine in large):
        return ""
    if large:
        longest = max(machine.walltime_s for machine in large)
        return (
            f"a job of {one.site} may take {one.walltime_s / 60:.0f} min, and no pilot stays longer than"
            f" {longest / 60:.0f} min; say so in `pilots:` of sites.yaml"
        )
    most_cores, most_mb = max(machine.cores for machine in there), max(machine.memory_mb for machine in there)
    return (
        f"no node of {one.site} has {one.cores} cores and {one.memory_mb} MB: they have {most_cores} cores and"
        f" {most_mb} MB at most; say so in sites.yaml"
    )


def _some(jobs: Sequence[str]) -> str:
    return jobs[0] + (f" and {len(jobs) - 1} more" if jobs[1:] else "")
