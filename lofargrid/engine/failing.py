"""After an attempt that failed: its job is tried again, made in finer groups, or has failed."""

from collections.abc import Mapping
from dataclasses import replace

from lofargrid.decisions import retry
from lofargrid.decisions.demands import growth, most_of
from lofargrid.decisions.retry import Decision, Past, Rule
from lofargrid.documents.pipelines import Step, group_size
from lofargrid.engine.moving import Moves
from lofargrid.engine.sourcing import demand_by
from lofargrid.frequency import parts_that_divide
from lofargrid.model import Demand, Job, Site
from lofargrid.names import group_of_key
from lofargrid.productions.jobs import refresh
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import AttemptRecord, ProductionRecord


class Failing:
    """Decides what comes after attempts that failed.

    ``outdated`` are attempts of jobs that were made anew because of that; they are to be cancelled.

    Parameters
    ----------
    tracker, sites
        The tracker, and the sites that the backend reaches.
    recipes, moves
        The productions' recipes; moves jobs.
    rules
        What to do after a failure; a step's own rules go before them.
    """

    def __init__(
        self, tracker: Tracker, sites: Mapping[str, Site], recipes: Recipes, moves: Moves,
        rules: Mapping[Reason, Rule] = retry.RULES,
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._sites = sites
        self._recipes = recipes
        self._moves = moves
        self._rules = rules
        self.outdated: list[str] = []

    def fail(self, job: Job, reason: Reason, detail: str, peak_memory_mb: float = 0.0) -> None:
        """Decide what comes after an attempt that failed, which is written down already."""
        current = self._tracker.job_by_id(job.id)
        if current.state is not job.state or current.attempt != job.attempt:
            return  # a quarantine brought back a job without which this one was made: it is to be made once more
        production = self._moves.production(job)
        recipe = self._recipes.of(production)
        step = recipe.steps[job.step]
        failures = self._tracker.failures(job.id)
        past = [past_of(one) for one in failures]
        past[-1] = replace(past[-1], peak_memory_mb=peak_memory_mb)
        asked = demand_by(self._tracker, recipe, job, self._sites)
        most = most_of((self._sites[name] for name in recipe.allowed(self._sites)), asked)
        rules = self.rules_of(step)
        decision = retry.decide(past, step.retry.tries, asked, most, splittable(job, step), rules)
        if decision.again:
            away = [past[-1].site] if retry.rule_of(reason, rules).elsewhere == "site" else []
            self._put_back(job, reason, detail, decision, asked, away)
        elif decision.split:
            self._split(job, production, recipe, reason, decision)
        else:
            self._moves.move(job, JobState.FAILED, reason, detail)
        self._tracker.event(self._moves.now(), production.id, job.id, job.attempt, text=decision.why)

    def rules_of(self, step: Step) -> Mapping[Reason, Rule]:
        """What to do after a failure of a step."""
        return retry.with_own(self._rules, step.retry)

    def _put_back(
        self, job: Job, reason: Reason, detail: str, decision: Decision, asked: Demand, away: list[str]
    ) -> None:  # fmt: skip
        if decision.demand or away:
            grown = {**job.grown, **growth(asked, decision.demand or asked)}
            self._tracker.change_demand(job.id, grown, sorted({*job.shunned, *away}))
        self._moves.put_back(job, reason, detail, decision.wait_s, decision.tries)

    def _split(
        self, job: Job, production: ProductionRecord, recipe: Recipe, reason: Reason, decision: Decision
    ) -> None:  # fmt: skip
        """Make a group in more parts; the whole plan follows, as for any change of it."""
        beam, number = group_of_key(job.role, job.key)
        before = self._tracker.finer(production.id).get((beam, number), 1)
        size = group_size(recipe.steps[job.step], recipe.parameters)
        parts = parts_that_divide([slot.abn for slot in job.slots if slot.key], size, before)
        self._tracker.refine(production.id, beam, number, parts)
        text = f"{reason}: {decision.why}: made in {parts} parts from now on"
        self._tracker.event(self._moves.now(), production.id, job.id, job.attempt, text=text)
        # What needs the whole group is made once more too, to need its parts instead.
        redo = [one.name for one in self._tracker.dependents(job.id)]
        live = refresh(self._tracker, production.id, recipe, self._moves.now(), redo).live
        self.outdated += [attempt for attempt in live if attempt != job.attempt]
        self._moves.touch(job)
        self._moves.count += 1


def past_of(attempt: AttemptRecord) -> Past:
    """An attempt that failed, as the retry rules see it."""
    assert attempt.reason is not None, "it failed"
    return Past(attempt.reason, attempt.site, attempt.node, blamed=attempt.blamed)


def splittable(job: Job, step: Step) -> bool:
    """Whether a job can be made from finer groups."""
    return step.grouped and len(job.subbands) > 1
