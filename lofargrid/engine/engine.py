"""The engine: `Engine.tick` moves everything that can move one step. No SQL, no subprocess, no clock of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from lofargrid.backends.base import Backend
from lofargrid.decisions import retry
from lofargrid.decisions.placement import BY_DATA, Policy
from lofargrid.decisions.retry import Rule
from lofargrid.engine.carrying import Carrying
from lofargrid.engine.expanding import Expanding
from lofargrid.engine.failing import Failing
from lofargrid.engine.following import Following
from lofargrid.engine.guarding import Guard
from lofargrid.engine.handing import Handing
from lofargrid.engine.moving import Moves
from lofargrid.engine.places import Places
from lofargrid.engine.placing import Placing
from lofargrid.engine.publishing import Publishing
from lofargrid.engine.quarantining import Prober, Quarantine
from lofargrid.engine.recalling import Recalling
from lofargrid.engine.scratch import Scratch
from lofargrid.engine.starting import Starting
from lofargrid.model import Site
from lofargrid.productions.recipes import Recipes
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import Reason
from lofargrid.storage.base import Recall, Storage
from lofargrid.tracker import Tracker

__all__ = ["Engine", "Places", "Tick"]


@dataclass(frozen=True)
class Tick:
    """What a tick did: moves made, jobs in flight, and troubles that keep something from moving.

    ``carrying`` counts the calls to storages that go on. ``held`` says that something waits for a new proxy.
    """

    moves: int
    in_flight: int
    troubles: tuple[str, ...] = ()
    carrying: int = 0
    held: bool = False


class Engine:
    """Moves the jobs of one tracker over one backend.

    Parameters
    ----------
    tracker
        The one source of truth; only one engine at a time may hold it.
    backend
        Where attempts run.
    sites
        The sites that the backend reaches, and those whose storage holds data.
    storage
        Where files lie.
    places
        Names and folders.
    clock
        Gives the time, aware UTC.
    rules
        What to do after a failure.
    policy
        How sites are chosen.
    recall
        Brings files from tape; None where no tapes can be reached.
    """

    def __init__(
        self,
        tracker: Tracker,
        backend: Backend,
        sites: Mapping[str, Site],
        storage: Storage,
        places: Places,
        clock: Callable[[], datetime],
        rules: Mapping[Reason, Rule] = retry.RULES,
        policy: Policy = BY_DATA,
        recall: Recall | None = None,
    ) -> None:
        self._tracker = tracker
        self._backend = backend
        self._cursor: str | None = None
        self._noted: dict[str, str] | None = None
        self._changed = False
        self._moves = moves = Moves(tracker, clock)
        self._guard = guard = Guard(moves)
        recipes = Recipes(tracker)
        self._carrying = carrying = Carrying(storage, clock, places.require_open)
        self._failing = Failing(tracker, sites, recipes, moves, rules)
        self._quarantine = Quarantine(tracker, backend, sites, moves, Prober(places.owner, places.contact))
        self._following = Following(tracker, backend, sites, recipes, moves, self._quarantine, self._failing)
        self._publishing = Publishing(tracker, carrying, recipes, moves, guard)
        self._expanding = Expanding(tracker, backend, recipes, moves)
        self._recalling = Recalling(tracker, recall, sites, recipes, moves, guard, clock, places.keys)
        self._starting = Starting(tracker, sites, recipes, moves, self._recalling)
        self._placing = Placing(tracker, sites, recipes, moves, self._quarantine, policy, places, guard)
        self._handing = Handing(tracker, backend, sites, recipes, moves, self._failing, places)
        self._scratch = Scratch(tracker, carrying, recipes, partial(_scratch_at, places, sites), moves, guard)

    def tick(self) -> Tick:
        """Take every step that can be taken now. Calling it at any time, after any crash, does no harm."""
        stages: dict[str, Callable[[], None]] = {
            "heed": self._heed,
            "follow": self._follow,
            "publish": self._publishing.publish,
            "expand": self._expanding.expand,
            "review": self._quarantine.review,
            "take back": self._take_back,
            "start": self._start,
            "recall": self._recalling.review,
            "submit": self._submit,
            "clean": self._scratch.clean,
            "note": self._note_troubles,
        }
        self._guard.begin()
        self._carrying.begin()
        for name, stage in stages.items():
            self._guard.run(name, stage)
        in_flight, guard = self._tracker.in_flight(), self._guard
        return Tick(self._moves.count, in_flight, tuple(guard.troubles), self._carrying.under_way, guard.held)

    def _note_troubles(self) -> None:
        """Let other processes know what keeps stages from being done."""
        if self._guard.troubled != self._noted:
            with self._tracker.transaction():
                self._tracker.note_troubles(self._guard.troubled, self._moves.now())
            self._noted = self._guard.troubled

    def _heed(self) -> None:
        """Another process changed the tracker: look at all productions, stop what it made superfluous."""
        self._changed = self._tracker.changed_outside() or self._changed
        if self._changed:
            self._moves.touched = None
            self._following.cancel_unwanted()
            self._changed = False

    def _follow(self) -> None:
        first = self._cursor is None
        changes = self._backend.changes(self._cursor)
        self._following.observe(changes.observations)
        if first:
            known = {observation.attempt for observation in changes.observations}
            self._handing.hand_over(self._following.reconcile(known))
        self._cursor = changes.cursor

    def _take_back(self) -> None:
        self._following.take_back(self._placing.idle)

    def _start(self) -> None:
        self._starting.start(self._placing.stuck)

    def _submit(self) -> None:
        # Until this has come to its end the next tick reconciles: what stands as intended is handed over again.
        cursor, self._cursor = self._cursor, None
        pairs, troubles = self._placing.place()
        self._handing.hand_over(pairs)
        self._guard.troubles += troubles
        self._cursor = cursor


def _scratch_at(places: Places, sites: Mapping[str, Site], recipe: Recipe, site: str) -> str:
    """The folder of a production's intermediates at a site."""
    return places.scratch(recipe, sites[site])
