"""Quarantines of nodes and sites, and the evidence for them."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from lofargrid.decisions.health import AMBIGUOUS, EVIDENCE, Ended
from lofargrid.states import Reason
from lofargrid.tracker import records
from lofargrid.tracker.records import QuarantineRecord
from lofargrid.tracker.store import Store, marks

_CLEARLY = 1.5
"""A step that runs for so many times as long as it took to fail elsewhere goes well so far."""


@dataclass(frozen=True)
class _Elsewhere:
    """How a step did: the nodes on which it failed for one reason, and since when it runs on others."""

    failed: frozenset[tuple[str, str]]
    running: tuple[datetime, ...]
    succeeds: bool


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
        """End a quarantine; what happened before it is no evidence any more. Its strikes are remembered."""
        self.write(
            "UPDATE quarantine SET state = 'released', since = ?, probe = '' WHERE site = ? AND node = ?",
            now, site, node,
        )  # fmt: skip

    def ended_at(self, site: str, node: str | None, since: str, limit: int) -> list[Ended]:
        """What ended at a node, or at a site if none is named, the latest first.

        Of what ended at a node it is told too what is known elsewhere.
        """
        where = "site = ? AND ended > ?" if node is None else "site = ? AND node = ? AND ended > ?"
        values = (site, since) if node is None else (site, node, since)
        sql = (
            "SELECT job_id, site, node, reason, started, ended, copy_s > 0 AS remote FROM attempts"
            f" WHERE {where} ORDER BY ended DESC, id LIMIT ?"
        )
        steps: dict[tuple[int, str, Reason], _Elsewhere] = {}
        found = []
        rows = self.rows(sql, *values, limit)
        for row in rows:
            reason = Reason(row["reason"]) if row["reason"] else None
            one = Ended(row["job_id"], row["node"], reason, row["started"] or row["ended"], remote=bool(row["remote"]))
            compare = node is not None and reason in AMBIGUOUS
            found.append(self._compared(one, row, rows[0]["ended"], steps) if compare else one)
        return found

    def _compared(
        self, one: Ended, row: sqlite3.Row, now: str, steps: dict[tuple[int, str, Reason], _Elsewhere]
    ) -> Ended:  # fmt: skip
        """A failure, with what is known by now of its job and its step on other nodes."""
        assert one.reason, "it failed"
        alike = (
            "SELECT count(*) FROM (SELECT DISTINCT site, node FROM attempts WHERE job_id = ? AND reason = ?"
            " AND node <> '' AND NOT blamed AND NOT (site = ? AND node = ?))"
        )
        job = self.rows("SELECT production_id, step FROM jobs WHERE id = ?", one.job_id)[0]
        key = (job["production_id"], job["step"], one.reason)
        if key not in steps:
            steps[key] = self._elsewhere(*key)
        took = datetime.fromisoformat(row["ended"]) - datetime.fromisoformat(row["started"] or row["ended"])
        clearly_before = datetime.fromisoformat(now) - _CLEARLY * took
        return replace(
            one,
            nodes_alike=int(self.value(alike, one.job_id, one.reason, row["site"], row["node"])),
            step_nodes=len(steps[key].failed),
            step_runs=sum(since < clearly_before for since in steps[key].running),
            step_succeeds=steps[key].succeeds,
        )

    def _elsewhere(self, production_id: int, step: str, reason: Reason) -> _Elsewhere:
        sql = (
            "SELECT DISTINCT a.site, a.node, a.reason, a.started FROM jobs j JOIN attempts a ON a.job_id = j.id"
            " WHERE j.production_id = ? AND j.step = ? AND a.node <> '' AND (a.reason = ? OR a.phase = 'running')"
            " ORDER BY a.started DESC"
        )
        rows = self.rows(sql, production_id, step, reason)
        failed = frozenset((row["site"], row["node"]) for row in rows if row["reason"])
        since = {(row["site"], row["node"]): row["started"] for row in rows if not row["reason"]}
        done = "SELECT n > 0 FROM tallies WHERE production_id = ? AND step = ? AND state = 'succeeded'"
        running = tuple(datetime.fromisoformat(start) for place, start in since.items() if place not in failed)
        return _Elsewhere(failed, running, bool(self.value(done, production_id, step)))

    def good_nodes(self, site: str, since: str) -> bool:
        """Whether a node of a site is known that is not quarantined: something ended there since a time, or runs."""
        good = "NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.site = ?1 AND q.node = n AND q.state <> 'released')"
        runs = (
            "SELECT 1 FROM (SELECT node AS n FROM attempts WHERE phase NOT IN ('ended', 'lost') AND site = ?1"
            f" AND node <> '') WHERE {good} LIMIT 1"
        )
        # A step along the index for each node: there may be very many attempts.
        next_node = "SELECT min(node) FROM attempts WHERE site = ?1 AND ended IS NOT NULL AND node >"
        ran = (
            f"WITH RECURSIVE seen(n) AS (SELECT ({next_node} '') UNION ALL SELECT ({next_node} n) FROM seen"
            " WHERE n IS NOT NULL) SELECT 1 FROM seen WHERE n IS NOT NULL AND EXISTS (SELECT 1 FROM attempts a"
            f" WHERE a.site = ?1 AND a.node = n AND a.ended > ?2) AND {good} LIMIT 1"
        )
        return bool(self.value(runs, site) or self.value(ran, site, since))

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
        reasons = sorted(EVIDENCE)
        self.write(
            f"UPDATE attempts SET blamed = 1 WHERE site = ? AND node = ? AND job_id IN ({marks(tuple(jobs))})"
            f" AND ended IS NOT NULL AND reason IN ({marks(reasons)})",
            site, node, *jobs, *reasons,
        )  # fmt: skip

    def absolve(self, site: str, node: str) -> None:
        """Note that a node was not at fault after all."""
        self.write(
            "UPDATE attempts SET blamed = 0 WHERE site = ? AND node = ? AND ended IS NOT NULL AND blamed", site, node
        )

    def wrongly_failed(self, jobs: Collection[int]) -> list[int]:
        """Those of some jobs that failed for good, and for a reason for which a node was at fault once."""
        sql = (
            f"SELECT DISTINCT j.id FROM jobs j JOIN attempts a ON a.job_id = j.id WHERE j.id IN ({marks(tuple(jobs))})"
            " AND j.state = 'failed' AND j.current AND a.blamed AND a.reason = j.reason AND a.number >= j.first_attempt"
            " ORDER BY j.id"
        )
        return [row[0] for row in self.rows(sql, *jobs)]
