"""A probe of three subbands tells how long a campaign takes; and ten thousand jobs are soon rehearsed."""

import os
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lofargrid.model import Site
from lofargrid.recipes.probing import probe_of
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal import costs, lofar
from lofargrid.rehearsal.costs import Measured
from lofargrid.rehearsal.forecast import forecast
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.simulation.faults import Faults
from lofargrid.simulation.grid import Grid

pytestmark = pytest.mark.service
SEEDS = int(os.environ.get("LOFARGRID_FORECASTS", "10"))
TRUTH = Faults(evicted=0.01, dying_nodes=0.01, black_holes=0.01, payload_crashed=0.005, storage_down_a_day=0.1)
PERIOD_S = 120.0


def probed(recipe: Recipe, sites: dict[str, Site], seed: int) -> list[Measured]:
    """What three subbands took that truly ran."""
    probe = probe_of(recipe, 3)
    grid = lofar.with_files(Grid(sites, seed, work=lofar.WORK), [probe])
    with tempfile.TemporaryDirectory() as folder:
        rehearsal = Rehearsal(grid, Path(folder) / "tracker.db")
        rehearsal.enter([probe])
        assert rehearsal.run(timedelta(days=5)).ended
        seen = costs.measured(rehearsal.tracker, rehearsal.tracker.productions()[0].id)
        rehearsal.close()
    return seen


def true_makespan_s(recipes: list[Recipe], sites: dict[str, Site], seed: int) -> float:
    grid = lofar.with_files(Grid(sites, seed, TRUTH, lofar.WORK, speed_spread=0.1), recipes)
    with tempfile.TemporaryDirectory() as folder:
        rehearsal = Rehearsal(grid, Path(folder) / "tracker.db")
        rehearsal.enter(recipes)
        outcome = rehearsal.run(timedelta(days=30), PERIOD_S)
        rehearsal.close()
    assert outcome.ended
    return outcome.makespan_s


def test_a_probe_of_three_subbands_predicts_the_makespan() -> None:
    sites = lofar.sites(3, 2, slots=20)
    recipes = lofar.campaign(6, ["T1-1", "T1-2", "T1-3"], subbands=80)
    errors = []
    for seed in range(1, SEEDS + 1):
        steps = costs.costs(recipes[0], probed(recipes[0], sites, seed))
        predicted = forecast(recipes, sites, steps, seed + 1000, period_s=PERIOD_S).makespan_s
        errors.append(predicted / true_makespan_s(recipes, sites, seed) - 1)
    good = sum(abs(error) <= 0.2 for error in errors)
    print("errors: " + " ".join(f"{error:+.0%}" for error in errors), f"{good} of {SEEDS} within 20 %")
    assert good >= 0.9 * SEEDS


def test_without_a_probe_half_of_what_the_pipeline_grants_is_taken() -> None:
    [recipe] = lofar.campaign(1, ["T1-1"], subbands=20)
    told = forecast([recipe], lofar.sites(1, 1, slots=10), costs.costs(recipe, []), seed=1)
    assert told.ended
    assert told.jobs == told.attempts == 20 + 2 + 1
    assert set(told.jobs_at) <= {"T1-1", "T2-1"}


def test_a_production_that_no_site_can_run_is_told_and_does_not_hang() -> None:
    [recipe] = lofar.campaign(1, ["T1-1"], subbands=2)
    small = {name: replace(site, memory_mb=500) for name, site in lofar.sites(1, 1).items()}
    told = forecast([recipe], small, costs.costs(recipe, []), seed=1)
    assert not told.ended
    assert "memory" in told.troubles[0]
