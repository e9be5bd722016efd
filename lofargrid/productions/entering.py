"""Enter productions, and renew them with a changed recipe."""

from dataclasses import replace

from lofargrid.errors import Fault, InputError
from lofargrid.productions.jobs import Entered, refresh
from lofargrid.productions.retrying import retry_failed
from lofargrid.recipes import storing
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord


def enter(tracker: Tracker, recipe: Recipe, now: str, again: bool = False) -> Entered:
    """Enter a production; the same recipe again changes nothing.

    Parameters
    ----------
    tracker
        The tracker.
    recipe
        What to make.
    now
        The time, ISO 8601 UTC.
    again
        Make a new generation of what a changed recipe affects, and try again what failed.

    Raises
    ------
    InputError
        The production stands with another recipe and ``again`` is not given; the differences are told.
    """
    with tracker.transaction():
        standing = tracker.production(recipe.production)
        if standing is None:
            production_id = tracker.add_production(recipe.production, recipe.hash, storing.to_json(recipe), now)
            tracker.event(now, production_id, text="entered")
        elif standing.recipe_hash != recipe.hash and not again:
            raise _refusal(recipe, differences(tracker, standing, recipe))
        elif not again:
            return Entered(standing.id, kept=tuple(tracker.current(standing.id)))
        else:
            production_id = standing.id
            tracker.renew_production(production_id, recipe.hash, storing.to_json(recipe))
            tracker.event(now, production_id, text=f"generation {standing.generation + 1}")
        tracker.set_subbands(production_id, recipe.subbands)
        entered = refresh(tracker, production_id, recipe, now)
        # What has just been made and cannot start, as its file is unusable, would fail the same way once more.
        failed = [job for job in tracker.jobs(production_id, [JobState.FAILED]) if job.name not in entered.made]
        return replace(entered, retried=retry_failed(tracker, failed, now) if again else ())


def differences(tracker: Tracker, standing: ProductionRecord, recipe: Recipe) -> list[str]:
    """What differs between the recipe that a production stands with and another one, a line each."""
    return storing.differences(tracker.recipe(standing.id), tracker.subbands(standing.id), recipe)


def _refusal(recipe: Recipe, lines: list[str]) -> InputError:
    shown = lines[:20] + ([f"and {len(lines) - 20} more"] if len(lines) > 20 else [])
    what = f"the production {recipe.production} stands already with another recipe"
    remedy = "`run --replan` redoes what depends on the difference; another production name makes all anew"
    return InputError(Fault("\n    ".join([f"{what}. {remedy}:", *shown])))
