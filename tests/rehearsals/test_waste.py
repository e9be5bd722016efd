"""Retry by cause: what it wastes, against three blind retries on the same seeds."""

import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from lofargrid.decisions.retry import RULES, Rule
from lofargrid.model import Site
from lofargrid.rehearsal import lofar
from lofargrid.rehearsal.peers import BLIND_RULES
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.simulation.faults import Faults
from lofargrid.simulation.grid import Grid
from lofargrid.states import Reason

pytestmark = pytest.mark.service
SEEDS = range(8)
FAULTS = Faults(
    black_holes=0.04, full_nodes=0.02, dying_nodes=0.04, bad_files=0.03, hungry_jobs=0.05, long_jobs=0.05,
    storage_down_a_day=1.0, software_down_a_day=0.5, evicted=0.02, payload_crashed=0.01, payload_hangs=0.01, held=0.01,
    repair_s=12 * 3600.0, horizon_s=12 * 3600.0,
)  # fmt: skip


def rehearse(seed: int, sites: dict[str, Site], rules: Mapping[Reason, Rule]) -> Grid:
    recipes = lofar.campaign(2, ["T1-1", "T1-2"], subbands=60)
    grid = lofar.with_files(Grid(sites, seed, FAULTS, lofar.WORK), recipes)
    with tempfile.TemporaryDirectory() as folder:
        rehearsal = Rehearsal(grid, Path(folder) / "tracker.db", rules=rules)
        rehearsal.enter(recipes)
        assert rehearsal.run(timedelta(days=30)).ended
        rehearsal.close()
    return grid


def test_retry_by_cause_wastes_a_third_of_what_blind_retries_waste_at_most() -> None:
    sites = lofar.sites(2, 2, slots=20)
    ours = blind = 0.0
    for seed in SEEDS:
        by_cause = rehearse(seed, sites, RULES).measure
        by_chance = rehearse(seed, lofar.unguarded(sites), BLIND_RULES).measure
        ours += by_cause.wasted_core_s_in_all
        blind += by_chance.wasted_core_s_in_all
        print(seed, round(by_cause.wasted_core_s_in_all), round(by_chance.wasted_core_s_in_all))
    print(f"wasted core-hours: {ours / 3600:.1f} by cause, {blind / 3600:.1f} blind, ratio {ours / blind:.2f}")
    assert ours <= blind / 3
