"""A grid as LOFAR's, to measure placement and campaigns on: three T1, one of them without compute, and T2s."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lofargrid.model import Site, Subband
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal.scenario import PIPELINES, pipeline_of
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.work import StepCost, Work

GB = 10**9
SUBBANDS = 226
JOBS = 250
"""226 subbands, 23 bands of ten by frequency, one image."""


def _granted(step: str, memory_mb: int, walltime_min: int) -> dict[str, Any]:
    return {**PIPELINES["bands"][step], "resources": {"memory_mb": memory_mb, "walltime_min": walltime_min}}


# What the pipeline grants is about twice what its steps take, as careful authors do.
STEPS: Mapping[str, Any] = {
    "average": _granted("average", 3000, 60),
    "band": _granted("band", 3500, 90),
    "image": _granted("image", 8000, 120),
}
WORK = Work(
    {
        "average": StepCost(600, 60, 900, 50, 0.1, 0.15),
        "band": StepCost(600, 60, 900, 50, 0.9, 0.15),
        "image": StepCost(1800, 5, 1000, 10, 0.05, 0.15),
    }
)


def sites(t1: int = 3, t2: int = 5, slots: int = 120) -> dict[str, Site]:
    """Sites by name: T1s hold archives, T2s compute for whoever sends them data.

    We may use 16 Gbit/s of the link of a T1, 1 Gbit/s of that of a T2.
    """
    made = [site(f"T1-{number}", 1, slots, 2000.0) for number in range(1, t1 + 1)]
    made += [site(f"T2-{number}", 2, slots, 125.0) for number in range(1, t2 + 1)]
    return {one.name: one for one in made}


def site(name: str, tier: int, slots: int, bandwidth_mb_s: float) -> Site:
    """One site, with its archive's SURLs."""
    host = f"{name.lower()}.example"
    return Site(
        name=name,
        tier=tier,
        slots=slots,
        cores=8,
        memory_mb=16000,
        walltime_min=2880,
        prefixes=(f"srm://{host}:8443/lofar/",),
        scratch=f"davs://{host}:2880/scratch/lofargrid",
        transfers=100,
        bandwidth_mb_s=bandwidth_mb_s,
        stream_mb_s=50.0,
    )


def campaign(observations: int, homes: list[str], subbands: int = SUBBANDS, size_bytes: int = 16 * GB) -> list[Recipe]:
    """Observations of as many subbands each, one after the other on the archives of ``homes``."""
    return [
        observation(number, homes[number % len(homes)], subbands, size_bytes) for number in range(1, observations + 1)
    ]


def observation(number: int, home: str, subbands: int = SUBBANDS, size_bytes: int = 16 * GB) -> Recipe:
    """One observation, its subbands on one archive: each averaged, joined to bands of ten, imaged."""
    name, folder = f"L{654000 + number}", f"srm://{home.lower()}.example:8443/lofar"
    listed = tuple(
        Subband("target", name, 0, one, f"{folder}/{name}_SB{one:03d}_uv.MS_1a2b3c4d.tar", "list", one, size_bytes)
        for one in range(100, 100 + subbands)
    )
    return Recipe(
        production=f"{name.lower()}-field",
        pipeline=pipeline_of("bands", STEPS),
        parameters={"group_size": 10},
        subbands=listed,
        output=f"davs://archive.example/products/{name}",
        software="rehearsal",
        backend="simulated",
        gaps="flag",
        minimum_subbands=0.9,
        keep_intermediates=False,
        digests={},
        files={},
        templates={},
    )


def with_files(grid: Grid, recipes: list[Recipe]) -> Grid:
    """The grid, with the recipes' input files on their archives."""
    for recipe in recipes:
        for one in recipe.subbands:
            grid.add_file(one.url, one.size_bytes or GB)
    return grid


def unguarded(given: dict[str, Site]) -> dict[str, Site]:
    """The sites, with nobody who quarantines their nodes."""
    return {name: replace(one, guarded=False) for name, one in given.items()}
