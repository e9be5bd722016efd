"""Publish: products get their final names."""

from collections.abc import Callable
from functools import partial

from lofargrid.engine.carrying import Carrying
from lofargrid.engine.guarding import Guard
from lofargrid.engine.moving import Moves
from lofargrid.model import StoredOutput
from lofargrid.productions.provenance import provenance
from lofargrid.productions.recipes import Recipes
from lofargrid.tracker import Tracker


class Publishing:
    """Publishes products, each with its provenance beside it.

    Parameters
    ----------
    tracker, carrying
        Which products there are, and what copies them.
    recipes, moves
        The productions' recipes; what is to be looked at next.
    guard
        One product that cannot be stored does not keep back the others.
    """

    def __init__(self, tracker: Tracker, carrying: Carrying, recipes: Recipes, moves: Moves, guard: Guard) -> None:
        self._tracker = tracker
        self._carrying = carrying
        self._recipes = recipes
        self._moves = moves
        self._guard = guard

    def publish(self) -> None:
        """Give products their final names. Repeating it does nothing."""
        for file in self._tracker.to_publish():
            self._guard.run("publish", partial(self._publish_one, file))

    def _publish_one(self, file: StoredOutput) -> None:
        job = self._tracker.job_by_id(file.job_id)
        production = self._moves.production(job)
        recipe = self._recipes.of(production)
        url = f"{recipe.output}/{file.filename}"

        def prepare() -> Callable[[], None]:
            content = provenance(self._tracker, recipe, job, file)
            return partial(self._copy, file, url, content)

        if not self._carrying.done(("publish", file.attempt, file.name), (file.url, url), prepare):
            return
        with self._tracker.transaction():
            self._tracker.note_published(file, url)
            self._tracker.event(self._moves.now(), production.id, job.id, job.attempt, text=f"published {url}")
        self._moves.settled.add(production.id)
        self._moves.look_at(job.id)
        self._moves.count += 1

    def _copy(self, file: StoredOutput, url: str, content: bytes) -> None:
        storage = self._carrying.storage
        storage.copy(file.url, url, file.adler32)
        storage.write(f"{url}.json", content)
