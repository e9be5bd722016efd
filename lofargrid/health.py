"""Pure: is a node or a site at fault, or what ran there? Evidence in, a verdict with its reason out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lofargrid.states import Reason

AT_FAULT = frozenset({
    Reason.NODE_UNFIT, Reason.SCRATCH_FULL, Reason.SOFTWARE_UNREACHABLE, Reason.SOFTWARE_MISSING,
    Reason.RUNNER_ERROR, Reason.LOST, Reason.PAYLOAD_KILLED,
})  # fmt: skip
"""Reasons that lie in the node, or in what stands between us and it."""

AMBIGUOUS = frozenset({
    Reason.PAYLOAD_FAILED, Reason.PAYLOAD_CRASHED, Reason.CHECK_FAILED, Reason.CHECK_BROKEN, Reason.OUTPUT_MISSING,
})  # fmt: skip
"""Reasons that lie in the node or in the job: only what happens elsewhere can tell."""

AT_SITE = frozenset({
    Reason.NODE_UNFIT, Reason.SOFTWARE_UNREACHABLE, Reason.LOST, Reason.HELD, Reason.SUBMIT_FAILED,
    Reason.STORAGE_UNAVAILABLE, Reason.STORAGE_FULL,
})  # fmt: skip
"""Reasons that lie in the site when most of its nodes show them."""

NODE_FAILURES = 2
STEP_NODES = 3
SITE_WINDOW = 20
SITE_FAILURES = 10
SITE_NODES = 3
NODE_FIRST_S = 600.0
NODE_LONGEST_S = 1200.0
SITE_FIRST_S = 900.0
SITE_LONGEST_S = 3600.0
PROBE_S = 600.0
"""A probe that has not answered after this time has failed."""
PROBATION_JOBS = 3
"""How many jobs a site gets at once that comes back from quarantine."""


@dataclass(frozen=True)
class Ended:
    """An attempt that ended. ``reason`` is None where it succeeded.

    ``nodes_alike`` counts the other nodes on which the same job failed for the same reason; ``step_nodes`` all
    nodes on which the step did, and ``step_succeeds`` whether it has succeeded anywhere in its production.
    """

    job_id: int
    node: str
    reason: Reason | None
    nodes_alike: int = 0
    step_nodes: int = 0
    step_succeeds: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether to quarantine, and why. ``jobs`` failed there by no fault of their own."""

    quarantine: bool
    why: str = ""
    jobs: tuple[int, ...] = ()


def judge_node(latest: Sequence[Ended]) -> Verdict:
    """Judge a node by what ended there, the latest first.

    Two different jobs that failed there with no success between them speak against it. A job that fails alike
    elsewhere, or a step that fails alike on many nodes and never succeeds, speaks for the node.
    """
    against: dict[int, Reason] = {}
    for one in latest:
        if one.reason is None:
            break
        if one.reason in AT_FAULT or (one.reason in AMBIGUOUS and not _acquitted(one)):
            against.setdefault(one.job_id, one.reason)
    if len(against) < NODE_FAILURES:
        return Verdict(False)
    return Verdict(True, f"{len(against)} jobs in a row failed there: {_reasons(against.values())}", tuple(against))


def _acquitted(one: Ended) -> bool:
    return one.nodes_alike > 0 or (one.step_nodes >= STEP_NODES and not one.step_succeeds)


def judge_site(latest: Sequence[Ended]) -> Verdict:
    """Judge a site by what ended there, the latest first: most failed, on several nodes, for reasons of a site."""
    window = latest[:SITE_WINDOW]
    failed = [one for one in window if one.reason in AT_SITE]
    if len(failed) < SITE_FAILURES or len(failed) < 0.8 * len(window):
        return Verdict(False)
    if len({one.node for one in failed}) < SITE_NODES:
        return Verdict(False)
    reasons = _reasons(one.reason for one in failed if one.reason)
    return Verdict(True, f"{len(failed)} of the last {len(window)} attempts failed there: {reasons}")


def sentence_s(strikes: int, first_s: float, longest_s: float) -> float:
    """How long a quarantine lasts before the next look: it doubles with each one that found no betterment."""
    return float(min(first_s * 2 ** (strikes - 1), longest_s))


def _reasons(reasons: Iterable[Reason]) -> str:
    return ", ".join(sorted({str(one) for one in reasons}))
