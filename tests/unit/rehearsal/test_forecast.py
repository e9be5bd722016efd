"""A forecast: the same for the same seed, and its figures add up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lofargrid.productions.jobs import plan
from lofargrid.rehearsal import lofar
from lofargrid.rehearsal.forecast import DEFAULT_BYTES, Forecast, Series, forecast, skeleton
from lofargrid.simulation.clock import BIN_S
from lofargrid.simulation.faults import Faults
from lofargrid.tracker import Tracker
from tests.unit.rehearsal.rehearsals import recipe

SITES = lofar.sites(1, 1, slots=3)
COPIED = SITES | {"T1-1": replace(SITES["T1-1"], slots=0)}


def told(seed: int = 1, sites: dict[str, lofar.Site] = SITES, faults: Faults | None = None) -> Forecast:
    return forecast([recipe(6)], sites, lofar.WORK.steps, seed, faults)


def test_the_same_seed_gives_the_same_forecast_and_another_one_another() -> None:
    assert told(7) == told(7)
    assert told(7).makespan_s != told(8).makespan_s


def test_every_job_is_counted_where_it_succeeded_and_what_failed_is_wasted() -> None:
    calm, hard = told(), told(faults=Faults(evicted=0.3))
    assert calm.ended
    assert calm.jobs == calm.attempts == sum(calm.jobs_at.values()) == 6 + 3 + 1
    assert calm.wasted_core_hours == 0
    assert hard.jobs == sum(hard.jobs_at.values()) == 10 < hard.attempts
    assert 0 < hard.wasted_core_hours < hard.core_hours


def area(one: Series) -> float:
    """The sum of a step function over its hours."""
    pairs = zip(one.points, one.points[1:], strict=False)
    return sum(value * (end - begin) for (begin, value), (end, _) in pairs)


def test_the_jobs_that_run_add_up_to_the_core_hours() -> None:
    found = told(faults=Faults(evicted=0.3))
    assert sum(area(one) for one in found.running) == pytest.approx(found.core_hours)
    for one in found.running:
        assert max(value for _, value in one.points) <= SITES[one.name].slots
        assert one.points[-1][1] == 0


def test_the_load_of_a_link_adds_up_to_what_it_carried() -> None:
    found = told(sites=COPIED)
    assert set(found.wide_tb) == {"T1-1", "T2-1"} == set(found.wide_mb_s) == set(found.cap_mb_s)
    assert found.wide_tb["T1-1"] >= 6 * 0.016
    for one in found.links:
        assert sum(rate * BIN_S for _, rate in one.points) / 1e6 == pytest.approx(found.wide_tb[one.name])
        assert max(rate for _, rate in one.points) == pytest.approx(found.wide_mb_s[one.name])
        assert one.points[-1][1] == 0


def test_where_all_is_read_at_home_no_link_carries_anything() -> None:
    found = forecast([recipe(2)], SITES, lofar.WORK.steps, 1)
    assert (found.wide_tb, found.links) == ({}, ())


def test_scratch_is_taken_and_given_back() -> None:
    found = told()
    assert {one.name for one in found.scratch} == set(found.peak_scratch_bytes)
    for one in found.scratch:
        assert 0 < max(value for _, value in one.points) <= found.peak_scratch_bytes[one.name]
        assert one.points[-1][1] == 0


def test_an_input_of_unknown_size_is_as_large_as_subbands_usually_are() -> None:
    known = recipe(2)
    unsized = replace(known, subbands=tuple(replace(one, size_bytes=None) for one in known.subbands))
    found = forecast([unsized], COPIED, lofar.WORK.steps, 1)
    assert found.wide_tb["T1-1"] == pytest.approx(2 * DEFAULT_BYTES / 1e12)


def test_what_no_site_can_run_is_told_and_does_not_hang() -> None:
    small = {name: replace(site, memory_mb=500) for name, site in SITES.items()}
    found = forecast([recipe()], small, lofar.WORK.steps, 1, period_s=1200.0)
    assert (found.ended, found.attempts) == (False, 0)
    assert "memory" in found.troubles[0]


def test_who_looks_is_shown_the_tracker_and_the_virtual_time() -> None:
    shown: list[float] = []

    def show(tracker: Tracker, elapsed_s: float) -> None:
        assert tracker.production("l654001-field")
        shown.append(elapsed_s)

    found = forecast([recipe()], SITES, lofar.WORK.steps, 1, show=show, period_s=120.0)
    assert shown == sorted(shown)
    assert shown[-1] == pytest.approx(found.makespan_s, abs=240)


def test_a_skeleton_plans_the_same_jobs_without_what_only_payloads_read() -> None:
    whole = replace(recipe(), templates={"average/a.parset": "x"})
    bare = skeleton(whole, "simulated")
    assert bare.templates == {}
    assert bare.backend == "simulated"
    for name, step in bare.steps.items():
        assert (step.files, step.checks, step.commands) == ({}, {}, [["rehearse"]])
        assert step.resources == whole.steps[name].resources
        assert {key: one.product for key, one in step.outputs.items()} == {
            key: one.product for key, one in whole.steps[name].outputs.items()
        }
    assert [job.name for job in plan(bare, {})] == [job.name for job in plan(whole, {})]
