"""Quarantines of nodes and sites, and the evidence for them."""

from collections.abc import Collection

from lofargrid.health import AMBIGUOUS, Ended
from lofargrid.states import Reason
from lofargrid.tracker import records
from lofargrid.tracker.records import QuarantineRecord
from lofargrid.tracker.store import Store, marks


class Quarantines(Store):
    """The table quarantine, and what ended where."""

    def quarantines(self) -> list[QuarantineRecord]:
        """All that stand."""
        sql = "SELECT * FROM quarantine WHERE state <> 'released' ORDER BY site, node"
        return [records.quarantine(row) for row in self.rows(sql)]

    def quarantined(self, site: str, node: str) -> QuarantineRecord | None:
        """The last quarantine of a node, or with an empty node of a site; it may be over."""
        rows = self.rows("SELECT * FROM quarantine WHERE site = ? AND node = ?", site, node)
        return records.quarantine(rows[0]) if rows else None

    def probed(self, probe: str) -> QuarantineRecord | None:
        """The quarantine that a probe is to end."""
        rows = self.rows("SELECT * FROM quarantine WHERE probe = ?", probe)
        return records.quarantine(rows[0]) if rows else None

    def put_in_quarantine(self, record: QuarantineRecord) -> None:
        """Enter a quarantine, or renew it."""
        self.write(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            record.site, record.node, record.state, record.since, record.until, record.strikes, record.reason,
            record.probe,
        )  # fmt: skip

    def release(self, site: str, node: str, now: str) -> None:
        """End a quarantine; what happened before it is no evidence any more."""
        self.write(
            "UPDATE quarantine SET state = 'released', since = ?, strikes = 0, probe = '' WHERE site = ? AND node = ?",
            now, site, node,
        )  # fmt: skip

    def ended_at(self, site: str, node: str | None, since: str, limit: int) -> list[Ended]:
        """What ended at a node, or at a site if none is named, the latest first, with what is known elsewhere."""
        where = "site = ? AND ended > ?" if node is None else "site = ? AND node = ? AND ended > ?"
        values = (site, since) if node is None else (site, node, since)
        sql = f"SELECT id, job_id, node, reason FROM attempts WHERE {where} ORDER BY ended DESC, id LIMIT ?"
        return [
            self._ended(row["job_id"], row["node"], Reason(row["reason"]) if row["reason"] else None)
            for row in self.rows(sql, *values, limit)
        ]

    def _ended(self, job_id: int, node: str, reason: Reason | None) -> Ended:
        if reason not in AMBIGUOUS:
            return Ended(job_id, node, reason)
        alike = "SELECT count(DISTINCT node) FROM attempts WHERE job_id = ? AND node <> ? AND reason = ? AND NOT blamed"
        job = self.rows("SELECT production_id, step FROM jobs WHERE id = ?", job_id)[0]
        nodes = (
            "SELECT count(DISTINCT a.node) FROM jobs j JOIN attempts a ON a.job_id = j.id"
            " WHERE j.production_id = ? AND j.step = ? AND a.reason = ?"
        )
        done = "SELECT n > 0 FROM tallies WHERE production_id = ? AND step = ? AND state = 'succeeded'"
        return Ended(
            job_id, node, reason,
            nodes_alike=int(self.value(alike, job_id, node, reason)),
            step_nodes=int(self.value(nodes, job["production_id"], job["step"], reason)),
            step_succeeds=bool(self.value(done, job["production_id"], job["step"])),
        )  # fmt: skip

    def site_event(self, now: str, site: str, node: str, text: str) -> None:
        """Write a line of history of a site or a node."""
        self.write("INSERT INTO site_events (at, site, node, text) VALUES (?, ?, ?, ?)", now, site, node, text)

    def probe_id(self) -> str:
        """An id for a probe that no other attempt has."""
        self.write("INSERT INTO meta VALUES ('probes', '1') ON CONFLICT DO UPDATE SET value = value + 1")
        number = self.value("SELECT value FROM meta WHERE key = 'probes'")
        return f"{self.id}-probe-{number}"

    def is_probe(self, attempt: str) -> bool:
        """Whether an attempt's id is that of a probe."""
        return attempt.startswith(f"{self.id}-probe-")

    def blame(self, site: str, node: str, jobs: Collection[int]) -> None:
        """Note that a node was at fault when these jobs failed there."""
        self.write(
            f"UPDATE attempts SET blamed = 1 WHERE site = ? AND node = ? AND job_id IN ({marks(tuple(jobs))})"
            " AND ended IS NOT NULL AND reason IS NOT NULL",
            site, node, *jobs,
        )  # fmt: skip

    def wrongly_failed(self, jobs: Collection[int]) -> list[int]:
        """Those of some jobs that failed for good by an attempt whose node was at fault."""
        sql = (
            f"SELECT j.id FROM jobs j JOIN attempts a ON a.id = j.attempt WHERE j.id IN ({marks(tuple(jobs))})"
            " AND j.state = 'failed' AND j.current AND a.blamed ORDER BY j.id"
        )
        return [row[0] for row in self.rows(sql, *jobs)]
