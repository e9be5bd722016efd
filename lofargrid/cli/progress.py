"""See a production or a campaign through: tick, show, stop calmly."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lofargrid.cli.goals import Goal, goal_of
from lofargrid.cli.session import Session
from lofargrid.cli.text import count, note, seconds_text
from lofargrid.engine.engine import Engine, Tick
from lofargrid.pilots.supplying import Supplying
from lofargrid.states import FINAL, JobState, Phase
from lofargrid.ticking import hold_tick
from lofargrid.tracker import Tracker

_PATIENT_TICKS = 20
_LASTING_TICKS = 2 * _PATIENT_TICKS
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
    """What is shown at one moment. ``lines`` stand below the name; the first of them tells most."""

    name: str
    steps: tuple[tuple[str, Mapping[JobState, int]], ...]
    subbands: tuple[tuple[str, tuple[JobState, ...]], ...]
    elapsed_s: float
    done_here: int
    lines: tuple[str, ...] = ()

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
        return f"{self.name}: {'  '.join((*self.lines[:1], steps))}"

    @property
    def pace(self) -> str:
        """Rate and time left."""
        if not self.done_here or self.elapsed_s <= 0:
            return f"{seconds_text(self.elapsed_s)} so far"
        rate = self.done_here / self.elapsed_s
        left = f", about {seconds_text((self.total - self.final) / rate)} left" if self.final < self.total else ""
        return f"{seconds_text(self.elapsed_s)} so far, {rate * 60:.0f} jobs/min{left}"


def _failed(counts: Mapping[JobState, int]) -> str:
    failed = counts.get(JobState.FAILED, 0)
    return f" ({failed} failed)" if failed else ""


def see_through(session: Session, name: str) -> int:
    """Run until a production or a campaign has ended; show how it goes.

    Returns
    -------
    code
        0 if everything that was asked for was made, 1 if not.
    """
    tracker = session.tracker()
    goal = goal_of(tracker, name)
    with _stoppable(), _screen(goal) as show:
        try:
            stopped_by = _loop(session, tracker, goal, show)
        except KeyboardInterrupt:
            if started := tracker.in_flight():
                note(f"\n{count(started, 'job')} handed over; what runs goes on, `cancel {name}` ends it")
            return 130
    if stopped_by:
        note(stopped_by)
    return goal.tell() or int(bool(stopped_by))


def _loop(session: Session, tracker: Tracker, goal: Goal, show: Callable[[], None]) -> str:
    """Tick, or follow the process that does; tell what keeps it from coming to an end."""
    told = False
    while not (goal.ended() and goal.swept()):
        with hold_tick(session.tracker_path) as held:
            if held:
                return _tick_through(session, tracker, goal, show)
        if goal.ended():
            break
        if not told:
            note("another process moves this tracker's jobs; following")
            told = True
        show()
        time.sleep(_PAUSE_S)
    show()
    return ""


def _tick_through(session: Session, tracker: Tracker, goal: Goal, show: Callable[[], None]) -> str:
    backend = session.backend(tracker)
    engine: Engine = session.engine(tracker, backend)
    supplying = Supplying(session.fleet(tracker) if session.has_pilots() else None, note)
    troubled = Troubled()
    idle = 0
    try:
        while True:
            tick = engine.tick()
            show()
            supplying.look()
            if goal.ended() and not (tick.troubles or tick.carrying):
                engine.tick()  # lets the backend forget what it told last
                return ""
            idle = idle + 1 if _idle(tracker, tick) and (goal.ended() or not tick.held) else 0
            if idle and not tick.troubles and goal.paused():
                return f"{goal.name} is paused; `resume {goal.name}` starts it again"
            if idle > _PATIENT_TICKS and tick.troubles:
                return in_a_line(tick.troubles)
            if line := troubled.by(tick):
                note(line)
            backend.wait(_PAUSE_S)
    finally:
        backend.close()


def _idle(tracker: Tracker, tick: Tick) -> bool:
    """Whether nothing went on: no moves, and no job runs or its end cannot be written down.

    What is recalled from tape takes its time, and a service that does not answer may need a proxy that is renewed.
    """
    if not tracker.blocked and tracker.recalling_count():
        return False
    if tracker.blocked or not (tick.moves or tick.in_flight or tick.carrying):
        return True
    if tick.moves or tick.carrying or not tick.troubles:
        return False
    return all(one.phase is not Phase.RUNNING for one in tracker.unfinished_attempts())


class Troubled:
    """Says once what troubles: a proxy that ended at once, others when they last longer than a run waits for them."""

    def __init__(self) -> None:
        self._ticks = 0
        self._hushed = 0

    def by(self, tick: Tick) -> str:
        """Take the troubles of a tick; give the line to tell, or nothing."""
        self._ticks = self._ticks + 1 if tick.troubles else 0
        tells = not self._hushed and (tick.held or self._ticks == _LASTING_TICKS)
        # Whether something is held may come and go with the jobs that end meanwhile.
        self._hushed = _LASTING_TICKS if tick.held else max(self._hushed - 1, 0)
        return f"{in_a_line(tick.troubles)}; jobs that run go on" if tells else ""


def in_a_line(troubles: Sequence[str]) -> str:
    """The first of the troubles, and how many there are beside it."""
    return troubles[0] + (f" (and {count(len(troubles) - 1, 'other trouble')})" if troubles[1:] else "")


def view(goal: Goal, elapsed_s: float, final_before: int) -> View:
    """Look at what is going on."""
    steps = goal.steps()
    final = sum(one.get(state, 0) for one in steps.values() for state in FINAL)
    return View(
        goal.name, tuple(steps.items()), tuple(goal.subbands()), elapsed_s, final - final_before, goal.lines()
    )  # fmt: skip


@contextmanager
def _screen(goal: Goal) -> Iterator[Callable[[], None]]:
    started = time.monotonic()
    before = view(goal, 0.0, 0).final

    def current() -> View:
        return view(goal, time.monotonic() - started, before)

    console = Console(stderr=True)
    if console.is_terminal:
        with Live(picture(current()), console=console, auto_refresh=False) as live:
            yield _Paced(lambda: live.update(picture(current()), refresh=True), goal.pause_s)
            live.update(picture(current()), refresh=True)
    else:
        yield _Lines(current)


class _Paced:
    """Shows when the last look is no longer good."""

    def __init__(self, show: Callable[[], None], pause_s: float) -> None:
        self._show = show
        self._pause_s = pause_s
        self._next = 0.0

    def __call__(self) -> None:
        if time.monotonic() >= self._next:
            self._show()
            self._next = time.monotonic() + self._pause_s


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
    below = [Text(line, overflow="ellipsis", no_wrap=True) for line in seen.lines]
    return Group(Text(seen.name, "bold underline"), *below, table, steps, Text(seen.pace), legend)


def _step_row(step: str, counts: Mapping[JobState, int]) -> list[Any]:
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
