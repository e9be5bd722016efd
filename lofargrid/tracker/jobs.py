"""Jobs: found, counted and moved. One state column, one UPDATE with the old state in it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lofargrid.errors import IllegalMoveError
from lofargrid.model import Job
from lofargrid.states import FINAL, MOVES, JobState, Reason
from lofargrid.tracker import records
from lofargrid.tracker.store import Store, marks

_FINAL = tuple(FINAL)
_JOB = "SELECT j.*, p.name AS production FROM jobs j JOIN productions p ON p.id = j.production_id "


@dataclass(frozen=True)
class Queue:
    """How many jobs of a production wait, are ready or soon will be, and are with a backend; what the operator said."""

    production_id: int
    priority: int
    max_running: int | None
    waiting: int
    ready: int
    in_flight: int


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

    def note_unswept(self, job: Job) -> None:
        """Write down that something of a job is left on scratch, or will be, that nobody needs in the end."""
        sql = "UPDATE productions SET swept = 0 WHERE swept AND id = (SELECT production_id FROM jobs WHERE id = ?)"
        self.write(sql, job.id)

    def find_jobs(self, text: str) -> list[Job]:
        """Standing jobs whose name, or an attempt's id or any id that a site admin knows it by, is ``text``."""
        sql = _JOB + (
            "WHERE j.id IN (SELECT id FROM jobs WHERE name = ?1 AND current"
            " UNION SELECT job_id FROM attempts WHERE id = ?1"
            " UNION SELECT job_id FROM attempts WHERE batch_id = ?1 AND batch_id <> ''"
            " UNION SELECT job_id FROM attempts WHERE id IN (SELECT attempt FROM ids WHERE id = ?1)) ORDER BY j.id"
        )
        return [records.job(row) for row in self.rows(sql, text)]

    def jobs(self, production_id: int, states: Iterable[JobState] = ()) -> list[Job]:
        """The standing jobs, of all or of some states."""
        wanted = list(states)
        where = f" AND j.state IN ({marks(wanted)})" if wanted else ""
        sql = _JOB + f"WHERE j.production_id = ? AND j.current{where} ORDER BY j.id"
        return [records.job(row) for row in self.rows(sql, production_id, *wanted)]

    def in_state(self, state: str) -> list[Job]:
        """All jobs in a state that few are in."""
        return [records.job(row) for row in self.rows(_JOB + f"WHERE j.state = '{JobState(state)}' ORDER BY j.id")]

    def wake(self, now: str) -> None:
        """Let waiting jobs whose time has come be started, and those that a clock set back would hold up."""
        late = "state = 'waiting' AND not_before IS NOT NULL AND (not_before <= ?1 OR updated > ?1)"
        if self.value(f"SELECT 1 FROM jobs WHERE {late} LIMIT 1", now):
            self.write(f"UPDATE jobs SET not_before = NULL WHERE {late}", now)

    def startable(self) -> list[int]:
        """The productions that have jobs to start, each found by a jump over the index."""
        first = "SELECT min(production_id) FROM jobs WHERE state = 'waiting' AND unmet = 0 AND not_before IS NULL"
        sql = (
            f"WITH RECURSIVE next(id) AS ({first} UNION ALL"
            f" SELECT ({first} AND production_id > next.id) FROM next WHERE id IS NOT NULL)"
            " SELECT p.id FROM next JOIN productions p ON p.id = next.id WHERE NOT p.paused"
        )
        return [row[0] for row in self.rows(sql)]

    def queues(self, production_ids: Iterable[int]) -> list[Queue]:
        """How many jobs of some productions stand where, all in one question: there may be thousands."""
        sql = (
            "SELECT p.id, p.priority, p.max_running, sum(CASE t.state WHEN 'waiting' THEN n ELSE 0 END),"
            " sum(CASE WHEN t.state IN ('recalling', 'ready') THEN n ELSE 0 END),"
            " sum(CASE WHEN t.state IN ('submitted', 'running') THEN n ELSE 0 END) FROM json_each(?) i"
            " CROSS JOIN productions p ON p.id = i.value CROSS JOIN tallies t ON t.production_id = p.id GROUP BY p.id"
        )
        return [Queue(*row) for row in self.rows(sql, json.dumps(list(production_ids)))]

    def to_start(self, production_id: int, limit: int) -> list[Job]:
        """Waiting jobs of a production whose needs are all final and whose time has come, the furthest first."""
        sql = _JOB + (
            "WHERE j.state = 'waiting' AND j.unmet = 0 AND j.not_before IS NULL AND j.production_id = ?"
            " ORDER BY j.depth DESC, j.id LIMIT ?"
        )
        return [records.job(row) for row in self.rows(sql, production_id, limit)]

    def ready_kinds(self) -> list[records.Kind]:
        """The jobs that can be handed over, those that are alike together."""
        sql = (
            "SELECT j.production_id, step, home, grown, shunned, count(*) AS count, min(j.id) AS first FROM jobs j"
            " JOIN productions p ON p.id = j.production_id WHERE j.state = 'ready' AND NOT p.paused"
            " GROUP BY j.production_id, step, home, grown, shunned ORDER BY j.production_id, depth DESC, first"
        )
        return [records.Kind(**dict(row)) for row in self.rows(sql)]

    def ready_of(self, kind: records.Kind, limit: int) -> list[Job]:
        """Ready jobs of a kind, in plan order."""
        sql = _JOB + (
            "WHERE j.state = 'ready' AND j.production_id = ? AND j.step = ? AND j.home = ? AND j.grown IS ?"
            " AND j.shunned IS ? ORDER BY j.id LIMIT ?"
        )
        values = (kind.production_id, kind.step, kind.home, kind.grown, kind.shunned, limit)
        return [records.job(row) for row in self.rows(sql, *values)]

    def grown(self, production_id: int, step: str) -> list[dict[str, float]]:
        """What the jobs of a step ask for that had to grow."""
        sql = "SELECT grown FROM jobs WHERE production_id = ? AND step = ? AND grown IS NOT NULL AND current LIMIT 50"
        return [dict(json.loads(row[0])) for row in self.rows(sql, production_id, step)]

    def settle_at(self, job_id: int, home: str) -> None:
        """Note the site that holds most of a job's inputs."""
        self.write("UPDATE jobs SET home = ? WHERE id = ? AND home <> ?", home, job_id, home)

    def change_demand(self, job_id: int, grown: Mapping[str, float], shunned: Sequence[str]) -> None:
        """Note what a job asks for in place of its step's resources, and the sites that it keeps away from."""
        self.write(
            "UPDATE jobs SET grown = ?, shunned = ? WHERE id = ?",
            json.dumps(grown) if grown else None, json.dumps(sorted(shunned)) if shunned else None, job_id,
        )  # fmt: skip

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
        sql = f"SELECT sum(n) FROM tallies WHERE production_id = ? AND state NOT IN ({marks(_FINAL)})"
        return int(self.value(sql, production_id, *_FINAL) or 0)

    def all_ended(self) -> bool:
        """Whether every standing job of every production is final, and every product has its final name."""
        going = f"SELECT 1 FROM tallies WHERE n > 0 AND state NOT IN ({marks(_FINAL)}) LIMIT 1"
        unpublished = (
            "SELECT 1 FROM files f JOIN jobs j ON j.id = f.job_id WHERE f.product AND f.published = ''"
            " AND f.state = 'made' AND j.state = 'succeeded' AND j.current LIMIT 1"
        )
        return self.value(going, *_FINAL) is None and self.value(unpublished) is None

    def counts(self, production_id: int) -> dict[str, dict[JobState, int]]:
        """How many standing jobs each step has in each state."""
        sql = "SELECT step, state, n FROM tallies WHERE production_id = ? AND n > 0"
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
            False if somebody moved it before, or a later generation took its place.

        Raises
        ------
        IllegalMoveError
            states.py does not list the move.
        """
        if new not in MOVES[job.state]:
            raise IllegalMoveError(f"{job.name}: {job.state} -> {new} is no move")
        moved = self.write(
            "UPDATE jobs SET state = ?, reason = ?, detail = ?, not_before = ?, updated = ?,"
            " attempt = coalesce(?, attempt), tries = coalesce(?, tries) WHERE id = ? AND state = ? AND current",
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

    def reset(self, job: Job, now: str) -> bool:
        """Bring a failed or cancelled job back to waiting, with all its tries, for all sites.

        What it has grown to it keeps: that is what its data take, and not what a site did to it.

        Returns
        -------
        moved
            As for `move`.
        """
        if not self.move(job, JobState.WAITING, now, detail="retry", tries=0):
            return False
        self.write(
            "UPDATE jobs SET detail = '', shunned = NULL, first_attempt = 1 +"
            " (SELECT count(*) FROM attempts WHERE job_id = jobs.id) WHERE id = ?",
            job.id,
        )
        return True

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
