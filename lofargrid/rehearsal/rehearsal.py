"""A rehearsal: productions run by the real engine over a simulated grid until they have ended."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from lofargrid.decisions import retry
from lofargrid.decisions.placement import BY_DATA, Policy
from lofargrid.decisions.retry import Rule
from lofargrid.documents.software import Software, Values
from lofargrid.engine.engine import Engine, Places, Tick
from lofargrid.model import Site
from lofargrid.productions import entering
from lofargrid.productions.retrying import retry_failed
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal.crash import Crash, Executioner, MortalConnection, MortalPort
from lofargrid.simulation.grid import Grid
from lofargrid.states import JobState, Reason
from lofargrid.storage.base import Recall
from lofargrid.tracker import Tracker, open_tracker

SOFTWARE = Software("rehearsal", (), {}, {}, Values(), {}, {})
PERIOD_S = 60.0
_STUCK_S = 2 * 86400.0
_IDLE_S, _IDLE_PERIODS = 6 * 3600.0, 10
"""When nothing has moved for so long it is looked at so much less often."""


@dataclass(frozen=True)
class Outcome:
    """How a rehearsal ended.

    ``makespan_s`` is the virtual time until the last product stood, or until all stood still.
    """

    ended: bool
    makespan_s: float
    ticks: int
    crashes: int
    troubles: tuple[str, ...]


class Rehearsal:
    """Productions on a simulated grid.

    Parameters
    ----------
    grid
        The grid; the input files lie on it.
    tracker
        Where the tracker's file is to be.
    software
        What the recipes' software is here.
    rules
        What to do after a failure.
    policy
        How sites are chosen.
    executioner
        Lets the engine's process die; None lets it live.
    watch
        Called with the tracker after every tick.
    recall
        How tapes are asked; as the grid offers it if not given.
    """

    def __init__(
        self,
        grid: Grid,
        tracker: Path,
        software: Callable[[Recipe], tuple[Software, Mapping[str, str]]] = lambda recipe: (SOFTWARE, {}),
        rules: Mapping[Reason, Rule] = retry.RULES,
        policy: Policy = BY_DATA,
        executioner: Executioner | None = None,
        watch: Callable[[Tracker], None] = lambda tracker: None,
        recall: Recall | None = None,
    ) -> None:
        self.grid = grid
        self._recall = recall or (grid.recall if grid.tapes else None)
        self._path = tracker
        self._software = software
        self._rules = rules
        self._policy = policy
        self._executioner = executioner
        self._watch = watch
        self._ticks = 0
        self._ended_s = 0.0
        self._troubles: tuple[str, ...] = ()
        self._open()

    def _open(self) -> None:
        """The process begins: only the file and the grid remain from an earlier one."""
        self.tracker = open_tracker(self._path)
        self.tracker.write("PRAGMA synchronous = OFF")  # the machine does not fail here, only its processes do
        backend: Any = self.grid.backend
        storage: Any = self.grid.storage
        recall: Any = self._recall
        if self._executioner:
            self.tracker.wrap(lambda one: cast(Any, MortalConnection(one, cast(Executioner, self._executioner))))
            backend = MortalPort(backend, self._executioner)
            storage = MortalPort(storage, self._executioner)
            recall = recall and MortalPort(recall, self._executioner)
        places = Places("rehearsal", "rehearsal", lambda recipe: "/sandbox", self.scratch, self._software)
        sites, clock = self.grid.sites, self.grid.clock.now
        self.engine = Engine(self.tracker, backend, sites, storage, places, clock, self._rules, self._policy, recall)

    @staticmethod
    def scratch(recipe: Recipe, site: Site) -> str:
        """The folder of a production's intermediates at a site; what has no scratch sends them to this machine."""
        return f"{(site.scratch or 'file:///scratch').rstrip('/')}/{recipe.production}"

    @property
    def now(self) -> str:
        """The virtual time as the tracker writes it."""
        return self.grid.clock.now().isoformat(timespec="milliseconds")

    def enter(self, recipes: Sequence[Recipe]) -> None:
        """Enter productions."""
        for recipe in recipes:
            entering.enter(self.tracker, recipe, self.now)

    def retry_failed(self) -> None:
        """What the operator's `retry` does to everything that failed."""
        with self.tracker.transaction():
            for one in self.tracker.productions():
                failed = self.tracker.jobs(one.id, [JobState.FAILED])
                retry_failed(self.tracker, failed, self.now)

    def run(self, most: timedelta, period_s: float = PERIOD_S) -> Outcome:
        """Tick until everything has ended, the time is over, or nothing can move for two days.

        What happens within half a period is told together.
        """
        self.grid.backend.settle_s = period_s / 2
        moved_s = self.grid.clock.elapsed_s
        until_s = moved_s + most.total_seconds()
        stuck = False
        while not self._over() and self.grid.clock.elapsed_s < until_s:
            tick = self.tick()
            if tick and tick.troubles:
                self._troubles = tick.troubles
            if tick is None or tick.moves or tick.in_flight:
                moved_s = self.grid.clock.elapsed_s
            elif self.grid.clock.elapsed_s - moved_s > _STUCK_S:
                stuck = True
                break
            idle = self.grid.clock.elapsed_s - moved_s > _IDLE_S
            self.grid.backend.wait(period_s * (_IDLE_PERIODS if idle else 1))
        crashes = self._executioner.crashes if self._executioner else 0
        end_s = moved_s if stuck else self.grid.clock.elapsed_s
        return Outcome(self._over(), end_s, self._ticks, crashes, self._troubles)

    def tick(self) -> Tick | None:
        """One tick of the engine; None if its process died in it and another one began."""
        self._ticks += 1
        tick: Tick | None = None
        if self._executioner:
            self._executioner.armed = True
        try:
            tick = self.engine.tick()
        except Crash:
            self._reborn()
        finally:
            if self._executioner:
                self._executioner.armed = False
        self._watch(self.tracker)
        return tick

    def _reborn(self) -> None:
        if self._executioner:
            self._executioner.armed = False
        with contextlib.suppress(Exception):
            self.tracker.close()
        self._open()

    def _over(self) -> bool:
        return self.tracker.all_ended()

    def close(self) -> None:
        """Let go of the file."""
        self.tracker.close()
