"""What a job asks of a site, and what it may grow to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lofargrid.decisions.demands import LESSON_JOBS, demand_of, growth, lesson, most_of
from lofargrid.documents.pipelines import Step
from lofargrid.model import Demand, Site, Source
from tests.unit.factories import AVERAGE, job, pipeline

SITES = {
    name: Site(name, slots=10, prefixes=(f"davs://{name}.example/data",), scratch=f"davs://{name}.example/scratch")
    for name in ("surf", "psnc")
}
ASKED = Demand(cores=4, memory_mb=16000, walltime_min=300, scratch_mb=1000)


def step(**resources: Any) -> Step:
    return pipeline({"average": {**AVERAGE, "resources": resources}}).steps["average"]


def source(url: str, size_bytes: int | None = 1_000_000) -> Source:
    return Source("key", url, size_bytes)


# What it asks for


def test_a_job_asks_for_its_steps_resources_and_for_scratch_by_the_size_of_its_inputs() -> None:
    given = {"raw": [source("davs://surf.example/data/a", 3_000_000)], "sky": [source("davs://surf.example/data/b")]}
    demand = demand_of(job(), step(cores=4, memory_mb=8000, walltime_min=90, scratch_factor=2.5), given, SITES)
    assert demand == Demand(4, 8000, 90, 10, {"surf": 4_000_000})


def test_a_job_that_has_grown_asks_for_what_it_has_grown_to() -> None:
    grown = {"memory_mb": 32000, "walltime_min": 120.0, "scratch_mb": 77}
    demand = demand_of(job(grown=grown), step(memory_mb=8000), {}, SITES)
    assert (demand.memory_mb, demand.walltime_min, demand.scratch_mb) == (32000, 120.0, 77)


def test_inputs_count_at_the_site_that_holds_them_be_it_archive_or_scratch() -> None:
    urls = ["davs://surf.example/data/a", "davs://surf.example/scratch/b", "davs://psnc.example/data/c", "file:///d"]
    demand = demand_of(job(), step(), {"raw": [source(url) for url in urls]}, SITES)
    assert demand.bytes_at == {"surf": 2_000_000, "psnc": 1_000_000, "": 1_000_000}
    assert demand.home == "surf"


def test_an_input_of_unknown_size_has_a_place_but_no_bytes() -> None:
    demand = demand_of(job(), step(), {"raw": [source("davs://psnc.example/data/c", None)]}, SITES)
    assert (demand.bytes_at, demand.home, demand.scratch_mb) == ({"psnc": 0}, "psnc", 0)


def test_a_job_without_inputs_is_at_home_nowhere() -> None:
    assert demand_of(job(), step(), {}, SITES).home == ""


# Growth


def test_only_what_has_changed_is_growth() -> None:
    assert growth(ASKED, ASKED) == {}
    assert growth(ASKED, replace(ASKED, memory_mb=20000)) == {"memory_mb": 20000}
    more = replace(ASKED, walltime_min=600, scratch_mb=2000)
    assert growth(ASKED, more) == {"walltime_min": 600, "scratch_mb": 2000}


def test_what_has_grown_is_asked_for_the_next_time() -> None:
    before = demand_of(job(), step(), {}, SITES)
    wanted = replace(before, memory_mb=9999, walltime_min=99.5, scratch_mb=88)
    assert demand_of(job(grown=growth(before, wanted)), step(), {}, SITES) == wanted


def test_the_most_is_what_sites_grant_that_can_run_it_as_it_is() -> None:
    sites = [
        Site("big", slots=1, cores=8, memory_mb=64000, walltime_min=600, scratch_mb=2000),
        Site("long", slots=1, cores=4, memory_mb=16000, walltime_min=9000, scratch_mb=9000),
        Site("few cores", slots=1, cores=2, memory_mb=512_000, walltime_min=600, scratch_mb=2000),
        Site("short", slots=1, cores=8, memory_mb=512_000, walltime_min=60, scratch_mb=2000),
        Site("storage", slots=0, cores=8, memory_mb=512_000, walltime_min=600, scratch_mb=2000),
    ]
    assert most_of(sites, ASKED) == Demand(8, 64000, 9000, 9000)


def test_where_no_site_can_run_it_it_does_not_grow() -> None:
    assert most_of([], ASKED) == ASKED
    assert most_of([Site("small", slots=1, cores=1)], ASKED) == ASKED


# What others grew to


def test_when_many_jobs_of_a_step_had_to_grow_the_others_ask_for_the_middle_of_what_they_grew_to() -> None:
    grown = [{"memory_mb": memory} for memory in (4000, 16000, 8000)]
    assert lesson(grown, ended=5) == {"memory_mb": 8000}


def test_each_thing_is_learnt_by_itself() -> None:
    grown = [{"memory_mb": 4000}, {"memory_mb": 4000, "walltime_min": 90.0, "scratch_mb": 7}, {"memory_mb": 6000}]
    assert lesson(grown, ended=5) == {"memory_mb": 4000}
    assert lesson([{"walltime_min": 90.0}] * 3, ended=0) == {"walltime_min": 90.0}


def test_a_few_odd_ones_teach_nothing() -> None:
    assert lesson([{"memory_mb": 4000}] * (LESSON_JOBS - 1), ended=0) == {}
    assert lesson([{"memory_mb": 4000}] * LESSON_JOBS, ended=100) == {}
