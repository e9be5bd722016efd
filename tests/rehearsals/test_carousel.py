"""A rolling window over tapes: never above its size, no job before its file, as fast as tapes or nodes allow.

Small ones here; ten observations of 244 files, and twenty seeds of all faults, in `make soak`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lofargrid.engine.recalling import PATIENCE_S
from tests.rehearsals.carousel import DRIVERS, FAULTY, JOB_S, LIBRARY, Ride, as_many_told, ride

SEEDS = os.environ.get("LOFARGRID_CAROUSEL_SEEDS", "")
WINDOW_TB = 20.0 if SEEDS else 2.5
LARGE: dict[str, Any] = {"observations": 10, "subbands": 244}
SMALL: dict[str, Any] = {"observations": 3, "subbands": 40, "library": replace(LIBRARY, files_per_cartridge=5)}
SIZE = {**(LARGE if SEEDS else SMALL), "window_tb": WINDOW_TB}
# Before the first job begins, and after the last file has come; of a large one it is not worth counting.
FILL_S = 0.0 if SEEDS else LIBRARY.mount_s + JOB_S
FAULTS_S = 0.0 if SEEDS else PATIENCE_S + 3600.0
"""A small one is as good as over when a request that hangs is made again."""


@pytest.fixture(autouse=True)
def _as_real_services() -> Iterator[None]:
    with as_many_told(400):
        yield


def is_kept(one: Ride) -> None:
    """The window, and what a request and all of them together may ask for."""
    assert one.ended
    assert one.failed == one.unreadable, "what no tape brings fails, and nothing else"
    assert one.peak_tb <= WINDOW_TB
    assert one.most_files <= 1000
    assert one.most_tb <= 5
    assert one.most_asked <= 5000


@pytest.mark.parametrize("by", DRIVERS)
def test_files_come_as_fast_as_the_tapes_can_and_go_when_they_are_read(by: str) -> None:
    one = ride(0, by, **SIZE)
    is_kept(one)
    assert one.on_nearline == 0, "no job begins before its file is there"
    assert len(one.released_s) == one.jobs
    assert max(one.released_s) <= 60
    assert one.makespan_s <= 1.15 * one.bound_s + FILL_S


@pytest.mark.parametrize("seed", range(int(SEEDS or 2)))
def test_all_that_goes_wrong_is_survived_without_anybody(seed: int) -> None:
    one = ride(seed, faults=FAULTY, **SIZE)
    is_kept(one)
    assert one.makespan_s <= 1.5 * one.bound_s + FAULTS_S
