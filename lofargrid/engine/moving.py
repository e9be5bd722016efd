"""Moves of jobs as the engine makes them, and what they give it to look at next."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from lofargrid.model import Job
from lofargrid.states import FINAL, JobState, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord


class Moves:
    """Moves jobs of one tracker, counts the moves, and remembers what they touched.

    ``touched`` are productions in which something ended and groups may be due, ``settled`` those that may have
    something to sweep, ``succeeded`` jobs whose inputs may have lost their last reader. None stands for all, which
    is how it begins.

    Parameters
    ----------
    tracker
        The tracker.
    clock
        Gives the time, aware UTC.
    """

    def __init__(self, tracker: Tracker, clock: Callable[[], datetime]) -> None:
        self._tracker = tracker
        self._clock = clock
        self.count = 0
        self.touched: set[int] | None = None
        self.settled: set[int] = set()
        self.succeeded: set[int] | None = None

    def now(self, later_s: float = 0.0) -> str:
        """The time, or one later, as the tracker writes it."""
        return (self._clock() + timedelta(seconds=later_s)).astimezone(UTC).isoformat(timespec="milliseconds")

    def move(self, job: Job, new: JobState, reason: Reason | None = None, detail: str = "") -> None:
        """Move a job if it still is where it was."""
        if self._tracker.move(job, new, self.now(), reason, detail):
            self.count += 1
            if new in FINAL:
                self.touch(job)

    def put_back(self, job: Job, reason: Reason, detail: str, wait_s: float, tries: int) -> None:
        """Let a job wait to be tried again."""
        later = self.now(wait_s)
        self._tracker.move(job, JobState.WAITING, self.now(), reason, detail, not_before=later, tries=tries)
        self.count += 1

    def touch(self, job: Job) -> None:
        """Look at the job's production again."""
        production_id = self.production(job).id
        self.settled.add(production_id)
        if self.touched is not None:
            self.touched.add(production_id)

    def look_at(self, job_id: int) -> None:
        """Look which files this job and its needs may do without."""
        if self.succeeded is not None:
            self.succeeded.add(job_id)

    def production(self, job: Job) -> ProductionRecord:
        """The production of a job."""
        production = self._tracker.production(job.production)
        assert production is not None, "a job has a production"
        return production
