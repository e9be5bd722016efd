"""A trial: one seed's small campaign under fire, with every invariant checked. A failing seed is replayed by number.

``python -m lofargrid.rehearsal.trial 17`` replays seed 17 with its trace; ``--seeds 0:300`` runs many.
"""

import argparse
import random
import sys
import tempfile
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lofargrid.rehearsal.crash import Executioner
from lofargrid.rehearsal.invariants import Watch, check_end, describe
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.rehearsal.scenario import grid_of, scenario

_TOLD_EVERY = 500
MOST = timedelta(days=60)
_ZOMBIES = timedelta(days=12)


@dataclass(frozen=True)
class Trial:
    """How a seed went; ``problem`` is empty if every invariant held. ``digest`` is of its whole trace."""

    seed: int
    problem: str
    digest: str
    attempts: int
    crashes: int
    virtual_s: float


def run_trial(seed: int, keep_trace: bool = False, calm: bool = False) -> tuple[Trial, list[str]]:
    """Run one seed.

    Returns
    -------
    trial, trace
        How it went, and if asked for, every line of what happened.
    """
    scene = scenario(seed, calm)
    grid = grid_of(scene, seed, keep_trace)
    executioner = Executioner(scene.crash_chance, random.Random(f"{seed}:crashes"))
    watch = Watch(grid, [recipe.output for recipe in scene.recipes])
    problem = ""
    with tempfile.TemporaryDirectory(prefix="lofargrid-trial-") as folder:
        rehearsal = Rehearsal(grid, Path(folder) / "tracker.db", executioner=executioner, watch=watch)
        try:
            rehearsal.enter(scene.recipes)
            outcome = rehearsal.run(MOST)
            if not outcome.ended:
                problem = f"not at an end after {MOST.days} days; {'; '.join(outcome.troubles)}"
            else:
                _outlive_zombies(rehearsal)
                check_end(rehearsal.tracker, grid)
        except Exception as error:  # whatever a seed brings to light is told with its number, and the others go on
            problem = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        if problem and keep_trace:
            problem += f"\n{describe(rehearsal.tracker)}"
        rehearsal.close()
    trial = Trial(
        seed, problem, grid.trace.sha256, len(grid.measure.attempts), executioner.crashes, grid.clock.elapsed_s
    )  # fmt: skip
    return trial, grid.trace.lines if keep_trace else []


def _outlive_zombies(rehearsal: Rehearsal) -> None:
    """Let everything that still runs anywhere come to its end, and the engine clear up behind it."""
    until_s = rehearsal.grid.clock.elapsed_s + _ZOMBIES.total_seconds()
    while rehearsal.grid.clock.elapsed_s < until_s:
        rehearsal.tick()
        rehearsal.grid.backend.wait(6 * 3600.0)
    for _ in range(20):
        tick = rehearsal.tick()
        if tick and not tick.troubles and not tick.moves:
            return
        rehearsal.grid.backend.wait(600.0)


def _alone(seed: int) -> Trial:
    return run_trial(seed)[0]


def main(words: list[str] | None = None) -> int:
    """Run seeds; tell those that broke an invariant."""
    parser = argparse.ArgumentParser(prog="python -m lofargrid.rehearsal.trial", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="replay this seed and print its trace")
    parser.add_argument("--seeds", help="run a range, such as 0:300")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    given = parser.parse_args(words)
    if given.seed is not None:
        trial, lines = run_trial(given.seed, keep_trace=True)
        print("".join(lines), end="")
        print(trial.problem or f"seed {trial.seed}: every invariant held", file=sys.stderr)
        return int(bool(trial.problem))
    first, _, last = (given.seeds or "0:300").partition(":")
    return _many(range(int(first), int(last)), given.jobs)


def _trials(seeds: range, jobs: int) -> Iterator[Trial]:
    if jobs == 1:
        yield from map(_alone, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_alone, seeds, chunksize=4)


def _many(seeds: range, jobs: int) -> int:
    broken = attempts = crashes = 0
    for number, trial in enumerate(_trials(seeds, jobs)):
        if number and number % _TOLD_EVERY == 0:
            print(f"{number} seeds, {broken} broke an invariant", file=sys.stderr, flush=True)
        attempts += trial.attempts
        crashes += trial.crashes
        if trial.problem:
            broken += 1
            first = trial.problem.splitlines()[0]
            print(f"seed {trial.seed}: {first}\n  replay: python -m lofargrid.rehearsal.trial {trial.seed}")
    print(f"{len(seeds)} seeds, {attempts} attempts, {crashes} crashes of the engine: {broken} broke an invariant")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
