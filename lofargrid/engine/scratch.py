"""Intermediates on scratch: deleted when nobody will read them, and nothing stays when a production has ended."""

from collections.abc import Callable, Collection
from functools import partial

from lofargrid.engine.carrying import Carrying
from lofargrid.engine.guarding import Guard
from lofargrid.engine.moving import Moves
from lofargrid.names import file_name
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.recipe import Recipe
from lofargrid.storage.base import Storage
from lofargrid.tracker import Tracker


class Scratch:
    """The scratch folders of all productions of a tracker. Every call may be repeated without harm.

    Parameters
    ----------
    tracker
        Tells which files there are and who reads them.
    carrying
        What deletes them.
    recipes
        The productions' recipes.
    folder
        Gives the folder URL of a production's intermediates at a site.
    moves, guard
        What may have lost its last reader; what cannot be deleted now is tried again by the next tick.
    """

    def __init__(
        self, tracker: Tracker, carrying: Carrying, recipes: Recipes, folder: Callable[[Recipe, str], str],
        moves: Moves, guard: Guard,
    ) -> None:  # fmt: skip
        self._tracker = tracker
        self._carrying = carrying
        self._recipes = recipes
        self._folder = folder
        self._moves = moves
        self._guard = guard

    def clean(self) -> None:
        """Delete what no job will read. After a start everything on scratch is looked at."""
        moves = self._moves
        succeeded, moves.succeeded = moves.succeeded, set()
        settled, moves.settled = moves.settled, set()
        if succeeded is None:
            candidates = self._tracker.on_scratch()
            settled |= self._tracker.unswept()
        else:
            candidates = [*succeeded, *(need.id for one in succeeded for need in self._tracker.needs(one))]
        for job_id in dict.fromkeys(candidates):
            if not self._guard.run("clean", partial(self.delete_disposable, job_id)):
                moves.succeeded.add(job_id)
        for production_id in sorted(settled):
            if not self._guard.run("clean", partial(self.sweep, production_id)):
                moves.settled.add(production_id)

    def delete_disposable(self, job_id: int) -> None:
        """Delete the files of a job that no consumer will read any more; what takes long goes on with the next tick."""
        job = self._tracker.job_by_id(job_id)
        recipe = self._recipes.of_id(self._tracker.production_of(job))
        if recipe.keep_intermediates:
            return
        # A grouped step that reads it or, if its own groups are to be made once more, itself.
        grouped = {name: step for name, step in recipe.steps.items() if step.grouped}
        readers = [name for name, step in grouped.items() if job.step in (name, *step.needs)]
        for file in self._tracker.disposable(job_id, readers):
            delete = partial(partial, self._carrying.storage.delete, file.url)
            if not self._carrying.done(("delete", file.url), (file.url,), delete):
                self._moves.look_at(job_id)
                self._moves.settled.add(self._tracker.production_of(job))
                continue
            with self._tracker.transaction():
                self._tracker.note_deleted(file)

    def sweep(self, production_id: int) -> None:
        """If a production has ended: delete what superseded jobs and dead attempts left."""
        if self._tracker.unfinished(production_id):
            return
        for job_id in self._tracker.on_scratch(production_id):
            self.delete_disposable(job_id)
        if production_id in self._moves.settled:
            return  # files of it are being deleted
        recipe = self._recipes.of_id(production_id)
        folders = dict.fromkeys(self._folder(recipe, site) for site in self._tracker.sites_of(production_id))
        on_scratch = self._tracker.on_scratch(production_id)
        # By name, which holds the attempt: a URL has several spellings.
        wanted = {file_name(file.url) for job_id in on_scratch for file in self._tracker.files(job_id)}
        for folder in folders:
            empty = partial(partial, _empty, self._carrying.storage, folder, f".{self._tracker.id}-", wanted)
            if not self._carrying.done(("sweep", folder), (folder,), empty):
                self._moves.settled.add(production_id)
        if production_id not in self._moves.settled:
            with self._tracker.transaction():
                self._tracker.note_swept(production_id)


def _empty(storage: Storage, folder: str, mark: str, wanted: Collection[str]) -> None:
    """Delete what bears our mark and is not wanted, and the folder if nothing else is in it."""
    for url in storage.list(folder):
        if file_name(url) not in wanted and mark in file_name(url):
            storage.delete(url)
    storage.remove_folder(folder)
