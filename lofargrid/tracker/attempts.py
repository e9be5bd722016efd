"""Attempts: what was intended, what backends say of it, how it ended."""

from collections.abc import Mapping

from lofargrid.model import Job
from lofargrid.names import attempt_id
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker import records
from lofargrid.tracker.jobs import Jobs
from lofargrid.tracker.records import AttemptRecord

PARTS = ("htcondor_cluster", "htcondor_proc", "slurm_array_task")
"""Ids that name nothing by themselves: every cluster has a proc 0."""


class Attempts(Jobs):
    """The table attempts."""

    def intend(
        self, job: Job, backend: str, site: str, now: str, remote_from: str = "", copy_s: float = 0.0
    ) -> str:  # fmt: skip
        """Write down an attempt before any backend hears of it; the job is submitted from here on."""
        number = int(self.value("SELECT count(*) + 1 FROM attempts WHERE job_id = ?", job.id))
        attempt = attempt_id(self.id, job.id, number)
        self.write(
            "INSERT INTO attempts (id, job_id, number, phase, backend, site, intended, remote_from, copy_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            attempt, job.id, number, Phase.INTENDED, backend, site, now, remote_from, copy_s,
        )  # fmt: skip
        self.move(job, JobState.SUBMITTED, now, attempt=attempt)
        self.note_unswept(job)
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

    def note_ids(self, attempt: str, ids: Mapping[str, str]) -> None:
        """Write down what site admins know an attempt by, and the pilot that it ran in."""
        rows = [(str(one), attempt) for key, one in ids.items() if one and key not in PARTS]
        self.write_many("INSERT OR IGNORE INTO ids (id, attempt) VALUES (?, ?)", rows)
        if ids.get("pilot"):
            self.write("UPDATE attempts SET pilot = ? WHERE id = ?", str(ids["pilot"]), attempt)

    def attempt(self, attempt: str) -> AttemptRecord | None:
        """The attempt of an id, or None."""
        rows = self.rows("SELECT * FROM attempts WHERE id = ?", attempt)
        return records.attempt(rows[0]) if rows else None

    def attempts(self, job_id: int) -> list[AttemptRecord]:
        """All attempts at a job, first one first."""
        return [
            records.attempt(row) for row in self.rows("SELECT * FROM attempts WHERE job_id = ? ORDER BY number", job_id)
        ]

    def unfinished_attempts(self) -> list[AttemptRecord]:
        """The attempts that a backend may still hold."""
        sql = "SELECT * FROM attempts WHERE phase NOT IN ('ended', 'lost') ORDER BY job_id, number"
        return [records.attempt(row) for row in self.rows(sql)]

    def failures(self, job_id: int) -> list[AttemptRecord]:
        """The attempts at a job that failed since the operator's last retry, first one first."""
        sql = (
            "SELECT a.* FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.id = ? AND a.reason IS NOT NULL"
            " AND a.number >= j.first_attempt ORDER BY a.number"
        )
        return [records.attempt(row) for row in self.rows(sql, job_id)]

    def sites_of(self, production_id: int) -> list[str]:
        """The sites that attempts at a production's jobs were sent to."""
        sql = (
            "SELECT DISTINCT a.site FROM jobs j JOIN attempts a ON a.job_id = j.id WHERE j.production_id = ? ORDER BY 1"
        )
        return [row[0] for row in self.rows(sql, production_id)]

    def typical_s(self, production_id: int, step: str) -> float | None:
        """How long some attempts at a step held a slot that succeeded; None if none has."""
        sql = (
            "SELECT avg((julianday(a.ended) - julianday(a.started)) * 86400) FROM (SELECT * FROM jobs"
            " WHERE production_id = ? AND step = ? AND state = 'succeeded' AND current ORDER BY id LIMIT 20) j"
            " JOIN attempts a ON a.id = j.attempt WHERE a.started IS NOT NULL"
        )
        found = self.value(sql, production_id, step)
        return None if found is None else float(found)

    def load(self, now: str) -> list[records.Load]:
        """The attempts that backends have, by the places and links that they take up."""
        sql = (
            "SELECT site, remote_from, count(*) AS attempts, sum(copy_s > 0 AND (started IS NULL OR"
            " (julianday(?) - julianday(started)) * 86400 < copy_s)) AS copies FROM attempts"
            " WHERE phase NOT IN ('ended', 'lost') GROUP BY site, remote_from"
        )
        return [records.Load(**dict(row)) for row in self.rows(sql, now)]

    def not_started(self, first_before: str, repeated_before: str) -> list[AttemptRecord]:
        """Attempts that were handed over before a time, and that no node has taken yet."""
        sql = (
            "SELECT * FROM attempts WHERE phase NOT IN ('ended', 'lost') AND phase = 'queued'"
            " AND intended < CASE number WHEN 1 THEN ? ELSE ? END ORDER BY id"
        )
        return [records.attempt(row) for row in self.rows(sql, first_before, repeated_before)]

    def in_flight(self) -> int:
        """How many attempts backends have."""
        return int(self.value("SELECT count(*) FROM attempts WHERE phase NOT IN ('ended', 'lost')"))
