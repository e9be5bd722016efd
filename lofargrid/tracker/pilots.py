"""Pilots: which were started from here, and what became of them."""

from lofargrid.tracker.records import PilotRecord
from lofargrid.tracker.store import Store

_SELECT = "SELECT p.*, (SELECT count(*) FROM attempts a WHERE a.pilot = p.id AND a.pilot <> '') AS jobs FROM pilots p"


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

    def pilots_of(self, site: str, limit: int) -> list[PilotRecord]:
        """The latest pilots of a site, or of all if it is empty; the oldest of them first."""
        sql = f"{_SELECT} WHERE ?1 IN ('', p.site) ORDER BY p.asked DESC, p.id DESC LIMIT ?2"
        return [PilotRecord(**dict(row)) for row in reversed(self.rows(sql, site, limit))]

    def pilot(self, name: str) -> PilotRecord | None:
        """The pilot of an id, or of the id that its batch system knows it by; the latest one."""
        sql = f"{_SELECT} WHERE p.id = ?1 OR (p.batch_id = ?1 AND p.batch_id <> '') ORDER BY p.asked DESC LIMIT 1"
        rows = self.rows(sql, name)
        return PilotRecord(**dict(rows[0])) if rows else None
