"""The port to a system that runs jobs. Calls take many at once and may be repeated without harm."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lofargrid_runner.contract import JobSpec, Report

from lofargrid.states import Phase

LOG_NAME = "job.log"
REPORT_NAME = "report.json"
NO_REPORT = "the runner ended without a report"


@dataclass(frozen=True)
class Observation:
    """What a backend knows of one attempt now. ``report`` comes with ``ended`` unless it was lost on the way."""

    attempt: str
    phase: Phase
    report: Report | None = None
    report_text: str = ""
    node: str = ""
    batch_id: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Changes:
    """Observations since a cursor, and the cursor to ask with next."""

    cursor: str
    observations: tuple[Observation, ...] = field(default=())


class Backend(Protocol):
    """What lofargrid asks of a system that runs jobs.

    A service that does not answer raises `BackendError`, which is transient; `Phase.LOST` is said only after
    the service answered that it does not know the attempt.
    """

    name: str

    def submit(self, jobs: Sequence[JobSpec]) -> None:
        """Hand over attempts.

        A return guarantees that the backend has every one of them. An attempt that it has already is not
        started a second time. Each runs at its own ``site``, on its ``node`` if it names one.
        """
        ...

    def changes(self, cursor: str | None) -> Changes:
        """Tell what became of this tracker's attempts since ``cursor``; None tells all that is known."""
        ...

    def cancel(self, attempts: Sequence[str]) -> None:
        """See that attempts run no longer; unknown ones are passed over."""
        ...

    def avoid(self, nodes: Mapping[str, Collection[str]]) -> None:
        """Start no more attempts on these nodes of these sites, but those that name the node.

        The nodes take the place of those given before. What runs there goes on.
        """
        ...

    def fetch(self, attempt: str, into: Path) -> list[Path]:
        """Copy an attempt's log and report, as far as they are there, also while it runs."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when something may have changed, or after ``timeout_s``."""
        ...

    def close(self) -> None:
        """Let go of what this process holds; attempts that run go on."""
        ...
