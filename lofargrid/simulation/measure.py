"""What the grid truly did, for figures and pictures."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from lofargrid_runner.contract import Reason

from lofargrid.simulation.faults import Cause


@dataclass(frozen=True)
class Past:
    """An attempt that is over on its node, in seconds since the start.

    ``reason`` is what its report says, ``cause`` the truth. ``reported`` is False if it left no report.
    """

    attempt: str
    job: str
    step: str
    site: str
    node: str
    started_s: float
    ended_s: float
    cores: int
    succeeded: bool
    reported: bool = True
    reason: Reason | None = None
    cause: Cause | None = None
    detail: str = ""

    @property
    def core_seconds(self) -> float:
        """What it took of the node, its lingering too."""
        return (self.ended_s - self.started_s) * self.cores


class Measure:
    """All attempts that are over, in the order of their end."""

    def __init__(self) -> None:
        self.attempts: list[Past] = []
        self.used_core_s = 0.0
        self.wasted_core_s: defaultdict[str, float] = defaultdict(float)

    def add(self, past: Past) -> None:
        """Record an attempt."""
        self.attempts.append(past)
        self.used_core_s += past.core_seconds
        if not past.succeeded:
            self.wasted_core_s[str(past.cause)] += past.core_seconds

    @property
    def wasted_core_s_in_all(self) -> float:
        """The core-seconds of attempts that did not succeed."""
        return sum(self.wasted_core_s.values())

    def causes(self) -> dict[str, Cause]:
        """The true cause of each attempt that did not succeed."""
        return {past.attempt: past.cause for past in self.attempts if past.cause is not None}

    def outcomes(self) -> Counter[tuple[str, str, str]]:
        """How many attempts ended how: by site, node and reason, ``succeeded``, or ``none`` without a report."""
        return Counter((past.site, past.node, outcome(past)) for past in self.attempts)


def outcome(past: Past) -> str:
    """How an attempt ended, in a word."""
    if past.succeeded:
        return "succeeded"
    return str(past.reason) if past.reason else "none"
