"""Campaigns, and how many productions stand at once: by tallies, never by job."""

from dataclasses import dataclass

from lofargrid.states import FINAL, JobState, Reason
from lofargrid.tracker.store import Store

Steps = dict[str, dict[JobState, int]]
"""How many standing jobs each step has in each state."""

_CAMPAIGN = (
    "SELECT c.id, c.name, c.created, (SELECT count(*) FROM productions p WHERE p.campaign_id = c.id) AS productions"
    " FROM campaigns c "
)
_FINAL = ", ".join(f"'{state}'" for state in sorted(FINAL))


@dataclass(frozen=True)
class CampaignRecord:
    """A campaign as the tracker holds it. ``productions`` is how many it has."""

    id: int
    name: str
    created: str
    productions: int


@dataclass(frozen=True)
class Course:
    """How far the productions of a campaign are.

    ``ended`` counts those that have nothing to do and no job that failed, ``marred`` those that have nothing to do
    and some jobs that failed or were cancelled; their policy may live with that.
    """

    waiting: int
    going: int
    ended: int
    marred: int


@dataclass(frozen=True)
class FailedAlike:
    """Jobs of one step that failed for one reason, or were cancelled. ``first`` is the id of one of them."""

    step: str
    reason: Reason | None
    jobs: int
    productions: int
    first: int


class Campaigns(Store):
    """The tables campaigns and tallies, the latter over many productions."""

    def campaign(self, name: str) -> CampaignRecord | None:
        """The campaign of a name, or None."""
        rows = self.rows(_CAMPAIGN + "WHERE c.name = ?", name)
        return CampaignRecord(**dict(rows[0])) if rows else None

    def campaigns(self) -> list[CampaignRecord]:
        """All campaigns, oldest first."""
        return [CampaignRecord(**dict(row)) for row in self.rows(_CAMPAIGN + "ORDER BY c.id")]

    def add_campaign(self, name: str, now: str) -> int:
        """Enter a campaign without productions."""
        self.write("INSERT INTO campaigns (name, created) VALUES (?, ?)", name, now)
        return int(self.value("SELECT last_insert_rowid()"))

    def join(self, production_id: int, campaign_id: int) -> None:
        """Put a production into a campaign."""
        self.write("UPDATE productions SET campaign_id = ? WHERE id = ?", campaign_id, production_id)

    # How many stand

    def tallies(self, campaign_id: int | None = None) -> dict[int, Steps]:
        """How many standing jobs each step has in each state, by production: of a campaign, or of all."""
        sql = "SELECT production_id, step, state, n FROM tallies WHERE n > 0"
        if campaign_id is not None:
            sql += " AND production_id IN (SELECT id FROM productions WHERE campaign_id = ?)"
        found: dict[int, Steps] = {}
        for row in self.rows(sql, *([] if campaign_id is None else [campaign_id])):
            steps = found.setdefault(row["production_id"], {})
            steps.setdefault(row["step"], {})[JobState(row["state"])] = row["n"]
        return found

    def campaign_counts(self, campaign_id: int) -> Steps:
        """How many standing jobs each step has in each state, over all productions of a campaign."""
        sql = (
            "SELECT step, state, sum(n) AS n FROM tallies WHERE n > 0"
            " AND production_id IN (SELECT id FROM productions WHERE campaign_id = ?) GROUP BY step, state"
        )
        found: Steps = {}
        for row in self.rows(sql, campaign_id):
            found.setdefault(row["step"], {})[JobState(row["state"])] = row["n"]
        return found

    def course(self, campaign_id: int) -> Course:
        """How far the productions of a campaign are."""
        sql = (
            "SELECT total(waits) AS waiting, total(NOT waits AND NOT final) AS going, total(final AND NOT marred) AS"
            " ended, total(final AND marred) AS marred FROM (SELECT"
            "  total(CASE WHEN state = 'waiting' THEN 0 ELSE n END) = 0 AS waits,"
            f" total(CASE WHEN state IN ({_FINAL}) THEN 0 ELSE n END) = 0 AS final,"
            "  total(CASE WHEN state IN ('failed', 'cancelled') THEN n ELSE 0 END) > 0 AS marred"
            "  FROM tallies WHERE production_id IN (SELECT id FROM productions WHERE campaign_id = ?) AND n > 0"
            "  GROUP BY production_id)"
        )
        (row,) = self.rows(sql, campaign_id)
        return Course(*(int(row[name]) for name in ("waiting", "going", "ended", "marred")))

    def going(self, campaign_id: int, limit: int) -> list[tuple[str, int, int]]:
        """Some productions of a campaign that have jobs on their way: name, jobs that succeeded, all jobs."""
        sql = (
            "SELECT p.name, total(CASE WHEN t.state = 'succeeded' THEN t.n ELSE 0 END) AS succeeded, total(t.n) AS n"
            " FROM tallies t JOIN productions p ON p.id = t.production_id WHERE p.id IN"
            " (SELECT production_id FROM tallies WHERE state IN ('ready', 'submitted', 'running') AND n > 0 AND"
            "  production_id IN (SELECT id FROM productions WHERE campaign_id = ?) LIMIT ?) GROUP BY p.id"
        )
        # A production may have jobs on their way in several steps.
        rows = self.rows(sql, campaign_id, 3 * limit)
        return [(row["name"], int(row["succeeded"]), int(row["n"])) for row in rows[:limit]]

    def campaign_unfinished(self, campaign_id: int) -> bool:
        """Whether a standing job of a campaign is not final, or a product of it has not its final name."""
        sql = (
            f"SELECT 1 FROM tallies t JOIN productions p ON p.id = t.production_id WHERE t.state NOT IN ({_FINAL})"
            " AND t.n > 0 AND p.campaign_id = ?1 UNION ALL"
            " SELECT 1 FROM files f JOIN jobs j ON j.id = f.job_id JOIN productions p ON p.id = j.production_id"
            " WHERE f.product AND f.published = '' AND f.state = 'made' AND j.state = 'succeeded' AND j.current"
            " AND p.campaign_id = ?1 LIMIT 1"
        )
        return self.value(sql, campaign_id) is not None

    def campaign_paused(self, campaign_id: int) -> bool:
        """Whether all productions of a campaign that have something to do are paused."""
        sql = (
            f"SELECT 1 FROM tallies t JOIN productions p ON p.id = t.production_id WHERE t.state NOT IN ({_FINAL})"
            " AND t.n > 0 AND p.campaign_id = ? AND NOT p.paused LIMIT 1"
        )
        return self.value(sql, campaign_id) is None

    def campaign_swept(self, campaign_id: int) -> bool:
        """Whether the scratch folders of a campaign's productions were swept since something was last done for them."""
        return self.value("SELECT 1 FROM productions WHERE NOT swept AND campaign_id = ? LIMIT 1", campaign_id) is None

    def expanding(self) -> set[int]:
        """The productions that have grouped steps whose jobs are still to be made."""
        return {row[0] for row in self.rows("SELECT DISTINCT production_id FROM expansions")}

    # What failed, what lacks

    def failed_alike(self, campaign_id: int, step: str = "") -> list[FailedAlike]:
        """The failed and cancelled jobs of a campaign by step and reason, the most first."""
        # The tallies tell where to look: the jobs that did not fail are not read.
        sql = (
            "SELECT j.step, j.reason, count(*) AS jobs, count(DISTINCT j.production_id) AS productions,"
            " min(j.id) AS first FROM tallies t CROSS JOIN jobs j ON j.production_id = t.production_id"
            " AND j.step = t.step AND j.state = t.state AND j.current WHERE t.state IN ('failed', 'cancelled')"
            " AND t.n > 0 AND t.production_id IN (SELECT id FROM productions WHERE campaign_id = ?1)"
            " AND t.step = coalesce(?2, t.step) GROUP BY j.step, j.reason ORDER BY jobs DESC, first"
        )
        return [
            FailedAlike(**{**dict(row), "reason": Reason(row["reason"]) if row["reason"] else None})
            for row in self.rows(sql, campaign_id, step or None)
        ]

    def stale_names(self, production_id: int) -> list[str]:
        """The standing jobs that went without what has been made since, in plan order."""
        sql = "SELECT name FROM jobs WHERE stale AND current AND production_id = ? ORDER BY id"
        return [row["name"] for row in self.rows(sql, production_id)]

    def lacking(self, production_id: int) -> list[str]:
        """The subbands that merges which succeeded go without, each once, sorted."""
        sql = (
            "SELECT DISTINCT l.value FROM jobs j, json_each(j.lacks) l WHERE j.production_id = ? AND j.current"
            " AND j.state = 'succeeded' AND j.lacks IS NOT NULL ORDER BY 1"
        )
        return [row[0] for row in self.rows(sql, production_id)]

    def last_job(self, production_id: int, step: str = "", unfinished: bool = False) -> int | None:
        """The id of the last standing job in plan order, or None: of one step or of all, final or not."""
        sql = (
            "SELECT max(j.id) FROM tallies t CROSS JOIN jobs j ON j.production_id = t.production_id"
            " AND j.step = t.step AND j.state = t.state AND j.current WHERE t.production_id = ?"
            " AND t.step = coalesce(?, t.step) AND t.n > 0"
        )
        found = self.value(sql + (f" AND t.state NOT IN ({_FINAL})" if unfinished else ""), production_id, step or None)
        return None if found is None else int(found)

    # Names, for those who mistype

    def names(self) -> list[str]:
        """The names of all campaigns and productions."""
        return [row[0] for row in self.rows("SELECT name FROM campaigns UNION ALL SELECT name FROM productions")]

    def job_names(self, beginning: str, production_id: int | None, limit: int) -> list[str]:
        """Some names of standing jobs that begin alike: of a production, or of all."""
        sql = (
            "SELECT DISTINCT name FROM jobs WHERE current AND name >= ?1 AND name < ?1 || char(1114111)"
            " AND production_id = coalesce(?2, production_id) LIMIT ?3"
        )
        return [row[0] for row in self.rows(sql, beginning, production_id, limit)]

    def jobs_named(self, name: str, campaign_id: int) -> list[tuple[str, int]]:
        """The standing jobs of a name in a campaign: name of the production, id of the job."""
        sql = (
            "SELECT p.name, j.id FROM jobs j CROSS JOIN productions p ON p.id = j.production_id"
            " WHERE j.current AND j.name = ? AND p.campaign_id = ? ORDER BY p.id"
        )
        return [(row["name"], row["id"]) for row in self.rows(sql, name, campaign_id)]
