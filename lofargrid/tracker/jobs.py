"""Jobs: found, counted and moved. One state column, one UPDATE with the old state in it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lofargrid.errors import IllegalMoveError
from lofargrid.model import Job
from lofargrid.states import FINAL, MOVES, JobState, Reason
from lofargrid.tracker import records
from lofargrid.tracker.store import Store, marks

_FINAL = tuple(FINAL)
_UNFINISHED = "current AND state IN ('waiting', 'recalling', 'ready', 'submitted', 'running')"
_JOB = "SELECT j.*, p.name AS production FROM jobs j JOIN productions p ON p.id = j.production_id "


class Jobs(Store):
    """The tables jobs and needs."""

    def job(self, production_id: int, name: str) -> Job | None:
        """The standing job of a name, or None."""
        rows = self.rows(_JOB + "WHERE j.production_id = ? AND j.name = ? AND j.current", production_id, name)
        return records.job(rows[0]) if rows else None

    def job_by_id(self, job_id: int) -> Job:
        """The job of an id."""
        return records.job(self.rows(_JOB + "WHERE j.id = ?", job_id)[0])

    def production_of(self, job: Job) -> int:
        """The id of a job's production."""
        return int(self.value("SELECT production_id FROM jobs WHERE id = ?", job.id))

    def find_jobs(self, text: str) -> list[Job]:
        """Standing jobs whose name, or an attempt's id or batch id, is ``text``."""
        sql = _JOB + (
            "WHERE (j.name = ?1 AND j.current) OR j.id IN (SELECT job_id FROM attempts WHERE id = ?1 OR batch_id = ?1)"
        )
        return [records.job(row) for row in self.rows(sql, text)]

    def jobs(self, production_id: int, states: Iterable[JobState] = ()) -> list[Job]:
        """The standing jobs, of all or of some states."""
        wanted = list(states)
        where = f" AND j.state IN ({marks(wanted)})" if wanted else ""
        sql = _JOB + f"WHERE j.production_id = ? AND j.current{where} ORDER BY j.id"
        return [records.job(row) for row in self.rows(sql, production_id, *wanted)]

    def to_start(self, now: str, limit: int) -> list[Job]:
        """Waiting jobs whose needs are all final and whose time has come."""
        sql = _JOB + (
            "WHERE j.state = 'waiting' AND j.unmet = 0 AND j.current AND NOT p.paused"
            " AND (j.not_before IS NULL OR j.not_before <= ?) ORDER BY j.id LIMIT ?"
        )
        return [records.job(row) for row in self.rows(sql, now, limit)]

    def ready(self, limit: int) -> list[Job]:
        """Jobs that can be handed to a backend."""
        sql = _JOB + "WHERE j.state = 'ready' AND j.current AND NOT p.paused ORDER BY j.id LIMIT ?"
        return [records.job(row) for row in self.rows(sql, limit)]

    def needs(self, job_id: int) -> list[Job]:
        """The jobs that a job needs, in plan order."""
        sql = _JOB + "JOIN needs n ON n.need_id = j.id WHERE n.job_id = ? ORDER BY j.id"
        return [records.job(row) for row in self.rows(sql, job_id)]

    def dependents(self, job_id: int) -> list[Job]:
        """The standing jobs that need a job."""
        sql = _JOB + "JOIN needs n ON n.job_id = j.id WHERE n.need_id = ? AND j.current ORDER BY j.id"
        return [records.job(row) for row in self.rows(sql, job_id)]

    def unfinished(self, production_id: int) -> int:
        """How many standing jobs of a production are not final."""
        return int(self.value(f"SELECT count(*) FROM jobs WHERE production_id = ? AND {_UNFINISHED}", production_id))

    def counts(self, production_id: int) -> dict[str, dict[JobState, int]]:
        """How many standing jobs each step has in each state."""
        sql = "SELECT step, state, count(*) AS n FROM jobs WHERE production_id = ? AND current GROUP BY step, state"
        found: dict[str, dict[JobState, int]] = {}
        for row in self.rows(sql, production_id):
            found.setdefault(row["step"], {})[JobState(row["state"])] = row["n"]
        return found

    def subband_states(self, production_id: int) -> list[tuple[str, str, JobState]]:
        """Role, key and state of the jobs over single subbands, in plan order."""
        sql = (
            "SELECT j.role, j.key, j.state FROM jobs j JOIN subbands s ON s.production_id = j.production_id"
            " AND s.role = j.role AND s.key = j.key WHERE j.production_id = ? AND j.current ORDER BY j.id"
        )
        return [(row["role"], row["key"], JobState(row["state"])) for row in self.rows(sql, production_id)]

    def move(
        self, job: Job, new: JobState, now: str, reason: Reason | None = None, detail: str = "",
        attempt: str | None = None, not_before: str | None = None, tries: int | None = None,
    ) -> bool:  # fmt: skip
        """Move a job if it still is in the state that ``job`` tells.

        Returns
        -------
        moved
            False if somebody moved it before.

        Raises
        ------
        IllegalMoveError
            states.py does not list the move.
        """
        if new not in MOVES[job.state]:
            raise IllegalMoveError(f"{job.name}: {job.state} -> {new} is no move")
        moved = self.write(
            "UPDATE jobs SET state = ?, reason = ?, detail = ?, not_before = ?, updated = ?,"
            " attempt = coalesce(?, attempt), tries = coalesce(?, tries) WHERE id = ? AND state = ?",
            new, reason, detail, not_before, now, attempt, tries, job.id, job.state,
        )  # fmt: skip
        if not moved:
            return False
        if (new in FINAL) != (job.state in FINAL):
            change = -1 if new in FINAL else 1
            self.write(
                "UPDATE jobs SET unmet = unmet + ? WHERE id IN (SELECT job_id FROM needs WHERE need_id = ?)",
                change, job.id,
            )  # fmt: skip
        self.event(now, self.production_of(job), job.id, attempt or job.attempt, job.state, new, reason, detail)
        return True

    def reset(self, job: Job, now: str) -> None:
        """Bring a failed or cancelled job back to waiting, with all its tries."""
        self.move(job, JobState.WAITING, now, detail="retry", tries=0)
        self.write(
            "UPDATE jobs SET detail = '', first_attempt = 1 + (SELECT count(*) FROM attempts WHERE job_id = jobs.id)"
            " WHERE id = ?",
            job.id,
        )

    def mark_stale(self, job_id: int) -> int:
        """Mark the jobs that went without what this one has made now: they have succeeded or are on their way."""
        return self.write(
            "UPDATE jobs SET stale = 1 WHERE state IN ('submitted', 'running', 'succeeded') AND current AND id IN"
            " (SELECT job_id FROM needs WHERE need_id = ?)",
            job_id,
        )

    def remember(self, job_id: int, measurements: Mapping[str, Any]) -> None:
        """Keep what the checks of a succeeded job measured."""
        self.write("UPDATE jobs SET measurements = ? WHERE id = ?", json.dumps(measurements), job_id)

    def measurements(self, job_id: int) -> dict[str, Any]:
        """What the checks of a job measured."""
        return dict(json.loads(self.value("SELECT measurements FROM jobs WHERE id = ?", job_id) or "{}"))

    def set_lacks(self, job_id: int, lacks: Sequence[str]) -> None:
        """Note the subbands that a merge goes without; what it takes is all that is there now."""
        text = json.dumps(sorted(lacks)) if lacks else None
        self.write("UPDATE jobs SET lacks = ?, stale = 0 WHERE id = ?", text, job_id)

    def lacks(self, job_id: int) -> list[str]:
        """The subbands that a merge goes without."""
        return list(json.loads(self.value("SELECT lacks FROM jobs WHERE id = ?", job_id) or "[]"))
