"""The engine: `Engine.tick` moves everything that can move one step. No SQL, no subprocess, no clock of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from lofargrid.backends.base import Backend
from lofargrid.decisions import retry
from lofargrid.decisions.placement import BY_DATA, Policy
from lofargrid.decisions.retry import Rule
from lofargrid.engine.dispatching import Dispatch, Places
from lofargrid.engine.following import Following
from lofargrid.engine.moving import Moves
from lofargrid.engine.quarantining import Prober, Quarantine
from lofargrid.engine.recalling import Recalling
from lofargrid.engine.scratch import Scratch
from lofargrid.errors import BackendError
from lofargrid.model import Site, StoredOutput
from lofargrid.productions.jobs import refresh
from lofargrid.productions.provenance import provenance
from lofargrid.productions.recipes import Recipes
from lofargrid.states import FINAL, JobState, Reason
from lofargrid.storage.base import Recall, Storage
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Expansion

__all__ = ["Engine", "Places", "Tick"]


@dataclass(frozen=True)
class Tick:
    """What a tick did: moves made, jobs in flight, and troubles that keep something from moving."""

    moves: int
    in_flight: int
    troubles: tuple[str, ...] = ()


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
        self._storage = storage
        self._cursor: str | None = None
        self._recipes = Recipes(tracker)
        self._moves = Moves(tracker, clock)
        prober = Prober(places.owner, places.contact)
        self._quarantine = Quarantine(tracker, backend, sites, self._moves, prober)
        self._following = Following(
            tracker, backend, sites, self._recipes, self._moves, self._quarantine, rules
        )  # fmt: skip
        self._recalling = Recalling(tracker, recall, sites, self._recipes, self._moves, clock)
        self._dispatch = Dispatch(
            tracker,
            backend,
            sites,
            self._recipes,
            self._moves,
            self._following,
            self._quarantine,
            self._recalling,
            places,
            policy,
        )
        self._scratch = Scratch(
            tracker, storage, self._recipes, lambda recipe, name: places.scratch(recipe, sites[name])
        )  # fmt: skip
        self._troubles: list[str] = []
        self._troubled: dict[str, str] = {}
        self._noted: dict[str, str] | None = None
        self._changed = False

    def tick(self) -> Tick:
        """Take every step that can be taken now. Calling it at any time, after any crash, does no harm."""
        self._moves.count, self._troubles, self._troubled = 0, [], {}
        self._guard("heed", self._heed)
        self._guard("follow", self._follow)
        self._guard("publish", self._publish)
        self._guard("expand", self._expand)
        self._guard("review", self._quarantine.review)
        self._guard("take back", self._following.take_back)
        self._guard("start", self._dispatch.start)
        self._guard("recall", self._recalling.review)
        self._guard("submit", self._submit)
        self._guard("clean", self._clean)
        self._guard("note", self._note_troubles)
        return Tick(self._moves.count, self._tracker.in_flight(self._backend.name), tuple(self._troubles))

    def _guard(self, name: str, stage: Callable[[], None]) -> bool:
        """A service or a disk that is in trouble stops its own stage only; the next tick tries again."""
        before = self._moves.count
        try:
            stage()
        except (BackendError, OSError) as error:
            self._moves.count = before  # what was not written down has not happened
            self._troubles.append(str(error))
            self._troubled.setdefault(name, _said(error))
            return False
        return True

    def _note_troubles(self) -> None:
        """Let other processes know what keeps stages from being done."""
        if self._troubled != self._noted:
            with self._tracker.transaction():
                self._tracker.note_troubles(self._troubled, self._moves.now())
            self._noted = self._troubled

    # Follow

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
            self._dispatch.hand_over(self._following.reconcile(known))
        self._cursor = changes.cursor

    # Expand

    def _expand(self) -> None:
        """Make the jobs of grouped steps whose subbands have all told their frequency, or never will."""
        touched = self._moves.touched
        if touched is None:
            pending = self._tracker.expansions()
        else:
            pending = [one for production_id in sorted(touched) for one in self._tracker.expansions(production_id)]
        for expansion in pending:
            if self._tracker.undecided(expansion) == 0 and not self._given_up(expansion.production_id):
                self._expand_one(expansion)
        self._moves.touched = set()

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

    def _submit(self) -> None:
        # Until this has come to its end the next tick reconciles: what stands as intended is handed over again.
        cursor, self._cursor = self._cursor, None
        self._troubles += self._dispatch.submit()
        self._cursor = cursor

    # Publish and clean

    def _publish(self) -> None:
        """Give products their final names; one that cannot be stored does not keep back the others."""
        for file in self._tracker.to_publish():
            self._guard("publish", partial(self._publish_one, file))

    def _publish_one(self, file: StoredOutput) -> None:
        job = self._tracker.job_by_id(file.job_id)
        production = self._moves.production(job)
        recipe = self._recipes.of(production)
        url = f"{recipe.output}/{file.filename}"
        self._storage.copy(file.url, url, file.adler32)
        self._storage.write(f"{url}.json", provenance(self._tracker, recipe, job, file))
        with self._tracker.transaction():
            self._tracker.note_published(file, url)
            self._tracker.event(self._moves.now(), production.id, job.id, job.attempt, text=f"published {url}")
        self._moves.settled.add(production.id)
        self._moves.look_at(job.id)
        self._moves.count += 1

    def _clean(self) -> None:
        """Delete what no job will read. After a start everything on scratch is looked at."""
        moves = self._moves
        succeeded, moves.succeeded = moves.succeeded, set()
        settled, moves.settled = moves.settled, set()
        if succeeded is None:
            candidates = self._tracker.on_scratch()
            settled |= {self._tracker.production_of(self._tracker.job_by_id(job_id)) for job_id in candidates}
        else:
            candidates = [*succeeded, *(need.id for one in succeeded for need in self._tracker.needs(one))]
        for job_id in dict.fromkeys(candidates):
            if not self._guard("clean", partial(self._scratch.delete_disposable, job_id)):
                moves.succeeded.add(job_id)
        for production_id in sorted(settled):
            if not self._guard("clean", partial(self._scratch.sweep, production_id)):
                moves.settled.add(production_id)


def _said(error: BackendError | OSError) -> str:
    """An error in words, without the number that the system gives it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
