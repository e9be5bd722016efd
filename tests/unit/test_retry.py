"""Is a job tried again, and when? The reason decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.retry import RULES, Decision, decide
from lofargrid.states import Reason

NODES_FAULT = [
    Reason.LOST,
    Reason.STOPPED,
    Reason.NODE_UNFIT,
    Reason.SCRATCH_FULL,
    Reason.STAGE_OUT_FAILED,
]
HOPELESS = [
    Reason.INPUT_MISSING,
    Reason.INPUT_TRUNCATED,
    Reason.INPUT_UNSAFE,
    Reason.INPUT_WRONG_KIND,
    Reason.SOFTWARE_MISSING,
    Reason.OUT_OF_MEMORY,
    Reason.OUT_OF_TIME,
    Reason.SUBMIT_FAILED,
]


def attempts(reason: Reason, step_tries: int) -> list[Decision]:
    """All decisions over a job that fails for the same reason again and again."""
    made: list[Decision] = []
    while not made or made[-1].again:
        made.append(decide(reason, made[-1].tries if made else 0, len(made), step_tries))
    return made


@pytest.mark.parametrize("tries", [1, 2, 5])
@pytest.mark.parametrize("reason", [Reason.PAYLOAD_FAILED, Reason.CHECK_FAILED, Reason.OUTPUT_MISSING])
def test_a_payload_that_fails_is_tried_as_often_as_its_step_grants(reason: Reason, tries: int) -> None:
    made = attempts(reason, tries)
    assert len(made) == tries
    assert made[-1].tries == tries


@pytest.mark.parametrize("reason", NODES_FAULT)
def test_what_is_the_nodes_fault_costs_the_payload_no_try(reason: Reason) -> None:
    made = attempts(reason, 1)
    assert len(made) > 1
    assert {one.tries for one in made} == {0}


@pytest.mark.parametrize("reason", HOPELESS)
def test_what_would_fail_again_is_not_tried_again(reason: Reason) -> None:
    assert len(attempts(reason, 10)) == 1


def test_a_bad_input_is_read_twice_and_no_more() -> None:
    assert len(attempts(Reason.INPUT_CORRUPT, 10)) == 2


def test_tries_burnt_for_other_reasons_count_too() -> None:
    assert decide(Reason.PAYLOAD_FAILED, tries=2, same_before=0, step_tries=3) == Decision(False, 3)
    assert decide(Reason.LOST, tries=2, same_before=0, step_tries=3).again
    assert decide(Reason.LOST, tries=3, same_before=0, step_tries=3).again


def test_the_wait_grows_with_each_attempt_that_ends_so() -> None:
    waits = [one.wait_s for one in attempts(Reason.NODE_UNFIT, 1)]
    assert waits == [5.0, 10.0, 15.0]
    assert [one.wait_s for one in attempts(Reason.PAYLOAD_FAILED, 3)] == [0.0, 0.0, 0.0]


@given(st.sampled_from(list(Reason)), st.integers(1, 20))
def test_no_reason_is_tried_for_ever(reason: Reason, step_tries: int) -> None:
    assert len(attempts(reason, step_tries)) <= max(step_tries, 10)


@given(st.lists(st.sampled_from(list(Reason)), min_size=400, max_size=400), st.integers(1, 5))
def test_no_mixture_of_reasons_is_tried_for_ever(reasons: list[Reason], step_tries: int) -> None:
    tries, seen = 0, dict.fromkeys(Reason, 0)
    for number, reason in enumerate(reasons):
        decision = decide(reason, tries, seen[reason], step_tries)
        assert 0 <= decision.tries - tries <= 1
        tries, seen[reason] = decision.tries, seen[reason] + 1
        if not decision.again:
            assert number < 10 * len(RULES)
            return
    raise AssertionError("it is still tried")
