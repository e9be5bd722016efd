"""Small campaigns drawn from a seed: the same from the same, and able to end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lofargrid.documents.sites import site_of
from lofargrid.rehearsal.scenario import grid_of, scenario
from lofargrid.simulation.faults import Faults, Flaw
from lofargrid.storage.base import Locality

SEEDS = range(30)


def test_the_same_seed_draws_the_same_campaign_and_another_one_another() -> None:
    one, same, other = scenario(3), scenario(3), scenario(4)
    assert (one.sites, one.faults, one.crash_chance) == (same.sites, same.faults, same.crash_chance)
    assert [recipe.hash for recipe in one.recipes] == [recipe.hash for recipe in same.recipes]
    assert [recipe.hash for recipe in one.recipes] != [recipe.hash for recipe in other.recipes]


def test_calm_is_the_same_campaign_with_nothing_going_wrong() -> None:
    one, calm = scenario(3), scenario(3, calm=True)
    assert [recipe.hash for recipe in one.recipes] == [recipe.hash for recipe in calm.recipes]
    assert calm.sites == one.sites
    assert (calm.faults, calm.crash_chance) == (Faults.none(), 0.0)
    assert one.faults != Faults.none()


def test_seeds_differ_in_all_that_matters() -> None:
    scenes = [scenario(seed) for seed in SEEDS]
    pipelines = {recipe.pipeline.pipeline for scene in scenes for recipe in scene.recipes}
    assert pipelines == {"single", "bands", "calibrated"}
    assert {recipe.gaps for scene in scenes for recipe in scene.recipes} == {"flag", "skip", "fail"}
    assert {len(scene.recipes) for scene in scenes} == {1, 2, 3}
    assert len({scene.crash_chance for scene in scenes}) > 2
    assert {site.slots == 0 for scene in scenes for site in scene.sites.values()} == {True, False}
    assert {site.tape for scene in scenes for site in scene.sites.values()} == {True, False}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_input_lies_at_a_t1_and_some_site_can_run_every_job(seed: int) -> None:
    scene = scenario(seed)
    for recipe in scene.recipes:
        assert {scene.sites[site_of(one.url, scene.sites)].tier for one in recipe.subbands} == {1}
        assert len({one.url for one in recipe.subbands}) == len(recipe.subbands)
        granted = [step.resources for step in recipe.steps.values()]
        able = [
            site
            for site in scene.sites.values()
            if site.slots
            and all(one.memory_mb <= site.memory_mb and one.walltime_min <= site.walltime_min for one in granted)
        ]
        assert able


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_the_files_lie_where_they_are_listed_on_tape_where_there_is_one(seed: int) -> None:
    scene = scenario(seed, calm=True)
    grid = grid_of(scene, seed)
    files = {file.url: file for file in grid.files.all()}
    assert set(files) == {one.url for recipe in scene.recipes for one in recipe.subbands}
    for recipe in scene.recipes:
        for one in recipe.subbands:
            file = files[one.url]
            assert file.size_bytes == one.size_bytes
            assert (file.locality is not Locality.ONLINE) == scene.sites[file.site].tape


def test_bad_files_are_drawn_where_the_campaign_has_them() -> None:
    scene = scenario(3)
    grid = grid_of(replace(scene, faults=Faults(bad_files=1.0)), 3)
    assert set(grid.files.flaws) == {one.url for recipe in scene.recipes for one in recipe.subbands}
    assert set(grid.files.flaws.values()) <= set(Flaw)
