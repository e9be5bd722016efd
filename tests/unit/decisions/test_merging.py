"""When may a job start, and what will its result lack?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from lofargrid.decisions.merging import GROUP_MINIMUM, Need, Verdict, judge
from lofargrid.documents.pipelines import Step
from lofargrid.model import Slot
from lofargrid.states import JobState, Reason
from tests.unit.factories import APPLY, AVERAGE, IMAGE, JOIN, job

KEYS = [f"L654321-SAP000-SB{number:03d}" for number in range(100)]
OVER_ALL = {**JOIN, "split": "all"}


def step(data: Mapping[str, Any], **changes: Any) -> Step:
    return Step.model_validate({**data, **changes})


def need(key: str, state: JobState = JobState.SUCCEEDED, lacks: Sequence[str] = (), **changes: Any) -> Need:
    return Need(job(key, **{"step": "average", "state": state, "subbands": [key], **changes}), tuple(lacks))


def merge(
    there: int,
    listed: int,
    data: Mapping[str, Any] = OVER_ALL,
    minimum: float = 0.95,
    gaps: str = "flag",
    slots: Sequence[Slot] = (),
) -> Verdict:
    """A merge of ``listed`` subbands, of which the jobs of the first ``there`` succeeded."""
    keys = KEYS[:listed]
    needs = [need(key, JobState.SUCCEEDED if at < there else JobState.FAILED) for at, key in enumerate(keys)]
    return judge(job(subbands=keys, slots=slots), step(data), needs, {}, minimum, gaps)


# Jobs of one subband


def test_a_job_starts_when_all_it_needs_succeeded() -> None:
    assert judge(job(), step(APPLY), [need("a"), need("b")], {}, 0.95, "flag") == Verdict()


def test_a_job_without_needs_starts() -> None:
    assert judge(job(), step(AVERAGE), [], {}, 0.95, "fail") == Verdict()


@pytest.mark.parametrize(
    ("state", "reason", "detail"),
    [
        (JobState.FAILED, Reason.CHECK_FAILED, "b-average failed (check-failed)"),
        (JobState.CANCELLED, None, "b-average cancelled"),
    ],
)
def test_a_job_of_one_subband_cannot_go_without_anything(state: JobState, reason: Reason | None, detail: str) -> None:
    verdict = judge(job(), step(APPLY), [need("a"), need("b", state, reason=reason)], {}, 0.0, "flag")
    assert (verdict.reason, verdict.lacks) == (Reason.NEED_FAILED, ())
    assert verdict.detail == detail


# Merges


def test_a_complete_merge_lacks_nothing() -> None:
    assert merge(10, 10) == Verdict()


def test_a_merge_goes_without_what_failed_and_names_it() -> None:
    assert merge(8, 10, minimum=0.8) == Verdict(lacks=tuple(KEYS[8:10]))


def test_too_few_is_told_with_numbers_and_names() -> None:
    verdict = merge(2, 10)
    assert verdict.reason is Reason.TOO_FEW_INPUTS
    assert verdict.detail == f"2 of 10 subbands, 95% are asked for; lacking: {', '.join(KEYS[2:8])} and 2 more"
    assert verdict.lacks == tuple(KEYS[2:10])


@pytest.mark.parametrize(
    ("minimum", "listed", "enough"),
    [
        (0.95, 20, 19),
        (0.95, 100, 95),
        (0.5, 7, 4),
        (1.0, 3, 3),
        (0.55, 100, 55),
        (0.28, 25, 7),
        (0.07, 100, 7),
        (0, 9, 1),
    ],
)
def test_the_limit_itself_is_enough_and_one_less_is_not(minimum: float, listed: int, enough: int) -> None:
    assert merge(enough, listed, minimum=minimum).reason is None
    assert merge(enough - 1, listed, minimum=minimum).reason is Reason.TOO_FEW_INPUTS


@pytest.mark.parametrize("minimum", [0.0, 1.0])
def test_a_merge_of_nothing_is_never_made(minimum: float) -> None:
    assert merge(0, 3, minimum=minimum).reason is Reason.TOO_FEW_INPUTS


def test_a_steps_own_minimum_goes_before_the_policy() -> None:
    keys = KEYS[:10]
    needs = [need(key, JobState.SUCCEEDED if at < 3 else JobState.FAILED) for at, key in enumerate(keys)]
    for data in (OVER_ALL, JOIN):
        for own, reason in ((0.3, None), (0.31, Reason.TOO_FEW_INPUTS)):
            assert judge(job(subbands=keys), step(data, minimum=own), needs, {}, 0.1, "flag").reason is reason


@pytest.mark.parametrize("policy", [0.0, 0.95, 1.0])
def test_a_group_has_a_minimum_of_its_own_whatever_is_asked_of_the_whole_sap(policy: float) -> None:
    enough = int(10 * GROUP_MINIMUM)
    assert merge(enough, 10, JOIN, policy).reason is None
    assert merge(enough - 1, 10, JOIN, policy).reason is Reason.TOO_FEW_INPUTS


def test_gaps_fail_refuses_a_failed_subband() -> None:
    verdict = merge(9, 10, minimum=0.0, gaps="fail")
    assert (verdict.reason, verdict.detail, verdict.lacks) == (Reason.GAP, f"absent: {KEYS[9]}", (KEYS[9],))


def test_gaps_fail_refuses_a_hole_that_the_list_left() -> None:
    slots = [Slot(50, 1e8, KEYS[0]), Slot(51, 1e8), Slot(52, 1e8, KEYS[1])]
    assert merge(2, 2, JOIN, gaps="fail", slots=slots) == Verdict(Reason.GAP, "absent: ABN 51")
    for gaps in ("flag", "skip"):
        assert merge(2, 2, JOIN, gaps=gaps, slots=slots) == Verdict()


def test_gaps_fail_lets_a_whole_merge_through() -> None:
    assert merge(2, 2, JOIN, gaps="fail", slots=[Slot(50, 1e8, KEYS[0]), Slot(51, 1e8, KEYS[1])]) == Verdict()


def test_what_needs_lack_is_lacking_here_too() -> None:
    bands = [need("G1", subbands=KEYS[:2], lacks=[KEYS[1]]), need("G2", subbands=KEYS[2:4])]
    assert judge(job(subbands=KEYS[:4]), step(IMAGE), bands, {}, 0.75, "flag") == Verdict(lacks=(KEYS[1],))
    assert judge(job(subbands=KEYS[:4]), step(IMAGE), bands, {}, 0.76, "flag").reason is Reason.TOO_FEW_INPUTS


def test_a_subband_that_fell_into_no_group_is_lacking() -> None:
    bands = [need("G1", subbands=KEYS[:2])]
    assert judge(job(subbands=KEYS[:3]), step(IMAGE), bands, {}, 0.5, "flag").lacks == (KEYS[2],)


def test_an_image_without_any_band_is_not_made_because_no_group_was() -> None:
    verdict = judge(job(subbands=KEYS[:2]), step(IMAGE), [], {}, 0.0, "flag")
    assert (verdict.reason, verdict.lacks) == (Reason.TOO_FEW_INPUTS, tuple(KEYS[:2]))


def test_a_merge_of_raw_subbands_goes_without_those_that_cannot_be_read() -> None:
    raw = step(IMAGE, inputs={"ms": {"from": "target", "path": "{key}.MS"}})
    unusable = {KEYS[1]: "not there", "L1-SAP000-SB000": "of another SAP"}
    assert judge(job(subbands=KEYS[:4]), raw, [], unusable, 0.75, "flag") == Verdict(lacks=(KEYS[1],))
    assert judge(job(subbands=KEYS[:4]), raw, [], unusable, 0.95, "flag").reason is Reason.TOO_FEW_INPUTS


def test_what_cannot_be_read_does_not_count_twice_where_another_job_reads_it() -> None:
    assert judge(job(subbands=KEYS[:1]), step(OVER_ALL), [need(KEYS[0])], {KEYS[0]: "x"}, 1.0, "flag") == Verdict()


def test_a_merge_cannot_go_without_the_merge_of_another_role() -> None:
    gains = need("L1-SAP000", JobState.FAILED, role="calibrator", step="collect", reason=Reason.TOO_FEW_INPUTS)
    verdict = judge(job(subbands=KEYS[:1]), step(OVER_ALL), [need(KEYS[0]), gains], {}, 0.0, "flag")
    assert verdict.reason is Reason.NEED_FAILED
    assert verdict.detail.startswith("L1-SAP000-collect failed")


def test_a_product_names_what_the_gains_that_it_uses_lack() -> None:
    gains = need("L1-SAP000", role="calibrator", step="collect", lacks=["L1-SAP000-SB007"])
    verdict = judge(job(subbands=KEYS[:1]), step(OVER_ALL), [need(KEYS[0]), gains], {}, 1.0, "flag")
    assert verdict == Verdict(lacks=("L1-SAP000-SB007",))
