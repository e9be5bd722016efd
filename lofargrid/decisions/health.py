"""Pure: is a node or a site at fault, or what ran there? Evidence in, a verdict with its reason out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lofargrid.states import Reason

AT_FAULT = frozenset({Reason.LOST})
"""Reasons that lie in the node, or in what stands between us and it."""

AMBIGUOUS = frozenset({
    Reason.NODE_UNFIT, Reason.SCRATCH_FULL, Reason.SOFTWARE_UNREACHABLE, Reason.SOFTWARE_MISSING,
    Reason.RUNNER_ERROR, Reason.PAYLOAD_KILLED,
    Reason.PAYLOAD_FAILED, Reason.PAYLOAD_CRASHED, Reason.CHECK_FAILED, Reason.CHECK_BROKEN, Reason.OUTPUT_MISSING,
})  # fmt: skip
"""Reasons that lie in the node or in what the job asks of it: only what happens elsewhere can tell."""

EVIDENCE = AT_FAULT | AMBIGUOUS
"""What may speak against a node."""

AT_STORAGE = frozenset({Reason.STORAGE_UNAVAILABLE, Reason.STORAGE_FULL})
"""Reasons that lie in a storage: the site's own, if all that the job read lies there too."""

AT_SITE = AT_STORAGE | {Reason.NODE_UNFIT, Reason.SOFTWARE_UNREACHABLE, Reason.LOST, Reason.HELD}
"""Reasons that lie in the site when most of its nodes show them."""

NODE_FAILURES = 2
STEP_NODES = 3
SITE_WINDOW = 10
SITE_FAILURES = 6
SITE_NODES = 3
SITE_SHARE = 0.6
NODE_FIRST_S = 600.0
NODE_LONGEST_S = 1200.0
SITE_FIRST_S = 900.0
SITE_LONGEST_S = 3600.0
PROBE_S = 600.0
"""A probe that has not answered after this time has failed."""
PROBATION_JOBS = 3
"""How many jobs a site gets at once that comes back from quarantine, or has no good node that we know of."""
_MOST_DOUBLINGS = 30


@dataclass(frozen=True)
class Ended:
    """An attempt that ended. ``reason`` is None where it succeeded, ``node`` empty where it never came to one.

    ``began`` is when it started there, ISO 8601 UTC, or when it ended if that is not known.
    ``nodes_alike`` counts the other nodes, not known as bad, on which the same job failed for the same reason.
    ``step_nodes`` counts all nodes on which the step did, ``step_runs`` those on which it did not and runs for clearly
    longer by now than it took to fail here; ``step_succeeds`` says whether it has succeeded anywhere in its
    production. ``remote`` says that it read from another site.
    """

    job_id: int
    node: str
    reason: Reason | None
    began: str = ""
    nodes_alike: int = 0
    step_nodes: int = 0
    step_runs: int = 0
    step_succeeds: bool = False
    remote: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether to quarantine, and why. ``jobs`` failed there, by no fault of their own as far as one can tell."""

    quarantine: bool
    why: str = ""
    jobs: tuple[int, ...] = ()


def judge_node(latest: Sequence[Ended]) -> Verdict:
    """Judge a node by what ended there, the latest first.

    Two different jobs that failed there speak against it, if none that began after them has succeeded: what began in
    another slot before the node went bad may still end well. A job that fails alike elsewhere, or a step that fails
    alike on many nodes and never succeeds, speaks for the node.
    """
    good = last_good(latest)
    failed = [one for one in latest if one.reason in EVIDENCE and one.began >= good]
    against = {one.job_id: one.reason for one in failed if one.reason and not _acquitted(one)}
    if len(against) < NODE_FAILURES:
        return Verdict(False)
    why = f"{len(against)} jobs in a row failed there: {_reasons(against.values())}"
    return Verdict(True, why, tuple(dict.fromkeys(one.job_id for one in failed)))


def last_good(latest: Iterable[Ended]) -> str:
    """When the last of those began that succeeded; empty if none did."""
    return max((one.began for one in latest if one.reason is None), default="")


def _acquitted(one: Ended) -> bool:
    """Whether what happened elsewhere says that it was not the node."""
    if one.reason in AT_FAULT:
        return False
    # When several nodes are bad from the start, the step runs on all the others: that speaks against these.
    bad_step = one.step_nodes >= STEP_NODES and not one.step_succeeds and one.step_nodes > one.step_runs
    return one.nodes_alike > 0 or bad_step


def judge_site(latest: Sequence[Ended]) -> Verdict:
    """Judge a site by what ended there, the latest first: most failed, on several nodes, for reasons of a site.

    What never came to a node cannot be a node's fault. A storage that failed a job which read from another site may be
    that one's: it says nothing.
    """
    window = [one for one in latest[:SITE_WINDOW] if not (one.remote and one.reason in AT_STORAGE)]
    failed = [one for one in window if one.reason in AT_SITE]
    if len(failed) < SITE_FAILURES or len(failed) < SITE_SHARE * len(window):
        return Verdict(False)
    if len({one.node or one.job_id for one in failed}) < SITE_NODES:
        return Verdict(False)
    reasons = _reasons(one.reason for one in failed if one.reason)
    return Verdict(True, f"{len(failed)} of the last {len(window)} attempts failed there: {reasons}")


def sentence_s(strikes: int, first_s: float, longest_s: float) -> float:
    """How long a quarantine lasts before the next look: it doubles with each one that found no betterment.

    Without a strike the look is now.
    """
    return min(first_s * 2 ** min(strikes - 1, _MOST_DOUBLINGS), longest_s) if strikes else 0.0


def _reasons(reasons: Iterable[Reason]) -> str:
    return ", ".join(sorted({str(one) for one in reasons}))
