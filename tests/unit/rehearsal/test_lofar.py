"""A model of LOFAR's sites and campaigns."""

from __future__ import annotations

from collections import Counter

from lofargrid.documents.sites import site_of
from lofargrid.productions.jobs import plan
from lofargrid.rehearsal import lofar
from lofargrid.simulation.grid import Grid
from tests.unit.factories import at


def test_t1s_have_fat_links_and_t2s_thin_ones() -> None:
    sites = lofar.sites(3, 5, slots=7)
    assert Counter(site.tier for site in sites.values()) == {1: 3, 2: 5}
    assert {site.slots for site in sites.values()} == {7}
    assert {site.tier: site.bandwidth_mb_s for site in sites.values()} == {1: 2000.0, 2: 125.0}


def test_the_observations_of_a_campaign_lie_on_the_archives_in_turn() -> None:
    sites = lofar.sites(3, 1)
    recipes = lofar.campaign(6, ["T1-1", "T1-2", "T1-3"], subbands=2)
    homes = [{site_of(one.url, sites) for one in recipe.subbands} for recipe in recipes]
    assert homes == [{"T1-2"}, {"T1-3"}, {"T1-1"}] * 2
    assert len({recipe.production for recipe in recipes}) == len({recipe.output for recipe in recipes}) == 6


def test_an_observation_makes_as_many_jobs_as_are_told() -> None:
    recipe = lofar.observation(1, "T1-1")
    places = {one.key: at(512 + one.number) for one in recipe.subbands}
    steps = Counter(job.step for job in plan(recipe, {"target": places}))
    assert steps == {"average": lofar.SUBBANDS, "band": 23, "image": 1}
    assert steps.total() == lofar.JOBS


def test_what_is_granted_is_about_twice_what_a_step_takes() -> None:
    recipe = lofar.observation(1, "T1-1")
    for name in ("average", "band"):
        cost, granted = lofar.WORK.steps[name], recipe.steps[name].resources
        seconds = cost.seconds + 16 * cost.seconds_per_gb
        assert 1.5 * seconds <= 60 * granted.walltime_min <= 4 * seconds


def test_the_files_of_recipes_are_placed_on_their_archives() -> None:
    recipes = lofar.campaign(2, ["T1-1"], subbands=3)
    grid = lofar.with_files(Grid(lofar.sites(1, 1)), recipes)
    assert Counter(file.site for file in grid.files.all()) == {"T1-1": 6}
    assert {file.size_bytes for file in grid.files.all()} == {16 * lofar.GB}


def test_unguarded_sites_differ_in_nothing_else() -> None:
    sites = lofar.sites(1, 1)
    bare = lofar.unguarded(sites)
    assert not any(site.guarded for site in bare.values())
    assert lofar.sites(1, 1) == sites
    assert {name: (site.slots, site.prefixes) for name, site in bare.items()} == {
        name: (site.slots, site.prefixes) for name, site in sites.items()
    }
