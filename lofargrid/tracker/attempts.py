"""Attempts: what was intended, what backends say of it, how it ended."""

from lofargrid.model import Job
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker import records
from lofargrid.tracker.jobs import Jobs
from lofargrid.tracker.records import AttemptRecord


class Attempts(Jobs):
    """The table attempts."""

    def intend(self, job: Job, backend: str, site: str, now: str) -> str:
        """Write down an attempt before any backend hears of it; the job is submitted from here on."""
        number = int(self.value("SELECT count(*) + 1 FROM attempts WHERE job_id = ?", job.id))
        attempt = f"{self.id}-{job.id}-{number}"
        self.write(
            "INSERT INTO attempts (id, job_id, number, phase, backend, site, intended) VALUES (?, ?, ?, ?, ?, ?, ?)",
            attempt, job.id, number, Phase.INTENDED, backend, site, now,
        )  # fmt: skip
        self.move(job, JobState.SUBMITTED, now, attempt=attempt)
        return attempt

    def note_phase(self, attempt: str, phase: Phase, now: str, node: str = "", batch_id: str = "") -> None:
        """Write down what the backend says of an attempt."""
        self.write(
            "UPDATE attempts SET phase = ?1, node = coalesce(nullif(?2, ''), node), batch_id = coalesce(nullif(?3, ''),"
            " batch_id), started = CASE WHEN ?1 = 'running' THEN coalesce(started, ?4) ELSE started END WHERE id = ?5",
            phase, node, batch_id, now, attempt,
        )  # fmt: skip

    def end_attempt(
        self, attempt: str, phase: Phase, now: str, reason: Reason | None, detail: str, report: str | None
    ) -> None:
        """Write down how an attempt ended."""
        self.write(
            "UPDATE attempts SET phase = ?, ended = ?, reason = ?, detail = ?, report = ? WHERE id = ?",
            phase, now, reason, detail, report, attempt,
        )  # fmt: skip

    def attempt(self, attempt: str) -> AttemptRecord | None:
        """The attempt of an id, or None."""
        rows = self.rows("SELECT * FROM attempts WHERE id = ?", attempt)
        return records.attempt(rows[0]) if rows else None

    def attempts(self, job_id: int) -> list[AttemptRecord]:
        """All attempts at a job, first one first."""
        return [
            records.attempt(row) for row in self.rows("SELECT * FROM attempts WHERE job_id = ? ORDER BY number", job_id)
        ]

    def unfinished_attempts(self, backend: str) -> list[AttemptRecord]:
        """The attempts that a backend may still hold."""
        sql = "SELECT * FROM attempts WHERE backend = ? AND phase NOT IN ('ended', 'lost') ORDER BY job_id, number"
        return [records.attempt(row) for row in self.rows(sql, backend)]

    def same_failures(self, job_id: int, reason: Reason) -> int:
        """How many attempts failed for a reason since the operator's last retry."""
        return int(
            self.value(
                "SELECT count(*) FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.id = ? AND a.reason = ?"
                " AND a.number >= j.first_attempt",
                job_id, reason,
            )
        )  # fmt: skip

    def in_flight(self, backend: str) -> int:
        """How many attempts a backend has."""
        sql = "SELECT count(*) FROM attempts WHERE backend = ? AND phase NOT IN ('ended', 'lost')"
        return int(self.value(sql, backend))
