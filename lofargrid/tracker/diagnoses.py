"""What `why` asks. Each answer costs what the job and its production have to do with it, not what the tracker holds."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lofargrid.decisions.splitting import Beam
from lofargrid.model import Subband
from lofargrid.states import FINAL, JobState, Reason
from lofargrid.tracker import records
from lofargrid.tracker.store import Store, marks

_FINAL = ", ".join(f"'{state}'" for state in sorted(FINAL))
_MOST_BELOW = 20_000
_SAMPLE = 200
_MOST_COUNTED = 1000

# What keeps others waiting, the most telling first.
_RANK = (
    "CASE WHEN j.state = 'waiting' AND j.not_before IS NOT NULL THEN 0 WHEN j.state IN ('recalling', 'ready') THEN 1"
    " WHEN j.state = 'submitted' THEN 2 WHEN j.state = 'waiting' AND j.unmet = 0 THEN 3 WHEN j.state = 'running' THEN 4"
    " ELSE 5 END, j.updated, j.id"
)


@dataclass(frozen=True)
class Wait:
    """What the row of a job says about its waiting. Times are ISO 8601 UTC.

    ``standing`` is False for one that a later generation took the place of. ``startable_since`` is when the last of
    its needs became final.
    """

    production_id: int
    standing: bool
    not_before: str | None
    depth: int
    startable_since: str


@dataclass(frozen=True)
class FailedNeeds:
    """Needs of a job that failed, or were cancelled, for one reason. ``first`` is the id of one of them."""

    reason: Reason | None
    count: int
    first: int


@dataclass(frozen=True)
class Rival:
    """A production that has ready jobs and goes first."""

    production: str
    priority: int
    ready: int


@dataclass(frozen=True)
class Trouble:
    """What kept a stage of the last tick from being done, and since when it has been in trouble."""

    stage: str
    text: str
    since: str


class Diagnoses(Store):
    """The table troubles, and the others seen from one job."""

    def wait(self, job_id: int) -> Wait:
        """What the row of a job says about its waiting."""
        sql = (
            "SELECT production_id, current, not_before, depth, max(updated, coalesce((SELECT max(o.updated)"
            " FROM needs n JOIN jobs o ON o.id = n.need_id WHERE n.job_id = j.id), '')) AS since FROM jobs j"
            " WHERE j.id = ?"
        )
        (row,) = self.rows(sql, job_id)
        return Wait(row["production_id"], bool(row["current"]), row["not_before"], row["depth"], row["since"])

    def remark(self, job_id: int) -> str:
        """What was written into a job's history after its last move: the decision that led to it."""
        sql = (
            "SELECT text FROM events WHERE job_id = ?1 AND new IS NULL AND id >"
            " (SELECT max(id) FROM events WHERE job_id = ?1 AND new IS NOT NULL) ORDER BY id DESC LIMIT 1"
        )
        return str(self.value(sql, job_id) or "")

    def paused_since(self, production_id: int) -> str:
        """When a production was paused last; empty if it is not known."""
        sql = (
            "SELECT at FROM events WHERE production_id = ? AND job_id IS NULL AND text = 'paused'"
            " ORDER BY id DESC LIMIT 1"
        )
        return str(self.value(sql, production_id) or "")

    def successors(self, production_id: int, step: str, key: str, limit: int) -> list[str]:
        """The standing jobs in place of one that was superseded: of the same key, or of its parts."""
        sql = (
            "SELECT name FROM jobs WHERE current AND production_id = ? AND step = ? AND name BETWEEN ? AND ?"
            " ORDER BY name LIMIT ?"
        )
        return [row[0] for row in self.rows(sql, production_id, step, key, f"{key}~", limit)]

    def subbands_of(self, production_id: int, role: str, keys: Sequence[str]) -> list[Subband]:
        """Some listed subbands."""
        if not keys:
            return []
        sql = f"SELECT * FROM subbands WHERE production_id = ? AND role = ? AND key IN ({marks(keys)}) ORDER BY key"
        return [records.subband(row) for row in self.rows(sql, production_id, role, *keys)]

    # What it needs

    def open_needs(self, job_id: int, limit: int) -> list[tuple[str, JobState]]:
        """Some needs of a job that are not final, by name and state."""
        sql = (
            "SELECT j.name, j.state FROM needs n JOIN jobs j ON j.id = n.need_id WHERE n.job_id = ?"
            f" AND j.state NOT IN ({_FINAL}) ORDER BY j.id LIMIT ?"
        )
        return [(row["name"], JobState(row["state"])) for row in self.rows(sql, job_id, limit)]

    def open_need_counts(self, job_id: int) -> dict[JobState, int]:
        """How many needs of a job are in each state that is not final."""
        sql = (
            "SELECT j.state, count(*) AS n FROM needs n JOIN jobs j ON j.id = n.need_id WHERE n.job_id = ?"
            f" AND j.state NOT IN ({_FINAL}) GROUP BY j.state ORDER BY n DESC, j.state"
        )
        return {JobState(row["state"]): row["n"] for row in self.rows(sql, job_id)}

    def blocker(self, job_id: int) -> int | None:
        """The job, below all the needs of needs, that most keeps a job waiting; None if none does."""
        sql = (
            # A subquery, for a join would make sqlite read all jobs once to know which of them to look for.
            "WITH RECURSIVE below(id) AS (SELECT ?1 UNION SELECT n.need_id FROM below b CROSS JOIN needs n"
            " ON n.job_id = b.id WHERE (SELECT w.state = 'waiting' AND w.unmet > 0 FROM jobs w WHERE w.id = b.id)"
            f" LIMIT {_MOST_BELOW})"
            f" SELECT j.id FROM below b CROSS JOIN jobs j ON j.id = b.id WHERE j.id <> ?1 AND j.state NOT IN ({_FINAL})"
            " AND NOT (j.state = 'waiting' AND j.unmet > 0 AND NOT EXISTS"
            f" (SELECT 1 FROM awaited a WHERE a.job_id = j.id)) ORDER BY {_RANK} LIMIT 1"
        )
        found = self.value(sql, job_id)
        return None if found is None else int(found)

    def awaited_steps(self, job_id: int) -> list[str]:
        """The grouped steps whose jobs a job needs and are not made yet."""
        return [row[0] for row in self.rows("SELECT step FROM awaited WHERE job_id = ? ORDER BY step", job_id)]

    def silent(self, production_id: int, beam: Beam) -> list[int]:
        """The jobs that may still tell the frequency of a subband of a SAP, what most keeps others waiting first."""
        role, observation, sap = beam
        sql = (
            "SELECT j.id FROM jobs j CROSS JOIN subbands s ON s.production_id = j.production_id AND s.role = j.role"
            f" AND s.key = j.key WHERE j.production_id = ? AND j.current AND j.state NOT IN ({_FINAL}) AND j.role = ?"
            f" AND s.observation = ? AND s.sap = ? AND s.place IS NULL ORDER BY {_RANK}"
        )
        return [row[0] for row in self.rows(sql, production_id, role, observation, sap)]

    def failed_needs(self, job_id: int) -> list[FailedNeeds]:
        """The needs of a job that did not succeed, by reason, the most frequent first."""
        sql = (
            "SELECT j.reason, count(*) AS n, min(j.id) AS first FROM needs n JOIN jobs j ON j.id = n.need_id"
            " WHERE n.job_id = ? AND j.state IN ('failed', 'cancelled') GROUP BY j.reason ORDER BY n DESC, first"
        )
        return _failed_needs(self.rows(sql, job_id))

    def lacking_needs(self, job_id: int) -> list[int]:
        """The needs of a job that go without something themselves, in plan order."""
        sql = (
            "SELECT j.id FROM needs n JOIN jobs j ON j.id = n.need_id WHERE n.job_id = ? AND j.lacks IS NOT NULL"
            " ORDER BY j.id"
        )
        return [row[0] for row in self.rows(sql, job_id)]

    def failed_over_lacks(self, job_id: int) -> list[FailedNeeds]:
        """The jobs over subbands that a merge goes without, which failed for themselves; see `failed_needs`."""
        sql = (
            "SELECT o.reason, count(*) AS n, min(o.id) AS first FROM jobs j JOIN jobs o ON o.production_id ="
            " j.production_id AND o.role = j.role AND o.current AND o.state IN ('failed', 'cancelled') WHERE j.id = ?"
            " AND o.key IN (SELECT value FROM json_each(j.lacks)) AND o.reason IS NOT 'need-failed'"
            " GROUP BY o.reason ORDER BY n DESC, first"
        )
        return _failed_needs(self.rows(sql, job_id))

    def without_place(self, production_id: int, role: str, keys: Sequence[str]) -> list[str]:
        """Those of some subbands whose frequency neither a list nor a job has told."""
        if not keys:
            return []
        sql = (
            f"SELECT key FROM subbands WHERE production_id = ? AND role = ? AND key IN ({marks(keys)})"
            " AND place IS NULL AND listed_frequency_hz IS NULL AND reason IS NULL ORDER BY key"
        )
        return [row[0] for row in self.rows(sql, production_id, role, *keys)]

    # Its turn

    def ahead(self, job_id: int, wait: Wait) -> int:
        """How many jobs of the same production that could run go before one; what is more than 1000 counts as that."""
        before = "production_id = ?1 AND (depth > ?2 OR (depth = ?2 AND id < ?3))"
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state = 'ready' AND {before} UNION ALL"
            f" SELECT 1 FROM jobs WHERE state = 'waiting' AND unmet = 0 AND not_before IS NULL AND {before}"
            f" AND NOT (SELECT state = 'ready' FROM jobs WHERE id = ?3) LIMIT {_MOST_COUNTED})"
        )
        return int(self.value(sql, wait.production_id, wait.depth, job_id))

    def first_ready(self, production_id: int) -> int | None:
        """The job of a production that has been ready longest."""
        sql = "SELECT id FROM jobs WHERE production_id = ? AND state = 'ready' ORDER BY updated, id LIMIT 1"
        found = self.value(sql, production_id)
        return None if found is None else int(found)

    def rivals(self, priority: int, limit: int) -> list[Rival]:
        """Productions of a higher priority that have ready jobs."""
        sql = (
            "SELECT p.name, p.priority, count(*) AS n FROM jobs j JOIN productions p ON p.id = j.production_id"
            " WHERE j.state = 'ready' AND p.priority > ? AND NOT p.paused GROUP BY p.id"
            " ORDER BY p.priority DESC, p.id LIMIT ?"
        )
        return [Rival(row["name"], row["priority"], row["n"]) for row in self.rows(sql, priority, limit)]

    # How long things take

    def usual_s(self, production_id: int, step: str, site: str) -> float | None:
        """How long jobs of a step lately held a slot of a site and succeeded; None if none has."""
        sql = (
            "SELECT avg((julianday(a.ended) - julianday(a.started)) * 86400) FROM"
            " (SELECT job_id, started, ended, reason FROM attempts WHERE site = ? AND ended IS NOT NULL"
            f" ORDER BY ended DESC LIMIT {_SAMPLE}) a"
            " JOIN jobs j ON j.id = a.job_id WHERE j.production_id = ? AND j.step = ? AND a.reason IS NULL"
        )
        found = self.value(sql, site, production_id, step)
        return None if found is None else float(found)

    def usual_queue_s(self, site: str) -> float | None:
        """How long attempts at a site lately waited for a node; None if none has begun."""
        sql = (
            "SELECT avg((julianday(started) - julianday(intended)) * 86400) FROM"
            " (SELECT started, intended FROM attempts WHERE site = ? AND ended IS NOT NULL"
            f" ORDER BY ended DESC LIMIT {_SAMPLE}) WHERE started IS NOT NULL"
        )
        found = self.value(sql, site)
        return None if found is None else float(found)

    def unpublished(self, job_id: int) -> bool:
        """Whether a product of a job has not its final name yet."""
        sql = "SELECT 1 FROM files WHERE job_id = ? AND product AND published = '' AND state = 'made' LIMIT 1"
        return self.value(sql, job_id) is not None

    # Troubles

    def troubles(self) -> dict[str, Trouble]:
        """What kept stages of the last tick from being done."""
        rows = self.rows("SELECT stage, text, since FROM troubles")
        return {row["stage"]: Trouble(**dict(row)) for row in rows}

    def note_troubles(self, texts: Mapping[str, str], now: str) -> None:
        """Write down which stages are in trouble; a trouble that is there already keeps the time at which it began.

        What keeps one stage from being done may keep another one from it with the next tick: that is one trouble.
        """
        known = self.troubles()
        began = {one.text: one.since for one in known.values()}
        rows = [
            (stage, text, known[stage].since if stage in known else began.get(text, now))
            for stage, text in texts.items()
        ]
        self.write("DELETE FROM troubles")
        self.write_many("INSERT INTO troubles VALUES (?, ?, ?)", rows)


def _failed_needs(rows: Sequence[sqlite3.Row]) -> list[FailedNeeds]:
    return [FailedNeeds(Reason(row["reason"]) if row["reason"] else None, row["n"], row["first"]) for row in rows]
