"""Pure: what a production will take, before anything is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lofargrid.decisions.splitting import SplitStep, beams
from lofargrid.model import PlannedJob
from lofargrid.names import sap_key
from lofargrid.recipes.recipe import Recipe


@dataclass(frozen=True)
class StepPlan:
    """What one step will take. ``about`` says that the number of jobs waits for the subbands' frequencies."""

    step: str
    split: str
    jobs: int
    about: bool
    cores: int
    memory_mb: int
    core_hours_at_most: float
    products: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a production will take.

    ``scratch_bytes_at_most`` counts what is kept between the steps and the work folders of all slots.
    """

    production: str
    pipeline: str
    recipe_hash: str
    subbands: Mapping[str, int]
    unusable: Mapping[str, str]
    input_bytes: int
    scratch_bytes_at_most: int
    output: str
    steps: tuple[StepPlan, ...]


def summarise(recipe: Recipe, jobs: Sequence[PlannedJob], sizes: Mapping[str, int], slots: int) -> Plan:
    """Add up what a production will take.

    Parameters
    ----------
    recipe
        The recipe.
    jobs
        The jobs that can be known now.
    sizes
        Bytes of each input file, by URL.
    slots
        How many jobs run at once.
    """
    steps = recipe.split_steps()
    factor = max(one.step.resources.scratch_factor for one in steps)
    work = slots * max(sizes.values(), default=0) * factor
    return Plan(
        production=recipe.production,
        pipeline=recipe.pipeline.pipeline,
        recipe_hash=recipe.hash,
        subbands={role: sum(one.role == role for one in recipe.subbands) for role in recipe.pipeline.roles},
        unusable={one.key: one.problem for one in recipe.subbands if one.reason},
        input_bytes=sum(sizes.values()),
        scratch_bytes_at_most=round(sum(sizes.values()) + work),
        output=recipe.output,
        steps=tuple(_step(recipe, one, [job for job in jobs if job.step == one.name]) for one in steps),
    )


def _step(recipe: Recipe, one: SplitStep, made: Sequence[PlannedJob]) -> StepPlan:
    resources = one.step.resources
    count, about = _count(recipe, one, made)
    return StepPlan(
        step=one.name,
        split=f"group of {one.size}" if one.step.grouped else str(one.step.split),
        jobs=count,
        about=about,
        cores=resources.cores,
        memory_mb=resources.memory_mb,
        core_hours_at_most=round(count * resources.cores * resources.walltime_min / 60, 1),
        products=tuple(output.suffix for output in one.step.outputs.values() if output.product),
    )


def _count(recipe: Recipe, one: SplitStep, made: Sequence[PlannedJob]) -> tuple[int, bool]:
    """How many jobs, and whether that is an estimate: in some SAP frequencies are not known yet.

    There it is as if the SAP were one piece of spectrum.
    """
    if not one.step.grouped:
        return len(made), False
    count, about = 0, False
    over = [subband for subband in recipe.subbands if subband.role == one.step.over]
    for (_, observation, sap), members in beams(over).items():
        here = sum(job.key.startswith(f"{sap_key(observation, sap)}-") for job in made)
        count += here or -(-len(members) // one.size)
        about = about or not here
    return count, about
