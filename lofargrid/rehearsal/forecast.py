"""A forecast: productions rehearsed before they are run, and what they will take."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from lofargrid.model import Site
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal.rehearsal import PERIOD_S, Outcome, Rehearsal
from lofargrid.simulation.clock import BIN_S
from lofargrid.simulation.faults import Faults
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.tape import Library
from lofargrid.simulation.work import StepCost, Work
from lofargrid.states import JobState
from lofargrid.tracker import Tracker

MOST = timedelta(days=400)
DEFAULT_BYTES = 16_000_000_000


@dataclass(frozen=True)
class Series:
    """A quantity over time: pairs of hours since the start and value."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Forecast:
    """What a rehearsal took. Times in seconds, link loads in MB/s (means over 60 s), storage in bytes.

    ``failed`` jobs failed for good, with those that needed them. ``wide_mb_s`` is the most that each site's wide-area
    link carried, ``cap_mb_s`` what we may use of it, ``tape_tb`` what was recalled at each site; where a site has
    tapes, all its files are on them when it begins.
    """

    seed: int
    ended: bool
    makespan_s: float
    jobs: int
    failed: int
    attempts: int
    core_hours: float
    wasted_core_hours: float
    jobs_at: Mapping[str, int]
    wide_mb_s: Mapping[str, float]
    cap_mb_s: Mapping[str, float]
    wide_tb: Mapping[str, float]
    peak_scratch_bytes: Mapping[str, int]
    tape_tb: Mapping[str, float]
    running: tuple[Series, ...]
    links: tuple[Series, ...]
    scratch: tuple[Series, ...]
    tape: tuple[Series, ...]
    troubles: tuple[str, ...] = ()


def forecast(
    recipes: Sequence[Recipe],
    sites: Mapping[str, Site],
    steps: Mapping[str, StepCost],
    seed: int,
    faults: Faults | None = None,
    show: Callable[[Tracker, float], None] = lambda tracker, elapsed_s: None,
    period_s: float = PERIOD_S,
) -> Forecast:
    """Rehearse productions.

    Parameters
    ----------
    recipes
        The productions.
    sites
        Where their jobs may run and their data lie.
    steps
        What steps take, by name.
    seed
        Everything random comes from it.
    faults
        What goes wrong; nothing if not given.
    show
        Called now and then with the tracker and the virtual seconds that have passed.
    period_s
        Virtual seconds between two ticks.
    """
    libraries = {name: Library() for name, site in sites.items() if site.tape}
    grid = Grid(sites, seed, faults or Faults.none(), Work(steps), libraries)
    for recipe in recipes:
        for one in recipe.subbands:
            grid.add_file(one.url, one.size_bytes or DEFAULT_BYTES, on_tape=True)
    held: dict[str, list[tuple[float, float]]] = {name: [] for name in sites}

    def watch(tracker: Tracker) -> None:
        hours = grid.clock.elapsed_s / 3600
        for name, points in held.items():
            value = float(grid.files.held_bytes.get(name, 0))
            if not points or points[-1][1] != value:
                points.append((hours, value))
        show(tracker, grid.clock.elapsed_s)

    with tempfile.TemporaryDirectory(prefix="lofargrid-sim-") as folder:
        rehearsal = Rehearsal(grid, Path(folder) / "tracker.db", watch=watch)
        rehearsal.enter([skeleton(one, grid.backend.name) for one in recipes])
        outcome = rehearsal.run(MOST, period_s)
        states = _states(rehearsal.tracker)
        rehearsal.close()
    return _summary(grid, seed, outcome, states, held)


def _states(tracker: Tracker) -> Counter[JobState]:
    """How many jobs of all productions are in which state."""
    found: Counter[JobState] = Counter()
    for production in tracker.productions():
        for states in tracker.counts(production.id).values():
            found.update(states)
    return found


def skeleton(recipe: Recipe, backend: str) -> Recipe:
    """The recipe without what only its payloads read: no tool runs in a rehearsal, and no check measures anything."""
    steps = {
        name: step.model_copy(
            update={
                "commands": [["rehearse"]],
                "files": {},
                "checks": {},
                "outputs": {
                    key: output.model_copy(update={"path": f"out/{key}"}) for key, output in step.outputs.items()
                },
            }
        )
        for name, step in recipe.pipeline.steps.items()
    }
    return replace(recipe, pipeline=recipe.pipeline.model_copy(update={"steps": steps}), backend=backend, templates={})


def _summary(
    grid: Grid, seed: int, outcome: Outcome, states: Counter[JobState],
    held: Mapping[str, Sequence[tuple[float, float]]],
) -> Forecast:  # fmt: skip
    measure = grid.measure
    at: dict[str, int] = {}
    for one in measure.attempts:
        at[one.site] = at.get(one.site, 0) + one.succeeded
    wide = {name: link for name, link in grid.network.wide.items() if name and link.moved_mb}
    return Forecast(
        seed=seed,
        ended=outcome.ended,
        makespan_s=outcome.makespan_s,
        jobs=states.total(),
        failed=states[JobState.FAILED],
        attempts=len(measure.attempts),
        core_hours=measure.used_core_s / 3600,
        wasted_core_hours=measure.wasted_core_s_in_all / 3600,
        jobs_at=dict(sorted(at.items())),
        wide_mb_s={name: link.busiest_mb_s for name, link in wide.items()},
        cap_mb_s={name: grid.sites[name].bandwidth_mb_s for name in wide},
        wide_tb={name: sum(link.moved_mb.values()) / 1e6 for name, link in wide.items()},
        peak_scratch_bytes={name: size for name, size in sorted(grid.files.peak_bytes.items()) if name},
        tape_tb={name: sum(tape.recalled_mb.values()) / 1e6 for name, tape in grid.tapes.items() if tape.recalled_mb},
        running=tuple(_running(grid, name) for name in sorted(at)),
        links=tuple(_rates(name, link.moved_mb) for name, link in wide.items()),
        tape=tuple(_rates(name, tape.recalled_mb) for name, tape in grid.tapes.items() if tape.recalled_mb),
        scratch=tuple(Series(name, tuple(points)) for name, points in held.items() if len(points) > 1),
        troubles=outcome.troubles,
    )


def _running(grid: Grid, site: str) -> Series:
    steps: dict[float, int] = {}
    for one in grid.measure.attempts:
        if one.site == site:
            steps[one.started_s] = steps.get(one.started_s, 0) + 1
            steps[one.ended_s] = steps.get(one.ended_s, 0) - 1
    points, level = [], 0
    for seconds in sorted(steps):
        level += steps[seconds]
        points.append((seconds / 3600, float(level)))
    return Series(site, tuple(points))


def _rates(name: str, moved_mb: Mapping[int, float]) -> Series:
    last = max(moved_mb)
    return Series(name, tuple((number * BIN_S / 3600, moved_mb.get(number, 0.0) / BIN_S) for number in range(last + 2)))
