"""Placement in a model of three T1 and five T2, against placement that does not look where the data lie."""

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from lofargrid.decisions.placement import BY_DATA, Policy
from lofargrid.rehearsal import lofar
from lofargrid.rehearsal.peers import BLIND_TO_DATA
from lofargrid.rehearsal.rehearsal import Outcome, Rehearsal
from lofargrid.simulation.grid import Grid

pytestmark = pytest.mark.service
HOMES = ["T1-1", "T1-2", "T1-3"]


def rehearse(
    policy: Policy, observations: int, seed: int = 1, slots: int = 60, headroom: float = 4.0
) -> tuple[Grid, Outcome]:
    """Links carry ``headroom`` times what we may use of them: with 1 nobody can fill them beyond it."""
    recipes = lofar.campaign(observations, HOMES, subbands=120, size_bytes=32 * lofar.GB)
    grid = lofar.with_files(Grid(lofar.sites(slots=slots), seed, work=lofar.WORK, headroom=headroom), recipes)
    with tempfile.TemporaryDirectory() as folder:
        rehearsal = Rehearsal(grid, Path(folder) / "tracker.db", policy=policy)
        rehearsal.enter(recipes)
        outcome = rehearsal.run(timedelta(days=30))
        rehearsal.close()
    assert outcome.ended
    return grid, outcome


def bytes_read(grid: Grid, here: bool) -> float:
    """What attempts read from storage of their own site, or from another one's."""
    links = (grid.network.local if here else grid.network.wide).values()
    return sum(sum(link.moved_mb.values()) for link in links)


def test_while_slots_are_free_nearly_all_is_read_at_its_own_t1() -> None:
    grid, _ = rehearse(BY_DATA, observations=1, slots=150)
    local, remote = bytes_read(grid, here=True), bytes_read(grid, here=False)
    print(f"read at its own site: {local / (local + remote):.1%}")
    assert local / (local + remote) >= 0.95


def test_no_link_is_filled_beyond_what_we_may_use_in_any_60_s() -> None:
    for seed in range(3):
        grid, _ = rehearse(BY_DATA, observations=12, seed=seed)
        for name, link in grid.network.wide.items():
            if name:
                assert link.busiest_mb_s <= grid.sites[name].bandwidth_mb_s, name


def test_data_goes_to_t2s_when_the_t1s_are_full() -> None:
    grid, _ = rehearse(BY_DATA, observations=12)
    at_t2 = sum(one.succeeded for one in grid.measure.attempts if one.site.startswith("T2"))
    assert at_t2 > 0.1 * len(grid.measure.attempts)


def test_it_is_at_least_30_percent_sooner_than_placement_blind_to_data() -> None:
    _, ours = rehearse(BY_DATA, observations=12, headroom=1.0)
    _, blind = rehearse(BLIND_TO_DATA, observations=12, headroom=1.0)
    print(f"makespan {ours.makespan_s / 3600:.1f} h, blind {blind.makespan_s / 3600:.1f} h")
    assert ours.makespan_s <= 0.7 * blind.makespan_s
