"""A rehearsal: until all has ended, nothing can move, or the time is over."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from lofargrid.model import Site
from lofargrid.rehearsal.crash import Executioner
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.states import JobState
from lofargrid.tracker import Tracker
from tests.unit.rehearsal.rehearsals import BANDS, recipe, rehearsal


def test_it_runs_until_all_has_ended_and_tells_when(tmp_path: Path) -> None:
    ticks: list[int] = []
    one = rehearsal(tmp_path, watch=lambda tracker: ticks.append(tracker.id is not None))
    outcome = one.run(timedelta(days=2))
    assert (outcome.ended, outcome.crashes, outcome.troubles) == (True, 0, ())
    assert outcome.ticks == len(ticks)
    assert outcome.makespan_s == one.grid.clock.elapsed_s
    one.close()


def test_it_stops_when_the_time_is_over(tmp_path: Path) -> None:
    one = rehearsal(tmp_path)
    outcome = one.run(timedelta(minutes=5))
    assert not outcome.ended
    assert 300 <= outcome.makespan_s < 400
    one.close()


def test_it_stops_when_nothing_can_move_and_tells_what_troubles(tmp_path: Path) -> None:
    one = rehearsal(tmp_path, recipe(sites="T2-9"))
    outcome = one.run(timedelta(days=30), period_s=3600.0)
    assert not outcome.ended
    assert outcome.troubles
    assert outcome.makespan_s < timedelta(hours=1).total_seconds(), "when the last thing moved"
    one.close()


def test_a_process_that_dies_begins_anew_and_loses_nothing(tmp_path: Path) -> None:
    executioner = Executioner(0.01, random.Random(1))
    lives: list[Tracker] = []  # kept, so that no two have one id
    one = rehearsal(tmp_path, executioner=executioner, watch=lives.append)
    lives.append(one.tracker)
    outcome = one.run(timedelta(days=2))
    assert outcome.ended
    assert outcome.crashes == executioner.crashes > 3
    assert len({id(tracker) for tracker in lives}) == outcome.crashes + 1
    states = one.tracker.counts(1)
    assert {name: dict(counts) for name, counts in states.items()} == {
        "average": {JobState.SUCCEEDED: 4}, "band": {JobState.SUCCEEDED: 2}, "image": {JobState.SUCCEEDED: 1},
    }  # fmt: skip
    one.close()


def test_a_tick_in_which_the_process_died_tells_nothing(tmp_path: Path) -> None:
    one = rehearsal(tmp_path, executioner=Executioner(1.0, random.Random(1)))
    assert one.tick() is None
    one.close()


def test_what_failed_is_tried_again_as_the_operator_would(tmp_path: Path) -> None:
    one = rehearsal(tmp_path, recipe(minimum_subbands=0.5))
    bad = one.grid.files.all()[0].url
    one.grid.files.remove(bad)
    assert one.run(timedelta(days=10)).ended
    assert [job.name for job in one.tracker.jobs(1, [JobState.FAILED])] == ["L654001-SAP000-SB100-average"]
    one.grid.add_file(bad, 16 * 10**9)
    one.retry_failed()
    assert one.run(timedelta(days=10)).ended
    assert one.tracker.jobs(1, [JobState.FAILED]) == []
    assert {job.name for job in one.tracker.jobs(1) if job.stale} == {BANDS[0]}
    one.close()


@pytest.mark.parametrize("name", BANDS)
def test_products_stand_where_the_recipe_says(tmp_path: Path, name: str) -> None:
    one = rehearsal(tmp_path)
    one.run(timedelta(days=2))
    file = one.grid.files.get(f"davs://archive.example/products/L654001/{name}.MS")
    assert file
    assert file.complete
    one.close()


def test_what_is_made_at_a_site_without_scratch_comes_to_this_machine() -> None:
    assert Rehearsal.scratch(recipe(), Site("T2-9")) == "file:///scratch/l654001-field"
    assert (
        Rehearsal.scratch(recipe(), Site("T2-9", scratch="davs://t2.example/s/")) == "davs://t2.example/s/l654001-field"
    )
