"""Plans: what is planned becomes jobs; grouped steps whose jobs are still to come."""

import json
from collections import Counter
from collections.abc import Iterable

from lofargrid.decisions.replanning import CurrentJob, Replan
from lofargrid.decisions.splitting import Beam
from lofargrid.model import PlannedJob, Subband
from lofargrid.states import FINAL, JobState, Reason
from lofargrid.tracker import records
from lofargrid.tracker.jobs import Jobs
from lofargrid.tracker.records import Expansion
from lofargrid.tracker.store import marks

_FINAL = tuple(FINAL)
# As plain text: sqlite3 looks long for an adapter of anything else, and there may be a million of them.
_FAILED, _WAITING = JobState.FAILED.value, JobState.WAITING.value
_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


class Plans(Jobs):
    """The tables expansions and awaited, and whole generations of jobs."""

    def current(self, production_id: int) -> dict[str, CurrentJob]:
        """The jobs of the standing generation by name."""
        rows = self.rows(
            "SELECT name, signature, state, NOT EXISTS (SELECT 1 FROM files f WHERE f.attempt = jobs.attempt"
            " AND f.state <> 'made' AND f.published = '') AS usable"
            " FROM jobs WHERE production_id = ? AND current ORDER BY id",
            production_id,
        )  # fmt: skip
        return {
            row["name"]: CurrentJob(row["name"], row["signature"], JobState(row["state"]), bool(row["usable"]))
            for row in rows
        }

    def adopt(self, production_id: int, generation: int, plan: Replan, now: str) -> list[str]:
        """Make the difference real: supersede what drops, enter what is new.

        Returns
        -------
        attempts
            Ids of attempts of superseded jobs that a backend may still have.
        """
        live = self._supersede(production_id, plan.drop, now)
        ids, final = self._standing(production_id)
        first = int(self.value("SELECT coalesce(max(id), 0) + 1 FROM jobs"))
        ids |= {job.name: first + index for index, job in enumerate(plan.make)}
        final |= {job.name for job in plan.make if job.reason}
        self.write_many(
            "INSERT INTO jobs (id, production_id, name, step, role, sap, key, generation, signature, state, reason,"
            f" detail, unmet, subbands, slots, depth, updated) VALUES ({marks(range(17))})",
            (
                (ids[job.name], production_id, job.name, job.step, job.role, job.sap, job.key, generation,
                 job.signature, _FAILED if job.reason else _WAITING, job.reason, job.detail,
                 len(job.expansion) + len(job.needs) - sum(map(final.__contains__, job.needs)),
                 None if job.subbands == (job.key,) else _encode(job.subbands),
                 _encode([vars(slot) for slot in job.slots]) if job.slots else None, job.depth, now)
                for job in plan.make
            ),
        )  # fmt: skip
        self._tally(production_id, plan.make)
        self.write_many(
            "INSERT INTO needs VALUES (?, ?)",
            ((ids[job.name], ids[need]) for job in plan.make for need in job.needs if need in ids),
        )
        self.write_many(
            "INSERT INTO awaited VALUES (?, ?)",
            ((ids[job.name], step) for job in plan.make for step in job.expansion),
        )
        return live

    def _standing(self, production_id: int) -> tuple[dict[str, int], set[str]]:
        """The ids of the standing jobs by name, and the names of those that are final."""
        rows = self.rows("SELECT name, id, state FROM jobs WHERE production_id = ? AND current", production_id)
        return {row["name"]: row["id"] for row in rows}, {row["name"] for row in rows if row["state"] in FINAL}

    def _tally(self, production_id: int, made: Iterable[PlannedJob]) -> None:
        """Count new jobs; from here on a trigger keeps the counts."""
        counts = Counter((job.step, _FAILED if job.reason else _WAITING) for job in made)
        self.write_many(
            "INSERT INTO tallies VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            ((production_id, *kind, count) for kind, count in counts.items()),
        )

    def _supersede(self, production_id: int, names: Iterable[str], now: str) -> list[str]:
        live = []
        for name in names:
            job = self.job(production_id, name)
            assert job is not None, "what drops stands"
            if job.attempt and job.state in (JobState.SUBMITTED, JobState.RUNNING):
                live.append(job.attempt)
            if job.state not in FINAL:
                self.move(job, JobState.CANCELLED, now, Reason.CANCELLED, "superseded by a new generation")
            self.write("UPDATE jobs SET current = 0 WHERE id = ?", job.id)
            self.note_unswept(job)
        return live

    def awaited(self, production_id: int) -> dict[str, set[str]]:
        """For each standing job the grouped steps whose jobs it awaits."""
        sql = (
            "SELECT j.name, a.step FROM jobs j LEFT JOIN awaited a ON a.job_id = j.id"
            " WHERE j.production_id = ? AND j.current"
        )
        found: dict[str, set[str]] = {}
        for row in self.rows(sql, production_id):
            found.setdefault(row["name"], set()).add(row["step"])
        return found

    def members(self, production_id: int, step: str) -> set[str]:
        """The subbands that the standing jobs of a grouped step hold."""
        sql = "SELECT subbands FROM jobs WHERE production_id = ? AND step = ? AND current"
        return {key for row in self.rows(sql, production_id, step) for key in json.loads(row["subbands"])}

    def add_expansion(self, expansion: Expansion) -> None:
        """Note that a grouped step over one SAP is to be expanded; noting it twice is noting it once."""
        role, observation, sap = expansion.beam
        self.write(
            "INSERT OR IGNORE INTO expansions VALUES (?, ?, ?, ?, ?)",
            expansion.production_id, expansion.step, role, observation, sap,
        )  # fmt: skip

    def expansions(self, production_id: int | None = None) -> list[Expansion]:
        """The expansions still to be done, of one production or of all."""
        every = "SELECT * FROM expansions"
        if production_id is None:
            rows = self.rows(f"{every} ORDER BY production_id, step")
        else:
            rows = self.rows(f"{every} WHERE production_id = ? ORDER BY step", production_id)
        return [
            Expansion(row["production_id"], row["step"], (row["role"], row["observation"], row["sap"])) for row in rows
        ]

    def refine(self, production_id: int, beam: Beam, number: int, parts: int) -> None:
        """Note that a group is to be made in several parts."""
        self.write("INSERT OR REPLACE INTO finer VALUES (?, ?, ?, ?, ?, ?)", production_id, *beam, number, parts)

    def finer(self, production_id: int) -> dict[tuple[Beam, int], int]:
        """In how many parts groups are made, by SAP and number of the group."""
        rows = self.rows("SELECT * FROM finer WHERE production_id = ?", production_id)
        return {((row["role"], row["observation"], row["sap"]), row["number"]): row["parts"] for row in rows}

    def subband(self, production_id: int, role: str, key: str) -> Subband:
        """One listed subband.

        Raises
        ------
        KeyError
            It is not listed.
        """
        rows = self.rows(
            "SELECT * FROM subbands WHERE production_id = ? AND role = ? AND key = ?", production_id, role, key
        )  # fmt: skip
        if not rows:
            raise KeyError(f"{role} {key}")
        return records.subband(rows[0])

    def undecided(self, expansion: Expansion) -> bool:
        """Whether a subband of the SAP may still tell its frequency: it is not measured, and a job unfinished."""
        # By way of the few kinds of unfinished jobs, so that the first job found ends the search.
        sql = (
            "SELECT 1 FROM tallies t CROSS JOIN jobs j ON j.production_id = t.production_id AND j.step = t.step"
            " AND j.state = t.state CROSS JOIN subbands s ON s.production_id = j.production_id AND s.role = j.role"
            f" AND s.key = j.key WHERE t.production_id = ? AND t.n > 0 AND t.state NOT IN ({marks(_FINAL)})"
            " AND j.current AND s.role = ? AND s.observation = ? AND s.sap = ? AND s.place IS NULL LIMIT 1"
        )
        return self.value(sql, expansion.production_id, *_FINAL, *expansion.beam) is not None

    def expanded(self, expansion: Expansion, now: str) -> None:
        """Close an expansion: jobs that awaited it now need the step's jobs of that SAP."""
        role, observation, sap = expansion.beam
        scope = (expansion.production_id, role, sap, f"{observation}-%")
        jobs = "SELECT id, state FROM jobs WHERE current AND production_id = ? AND role = ? AND sap = ? AND key LIKE ?"
        makers = self.rows(jobs + " AND step = ?", *scope, expansion.step)
        open_makers = sum(row["state"] not in _FINAL for row in makers)
        awaits = " AND EXISTS (SELECT 1 FROM awaited a WHERE a.job_id = jobs.id AND a.step = ?)"
        awaiting = self.rows(jobs + awaits, *scope, expansion.step)
        for row in awaiting:
            self.write_many("INSERT OR IGNORE INTO needs VALUES (?, ?)", [(row["id"], one["id"]) for one in makers])
            self.write("UPDATE jobs SET unmet = unmet - 1 + ? WHERE id = ?", open_makers, row["id"])
            self.write("DELETE FROM awaited WHERE job_id = ? AND step = ?", row["id"], expansion.step)
        self.write(
            "DELETE FROM expansions WHERE production_id = ? AND step = ? AND role = ? AND observation = ? AND sap = ?",
            expansion.production_id, expansion.step, role, observation, sap,
        )  # fmt: skip
        text = f"{expansion.step} of {observation} SAP{sap:03d}: {len(makers)} groups"
        self.event(now, expansion.production_id, text=text)
