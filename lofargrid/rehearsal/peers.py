"""How others do it, to compare with: retries without a look at the cause, placement without a look at the data."""

from collections.abc import Collection, Mapping

from lofargrid.decisions.placement import Candidate, Line, Policy, Ranking, Spread, Standing, rank
from lofargrid.decisions.retry import Rule
from lofargrid.model import Demand
from lofargrid.states import Reason

BLIND_TRIES = 4
BLIND_RULES: Mapping[Reason, Rule] = dict.fromkeys(Reason, Rule(tries=BLIND_TRIES, burns=False))
"""Whatever happened, at once and anywhere: one try and three more."""


def _rank(
    demand: Demand, standings: Mapping[str, Standing], allowed: Collection[str], shunned: Collection[str]
) -> Ranking:  # fmt: skip
    """Every fit site, the one with most free slots first, wherever the data lie."""
    fit = rank(demand, standings, allowed, shunned)
    free = sorted(fit.candidates, key=lambda one: (-standings[one.site].free, one.site))
    return Ranking(tuple(free), fit.refused)


def _spread(
    demand: Demand, line: Line, ranking: Ranking, standings: Mapping[str, Standing], job_s: float
) -> Spread:  # fmt: skip
    """To each site in turn as long as it has slots, whatever its link bears."""
    sent: dict[str, int] = {}
    now = dict(standings)
    left = 0 if line.at_home else line.offered
    while left and (open_ones := [one for one in ranking.candidates if now[one.site].free]):
        for one in open_ones[:left]:
            now[one.site] = _one_more(one, now)
            sent[one.site] = sent.get(one.site, 0) + 1
            left -= 1
    return Spread(sent, now, "all slots are taken" if left else "")


def _one_more(one: Candidate, now: Mapping[str, Standing]) -> Standing:
    return now[one.site].with_more(1, 0)


BLIND_TO_DATA = Policy(_rank, _spread)
