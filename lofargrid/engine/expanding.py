"""Expand: make the jobs of grouped steps when the frequencies of their subbands are known."""

from lofargrid.backends.base import Backend
from lofargrid.engine.moving import Moves
from lofargrid.productions.jobs import refresh
from lofargrid.productions.recipes import Recipes
from lofargrid.states import FINAL, JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Expansion


class Expanding:
    """Makes groups.

    Parameters
    ----------
    tracker, backend
        The tracker, and the backend that is to stop the attempts of jobs that others take the place of.
    recipes, moves
        The productions' recipes, and what was touched since the last tick.
    """

    def __init__(self, tracker: Tracker, backend: Backend, recipes: Recipes, moves: Moves) -> None:
        self._tracker = tracker
        self._backend = backend
        self._recipes = recipes
        self._moves = moves

    def expand(self) -> None:
        """Make the jobs of grouped steps whose subbands have all told their frequency, or never will."""
        for expansion in self._pending():
            if self._tracker.undecided(expansion) == 0 and not self._given_up(expansion.production_id):
                self._expand_one(expansion)
        self._moves.touched = set()

    def _pending(self) -> list[Expansion]:
        touched = self._moves.touched
        if touched is None:
            return self._tracker.expansions()
        return [one for production_id in sorted(touched) for one in self._tracker.expansions(production_id)]

    def _given_up(self, production_id: int) -> bool:
        """Whether the operator cancelled a production: nothing is left to do, and not because all was done."""
        counts = self._tracker.counts(production_id).values()
        states = {state for step in counts for state in step}
        return JobState.CANCELLED in states and states <= FINAL

    def _expand_one(self, expansion: Expansion) -> None:
        production = self._tracker.production_by_id(expansion.production_id)
        with self._tracker.transaction():
            entered = refresh(self._tracker, production.id, self._recipes.of(production), self._moves.now())
            self._tracker.expanded(expansion, self._moves.now())
            self._moves.count += 1
        if entered.live:
            self._backend.cancel(entered.live)
