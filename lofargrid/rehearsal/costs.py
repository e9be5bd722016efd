"""What steps take: as measured from attempts that ran, or else as their pipeline declares."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lofargrid_runner.contract import Report, Stage, report_from_json

from lofargrid.documents.pipelines import Step
from lofargrid.recipes.recipe import Recipe
from lofargrid.simulation.work import StepCost
from lofargrid.states import JobState
from lofargrid.tracker import Tracker

_GB = 1e9
_MOST_A_STEP = 100
_DECLARED_SPREAD = 0.1
_WORKING = (Stage.SETUP, Stage.PAYLOAD, Stage.CHECKS)


@dataclass(frozen=True)
class Measured:
    """What one attempt took that succeeded."""

    step: str
    seconds: float
    read_gb: float
    written_gb: float
    memory_mb: float


def measured(tracker: Tracker, production_id: int) -> list[Measured]:
    """What the jobs of a production took that have succeeded, up to a hundred a step."""
    found: list[Measured] = []
    taken: dict[str, int] = {}
    for job in tracker.jobs(production_id, [JobState.SUCCEEDED]):
        taken[job.step] = taken.get(job.step, 0) + 1
        record = tracker.attempt(job.attempt) if job.attempt and taken[job.step] <= _MOST_A_STEP else None
        if record and record.report:
            found.append(_of_report(job.step, report_from_json(record.report)))
    return found


def _of_report(step: str, report: Report) -> Measured:
    outputs = {one.url for one in report.outputs}
    return Measured(
        step=step,
        seconds=sum(report.seconds.get(stage.value, 0.0) for stage in _WORKING),
        read_gb=sum(one.size_bytes for one in report.transfers if one.url not in outputs) / _GB,
        written_gb=sum(one.size_bytes for one in report.outputs) / _GB,
        memory_mb=report.peak_memory_mb,
    )


def costs(recipe: Recipe, seen: Iterable[Measured]) -> dict[str, StepCost]:
    """The cost of each step of a recipe: measured where it was, declared where it was not."""
    by_step: dict[str, list[Measured]] = {}
    for one in seen:
        by_step.setdefault(one.step, []).append(one)
    return {
        name: fit(by_step[name], step) if name in by_step else declared(step) for name, step in recipe.steps.items()
    }


def declared(step: Step) -> StepCost:
    """Half of what the pipeline grants: what it grants is meant to be enough for the worst.

    Where it does not tell how much a step leaves, a subband is taken to shrink to half, and a merge to hold its inputs.
    """
    resources = step.resources
    seconds = resources.walltime_min * 30
    ratio = resources.output_factor or (0.9 if step.merges else 0.5)
    return StepCost(seconds, 0.0, resources.memory_mb / 2, 0.0, ratio, _DECLARED_SPREAD)


def fit(seen: Sequence[Measured], step: Step) -> StepCost:
    """Fit a fixed part and one that grows with the bytes read.

    From jobs of different sizes both are told, from jobs of one size half is taken to be fixed. A merge of all reads
    far more than that of a few: it is not thought to take longer than half of what its pipeline grants, as without
    any measurement, nor any job to need more memory than that.
    """
    granted_s = step.resources.walltime_min * 60
    longest_s = max(one.seconds for one in seen)
    most_s = max(granted_s / 2, 1.2 * longest_s) if step.merges else granted_s
    sizes = [one.read_gb for one in seen]
    seconds, per_gb = _line(sizes, [one.seconds for one in seen])
    memory, memory_per_gb = _line(sizes, [one.memory_mb for one in seen])
    read = sum(sizes)
    expected = [max(seconds + per_gb * one.read_gb, 1e-3) for one in seen]
    return StepCost(
        seconds=min(seconds, most_s),
        seconds_per_gb=per_gb,
        memory_mb=memory,
        memory_mb_per_gb=memory_per_gb,
        output_ratio=sum(one.written_gb for one in seen) / read if read else 0.5,
        spread=_spread([one.seconds / wanted for one, wanted in zip(seen, expected, strict=True)]),
        most_seconds=most_s,
        most_memory_mb=step.resources.memory_mb,
    )


def _line(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """A fixed part and a slope, neither below zero."""
    mean_size, mean_value = statistics.fmean(sizes), statistics.fmean(values)
    if mean_size <= 0:
        return mean_value, 0.0
    if max(sizes) - min(sizes) < 0.2 * mean_size:
        return mean_value / 2, mean_value / 2 / mean_size
    slope = statistics.linear_regression(sizes, values).slope
    slope = min(max(slope, 0.0), mean_value / mean_size)
    return mean_value - slope * mean_size, slope


def _spread(ratios: Sequence[float]) -> float:
    """The standard deviation of the logarithm; of few values it is not told."""
    positive = [one for one in ratios if one > 0]
    if len(positive) < 3:
        return _DECLARED_SPREAD
    return min(statistics.stdev(math.log(one) for one in positive), 1.0)
