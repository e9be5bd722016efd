"""See a production through: tick, show, stop calmly."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lofargrid.cli.outcome import tell_outcome
from lofargrid.cli.session import Session
from lofargrid.cli.text import count, note, seconds_text
from lofargrid.engine import Engine
from lofargrid.productions import recipe_of
from lofargrid.states import FINAL, JobState
from lofargrid.ticking import hold_tick
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord

_PATIENT_TICKS = 20
_PAUSE_S = 0.25
_CELLS = {
    JobState.WAITING: ("·", "dim"),
    JobState.RECALLING: ("~", "cyan"),
    JobState.READY: ("○", "white"),
    JobState.SUBMITTED: ("◌", "blue"),
    JobState.RUNNING: ("▶", "yellow"),
    JobState.SUCCEEDED: ("■", "green"),
    JobState.FAILED: ("✗", "bold red"),
    JobState.CANCELLED: ("-", "magenta"),
}


@dataclass(frozen=True)
class View:
    """What is shown of a production at one moment."""

    name: str
    steps: tuple[tuple[str, dict[JobState, int]], ...]
    subbands: tuple[tuple[str, tuple[JobState, ...]], ...]
    elapsed_s: float
    done_here: int

    @property
    def total(self) -> int:
        """All jobs."""
        return sum(sum(counts.values()) for _, counts in self.steps)

    @property
    def final(self) -> int:
        """Jobs that have ended."""
        return sum(counts.get(state, 0) for _, counts in self.steps for state in FINAL)

    @property
    def line(self) -> str:
        """One line for logs."""
        steps = "  ".join(f"{step} {counts.get(JobState.SUCCEEDED, 0)}/{sum(counts.values())}{_failed(counts)}"
                          for step, counts in self.steps)  # fmt: skip
        return f"{self.name}: {steps}"

    @property
    def pace(self) -> str:
        """Rate and time left."""
        if not self.done_here or self.elapsed_s <= 0:
            return f"{seconds_text(self.elapsed_s)} so far"
        rate = self.done_here / self.elapsed_s
        left = f", about {seconds_text((self.total - self.final) / rate)} left" if self.final < self.total else ""
        return f"{seconds_text(self.elapsed_s)} so far, {rate * 60:.0f} jobs/min{left}"


def _failed(counts: dict[JobState, int]) -> str:
    failed = counts.get(JobState.FAILED, 0)
    return f" ({failed} failed)" if failed else ""


def see_through(session: Session, name: str) -> int:
    """Run until the production has ended; show how it goes.

    Returns
    -------
    code
        0 if everything that was asked for was made, 1 if not.
    """
    tracker = session.tracker()
    production = tracker.production(name)
    assert production is not None, "it was entered"
    with _stoppable(), _screen(tracker, production) as show:
        try:
            troubles = _loop(session, tracker, production, show)
        except KeyboardInterrupt:
            if started := tracker.in_flight("local"):
                note(f"\n{count(started, 'job')} handed over; what runs goes on, `cancel {name}` ends it")
            return 130
    for trouble in troubles:
        note(trouble)
    return tell_outcome(tracker, production) or int(bool(troubles))


def _loop(
    session: Session, tracker: Tracker, production: ProductionRecord, show: Callable[[], None]
) -> tuple[str, ...]:
    """Tick, or follow the process that does."""
    told = False
    while not _ended(tracker, production) or tracker.on_scratch(production.id):
        with hold_tick(session.tracker_path) as held:
            if held:
                return _tick_through(session, tracker, production, show)
        if _ended(tracker, production):
            break
        if not told:
            note("another process moves this tracker's jobs; following")
            told = True
        show()
        time.sleep(_PAUSE_S)
    show()
    return ()


def _tick_through(
    session: Session, tracker: Tracker, production: ProductionRecord, show: Callable[[], None]
) -> tuple[str, ...]:
    backend = session.backend()
    engine: Engine = session.engine(tracker, backend)
    idle = 0
    try:
        while True:
            tick = engine.tick()
            show()
            if _ended(tracker, production) and not tick.troubles:
                return ()
            idle = 0 if tick.moves or tick.in_flight else idle + 1
            if idle and not tick.troubles and tracker.production_by_id(production.id).paused:
                return (f"{production.name} is paused; `resume {production.name}` starts it again",)
            if idle > _PATIENT_TICKS and tick.troubles:
                return tick.troubles
            backend.wait(_PAUSE_S)
    finally:
        backend.close()


def _ended(tracker: Tracker, production: ProductionRecord) -> bool:
    return tracker.unfinished(production.id) == 0 and not tracker.to_publish(production.id)


def view(tracker: Tracker, production: ProductionRecord, elapsed_s: float, final_before: int) -> View:
    """Look at a production."""
    counts = tracker.counts(production.id)
    steps = {name: counts.get(name, {}) for name in recipe_of(tracker, production).steps}
    final = sum(one.get(state, 0) for one in steps.values() for state in FINAL)
    return View(
        production.name,
        tuple(steps.items()),
        tuple(_map(tracker, production)),
        elapsed_s,
        final - final_before,
    )


def _map(tracker: Tracker, production: ProductionRecord) -> Iterator[tuple[str, tuple[JobState, ...]]]:
    """One state a subband: of its first job that has not succeeded."""
    cells: dict[str, dict[str, JobState]] = {}
    for role, key, state in tracker.subband_states(production.id):
        row = cells.setdefault(f"{role} {key.rpartition('-')[0]}", {})
        if row.get(key, JobState.SUCCEEDED) is JobState.SUCCEEDED:
            row[key] = state
    for name, row in cells.items():
        yield name, tuple(row.values())


@contextmanager
def _screen(tracker: Tracker, production: ProductionRecord) -> Iterator[Callable[[], None]]:
    started = time.monotonic()
    before = view(tracker, production, 0.0, 0).final

    def current() -> View:
        return view(tracker, production, time.monotonic() - started, before)

    console = Console(stderr=True)
    if console.is_terminal:
        with Live(picture(current()), console=console, auto_refresh=False) as live:
            yield lambda: live.update(picture(current()), refresh=True)
    else:
        yield _Lines(current)


class _Lines:
    """Plain lines, one when something has changed, at most one a second."""

    def __init__(self, current: Callable[[], View]) -> None:
        self._current = current
        self._last = ""
        self._next = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        seen = self._current()
        if seen.line != self._last:
            print(f"{time.strftime('%H:%M:%S')} {seen.line}", file=sys.stderr, flush=True)
            self._last, self._next = seen.line, now + 1.0


def picture(seen: View) -> Group:
    """The live view: a cell a subband, a bar a step, pace."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, states in seen.subbands:
        cells = Text()
        for state in states:
            cells.append(*_CELLS[state])
        table.add_row(Text(name, "bold"), cells)
    steps = Table.grid(padding=(0, 2))
    for step, counts in seen.steps:
        steps.add_row(*_step_row(step, counts))
    present = {state for _, counts in seen.steps for state in counts}
    signs = ((state, *cell) for state, cell in _CELLS.items() if state in present)
    legend = Text("  ").join(Text(f"{sign} {state}", style) for state, sign, style in signs)
    return Group(Text(seen.name, "bold underline"), table, steps, Text(seen.pace), legend)


def _step_row(step: str, counts: dict[JobState, int]) -> list[Any]:
    total = sum(counts.values())
    done = counts.get(JobState.SUCCEEDED, 0)
    width = 30
    filled = round(width * done / total) if total else 0
    bar = Text.assemble(("━" * filled, "green"), ("━" * (width - filled), "dim"))
    running = counts.get(JobState.RUNNING, 0)
    notes = [f"{running} running" if running else "", _failed(counts).strip(" ()")]
    return [Text(step), bar, f"{done}/{total}", Text(", ".join(filter(None, notes)))]


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends a run as calmly as Ctrl-C."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
