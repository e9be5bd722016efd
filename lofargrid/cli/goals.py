"""What `run` sees through: a production, or all of a campaign."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from lofargrid.cli.outcome import tell_campaign, tell_outcome
from lofargrid.cli.text import count
from lofargrid.productions.recipes import recipe_of
from lofargrid.states import JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.campaigns import CampaignRecord
from lofargrid.tracker.records import ProductionRecord

_MOST_GOING = 5

Steps = Mapping[str, Mapping[JobState, int]]


class Goal(Protocol):
    """What is to come to its end. ``pause_s`` is how long a look at it is good for."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def pause_s(self) -> float:
        """Seconds."""

    def ended(self) -> bool:
        """Whether nothing is left to do."""

    def swept(self) -> bool:
        """Whether nothing is left on scratch that nobody needs."""

    def paused(self) -> bool:
        """Whether all that is left is paused."""

    def steps(self) -> Steps:
        """How many jobs each step has in each state."""

    def subbands(self) -> Iterator[tuple[str, tuple[JobState, ...]]]:
        """One state a subband, a row a SAP."""

    def lines(self) -> tuple[str, ...]:
        """What else there is to tell; the first line tells most."""

    def tell(self) -> int:
        """Tell what it has come to, and give the exit code."""


@dataclass(frozen=True)
class OneProduction:
    """A production."""

    tracker: Tracker
    production: ProductionRecord
    pause_s: float = 0.0

    @property
    def name(self) -> str:
        """The production's name."""
        return self.production.name

    def ended(self) -> bool:
        """Whether all jobs are final and all products published."""
        return self.tracker.unfinished(self.production.id) == 0 and not self.tracker.to_publish(self.production.id)

    def swept(self) -> bool:
        """Whether its scratch folders were swept since something was last done for it."""
        return self.tracker.swept(self.production.id)

    def paused(self) -> bool:
        """Whether it is paused."""
        return self.tracker.production_by_id(self.production.id).paused

    def steps(self) -> Steps:
        """The steps in the pipeline's order, also those without jobs yet."""
        counts = self.tracker.counts(self.production.id)
        return {name: counts.get(name, {}) for name in recipe_of(self.tracker, self.production).steps}

    def subbands(self) -> Iterator[tuple[str, tuple[JobState, ...]]]:
        """The state of each subband's first job that has not succeeded."""
        cells: dict[str, dict[str, JobState]] = {}
        for role, key, state in self.tracker.subband_states(self.production.id):
            row = cells.setdefault(f"{role} {key.rpartition('-')[0]}", {})
            if row.get(key, JobState.SUCCEEDED) is JobState.SUCCEEDED:
                row[key] = state
        for name, row in cells.items():
            yield name, tuple(row.values())

    def lines(self) -> tuple[str, ...]:
        """Nothing: the picture tells all."""
        return ()

    def tell(self) -> int:
        """Tell products and causes."""
        return tell_outcome(self.tracker, self.production)


@dataclass(frozen=True)
class WholeCampaign:
    """A campaign, shown by totals: thousands of productions are no list to look at."""

    tracker: Tracker
    campaign: CampaignRecord
    order: tuple[str, ...]
    pause_s: float = 1.0

    @property
    def name(self) -> str:
        """The campaign's name."""
        return self.campaign.name

    def ended(self) -> bool:
        """Whether all jobs are final and all products published."""
        return not self.tracker.campaign_unfinished(self.campaign.id)

    def swept(self) -> bool:
        """Whether the scratch folders of all its productions were swept."""
        return self.tracker.campaign_swept(self.campaign.id)

    def paused(self) -> bool:
        """Whether every production with something to do is paused."""
        return not self.ended() and self.tracker.campaign_paused(self.campaign.id)

    def steps(self) -> Steps:
        """The steps over all productions, in the order of the first one's pipeline."""
        counts = self.tracker.campaign_counts(self.campaign.id)
        return {name: counts.get(name, {}) for name in dict.fromkeys([*self.order, *counts])}

    def subbands(self) -> Iterator[tuple[str, tuple[JobState, ...]]]:
        """None: there are too many."""
        return iter(())

    def lines(self) -> tuple[str, ...]:
        """How many productions are where, and a few that are going."""
        course = self.tracker.course(self.campaign.id)
        marred = f" ({course.marred} with jobs that failed)" if course.marred else ""
        told = f"{course.ended + course.marred}/{count(self.campaign.productions, 'production')}{marred}"
        told += f", {course.going} going" if course.going else ""
        going = [f"{name} {done}/{all_}" for name, done, all_ in self.tracker.going(self.campaign.id, _MOST_GOING)]
        return (told, ", ".join(going)) if going else (told,)

    def tell(self) -> int:
        """Tell products and causes."""
        return tell_campaign(self.tracker, self.campaign)


def goal_of(tracker: Tracker, name: str) -> Goal:
    """The production or the campaign of a name that is entered."""
    production = tracker.production(name)
    if production:
        return OneProduction(tracker, production)
    campaign = tracker.campaign(name)
    assert campaign is not None, "it was entered"
    (first, *_) = tracker.productions(campaign.id)
    return WholeCampaign(tracker, campaign, tuple(recipe_of(tracker, first).steps))
