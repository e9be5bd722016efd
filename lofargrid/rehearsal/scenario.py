"""Small campaigns drawn from a seed: sites, pipelines, subbands and everything that can go wrong with them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lofargrid.documents.pipelines import Pipeline
from lofargrid.model import Site, Subband
from lofargrid.recipes.recipe import Recipe
from lofargrid.simulation.faults import Faults
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.tape import Library
from lofargrid.simulation.work import StepCost, Work

GB = 10**9

_AVERAGE: Mapping[str, Any] = {
    "over": "target",
    "split": "subband",
    "inputs": {"raw": {"from": "target", "path": "raw.MS"}},
    "commands": [["average"]],
    "outputs": {"ms": {"path": "out.MS", "suffix": ".MS"}},
    "resources": {"memory_mb": 2000, "walltime_min": 60},
    "retry": {"tries": 3},
}
_SOLVE: Mapping[str, Any] = {
    **_AVERAGE,
    "over": "calibrator",
    "inputs": {"raw": {"from": "calibrator", "path": "raw.MS"}},
    "outputs": {"gains": {"path": "gains.h5", "suffix": ".h5"}},
}
_GAINS: Mapping[str, Any] = {
    **_SOLVE,
    "split": "all",
    "inputs": {"gains": {"from": "solve.gains", "path": "in/{key}.h5"}},
}
_APPLY: Mapping[str, Any] = {
    **_AVERAGE,
    "inputs": {"ms": {"from": "average.ms", "path": "in.MS"}, "gains": {"from": "gains.gains", "path": "gains.h5"}},
}
_BAND: Mapping[str, Any] = {
    **_AVERAGE,
    "split": {"group": "group_size"},
    "inputs": {"ms": {"from": "average.ms", "path": "in/{key}.MS"}},
    "outputs": {"ms": {"path": "band.MS", "suffix": ".MS", "product": True}},
}
_IMAGE: Mapping[str, Any] = {
    **_AVERAGE,
    "split": "all",
    "inputs": {"ms": {"from": "band.ms", "path": "in/{key}.MS"}},
    "outputs": {"fits": {"path": "image.fits", "suffix": ".fits", "product": True}},
}

PIPELINES: Mapping[str, Mapping[str, Any]] = {
    "single": {"average": {**_AVERAGE, "outputs": {"ms": {"path": "out.MS", "suffix": ".MS", "product": True}}}},
    "bands": {"average": _AVERAGE, "band": _BAND, "image": _IMAGE},
    "calibrated": {
        "solve": _SOLVE,
        "gains": _GAINS,
        "average": _AVERAGE,
        "apply": _APPLY,
        "band": {**_BAND, "inputs": {"ms": {"from": "apply.ms", "path": "in/{key}.MS"}}},
        "image": _IMAGE,
    },
}
WORK = Work(
    {
        "average": StepCost(300, 60, 900, 50, 0.3, 0.2),
        "solve": StepCost(200, 40, 900, 50, 0.01, 0.2),
        "gains": StepCost(100, 100, 600, 50, 0.5, 0.2),
        "apply": StepCost(200, 60, 800, 50, 0.9, 0.2),
        "band": StepCost(200, 30, 900, 60, 0.9, 0.2),
        "image": StepCost(900, 60, 1000, 40, 0.1, 0.2),
    }
)


@dataclass(frozen=True)
class Scenario:
    """A small campaign: its grid's sites, what goes wrong, and the productions."""

    sites: Mapping[str, Site]
    faults: Faults
    recipes: tuple[Recipe, ...]
    crash_chance: float


def scenario(seed: int, calm: bool = False) -> Scenario:
    """Draw a small campaign.

    Parameters
    ----------
    seed
        Everything is drawn from it.
    calm
        The same campaign with nothing going wrong.
    """
    stream = random.Random(f"{seed}:scenario")
    sites = _sites(stream)
    homes = [name for name, site in sites.items() if site.tier == 1]
    recipes = tuple(_recipe(stream, number, stream.choice(homes)) for number in range(1, stream.randint(1, 3) + 1))
    faults = Faults.everything(stream)
    chance = stream.choice((0.0, 1e-4, 1e-3, 3e-3))
    return Scenario(sites, Faults.none(), recipes, 0.0) if calm else Scenario(sites, faults, recipes, chance)


def grid_of(scene: Scenario, seed: int, keep_trace: bool = False) -> Grid:
    """The grid of a campaign, with its files in place."""
    libraries = {name: Library(drives=2, cache_mb=50_000.0) for name, site in scene.sites.items() if site.tape}
    grid = Grid(scene.sites, seed, scene.faults, WORK, libraries, keep_trace=keep_trace)
    for recipe in scene.recipes:
        for one in recipe.subbands:
            grid.add_file(one.url, one.size_bytes or GB, on_tape=True)
    return grid


def _sites(stream: random.Random) -> dict[str, Site]:
    tiers = [1, 1, *(2 for _ in range(stream.randint(1, 3)))]
    sites = [_site(stream, f"T{tier}-{number}", tier) for number, tier in enumerate(tiers)]
    if stream.random() < 0.3:
        sites[0] = replace(sites[0], slots=0)  # storage without compute
    return {site.name: site for site in sites}


def _site(stream: random.Random, name: str, tier: int) -> Site:
    host = f"{name.lower()}.example"
    return Site(
        name=name,
        tier=tier,
        slots=stream.randint(4, 10),
        cores=4,
        memory_mb=stream.choice((4000, 8000, 16000)),
        walltime_min=stream.choice((100, 1440)),
        prefixes=(f"srm://{host}:8443/data/",),
        scratch=f"davs://{host}:2880/scratch/lofargrid",
        transfers=stream.choice((3, 10, 50)),
        bandwidth_mb_s=stream.choice((200.0, 1000.0)),
        stream_mb_s=stream.choice((20.0, 50.0)),
        tape=tier == 1 and stream.random() < 0.5,
    )


def _recipe(stream: random.Random, number: int, home: str) -> Recipe:
    label = stream.choice(sorted(PIPELINES))
    pipeline = pipeline_of(label, PIPELINES[label])
    subbands = tuple(
        _subband(stream, role, f"L{number}{index}", 100 + one, home)
        for index, role in enumerate(pipeline.roles)
        for one in sorted(stream.sample(range(16), stream.randint(3, 10)))
    )
    return Recipe(
        production=f"p{number}",
        pipeline=pipeline,
        parameters={"group_size": stream.choice((2, 4, 8))},
        subbands=subbands,
        output=f"davs://archive.example/products/p{number}",
        software="rehearsal",
        backend="simulated",
        gaps=stream.choice(("flag", "flag", "skip", "fail")),
        minimum_subbands=stream.choice((0.3, 0.6, 0.9)),
        keep_intermediates=False,
        digests={},
        files={},
        templates={},
    )


def _subband(stream: random.Random, role: str, observation: str, number: int, home: str) -> Subband:
    url = f"srm://{home.lower()}.example:8443/data/{observation}_SB{number:03d}.tar"
    return Subband(role, observation, 0, number, url, "list", number, stream.randint(1, 20) * GB // 4)


def pipeline_of(label: str, steps: Mapping[str, Any]) -> Pipeline:
    """A pipeline of some steps, whose groups have a parameter for their size."""
    roles = sorted({step["over"] for step in steps.values()})
    return Pipeline.model_validate(
        {
            "pipeline": label,
            "version": "1",
            "description": "A rehearsal",
            "roles": {role: {"description": role} for role in roles},
            "parameters": {"group_size": {"type": "int", "description": "size of a group"}},
            "steps": dict(steps),
        }
    )
