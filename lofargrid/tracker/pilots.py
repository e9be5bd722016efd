"""Pilots: which were started from here, and what became of them."""

import sqlite3
from collections.abc import Sequence

from lofargrid.states import Reason
from lofargrid.tracker.records import PilotRecord, Ran
from lofargrid.tracker.store import Store, marks

_SELECT = "SELECT p.*, (SELECT count(*) FROM attempts a WHERE a.pilot = p.id AND a.pilot <> '') AS jobs FROM pilots p"

_RAN = (
    "SELECT a.id AS attempt, p.name AS production, j.name AS job, a.number, a.site, a.node, a.pilot, a.batch_id,"
    " a.started, a.ended, a.reason FROM attempts a JOIN jobs j ON j.id = a.job_id"
    " JOIN productions p ON p.id = j.production_id"
)
# A node may be named without its domain; `/` is what follows `.`.
_ON_NODE = "(a.node = ? OR (a.node > ? || '.' AND a.node < ? || '/'))"


class PilotRows(Store):
    """The table pilots."""

    def enter_pilot(self, pilot: str, site: str, through: str, token: str, token_expires: str, now: str) -> None:
        """Write down a pilot before its batch system hears of it."""
        self.write(
            "INSERT INTO pilots (id, site, through, token, token_expires, asked) VALUES (?, ?, ?, ?, ?, ?)",
            pilot, site, through, token, token_expires, now,
        )  # fmt: skip

    def name_pilot(self, pilot: str, batch_id: str) -> None:
        """Write down what the batch system calls a pilot."""
        self.write("UPDATE pilots SET batch_id = ? WHERE id = ?", batch_id, pilot)

    def see_pilot(self, pilot: str, node: str, now: str) -> None:
        """Write down that the pool has a pilot."""
        self.write("UPDATE pilots SET node = ?, joined = coalesce(joined, ?) WHERE id = ?", node, now, pilot)

    def note_pilot(self, pilot: str, batch_ids: Sequence[str]) -> None:
        """Write down that a pilot runs the attempts that a backend knows by some ids."""
        self.write(
            f"UPDATE attempts SET pilot = ? WHERE batch_id IN ({marks(batch_ids)}) AND batch_id <> ''"
            " AND phase NOT IN ('ended', 'lost')",
            pilot, *batch_ids,
        )  # fmt: skip

    def end_pilot(self, pilot: str, now: str, reason: str | None, detail: str, node: str = "") -> None:
        """Write down that a pilot is gone, and why."""
        self.write(
            "UPDATE pilots SET ended = ?, reason = ?, detail = ?, node = coalesce(nullif(?, ''), node)"
            " WHERE id = ? AND ended IS NULL",
            now, reason, detail, node, pilot,
        )  # fmt: skip

    def living_pilots(self) -> list[PilotRecord]:
        """The pilots that wait for a node or work, as far as we know."""
        return [
            PilotRecord(**dict(row)) for row in self.rows(f"{_SELECT} WHERE p.ended IS NULL ORDER BY p.asked, p.id")
        ]

    def served_sites(self) -> set[str]:
        """The sites where a pilot is or is on its way, or something runs: who starts pilots by hand tells nobody."""
        sql = (
            "SELECT site FROM pilots WHERE ended IS NULL"
            " UNION SELECT site FROM attempts WHERE phase NOT IN ('ended', 'lost') AND phase = 'running'"
        )
        return {str(row["site"]) for row in self.rows(sql)}

    def pilots_of(self, site: str, limit: int) -> list[PilotRecord]:
        """The latest pilots of a site, or of all if it is empty; the oldest of them first."""
        sql = f"{_SELECT} WHERE ?1 IN ('', p.site) ORDER BY p.asked DESC, p.id DESC LIMIT ?2"
        return [PilotRecord(**dict(row)) for row in reversed(self.rows(sql, site, limit))]

    def pilot(self, name: str) -> PilotRecord | None:
        """The pilot of an id, or of the id that its batch system knows it by; the latest one."""
        sql = f"{_SELECT} WHERE p.id = ?1 OR (p.batch_id = ?1 AND p.batch_id <> '') ORDER BY p.asked DESC LIMIT 1"
        rows = self.rows(sql, name)
        return PilotRecord(**dict(rows[0])) if rows else None

    def runs_at(self, node: str, batch_ids: Sequence[str]) -> list[Ran]:
        """The attempts that run on a node now, or that a backend knows by one of some ids; the oldest first."""
        sql = (
            f"{_RAN} WHERE a.phase NOT IN ('ended', 'lost')"
            f" AND ((a.phase = 'running' AND {_ON_NODE}) OR (a.batch_id <> '' AND a.batch_id IN ({marks(batch_ids)})))"
            " ORDER BY a.started, a.id"
        )
        return [_ran(row) for row in self.rows(sql, node, node, node, *batch_ids)]

    def ran_at(self, name: str, limit: int) -> list[Ran]:
        """The last attempts that ended on a node, or in a pilot of an id or a batch id; the latest first."""
        sql = (
            f"{_RAN} WHERE a.ended IS NOT NULL AND a.id IN ("
            " SELECT id FROM attempts WHERE ended IS NOT NULL AND node = ?1"
            " UNION SELECT id FROM attempts WHERE ended IS NOT NULL AND node > ?1 || '.' AND node < ?1 || '/'"
            " UNION SELECT id FROM attempts WHERE pilot = ?1 AND pilot <> ''"
            " UNION SELECT id FROM attempts WHERE pilot <> '' AND pilot IN"
            "  (SELECT id FROM pilots WHERE batch_id = ?1 AND batch_id <> '')"
            " UNION SELECT attempt FROM ids WHERE id = ?1)"
            " ORDER BY a.ended DESC, a.id DESC LIMIT ?2"
        )
        return [_ran(row) for row in self.rows(sql, name, limit)]

    def is_job(self, text: str) -> bool:
        """Whether a word names a job or an attempt by itself, not by what it ran in."""
        return bool(self.value(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE name = ?1 AND current)"
            " OR EXISTS (SELECT 1 FROM attempts WHERE id = ?1 OR (batch_id = ?1 AND batch_id <> ''))",
            text,
        ))  # fmt: skip


def _ran(row: sqlite3.Row) -> Ran:
    reason = Reason(row["reason"]) if row["reason"] else None
    return Ran(**{**dict(row), "reason": reason})
