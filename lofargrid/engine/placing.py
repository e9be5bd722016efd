"""Place: choose the sites of ready jobs, and write down the attempts that are to be handed over."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from lofargrid.decisions.placement import Line, Policy, Ranking, Spread, Standing, with_load
from lofargrid.engine.guarding import Guard
from lofargrid.engine.moving import Moves
from lofargrid.engine.places import Places
from lofargrid.engine.quarantining import Quarantine
from lofargrid.engine.sourcing import demand_by
from lofargrid.engine.turns import Key, Turns, claims_of, key_of
from lofargrid.errors import ExpiredError
from lofargrid.model import Demand, Job, Site
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.guarded import proxy_min
from lofargrid.recipes.recipe import Recipe
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Kind

_LATE, _LATE_S = 1.1, 60.0
_MOST_STUCK = 200
_MOST_REMEMBERED = 10_000
"""How many kinds of jobs a tick asks in vain whether free slots are of use to them."""


class Placing:
    """Gives ready jobs their sites.

    ``stuck`` are the kinds of jobs that could not use what was free the last time, ``idle`` the sites known to work
    that were left with free slots.

    Parameters
    ----------
    tracker, sites
        The tracker, and the sites that jobs reach.
    recipes, moves
        The productions' recipes; gives the time and counts.
    quarantine
        Tells which sites are shut.
    policy
        How sites are chosen.
    places
        Tells what asks for the user's proxy, and whether that is good for long enough.
    guard
        Is told of jobs that wait for a new one.
    """

    def __init__(
        self, tracker: Tracker, sites: Mapping[str, Site], recipes: Recipes, moves: Moves, quarantine: Quarantine,
        policy: Policy, places: Places, guard: Guard,
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._sites = sites
        self._recipes = recipes
        self._moves = moves
        self._quarantine = quarantine
        self._policy = policy
        self._places = places
        self._guard = guard
        self._slots = sum(site.slots for site in sites.values())
        self._job_s: dict[tuple[int, str], float] = {}
        self._demands: dict[int, tuple[str, Demand]] = {}
        self.stuck: set[Key] = set()
        self.idle: set[str] = set()

    def place(self) -> tuple[list[tuple[Job, str]], list[str]]:
        """Give ready jobs their sites.

        Returns
        -------
        pairs, troubles
            Jobs and their attempts, to be handed over. Why jobs of some kind can run nowhere.
        """
        if not self._slots and self._tracker.startable():
            return [], [f"no site can run anything: {', '.join(self._sites) or 'there are none'}; give one slots"]
        standings: Mapping[str, Standing] = self._standings()
        self.idle = set()
        if not any(one.free for one in standings.values()):
            return [], []
        nowhere: dict[str, list[str]] = {}
        pairs: list[tuple[Job, str]] = []
        # Too many to ask all at once: those asked in vain the last time let the others go first.
        held = self._held(self._tracker.ready_kinds())
        passed_over = held | (self.stuck if len(self.stuck) >= _MOST_STUCK else set())
        with self._tracker.transaction():
            # Who has its data at a site has the first claim on it: a stranger would copy, and make it copy elsewhere.
            for at_home in (True, False):
                kinds = self._tracker.ready_kinds()
                turns = Turns(kinds, claims_of(self._tracker, kinds), passed_over)
                while len(turns.stuck) < _MOST_STUCK:
                    offers = turns.offer(sum(one.free for one in standings.values()))
                    if not offers:
                        break
                    for kind, count in offers:
                        standings, placed = self._place(kind, count, standings, nowhere, at_home)
                        turns.took(kind, count, len(placed))
                        pairs += placed
        self.stuck = turns.stuck | held
        self.idle = {name for name, one in standings.items() if one.free and one.limit is None}
        return pairs, [f"no site can run {_some(names)}: {why}" for why, names in nowhere.items()]

    def _held(self, kinds: Iterable[Kind]) -> set[Key]:
        """The kinds of jobs that wait for a new proxy or token: it would end before they do."""
        held = set()
        for kind in kinds:
            recipe = self._recipes.of_id(kind.production_id)
            try:
                self._places.require(recipe, proxy_min(recipe.steps[kind.step]))
            except ExpiredError as error:
                self._guard.tell("submit", error)
                held.add(key_of(kind))
        return held

    def _standings(self) -> dict[str, Standing]:
        closed, limits, doubtful = self._quarantine.closed(), self._quarantine.limits(), self._quarantine.doubtful()
        standings = {
            name: Standing(site, closed=closed.get(name, ""), limit=limits.get(name), doubtful=name in doubtful)
            for name, site in self._sites.items()
        }
        load = self._tracker.load(self._moves.now())
        return with_load(standings, (one.burden for one in load))

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
            through = self._sites[site].backend
            for job in islice(rest, sent):
                attempt = self._tracker.intend(job, through, site, self._moves.now(), sources, copy_s)
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


def _some(names: Sequence[str]) -> str:
    """The first of some names, and how many others there are."""
    return names[0] + (f" and {len(names) - 1} like it" if names[1:] else "")
