"""Pure: which sites may run a job, in which order, and why not the others.

Compute goes to the data at a T1. Data goes to another site when that is sooner: when the line before the
data's own site is longer than the copy takes, and no link is filled beyond what we may use of it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lofargrid.model import Demand, Site

LINK_SHARE = 0.8
"""The part of a link's allowance that copies may fill when all run at full speed: some run late."""


@dataclass(frozen=True)
class Standing:
    """A site now. ``copies`` are under way, or soon will be, over its wide-area link.

    ``closed`` says why it gets no jobs, ``limit`` how many it gets if not as many as it has slots. A ``doubtful`` one
    has no node that is known to work: it comes after all others.
    """

    site: Site
    in_flight: int = 0
    copies: int = 0
    closed: str = ""
    limit: int | None = None
    doubtful: bool = False

    @property
    def most(self) -> int:
        """How many jobs it takes at once."""
        if self.closed:
            return 0
        return self.site.slots if self.limit is None else min(self.site.slots, self.limit)

    @property
    def free(self) -> int:
        """How many more jobs it takes now."""
        return max(self.most - self.in_flight, 0)

    @property
    def free_copies(self) -> int:
        """How many more copies its link takes now. One at a time it always takes."""
        by_rate = max(int(LINK_SHARE * self.site.bandwidth_mb_s / self.site.stream_mb_s), 1)
        return max(min(self.site.transfers, by_rate) - self.copies, 0)

    def with_more(self, jobs: int, copies: int) -> "Standing":
        """After so many more were sent."""
        return replace(self, in_flight=self.in_flight + jobs, copies=self.copies + copies)


def with_load(
    standings: Mapping[str, Standing], load: Iterable[tuple[str, Sequence[str], int, int]]
) -> dict[str, Standing]:
    """Sites as they stand under what runs: for each load its site, those it copies from, attempts, copies under way."""
    loaded = dict(standings)
    for site, sources, attempts, copies in load:
        if site in loaded:
            loaded[site] = loaded[site].with_more(attempts, copies)
        for source in sources:
            if source in loaded:
                loaded[source] = loaded[source].with_more(0, copies)
    return loaded


@dataclass(frozen=True)
class Candidate:
    """A site that may run the job. ``copy_s`` is how long its inputs take to get there."""

    site: str
    copy_s: float
    local: bool


@dataclass(frozen=True)
class Ranking:
    """Sites that may run a job, best first, and why each other one may not. ``shut`` ones could, were they open."""

    candidates: tuple[Candidate, ...]
    refused: Mapping[str, str]
    shut: tuple[str, ...] = ()

    @property
    def nowhere(self) -> str:
        """Why no site at all can run it, now or later; empty if one can."""
        if self.candidates or self.shut:
            return ""
        return "; ".join(f"{name}: {why}" for name, why in self.refused.items()) or "there are no sites"


@dataclass(frozen=True)
class Line:
    """Jobs of a kind: ``waiting`` in all, of which ``offered`` may go now, and ``at_home`` only where they best go."""

    waiting: int
    offered: int
    at_home: bool = False


@dataclass(frozen=True)
class Spread:
    """How many jobs of a kind go where now, and what keeps the others waiting."""

    sent: Mapping[str, int] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)
    waiting: str = ""


def rank(
    demand: Demand, standings: Mapping[str, Standing], allowed: Collection[str], shunned: Collection[str] = ()
) -> Ranking:
    """Rank the sites for a job.

    Parameters
    ----------
    demand
        What the job asks for, and where its inputs lie.
    standings
        All sites as they are now.
    allowed
        The sites that its production names.
    shunned
        Sites that the job failed at and keeps away from, as long as there are others.
    """
    refused: dict[str, str] = {}
    shut: list[str] = []
    candidates: list[Candidate] = []
    for name in sorted(standings):
        why = _unfit(demand, standings[name].site, allowed)
        if why:
            refused[name] = why
        elif standings[name].closed:
            refused[name] = standings[name].closed
            shut.append(name)
        else:
            candidates.append(_candidate(demand, name, standings))
    others = [one for one in candidates if one.site not in shunned]
    if others:
        refused |= {one.site: "the job failed there" for one in candidates if one.site in shunned}
        candidates = others
    candidates.sort(key=lambda one: (*_preference(one, standings[one.site]), one.site))
    return Ranking(tuple(candidates), refused, tuple(shut))


def _preference(one: Candidate, there: Standing) -> tuple[bool, bool, float, int]:
    return there.doubtful, not one.local, one.copy_s, there.site.tier


def _unfit(demand: Demand, site: Site, allowed: Collection[str]) -> str:
    if site.slots == 0:
        return "storage without compute"
    return shortage(demand, site) if site.name in allowed else "the production does not name it"


def shortage(demand: Demand, site: Site) -> str:
    """What a job asks for that a site does not grant; empty if it grants all."""
    limits = (
        ("cores", demand.cores, site.cores, ""),
        ("memory", demand.memory_mb, site.memory_mb, " MB"),
        ("walltime", demand.walltime_min, site.walltime_min, " min"),
        ("scratch", demand.scratch_mb, site.scratch_mb, " MB"),
    )
    for what, asked, most, unit in limits:
        if asked > most:
            return f"the job asks for {asked:.10g}{unit} of {what}, a job there gets {most:.10g} at most"
    return ""


def _candidate(demand: Demand, name: str, standings: Mapping[str, Standing]) -> Candidate:
    here = standings[name].site
    seconds = 0.0
    remote = 0
    for source, size_bytes in demand.bytes_at.items():
        if source == name or size_bytes == 0:
            continue
        remote += size_bytes
        there = standings[source].site.stream_mb_s if source in standings else here.stream_mb_s
        seconds += size_bytes / 1e6 / min(here.stream_mb_s, there)
    return Candidate(name, seconds, remote == 0)


def spread(
    demand: Demand, line: Line, ranking: Ranking, standings: Mapping[str, Standing], job_s: float
) -> Spread:  # fmt: skip
    """Send as many of some like jobs as can go now; the others wait for a better place than any that is free.

    Parameters
    ----------
    demand
        What each asks for.
    line
        How many there are, and how many of them may go.
    ranking
        Their sites, best first.
    standings
        All sites as they are now.
    job_s
        How long such a job holds a slot.
    """
    sent: dict[str, int] = {}
    now = dict(standings)
    left = line.offered
    waiting = line.waiting
    held = [f"{name}: {ranking.refused[name]}" for name in ranking.shut]
    for one in ranking.candidates:
        if left == 0 or (line.at_home and one.copy_s > ranking.candidates[0].copy_s):
            break
        wanted = min(left, waiting - _worth_waiting(one, ranking, now, job_s, waiting))
        here = now[one.site]
        room = here.free if one.local else min(here.free, _copies(one, demand, now))
        count = max(min(wanted, room), 0)
        if count:
            sent[one.site] = count
            left -= count
            waiting -= count
            now = _after(one, demand, now, count)
        if count < wanted:
            held.append(_full(one, now[one.site]))
    return Spread(sent, now, "; ".join(held) if left else "")


def _worth_waiting(
    one: Candidate, ranking: Ranking, now: Mapping[str, Standing], job_s: float, waiting: int
) -> int:  # fmt: skip
    """How many jobs are better off in the line before a site with more of their data than copied to this one."""
    if job_s <= 0:
        return 0
    better = [other for other in ranking.candidates if now[one.site].doubtful or not now[other.site].doubtful]
    saved = [now[other.site].most * max(one.copy_s - other.copy_s, 0.0) for other in better]
    return int(min(sum(saved) / job_s, waiting))


def _copies(one: Candidate, demand: Demand, now: Mapping[str, Standing]) -> int:
    """How many more jobs of this kind the links between the data and a site take."""
    ends = [now[name] for name in (one.site, *_sources(one, demand)) if name in now]
    return min(end.free_copies for end in ends)


def _after(one: Candidate, demand: Demand, now: Mapping[str, Standing], count: int) -> dict[str, Standing]:
    changed = dict(now)
    copies = 0 if one.local else count
    changed[one.site] = changed[one.site].with_more(count, copies)
    for source in _sources(one, demand):
        if source in changed:
            changed[source] = changed[source].with_more(0, copies)
    return changed


def _sources(one: Candidate, demand: Demand) -> list[str]:
    return [name for name, size_bytes in sorted(demand.bytes_at.items()) if name != one.site and size_bytes]


def _full(one: Candidate, here: Standing) -> str:
    if here.free:
        return f"{one.site}: as many copies cross the links as may"
    return f"{one.site}: all {here.most} slots are taken"


@dataclass(frozen=True)
class Policy:
    """How sites are ranked and jobs spread over them, so that another way can be compared with ours."""

    rank: Callable[[Demand, Mapping[str, Standing], Collection[str], Collection[str]], Ranking]
    spread: Callable[[Demand, Line, Ranking, Mapping[str, Standing], float], Spread]


BY_DATA = Policy(rank, spread)
"""The way of this module."""
