"""What steps take: as measured, or else half of what the pipeline grants."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lofargrid.documents.pipelines import Step
from lofargrid.rehearsal import lofar
from lofargrid.rehearsal.costs import Measured, costs, declared, fit, measured
from tests.unit.rehearsal.rehearsals import ended, recipe

STEPS = recipe().steps
AVERAGE, BAND = STEPS["average"], STEPS["band"]


def seen(
    sizes: Sequence[float],
    seconds: Callable[[float], float] = lambda gb: 100 + 10 * gb,
    memory_mb: Callable[[float], float] = lambda gb: 500 + 20 * gb,
    step: str = "average",
) -> list[Measured]:
    return [Measured(step, seconds(gb), gb, gb / 4, memory_mb(gb)) for gb in sizes]


def test_without_a_measurement_half_of_what_is_granted_is_taken() -> None:
    cost = declared(AVERAGE)
    assert (cost.seconds, cost.seconds_per_gb) == (AVERAGE.resources.walltime_min * 30, 0)
    assert (cost.memory_mb, cost.memory_mb_per_gb) == (AVERAGE.resources.memory_mb / 2, 0)
    assert cost.output_ratio < declared(BAND).output_ratio


def test_a_pipeline_may_tell_how_much_its_steps_leave() -> None:
    told = AVERAGE.model_copy(update={"resources": AVERAGE.resources.model_copy(update={"output_factor": 0.02})})
    assert declared(told).output_ratio == 0.02


def test_jobs_of_different_sizes_tell_what_is_fixed_and_what_grows() -> None:
    cost = fit(seen([2, 10]), AVERAGE)
    assert (cost.seconds, cost.seconds_per_gb) == pytest.approx((100, 10))
    assert (cost.memory_mb, cost.memory_mb_per_gb) == pytest.approx((500, 20))
    assert cost.output_ratio == pytest.approx(0.25)


def test_of_jobs_of_one_size_half_is_fixed() -> None:
    cost = fit(seen([10, 10.5, 9.5]), AVERAGE)
    assert (cost.seconds, cost.seconds_per_gb) == pytest.approx((100, 10))
    assert (cost.memory_mb, cost.memory_mb_per_gb) == pytest.approx((350, 35))


def test_noise_is_told_as_spread_and_does_not_bend_the_line() -> None:
    stream = random.Random(1)
    noisy = seen([1 + number / 4 for number in range(100)], lambda gb: (100 + 10 * gb) * stream.lognormvariate(0, 0.2))
    cost = fit(noisy, AVERAGE)
    assert cost.seconds == pytest.approx(100, rel=0.25)
    assert cost.seconds_per_gb == pytest.approx(10, rel=0.15)
    assert cost.spread == pytest.approx(0.2, rel=0.2)


def test_jobs_on_one_line_have_no_spread_and_two_do_not_tell_it() -> None:
    assert fit(seen([2, 5, 10]), AVERAGE).spread == pytest.approx(0, abs=1e-9)
    assert fit(seen([2, 10]), AVERAGE).spread == declared(AVERAGE).spread


def test_jobs_that_read_nothing_have_a_fixed_cost_alone() -> None:
    cost = fit(seen([0, 0, 0]), AVERAGE)
    assert (cost.seconds, cost.seconds_per_gb, cost.memory_mb_per_gb) == (100, 0, 0)
    assert cost.output_ratio == 0.5


@pytest.mark.parametrize(("seconds", "line"), [(lambda gb: 100 - 5 * gb, (70, 0)), (lambda gb: 20 * gb - 30, (0, 15))])
def test_no_part_is_below_nothing(seconds: Callable[[float], float], line: tuple[float, float]) -> None:
    cost = fit(seen([2, 10], seconds), AVERAGE)
    assert (cost.seconds, cost.seconds_per_gb) == pytest.approx(line)


@pytest.mark.parametrize(
    ("step", "seconds", "most_s"),
    [
        (AVERAGE, 100, 60 * AVERAGE.resources.walltime_min),
        (BAND, 100, 30 * BAND.resources.walltime_min),
        (BAND, 5000, 6000),
        (BAND, 2700, 3240),
    ],
)
def test_a_merge_takes_no_longer_than_half_its_grant_unless_one_was_seen_to(
    step: Step, seconds: float, most_s: float
) -> None:
    cost = fit(seen([2, 10], lambda gb: seconds), step)
    assert cost.most_seconds == pytest.approx(most_s)
    assert cost.most_memory_mb == step.resources.memory_mb


def test_no_spread_is_beyond_reason_and_a_job_of_no_time_does_not_count() -> None:
    wild = [Measured("average", seconds, 5, 1, 500) for seconds in (0, 0.001, 1, 3000, 5000)]
    assert fit(wild, AVERAGE).spread == 1.0
    quick = [Measured("average", 0, 5, 1, 500) for _ in range(5)]
    assert fit(quick, AVERAGE).spread == declared(AVERAGE).spread


def test_each_step_is_measured_where_it_ran_and_declared_where_not() -> None:
    found = costs(recipe(), [*seen([2, 10]), *seen([2, 10], step="elsewhere")])
    assert found == {"average": fit(seen([2, 10]), AVERAGE), "band": declared(BAND), "image": declared(STEPS["image"])}


def test_what_jobs_took_is_read_from_their_reports(tmp_path: Path) -> None:
    done = ended(tmp_path)
    found = measured(done.tracker, 1)
    assert Counter(one.step for one in found) == {"average": 4, "band": 2, "image": 1}
    average = [one for one in found if one.step == "average"]
    assert {one.read_gb for one in average} == {16.0}
    assert {one.written_gb for one in average} == {1.6}
    truth = lofar.WORK.steps["average"]
    for one in average:
        assert one.seconds == pytest.approx(truth.seconds + 16 * truth.seconds_per_gb, rel=0.6)
        assert one.memory_mb == pytest.approx(truth.memory_mb + 16 * truth.memory_mb_per_gb, rel=0.6)
    past = {one.job: one for one in done.grid.measure.attempts}
    longest = max(past.values(), key=lambda one: one.ended_s - one.started_s)
    assert sum(one.seconds for one in found) < sum(one.ended_s - one.started_s for one in past.values())
    assert max(found, key=lambda one: one.seconds).step == longest.step
    done.close()


def test_of_many_jobs_a_hundred_of_each_step_are_enough(tmp_path: Path) -> None:
    done = ended(tmp_path, recipe(104, group=52), slots=104)
    assert Counter(one.step for one in measured(done.tracker, 1))["average"] == 100
    done.close()


def test_a_job_that_has_no_report_is_not_measured(tmp_path: Path) -> None:
    done = ended(tmp_path)
    done.tracker.write("UPDATE attempts SET report = NULL WHERE job_id = 1")
    assert len(measured(done.tracker, 1)) == 6
    done.close()
