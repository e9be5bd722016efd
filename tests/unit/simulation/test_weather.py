from __future__ import annotations

import random
from itertools import pairwise

import pytest

from lofargrid.simulation.clock import Clock
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.streams import Streams
from lofargrid.simulation.trace import Trace
from lofargrid.simulation.weather import Weather, windows

DAY_S = 86400.0


def weather(clock: Clock, faults: Faults, seed: int = 1, sites: tuple[str, ...] = ("", "A", "B")) -> Weather:
    return Weather(clock, faults, sites, Streams(seed), Trace(lambda: clock.elapsed_s))


def test_windows_come_as_often_and_last_as_long_as_asked_and_never_overlap() -> None:
    found = list(windows(4.0, 900.0, 1000 * DAY_S, random.Random(5)))
    assert len(found) == pytest.approx(4000, rel=0.1)
    assert sum(end - begin for begin, end in found) / len(found) == pytest.approx(900.0, rel=0.1)
    assert all(before[1] < after[0] for before, after in pairwise(found))


def test_what_never_happens_has_no_windows() -> None:
    assert list(windows(0.0, 900.0, DAY_S, random.Random(5))) == []


def test_it_is_bad_from_the_beginning_of_a_window_to_its_end() -> None:
    clock = Clock()
    one = weather(clock, Faults.none())
    one.add(Cause.STORAGE_DOWN, "A", 100.0, 200.0)
    seen = []
    for moment in (99.0, 100.0, 199.0, 200.0):
        clock.advance(moment)
        seen.append(one.is_bad(Cause.STORAGE_DOWN, "A"))
    assert seen == [False, True, True, False]


def test_each_site_and_each_trouble_has_its_own() -> None:
    one = weather(Clock(), Faults(storage_down_a_day=5.0, storage_full_a_day=5.0, horizon_s=10 * DAY_S))
    drawn = [one.windows_of(cause, site) for cause in (Cause.STORAGE_DOWN, Cause.STORAGE_FULL) for site in ("A", "B")]
    assert all(drawn)
    assert len({tuple(each) for each in drawn}) == 4
    assert not one.windows_of(Cause.SOFTWARE_DOWN, "A")


def test_one_more_site_or_trouble_changes_nothing_for_the_others() -> None:
    few = weather(Clock(), Faults(storage_down_a_day=5.0))
    many = weather(Clock(), Faults(storage_down_a_day=5.0, service_down_a_day=9.0), sites=("", "A", "AA", "B"))
    assert few.windows_of(Cause.STORAGE_DOWN, "B") == many.windows_of(Cause.STORAGE_DOWN, "B")
    other = weather(Clock(), Faults(storage_down_a_day=5.0), seed=2)
    assert few.windows_of(Cause.STORAGE_DOWN, "B") != other.windows_of(Cause.STORAGE_DOWN, "B")


def test_the_submit_host_has_a_disk_and_no_software_on_nodes() -> None:
    one = weather(Clock(), Faults(storage_full_a_day=9.0, software_down_a_day=9.0, horizon_s=9 * DAY_S))
    assert one.windows_of(Cause.STORAGE_FULL, "")
    assert not one.windows_of(Cause.SOFTWARE_DOWN, "")
