"""How productions and campaigns stand, told by tallies: what it costs does not grow with their jobs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lofargrid.recipes import storing
from lofargrid.states import FINAL, JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.campaigns import CampaignRecord
from lofargrid.tracker.records import ProductionRecord

GOING, PAUSED, NOT_COMPLETE, DONE = "going", "paused", "not complete", "done"
WORDS = (GOING, PAUSED, NOT_COMPLETE, DONE)
"""What needs attention first."""

Steps = Mapping[str, Mapping[JobState, int]]


@dataclass(frozen=True)
class Standing:
    """How a production stands. ``complete``: all jobs that no other job needs succeeded."""

    production: ProductionRecord
    steps: Steps
    complete: bool

    @property
    def unfinished(self) -> int:
        """Jobs with something still to come."""
        return total(self.steps) - sum(total(self.steps, state) for state in FINAL)

    @property
    def word(self) -> str:
        """The state in a word."""
        if self.unfinished:
            return PAUSED if self.production.paused else GOING
        return DONE if self.complete else NOT_COMPLETE


@dataclass(frozen=True)
class CampaignStanding:
    """How a campaign and its productions stand."""

    campaign: CampaignRecord
    productions: tuple[Standing, ...]

    @property
    def steps(self) -> Steps:
        """The jobs of all productions, by step and state."""
        found: dict[str, dict[JobState, int]] = {}
        for one in self.productions:
            for step, counts in one.steps.items():
                into = found.setdefault(step, {})
                for state, number in counts.items():
                    into[state] = into.get(state, 0) + number
        return found

    @property
    def words(self) -> dict[str, int]:
        """How many productions are in each state that some are in, what needs attention first."""
        counts = {word: sum(one.word == word for one in self.productions) for word in WORDS}
        return {word: number for word, number in counts.items() if number}

    @property
    def word(self) -> str:
        """The state in a word: that of the production that needs attention most."""
        return next(iter(self.words), DONE)


def total(steps: Steps, state: JobState | None = None) -> int:
    """How many jobs there are, or are in a state."""
    return sum(number for counts in steps.values() for one, number in counts.items() if state in (None, one))


def standings(
    tracker: Tracker, productions: Sequence[ProductionRecord], tallies: Mapping[int, Steps]
) -> list[Standing]:
    """How productions stand, in their order.

    Parameters
    ----------
    tracker
        The tracker.
    productions
        The productions.
    tallies
        How many of their jobs are in each state, by production and step.
    """
    expanding = tracker.expanding()
    complete: dict[int, bool] = {}
    for one in productions:
        steps = tallies.get(one.id, {})
        succeeded = total(steps, JobState.SUCCEEDED)
        if any(total(steps, state) for state in JobState if state not in FINAL):
            complete[one.id] = False
        elif succeeded and succeeded == total(steps) and one.id not in expanding:
            complete[one.id] = True
    # The recipe alone tells whether a production can live with what failed.
    open_ = [one.id for one in productions if one.id not in complete]
    complete |= {one: _all_made(tallies.get(one, {}), _ends(tracker, one)) for one in open_}
    return [Standing(one, tallies.get(one.id, {}), complete[one.id]) for one in productions]


def campaign_standing(tracker: Tracker, campaign: CampaignRecord) -> CampaignStanding:
    """How a campaign stands."""
    found = standings(tracker, tracker.productions(campaign.id), tracker.tallies(campaign.id))
    return CampaignStanding(campaign, tuple(found))


def _ends(tracker: Tracker, production_id: int) -> set[str]:
    """The steps that no other step needs."""
    steps = storing.from_json(tracker.recipe(production_id), ()).steps
    return set(steps) - {need for step in steps.values() for need in step.needs}


def _all_made(steps: Steps, ends: Collection[str]) -> bool:
    """Whether the steps that no other step needs have jobs, and all of them succeeded."""
    return all(step in steps and set(steps[step]) == {JobState.SUCCEEDED} for step in ends)
