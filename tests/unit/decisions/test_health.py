"""Bad nodes and bad sites are told from bad jobs and bad steps, by what ended where."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.health import (
    AMBIGUOUS,
    AT_FAULT,
    AT_SITE,
    AT_STORAGE,
    EVIDENCE,
    NODE_FIRST_S,
    NODE_LONGEST_S,
    PROBE_S,
    SITE_FAILURES,
    SITE_NODES,
    SITE_SHARE,
    SITE_WINDOW,
    Ended,
    Verdict,
    judge_node,
    judge_site,
    sentence_s,
)
from lofargrid.states import Reason

GOOD = Ended(99, "wn1", None)
EARLY, LATE = "2024-01-01T10:00:00.000+00:00", "2024-01-01T11:00:00.000+00:00"
INNOCENT = Verdict(False)


def failed(job_id: int, reason: Reason = Reason.PAYLOAD_FAILED, node: str = "wn1", **known: Any) -> Ended:
    return Ended(job_id, node, reason, **known)


# Nodes


@pytest.mark.parametrize("reason", sorted(EVIDENCE))
def test_two_jobs_in_a_row_that_failed_there_speak_against_a_node(reason: Reason) -> None:
    verdict = judge_node([failed(2, reason), failed(1, reason), GOOD])
    assert verdict == Verdict(True, f"2 jobs in a row failed there: {reason}", (2, 1))


def test_the_reasons_are_told_each_once() -> None:
    ended = [failed(1, Reason.LOST), failed(2, Reason.SCRATCH_FULL), failed(3, Reason.LOST)]
    assert judge_node(ended).why == "3 jobs in a row failed there: lost, scratch-full"


def test_one_job_is_not_enough_however_often_it_failed_there() -> None:
    assert judge_node([failed(1)] * 5) == INNOCENT


def test_a_success_that_began_after_a_failure_speaks_for_the_node() -> None:
    good = replace(GOOD, began=LATE)
    assert judge_node([failed(2, began=LATE), good, failed(1, began=EARLY)]) == INNOCENT
    assert judge_node([good, failed(2, began=EARLY), failed(1, began=EARLY)]) == INNOCENT


def test_what_began_before_and_ends_well_in_another_slot_says_nothing() -> None:
    good = replace(GOOD, began=EARLY)
    assert judge_node([good, failed(2, began=LATE), good, failed(1, began=LATE)]).jobs == (2, 1)


@pytest.mark.parametrize("reason", sorted(set(Reason) - EVIDENCE))
def test_what_no_node_can_help_is_no_evidence(reason: Reason) -> None:
    assert judge_node([failed(number, reason) for number in range(10)]) == INNOCENT
    assert judge_node([failed(2), failed(3, reason), failed(1)]).jobs == (2, 1), "nor does it speak for the node"


@pytest.mark.parametrize("reason", sorted(AMBIGUOUS))
def test_a_job_that_failed_alike_elsewhere_speaks_for_the_node(reason: Reason) -> None:
    assert judge_node([failed(2, reason, nodes_alike=1), failed(1, reason)]) == INNOCENT


def test_a_step_that_fails_alike_on_many_nodes_and_never_succeeds_speaks_for_them() -> None:
    assert judge_node([failed(2, step_nodes=3), failed(1, step_nodes=3)]) == INNOCENT
    assert judge_node([failed(2, step_nodes=2), failed(1, step_nodes=2)]).quarantine
    assert judge_node([failed(2, step_nodes=9, step_succeeds=True), failed(1)]).quarantine


def test_a_step_that_goes_on_well_on_more_nodes_than_it_failed_on_does_not_speak_for_them() -> None:
    """Several nodes are bad from the start, and nothing has come to its end on the others."""
    assert judge_node([failed(one, step_nodes=3, step_runs=3) for one in (1, 2)]).quarantine
    assert judge_node([failed(one, step_nodes=4, step_runs=3) for one in (1, 2)]) == INNOCENT


@pytest.mark.parametrize("reason", sorted(AT_FAULT))
def test_what_can_only_be_the_nodes_fault_is_so_whatever_happens_elsewhere(reason: Reason) -> None:
    ended = [failed(one, reason, nodes_alike=3, step_nodes=9) for one in (1, 2)]
    assert judge_node(ended).quarantine


def test_with_a_bad_node_all_are_acquitted_that_failed_there_since_its_last_success() -> None:
    late = [failed(4), failed(3, nodes_alike=1), failed(3), failed(2), failed(5, Reason.GAP)]
    ended = [*(replace(one, began=LATE) for one in late), replace(GOOD, began=LATE), failed(1, began=EARLY)]
    assert judge_node(ended).jobs == (4, 3, 2)


@given(st.lists(st.builds(Ended, st.integers(1, 3), st.just("wn"), st.none() | st.sampled_from(list(Reason)),
                          st.sampled_from([EARLY, LATE]), nodes_alike=st.integers(0, 1)), max_size=10))  # fmt: skip
def test_a_node_is_never_condemned_by_fewer_than_two_jobs_after_its_last_success(ended: list[Ended]) -> None:
    verdict = judge_node(ended)
    good = [one.began for one in ended if one.reason is None]
    streak = [one for one in ended if not any(began > one.began for began in good)]
    guilty = {one.job_id for one in streak
              if one.reason in AT_FAULT or (one.reason in AMBIGUOUS and not one.nodes_alike)}  # fmt: skip
    assert verdict.quarantine == (len(guilty) >= 2)
    assert guilty <= set(verdict.jobs) or not verdict.quarantine


# Sites

ENOUGH = max(SITE_FAILURES, math.ceil(SITE_SHARE * SITE_WINDOW))
"""So many failures among the latest condemn a site."""


def many(count: int, reason: Reason | None, nodes: int = 5, **known: Any) -> list[Ended]:
    return [Ended(number, f"wn{number % nodes}", reason, **known) for number in range(count)]


@pytest.mark.parametrize("reason", sorted(AT_SITE))
def test_a_site_most_of_whose_attempts_fail_for_its_own_reasons_is_bad(reason: Reason) -> None:
    verdict = judge_site(many(ENOUGH, reason) + many(SITE_WINDOW - ENOUGH, None))
    why = f"{ENOUGH} of the last {SITE_WINDOW} attempts failed there: {reason}"
    assert (verdict.quarantine, verdict.why) == (True, why)


@pytest.mark.parametrize(
    "ended",
    [
        many(SITE_FAILURES - 1, Reason.LOST),
        many(ENOUGH - 1, Reason.LOST) + many(SITE_WINDOW - ENOUGH + 1, None),
        many(SITE_WINDOW, Reason.LOST, nodes=SITE_NODES - 1),
        many(SITE_WINDOW, Reason.PAYLOAD_FAILED),
        many(SITE_WINDOW, None) + many(SITE_WINDOW, Reason.LOST),
        [],
    ],
    ids=["too few", "too many successes", "two bad nodes", "payloads that fail", "long ago", "nothing"],
)
def test_a_site_is_not_bad_for_less(ended: list[Ended]) -> None:
    assert judge_site(ended) == INNOCENT


def test_what_never_came_to_a_node_is_no_nodes_fault() -> None:
    """A computing element that holds or loses all it is given."""
    assert judge_site([failed(number, Reason.HELD, node="") for number in range(SITE_WINDOW)]).quarantine
    assert judge_site([failed(1, Reason.HELD, node="")] * SITE_WINDOW) == INNOCENT, "one job is not many"


@pytest.mark.parametrize("reason", sorted(AT_STORAGE))
def test_a_storage_that_failed_jobs_with_inputs_elsewhere_may_be_another_sites(reason: Reason) -> None:
    rest = SITE_WINDOW - SITE_FAILURES
    assert judge_site(many(SITE_WINDOW, reason, remote=True)) == INNOCENT
    found = judge_site(many(rest, reason, remote=True) + many(SITE_FAILURES, reason))
    assert found.why.startswith(f"{SITE_FAILURES} of the last {SITE_FAILURES} ")
    assert judge_site(many(SITE_WINDOW, Reason.LOST, remote=True)).quarantine


def test_only_the_latest_count() -> None:
    assert judge_site(many(SITE_WINDOW, Reason.LOST) + many(100, None)).quarantine


# Sentences


def test_a_sentence_doubles_up_to_the_longest_and_the_first_look_is_at_once() -> None:
    assert [sentence_s(strikes, 600.0, 2000.0) for strikes in range(5)] == [0.0, 600.0, 1200.0, 2000.0, 2000.0]


def test_a_node_that_is_dead_for_years_breaks_nothing() -> None:
    assert sentence_s(100_000, NODE_FIRST_S, NODE_LONGEST_S) == NODE_LONGEST_S


def test_a_repaired_node_is_back_within_half_an_hour() -> None:
    assert NODE_LONGEST_S + PROBE_S <= 1800.0
