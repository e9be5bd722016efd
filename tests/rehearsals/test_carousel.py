"""A rolling window over tapes: never above its size, no job before its file, as fast as tapes or nodes allow.

The full size, ten observations of 244 files, rides in `make soak`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.rehearsals.carousel import DRIVERS, FAULTY, JOB_S, LIBRARY, Ride, as_many_told, ride

SEEDS = int(os.environ.get("LOFARGRID_CAROUSEL_SEEDS", 0))
SMALL: dict[str, Any] = {
    "observations": 3,
    "subbands": 40,
    "window_tb": 2.5,
    "library": replace(LIBRARY, files_per_cartridge=5),
}
FILL_S = LIBRARY.mount_s + JOB_S
"""Before the first job begins, and after the last file has come."""


@pytest.fixture(autouse=True)
def _as_real_services() -> Iterator[None]:
    with as_many_told(400):
        yield


def is_kept(one: Ride, window_tb: float) -> None:
    """The window, and what a request and all of them together may ask for."""
    assert one.ended
    assert one.failed == one.unreadable, "what no tape brings fails, and nothing else"
    assert one.peak_tb <= window_tb
    assert one.most_files <= 1000
    assert one.most_tb <= 5
    assert one.most_asked <= 5000


def rolls(one: Ride, window_tb: float) -> None:
    """Nothing goes wrong."""
    is_kept(one, window_tb)
    assert one.on_nearline == 0, "no job begins before its file is there"
    assert len(one.released_s) == one.jobs
    assert max(one.released_s) <= 60


@pytest.mark.parametrize("by", DRIVERS)
def test_files_come_as_fast_as_the_tapes_can_and_go_when_they_are_read(by: str) -> None:
    one = ride(0, by, **SMALL)
    rolls(one, SMALL["window_tb"])
    assert one.makespan_s <= 1.15 * one.bound_s + FILL_S


@pytest.mark.parametrize("seed", range(2))
def test_all_that_goes_wrong_is_survived_without_anybody(seed: int) -> None:
    is_kept(ride(seed, faults=FAULTY, **SMALL), SMALL["window_tb"])


@pytest.mark.skipif(not SEEDS, reason="of full size: make soak")
@pytest.mark.parametrize("by", DRIVERS)
def test_ten_observations_take_little_longer_than_tapes_and_nodes_must(by: str) -> None:
    one = ride(0, by)
    rolls(one, 20.0)
    assert one.ratio <= 1.15


@pytest.mark.parametrize("seed", range(SEEDS))
def test_ten_observations_take_not_much_longer_with_all_faults_at_once(seed: int) -> None:
    one = ride(seed, faults=FAULTY)
    is_kept(one, 20.0)
    assert one.ratio <= 1.5
