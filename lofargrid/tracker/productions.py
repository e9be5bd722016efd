"""Productions and their listed subbands."""

from collections.abc import Iterable

from lofargrid.frequency import AbsoluteSubband
from lofargrid.model import Subband
from lofargrid.tracker import records
from lofargrid.tracker.records import ProductionRecord
from lofargrid.tracker.store import Store

_PRODUCTION = (
    "SELECT p.id, p.name, generation, recipe_hash, paused, p.created, c.name AS campaign, priority, max_running"
    " FROM productions p LEFT JOIN campaigns c ON c.id = p.campaign_id "
)


class Productions(Store):
    """The tables productions and subbands."""

    def production(self, name: str) -> ProductionRecord | None:
        """The production of a name, or None."""
        rows = self.rows(_PRODUCTION + "WHERE p.name = ?", name)
        return records.production(rows[0]) if rows else None

    def productions(self, campaign_id: int | None = None) -> list[ProductionRecord]:
        """All productions, or those of a campaign, oldest first."""
        if campaign_id is None:
            rows = self.rows(_PRODUCTION + "ORDER BY p.id")
        else:
            rows = self.rows(_PRODUCTION + "WHERE p.campaign_id = ? ORDER BY p.id", campaign_id)
        return [records.production(row) for row in rows]

    def production_by_id(self, production_id: int) -> ProductionRecord:
        """The production of an id."""
        return records.production(self.rows(_PRODUCTION + "WHERE p.id = ?", production_id)[0])

    def recipe(self, production_id: int) -> str:
        """The frozen recipe of a production, as JSON."""
        return str(self.value("SELECT recipe FROM productions WHERE id = ?", production_id))

    def add_production(self, name: str, recipe_hash: str, recipe: str, now: str) -> int:
        """Enter a production at generation 1."""
        self.write(
            "INSERT INTO productions (name, generation, recipe_hash, recipe, created) VALUES (?, 1, ?, ?, ?)",
            name, recipe_hash, recipe, now,
        )  # fmt: skip
        return int(self.value("SELECT last_insert_rowid()"))

    def renew_production(self, production_id: int, recipe_hash: str, recipe: str) -> None:
        """Give a production its next generation's recipe."""
        self.write(
            "UPDATE productions SET recipe_hash = ?, recipe = ?, generation = generation + 1 WHERE id = ?",
            recipe_hash, recipe, production_id,
        )  # fmt: skip

    def pause(self, production_id: int, paused: bool, now: str) -> None:
        """Start no more of its jobs, or start again."""
        self.write("UPDATE productions SET paused = ? WHERE id = ?", paused, production_id)
        self.event(now, production_id, text="paused" if paused else "resumed")

    def set_priority(self, production_id: int, priority: int, now: str) -> None:
        """Let its jobs start before those of productions with a lower number, and after those with a higher one."""
        if self.write("UPDATE productions SET priority = ?1 WHERE id = ?2 AND priority <> ?1", priority, production_id):
            self.event(now, production_id, text=f"priority {priority}")

    def set_max_running(self, production_id: int, max_running: int | None, now: str) -> None:
        """Bound how many of its jobs may be handed over at once; None bounds nothing."""
        sql = "UPDATE productions SET max_running = ?1 WHERE id = ?2 AND max_running IS NOT ?1"
        if self.write(sql, max_running, production_id):
            self.event(now, production_id, text=f"max_running {max_running}")

    def production_paused(self, name: str) -> bool:
        """Whether a production is paused."""
        return bool(self.value("SELECT paused FROM productions WHERE name = ?", name))

    def set_subbands(self, production_id: int, subbands: Iterable[Subband]) -> None:
        """Enter the listed subbands in place of those that stood; a place once measured stays."""
        renewed = self.value("SELECT 1 FROM subbands WHERE production_id = ? LIMIT 1", production_id) is not None
        if renewed:
            self.write("CREATE TEMP TABLE IF NOT EXISTS measured AS SELECT * FROM subbands WHERE 0")
            self.write("DELETE FROM measured")
            self.write("INSERT INTO measured SELECT * FROM subbands WHERE production_id = ?", production_id)
            self.write("DELETE FROM subbands WHERE production_id = ?", production_id)
        self.write_many(
            "INSERT INTO subbands (production_id, role, key, observation, sap, number, url, source, line, size_bytes,"
            " adler32, listed_frequency_hz, reason, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (production_id, one.role, one.key, one.observation, one.sap, one.number, one.url, one.source, one.line,
                 one.size_bytes, one.adler32, one.frequency_hz, one.reason, one.problem)
                for one in subbands
            ],
        )  # fmt: skip
        if renewed:
            self.write(
                "UPDATE subbands SET (clock_mhz, place) = (SELECT clock_mhz, place FROM measured m WHERE"
                " m.role = subbands.role AND m.key = subbands.key AND m.url = subbands.url) WHERE production_id = ?",
                production_id,
            )

    def subbands(self, production_id: int) -> list[Subband]:
        """The listed subbands, in key order."""
        rows = self.rows("SELECT * FROM subbands WHERE production_id = ? ORDER BY role, key", production_id)
        return [records.subband(row) for row in rows]

    def places(self, production_id: int, role: str) -> dict[str, AbsoluteSubband]:
        """The measured place in the spectrum of each subband of a role that has one."""
        rows = self.rows(
            "SELECT key, clock_mhz, place FROM subbands WHERE production_id = ? AND role = ? AND place NOT NULL",
            production_id, role,
        )  # fmt: skip
        return {row["key"]: AbsoluteSubband(row["clock_mhz"], row["place"]) for row in rows}

    def place(self, production_id: int, role: str, key: str, absolute: AbsoluteSubband) -> None:
        """Remember where a subband lies in the spectrum."""
        self.write(
            "UPDATE subbands SET clock_mhz = ?, place = ? WHERE production_id = ? AND role = ? AND key = ?",
            absolute.clock_mhz, absolute.number, production_id, role, key,
        )  # fmt: skip
