"""Small campaigns with everything going wrong: nothing is lost, nothing is done twice, whatever dies."""

import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from lofargrid.rehearsal.trial import Trial, run_trial

pytestmark = pytest.mark.service
SEEDS = int(os.environ.get("LOFARGRID_SEEDS", "300"))
PROCESSES = int(os.environ.get("LOFARGRID_PROCESSES", "1"))


def trial(seed: int) -> Trial:
    return run_trial(seed)[0]


def test_every_invariant_holds_in_every_seed() -> None:
    if PROCESSES > 1:
        with ProcessPoolExecutor(PROCESSES) as pool:
            trials = list(pool.map(trial, range(SEEDS), chunksize=4))
    else:
        trials = [trial(seed) for seed in range(SEEDS)]
    broken = [f"python -m lofargrid.rehearsal.trial {one.seed}: {one.problem}" for one in trials if one.problem]
    assert not broken, "\n".join(broken)
    attempts, crashes = sum(one.attempts for one in trials), sum(one.crashes for one in trials)
    print(f"{len(trials)} seeds, {attempts} attempts, {crashes} crashes of the engine")
    assert crashes > len(trials), "the engine died too seldom for this to mean anything"


@pytest.mark.parametrize("seed", [3, 14, 159])
def test_one_seed_is_one_trace_to_the_byte(seed: int) -> None:
    (one, first), (other, second) = run_trial(seed, keep_trace=True), run_trial(seed, keep_trace=True)
    assert first == second
    assert one.digest == other.digest


def test_another_seed_is_another_trace() -> None:
    assert trial(3).digest != trial(4).digest


def test_a_calm_grid_makes_everything_at_the_first_try() -> None:
    one, _ = run_trial(5, calm=True)
    assert one.problem == ""
