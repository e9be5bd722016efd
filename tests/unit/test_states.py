"""The one table of moves, and what a reader is told of each reason."""

from __future__ import annotations

import pytest

from lofargrid.states import FINAL, MOVES, UNFINISHED, JobState, Reason, explanation


def test_every_state_has_its_moves_and_leads_to_states_only() -> None:
    assert set(MOVES) == set(JobState)
    assert set(JobState) == FINAL | UNFINISHED
    assert not FINAL & UNFINISHED


def test_a_succeeded_job_never_moves() -> None:
    assert MOVES[JobState.SUCCEEDED] == frozenset()


def test_a_failed_or_cancelled_job_can_only_be_brought_back_to_wait() -> None:
    assert MOVES[JobState.FAILED] == MOVES[JobState.CANCELLED] == {JobState.WAITING}


@pytest.mark.parametrize("state", sorted(UNFINISHED))
def test_every_unfinished_job_may_be_cancelled_or_fail_and_can_come_to_an_end(state: JobState) -> None:
    assert {JobState.CANCELLED, JobState.FAILED} <= MOVES[state]
    reached: set[JobState] = set()
    waiting = [state]
    while waiting:
        new = MOVES[waiting.pop()] - reached
        reached |= new
        waiting += new
    assert JobState.SUCCEEDED in reached


def test_only_a_submitted_or_running_job_succeeds() -> None:
    assert {state for state, moves in MOVES.items() if JobState.SUCCEEDED in moves} == {
        JobState.SUBMITTED,
        JobState.RUNNING,
    }


@pytest.mark.parametrize("state", sorted(UNFINISHED - {JobState.WAITING}))
def test_a_try_that_ends_badly_puts_its_job_back_to_wait(state: JobState) -> None:
    assert JobState.WAITING in MOVES[state]


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    told = [explanation(reason) for reason in Reason]
    assert all(meaning and remedy and not meaning.endswith(".") for meaning, remedy in told)
    assert len({meaning for meaning, _ in told}) == len(Reason)
