"""The frozen recipes of a tracker's productions."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from lofargrid.model import Subband
from lofargrid.recipes import storing
from lofargrid.recipes.recipe import Listing, Recipe
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord

_LISTS_KEPT = 32


def recipe_of(tracker: Tracker, production: ProductionRecord) -> Recipe:
    """The frozen recipe of a production."""
    return storing.from_json(tracker.recipe(production.id), tuple(tracker.subbands(production.id)))


class Recipes:
    """The frozen recipes of a tracker's productions, each read once a generation.

    Their subbands are read when they are asked for; those of the productions asked last are kept.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._read: dict[int, tuple[int, Recipe]] = {}
        self._listed: OrderedDict[int, tuple[int, Sequence[Subband]]] = OrderedDict()

    def of(self, production: ProductionRecord) -> Recipe:
        """The recipe of a production's standing generation."""
        generation, recipe = self._read.get(production.id, (0, None))
        if recipe is None or generation != production.generation:
            listing = Listing(partial(self._every, production), partial(self._tracker.subband, production.id))
            recipe = storing.from_json(self._tracker.recipe(production.id), listing)
            self._read[production.id] = production.generation, recipe
        return recipe

    def of_id(self, production_id: int) -> Recipe:
        """The recipe of the production of an id."""
        return self.of(self._tracker.production_by_id(production_id))

    def _every(self, production: ProductionRecord) -> Sequence[Subband]:
        generation, subbands = self._listed.get(production.id, (0, ()))
        if generation != production.generation:
            subbands = self._tracker.subbands(production.id)
            self._listed[production.id] = production.generation, subbands
        self._listed.move_to_end(production.id)
        if len(self._listed) > _LISTS_KEPT:
            self._listed.popitem(last=False)
        return subbands
