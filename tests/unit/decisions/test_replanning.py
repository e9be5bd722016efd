"""A new plan against what stands: what is made, what is kept, what is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.replanning import CurrentJob, Replan, replan
from lofargrid.model import PlannedJob
from lofargrid.states import JobState
from tests.unit.factories import planned

CHAIN = [planned("a"), planned("b", "a"), planned("c", "b"), planned("x")]


def standing(
    *names: str, gone: str = "", state: JobState = JobState.SUCCEEDED, **signatures: str
) -> dict[str, CurrentJob]:
    """Jobs as they stand; what those in ``gone`` made was deleted."""
    return {name: CurrentJob(name, signatures.get(name, "s"), state, name not in gone) for name in names}


def made(plan: Replan) -> list[str]:
    return [job.name for job in plan.make]


def test_the_first_plan_makes_all_in_its_order() -> None:
    assert replan(CHAIN, {}) == Replan(tuple(CHAIN), (), ())


def test_the_same_plan_again_changes_nothing() -> None:
    assert replan(CHAIN, standing("a", "b", "c", "x")) == Replan((), ("a", "b", "c", "x"), ())


@pytest.mark.parametrize("state", list(JobState))
def test_a_job_is_kept_whatever_its_state(state: JobState) -> None:
    assert replan([planned("a")], standing("a", state=state)).keep == ("a",)


def test_another_signature_is_made_and_drops_the_old() -> None:
    plan = replan(CHAIN, standing("a", "b", "c", "x", c="old"))
    assert (made(plan), plan.keep, plan.drop) == (["c"], ("a", "b", "x"), ("c",))


def test_what_the_plan_has_no_more_is_dropped() -> None:
    assert replan([planned("a")], standing("a", "b")) == Replan((), ("a",), ("b",))


def test_redo_takes_along_all_that_needs_it_and_nothing_else() -> None:
    plan = replan(CHAIN, standing("a", "b", "c", "x"), redo=["b"])
    assert (made(plan), plan.keep, plan.drop) == (["b", "c"], ("a", "x"), ("b", "c"))


def test_a_deleted_intermediate_is_made_again_for_whom_it_is_needed() -> None:
    plan = replan(CHAIN, standing("a", "b", "c", "x", gone="abx", c="old"))
    assert (made(plan), plan.keep) == (["a", "b", "c"], ("x",))


def test_a_deleted_intermediate_that_nobody_needs_stays_deleted() -> None:
    assert replan(CHAIN, standing("a", "b", "c", "x", gone="abx")).make == ()


def test_what_is_still_on_its_way_or_failed_is_not_made_twice() -> None:
    for state in (JobState.RUNNING, JobState.FAILED):
        current = standing("b", state=state, gone="b") | standing("a", "c", c="old")
        assert made(replan(CHAIN[:3], current)) == ["c"]


def test_a_new_consumer_wants_a_deleted_intermediate_again() -> None:
    plan = replan([planned("a"), planned("b", "a"), planned("new", "a")], standing("a", "b", gone="a"))
    assert (made(plan), plan.keep, plan.drop) == (["a", "new"], ("b",), ("a",))


JOBS = st.integers(1, 6).flatmap(
    lambda count: st.tuples(
        *(
            st.builds(
                lambda needs, signature, at=at: planned(f"j{at}", *sorted(needs), signature=signature),
                st.sets(st.sampled_from([f"j{n}" for n in range(at)])) if at else st.just(set()),
                st.sampled_from("st"),
            )
            for at in range(count)
        )
    )
)
CURRENT = st.dictionaries(
    st.sampled_from([f"j{n}" for n in range(8)]),
    st.tuples(st.sampled_from("st"), st.sampled_from(list(JobState)), st.booleans()),
)


@given(JOBS, CURRENT, st.sets(st.sampled_from([f"j{n}" for n in range(8)])))
def test_every_planned_job_is_made_or_kept_and_every_made_one_finds_its_inputs(
    jobs: tuple[PlannedJob, ...], current: dict[str, tuple[str, JobState, bool]], redo: set[str]
) -> None:
    stands = {name: CurrentJob(name, *values) for name, values in current.items()}
    plan = replan(jobs, stands, redo)
    names = [job.name for job in jobs]
    assert sorted([*made(plan), *plan.keep]) == sorted(names)
    assert made(plan) == [name for name in names if name in made(plan)]
    assert set(plan.keep) <= set(stands)
    assert set(plan.drop) == {name for name in stands if name not in plan.keep}
    for job in plan.make:
        for need in set(job.needs) & set(plan.keep):
            assert stands[need].usable or stands[need].state is not JobState.SUCCEEDED
    for job in jobs:
        if job.name in plan.keep:
            assert stands[job.name].signature == job.signature
            assert job.name not in redo
