"""Sites as the tracker saw them: what ended there, what is there now, and what was decided about them."""

from dataclasses import dataclass

from lofargrid.states import Phase, Reason
from lofargrid.tracker.store import Store

SPEED_SAMPLE = 1000
"""How many reports of a site tell its speed: to read all of a week may take long."""


@dataclass(frozen=True)
class Outcome:
    """How often attempts ended one way on a node. ``reason`` is None for those that succeeded."""

    site: str
    node: str
    reason: Reason | None
    count: int


@dataclass(frozen=True)
class Speed:
    """What copies moved, and for how long they took together."""

    size_bytes: int
    seconds: float

    @property
    def mb_s(self) -> float | None:
        """The mean rate of one copy, None if there was none. 1 MB is 10^6 bytes."""
        return self.size_bytes / 1e6 / self.seconds if self.seconds > 0 else None


@dataclass(frozen=True)
class Failure:
    """An attempt that failed at a site."""

    at: str
    job: str
    attempt: str
    node: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class SiteEvent:
    """Something decided about a site, or about one ``node`` of it."""

    at: str
    node: str
    text: str


class Sites(Store):
    """The tables attempts and site_events, seen by site.

    Nothing here costs more because the tracker holds many attempts that ended before ``since``.
    """

    def site_outcomes(self, since: str, site: str | None = None) -> list[Outcome]:
        """How attempts ended since a time, by site, node and reason; at one site, or at all."""
        # One step along the index for each site: DISTINCT would walk all of it.
        sql = (
            "WITH RECURSIVE seen(site) AS (SELECT min(site) FROM attempts WHERE ended IS NOT NULL UNION ALL"
            " SELECT (SELECT min(site) FROM attempts WHERE ended IS NOT NULL AND site > seen.site) FROM seen"
            " WHERE site IS NOT NULL)"
            " SELECT a.site, a.node, a.reason, count(*) AS count FROM seen CROSS JOIN attempts a"
            " ON a.site = seen.site AND a.ended >= ?1 WHERE seen.site = coalesce(?2, seen.site)"
            " GROUP BY a.site, a.node, a.reason ORDER BY a.site, a.node, a.reason"
        )
        return [
            Outcome(row["site"], row["node"], Reason(row["reason"]) if row["reason"] else None, row["count"])
            for row in self.rows(sql, since, site)
        ]

    def site_speed(self, site: str, since: str) -> Speed:
        """What the copies of a site's latest attempts moved, as their reports tell."""
        sql = (
            "SELECT total(json_extract(t.value, '$.size_bytes')) AS size_bytes,"
            " total(json_extract(t.value, '$.seconds')) AS seconds FROM"
            " (SELECT report FROM attempts WHERE site = ? AND ended >= ? ORDER BY ended DESC LIMIT ?) a,"
            " json_each(CASE WHEN json_valid(a.report) THEN a.report ELSE '{}' END, '$.transfers') t"
        )
        (row,) = self.rows(sql, site, since, SPEED_SAMPLE)
        return Speed(int(row["size_bytes"]), row["seconds"])

    def at_sites(self) -> dict[str, dict[Phase, int]]:
        """How many attempts each site has now, by what its backend says of them."""
        sql = "SELECT site, phase, count(*) AS n FROM attempts WHERE phase NOT IN ('ended', 'lost') GROUP BY 1, 2"
        found: dict[str, dict[Phase, int]] = {}
        for row in self.rows(sql):
            found.setdefault(row["site"], {})[Phase(row["phase"])] = row["n"]
        return found

    def site_failures(self, site: str, since: str, limit: int) -> list[Failure]:
        """The attempts that failed at a site since a time, the latest first."""
        sql = (
            "SELECT a.ended AS at, j.name AS job, a.id AS attempt, a.node, a.reason, a.detail FROM attempts a"
            " CROSS JOIN jobs j ON j.id = a.job_id WHERE a.site = ? AND a.ended >= ? AND a.reason IS NOT NULL"
            " ORDER BY a.ended DESC LIMIT ?"
        )
        return [Failure(**{**dict(row), "reason": Reason(row["reason"])}) for row in self.rows(sql, site, since, limit)]

    def site_events(self, site: str, limit: int) -> list[SiteEvent]:
        """What was decided about a site and its nodes, the latest first."""
        sql = "SELECT at, node, text FROM site_events WHERE site = ? ORDER BY id DESC LIMIT ?"
        return [SiteEvent(**dict(row)) for row in self.rows(sql, site, limit)]
