"""The tracker under all of its verbs, in any order, with a process that may die at any statement.

What must stand is told twice: by a model of plain dictionaries that makes the same changes, and by what must hold of
the tables whatever was changed.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lofargrid.documents.campaigns import Campaign, Row
from lofargrid.documents.production import ProductionDocument
from lofargrid.errors import IllegalMoveError, InputError, LofarGridError
from lofargrid.frequency import absolute_subband
from lofargrid.model import Job, StoredOutput
from lofargrid.names import group_of_key
from lofargrid.productions import campaigns, entering, recipes
from lofargrid.productions.jobs import Entered, refresh
from lofargrid.productions.retrying import CONSEQUENCES, redo_stale, retry_failed
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal.crash import Crash, MortalConnection
from lofargrid.states import FINAL, MOVES, UNFINISHED, JobState, Phase, Reason
from lofargrid.tracker import Tracker, open_tracker
from lofargrid.tracker.records import Expansion, QuarantineRecord
from tests.unit.engine_factories import GROUP, START, SUBBAND_HZ, World, frequency_of, name, recipe, subband

pytestmark = pytest.mark.service
ROOT = Path(__file__).parents[3]
EXAMPLES = int(os.environ.get("LOFARGRID_MACHINE_EXAMPLES", "40"))
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
KILLS = 36

LISTS = {
    "known": [subband(n, frequency_hz=n * SUBBAND_HZ) for n in range(100, 104)],
    "unknown": [subband(n) for n in range(100, 104)],
    "fewer": [subband(n) for n in range(100, 103)],
    "some known": [subband(100, frequency_hz=100 * SUBBAND_HZ), subband(101), subband(102)],
    "one lost": [subband(100), subband(101), subband(102, reason=Reason.INPUT_MISSING, problem="it is gone")],
    "two alike": [subband(n, frequency_hz=100 * SUBBAND_HZ) for n in (100, 101)],
}
OUTPUTS = {"first": [("ms", False)], "band": [("ms", True)], "image": [("fits", True)]}
DEPTHS = ("first", "band", "image")
OPEN = (Phase.INTENDED, Phase.QUEUED, Phase.RUNNING)
FINAL_WORDS = ", ".join(f"'{state}'" for state in FINAL)

which = st.integers(0, 99)
few = st.integers(0, 4)
waits = st.none() | st.integers(-5, 90)
dies = st.none() | st.integers(0, 1000)
"""Whether the process dies in a verb, and how far into it, in thousandths of its statements."""


@cache
def recipe_of(production: str, listed: str, strength: int, iterations: int) -> Recipe:
    parameters = {"strength": strength, "iterations": iterations}
    return recipe(LISTS[listed], parameters=parameters, production=production, output="file:///products")


recipes_ = st.builds(
    recipe_of,
    st.sampled_from(("field", "field", "deep")),
    st.sampled_from(list(LISTS)),
    st.integers(1, 2),
    st.integers(1, 2),
)


@cache
def empty_tracker() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        open_tracker(Path(folder, "tracker.db")).close()
        return Path(folder, "tracker.db").read_bytes()


# What must hold of the tables, whatever was changed


def problems(tracker: Tracker) -> Iterator[str]:
    """All that is wrong with a tracker between two transactions."""
    yield from _damage(tracker)
    yield from _broken_histories(tracker)
    yield from (f"{row[0]} is {row[1]} and nothing runs for it" for row in tracker.rows(
        "SELECT j.name, j.state FROM jobs j LEFT JOIN attempts a ON a.id = j.attempt AND a.job_id = j.id WHERE"
        " j.state IN ('submitted', 'running') AND (a.id IS NULL OR a.phase IN ('ended', 'lost'))"))  # fmt: skip
    yield from (f"{row[0]} was superseded and is {row[1]}" for row in tracker.rows(
        f"SELECT name, state FROM jobs WHERE NOT current AND state NOT IN ({FINAL_WORDS})"))  # fmt: skip
    yield from (f"{row[0]} stands twice" for row in tracker.rows(
        "SELECT name FROM jobs WHERE current GROUP BY production_id, name HAVING count(*) > 1"))  # fmt: skip
    yield from (f"{row[0]} counts {row[1]} open needs and has {row[2]}" for row in tracker.rows(
        "SELECT name, unmet, found FROM (SELECT j.name, j.unmet, (SELECT count(*) FROM needs n JOIN jobs k"
        f"  ON k.id = n.need_id WHERE n.job_id = j.id AND k.state NOT IN ({FINAL_WORDS}))"
        " + (SELECT count(*) FROM awaited a WHERE a.job_id = j.id) AS found FROM jobs j WHERE j.current)"
        " WHERE unmet <> found"))  # fmt: skip
    counted = "SELECT production_id, step, state, count(*) AS n FROM jobs WHERE current GROUP BY 1, 2, 3"
    told = "SELECT production_id, step, state, n FROM tallies WHERE n <> 0"
    yield from (f"the tally of {tuple(row)} is not the count" for row in tracker.rows(
        f"SELECT * FROM ({counted} EXCEPT {told}) UNION SELECT * FROM ({told} EXCEPT {counted})"))  # fmt: skip


def _damage(tracker: Tracker) -> Iterator[str]:
    yield from (row[0] for row in tracker.rows("PRAGMA integrity_check") if row[0] != "ok")
    yield from (f"{row[0]} names a {row[2]} that is none" for row in tracker.rows("PRAGMA foreign_key_check"))


def _broken_histories(tracker: Tracker) -> Iterator[str]:
    """A job is born waiting, or failed; each move begins where the last one ended; it stands where they end."""
    stands = {row["id"]: row["state"] for row in tracker.rows("SELECT id, state FROM jobs")}
    told: dict[int, str] = {}
    for job, old, new in tracker.rows("SELECT job_id, old, new FROM events WHERE new IS NOT NULL ORDER BY id"):
        if old != told.get(job, old if old == "failed" else "waiting"):
            yield f"job {job} moves from {old} and was {told.get(job)}"
        if JobState(new) not in MOVES[JobState(old)]:
            yield f"job {job}: {old} -> {new}"
        told[job] = new
    for job, state in stands.items():
        if state != told.get(job, state if state == "failed" else "waiting"):
            yield f"job {job} is {state} and its history ends with {told.get(job)}"


# A process that dies


class Death:
    """The process dies when it begins its ``last``-th statement; 0 lets it live. Counts them either way."""

    def __init__(self, last: int = 0, then: Callable[[], None] = lambda: None) -> None:
        self.steps = 0
        self._last = last
        self._then = then

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._last:
            self._then()
            raise Crash


def mortal(tracker: Tracker, death: Death) -> None:
    tracker.wrap(lambda connection: MortalConnection(connection, death))  # type: ignore[arg-type, return-value]


def what_stands_on_disk(path: Path, folder: Path) -> Tracker:
    """A tracker made of the bytes that a process which died now would leave: nothing is rolled back or closed."""
    folder.mkdir()
    for end in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(path.with_name(path.name + end), folder / (path.name + end))
    return open_tracker(folder / path.name)


def contents(tracker: Tracker) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    tables = tracker.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {one: [tuple(row) for row in tracker.rows(f"SELECT * FROM {one}")] for (one,) in tables}


def carry_out(tracker: Tracker, verb: Callable[[Tracker], Any]) -> Any:
    """Do something wholly; what is refused is told by its error. The process may die after it, too."""
    try:
        with tracker.transaction():
            value = verb(tracker)
    except LofarGridError as error:
        value = error
    tracker.value("SELECT 1")
    return value


class Dying:
    """A tracker in a folder of its own that outlives its processes."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self._lives = 0
        path = self._place() / "tracker.db"
        path.parent.mkdir()
        path.write_bytes(empty_tracker())
        self.tracker = open_tracker(path)

    def _place(self) -> Path:
        self._lives += 1
        return self.folder / str(self._lives)

    def again(self) -> None:
        """The process ends and another begins."""
        path = self.tracker.path
        self.tracker.close()
        self.tracker = open_tracker(path)

    def do(self, verb: Callable[[Tracker], Any]) -> Any:
        """Let a process that lives do something."""
        return carry_out(self.tracker, verb)

    def die(self, verb: Callable[[Tracker], Any], thousandths: int) -> tuple[bool, Any]:
        """Let a process die in something: it has happened as it does in a process that lives, or not at all.

        Returns
        -------
        happened, value
            Whether it has, and what it would have given.
        """
        before = contents(self.tracker)
        life = Death()
        with closing(what_stands_on_disk(self.tracker.path, self._place())) as twin:
            mortal(twin, life)
            value, steps = carry_out(twin, verb), life.steps
            whole = contents(twin)
        dead = self.tracker
        mortal(dead, Death(1 + thousandths * (steps - 1) // 1000, self._look))
        with pytest.raises(Crash):
            carry_out(dead, verb)
        dead.close()
        after = contents(self.tracker)
        assert after in (before, whole), "it happened by half"
        return after == whole, value

    def _look(self) -> None:
        """Go on with what stands on the disk now."""
        self.tracker = what_stands_on_disk(self.tracker.path, self._place())

    def end(self) -> None:
        self.tracker.close()
        shutil.rmtree(self.folder)


# The model


def stale_reader(job: Job, known: dict[str, Any]) -> bool:
    """Whether somebody moved a job since it was read, or a later generation took its place."""
    return job.state != known["state"] or not known["current"]


class Model:
    """What the tracker should hold: a dictionary a table."""

    def __init__(self) -> None:
        self.productions: dict[int, dict[str, Any]] = {}
        self.jobs: dict[int, dict[str, Any]] = {}
        self.attempts: dict[str, dict[str, Any]] = {}
        self.files: dict[tuple[str, str], dict[str, Any]] = {}
        self.quarantine: dict[tuple[str, str], str] = {}
        self.probes: list[str] = []

    @classmethod
    def of(cls, tracker: Tracker) -> Model:
        """What a tracker does hold."""
        found = cls()

        def table(columns: str, name: str, keys: int = 1) -> dict[Any, Any]:
            rows = [dict(row) for row in tracker.rows(f"SELECT {columns} FROM {name}")]
            names = [one.strip() for one in columns.split(",")][:keys]
            return {tuple(row.pop(one) for one in names) if keys > 1 else row.pop(names[0]): row for row in rows}

        fields = "id, name, generation, recipe_hash, paused, priority, max_running, campaign_id"
        found.productions = table(fields, "productions")
        fields = "id, production_id, name, step, generation, state, reason, tries, not_before, current, stale, attempt"
        found.jobs = table(f"{fields}, updated, grown, shunned", "jobs")
        found.attempts = table("id, job_id, phase, reason", "attempts")
        found.files = table("attempt, name, job_id, state, product, published", "files", 2)
        found.quarantine = {key: row["state"] for key, row in table("site, node, state", "quarantine", 2).items()}
        return found

    def production(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self.productions.values() if one["name"] == name), None)

    def standing(self, *states: JobState, production_id: int | None = None) -> list[int]:
        """The standing jobs in some states, in plan order."""
        return [
            key for key, one in sorted(self.jobs.items())
            if one["current"] and one["state"] in states and production_id in (None, one["production_id"])
        ]  # fmt: skip

    def open_attempts(self) -> list[str]:
        return sorted(key for key, one in self.attempts.items() if one["phase"] in OPEN)

    def awaits(self, attempt: str) -> bool:
        job = self.jobs[self.attempts[attempt]["job_id"]]
        return job["attempt"] == attempt and job["state"] in (JobState.SUBMITTED, JobState.RUNNING)

    def move(self, job_id: int, new: JobState, now: str, reason: Reason | None = None, attempt: str | None = None,
             not_before: str | None = None, tries: int | None = None) -> None:  # fmt: skip
        job = self.jobs[job_id]
        assert new in MOVES[JobState(job["state"])], f"{job['name']}: {job['state']} -> {new}"
        job |= {"state": new, "reason": reason, "not_before": not_before, "updated": now}
        job["attempt"] = job["attempt"] if attempt is None else attempt
        job["tries"] = job["tries"] if tries is None else tries

    def reset(self, job_id: int, now: str) -> None:
        self.move(job_id, JobState.WAITING, now, tries=0)
        self.jobs[job_id]["shunned"] = None

    def wake(self, now: str) -> None:
        for job in self.jobs.values():
            waits = job["state"] == JobState.WAITING and job["not_before"] is not None
            if waits and (job["not_before"] <= now or job["updated"] > now):
                job["not_before"] = None

    def retried(self, chosen: Collection[int], needs: Collection[tuple[int, int]], now: str) -> list[str]:
        """Bring jobs back, and those that failed only because of them; give their names."""
        names = []
        waiting = list(chosen)
        while waiting:
            job_id = waiting.pop()
            job = self.jobs[job_id]
            if job["state"] not in (JobState.FAILED, JobState.CANCELLED) or not job["current"]:
                continue
            if job["reason"] == Reason.FREQUENCY_CLASH:
                continue
            self.reset(job_id, now)
            names.append(job["name"])
            for one in (one for one, need in needs if need == job_id and self.jobs[one]["current"]):
                if self.jobs[one]["state"] == JobState.READY:
                    self.move(one, JobState.WAITING, now)
                elif self.jobs[one]["state"] == JobState.FAILED and self.jobs[one]["reason"] in CONSEQUENCES:
                    waiting.append(one)
        return sorted(names)

    def renew(self, found: Model, now: str, brought_back: bool = False) -> None:
        """Take over what a new plan made and superseded, as far as it may.

        Parameters
        ----------
        found
            What the tracker holds now.
        now
            When it was planned.
        brought_back
            Whether what failed was brought back too.
        """
        last = max(self.jobs, default=0)
        for job_id, there in found.jobs.items():
            here = self.jobs.get(job_id)
            if here is None:
                assert job_id > last, "an id is given once"
                born = (JobState.WAITING, JobState.FAILED) if there["current"] else tuple(FINAL)
                assert there["state"] in born
                assert there["generation"] == found.productions[there["production_id"]]["generation"]
                self.jobs[job_id] = there
                continue
            if brought_back and here["current"] and here["state"] == JobState.FAILED != there["state"]:
                self.reset(job_id, now)
            if (
                brought_back
                and here["current"]
                and here["state"] == JobState.READY
                and there["state"] == JobState.WAITING
            ):
                self.move(job_id, JobState.WAITING, now)
            if here["current"] and not there["current"]:
                here["current"] = 0
                if here["state"] in UNFINISHED:
                    self.move(job_id, JobState.CANCELLED, now, Reason.CANCELLED)


# The machine


class Machine(RuleBasedStateMachine):
    """Whatever operators, engines and campaigns do, and wherever the process dies."""

    @initialize(given=recipes_, rounds=st.integers(0, 6), handed=few, left=few, failing=few)
    def begin(self, given: Recipe, rounds: int, handed: int, left: int, failing: int) -> None:
        self.process = Dying()
        self.model = Model()
        self.time = START
        self.seen: list[Job] = []
        self.a_production_is_entered(given, again=False, dies=None)
        self.somebody_looks_at_all_jobs()
        self.an_engine_goes_on_for_a_while(rounds, handed, left, failing, None, tells=True, retries=False)

    def teardown(self) -> None:
        if hasattr(self, "process"):
            self.process.end()

    @property
    def tracker(self) -> Tracker:
        return self.process.tracker

    @property
    def now(self) -> str:
        return self.later(0)

    def later(self, minutes: int) -> str:
        return (self.time + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")

    def do(self, verb: Callable[[Tracker], Any], dies: int | None) -> tuple[bool, Any]:
        """Do something, or die in it; whether it has happened, and what it gave."""
        return (True, self.process.do(verb)) if dies is None else self.process.die(verb, dies)

    def needs(self) -> list[tuple[int, int]]:
        return [tuple(row) for row in self.tracker.rows("SELECT job_id, need_id FROM needs")]

    def unmet(self, job_id: int) -> int:
        open_needs = [
            need for job, need in self.needs() if job == job_id and self.model.jobs[need]["state"] in UNFINISHED
        ]
        return len(open_needs) + int(self.tracker.value("SELECT count(*) FROM awaited WHERE job_id = ?", job_id))

    def any_production(self, which: int) -> int:
        return sorted(self.model.productions)[which % len(self.model.productions)]

    # Plans

    @rule(given=recipes_, again=st.sampled_from((True, True, False)), dies=dies)
    def a_production_is_entered(self, given: Recipe, again: bool, dies: int | None) -> None:
        standing = self.model.production(given.production)
        awaited = {one for one in self.model.open_attempts() if self.model.awaits(one)}
        happened, entered = self.do(lambda tracker: entering.enter(tracker, given, self.now, again), dies)
        refused = standing and standing["recipe_hash"] != given.hash and not again
        assert isinstance(entered, InputError) == bool(refused)
        if happened and not refused:
            self._entered(given, again)
            names = {
                self.model.jobs[one]["name"]
                for one in self.model.standing(*JobState, production_id=entered.production_id)
            }
            if not entered.retried:
                assert names == {*entered.made, *entered.kept}
            assert {*entered.live} == {one for one in awaited if not self.model.awaits(one)}

    def _entered(self, given: Recipe, again: bool) -> None:
        found = Model.of(self.tracker)
        standing = self.model.production(given.production)
        if standing is None:
            new = {"name": given.production, "generation": 1, "recipe_hash": given.hash, "paused": 0, "priority": 0,
                   "max_running": None, "campaign_id": None}  # fmt: skip
            self.model.productions[max(self.model.productions, default=0) + 1] = new
        elif again:
            standing |= {"generation": standing["generation"] + 1, "recipe_hash": given.hash}
        self.model.renew(found, self.now, brought_back=again)

    @rule(given=st.lists(recipes_, min_size=1, max_size=2, unique_by=lambda one: one.production),
          campaign=st.sampled_from(("north", "south")), priority=st.none() | st.integers(-1, 1), again=st.booleans(),
          dies=dies)  # fmt: skip
    def a_campaign_is_entered(
        self, given: list[Recipe], campaign: str, priority: int | None, again: bool, dies: int | None
    ) -> None:
        recipes = {one.production: one for one in given}
        said = {} if priority is None else {"priority": priority}
        rows = tuple(
            Row("t.csv", line, ProductionDocument(production=one, pipeline="bands", inputs={}, output="o", **said), {})
            for line, one in enumerate(recipes, 2)
        )
        hashes = {name: one.hash for name, one in recipes.items()}

        def verb(tracker: Tracker) -> Any:
            return campaigns.enter(
                tracker,
                Campaign(campaign, rows, ()),
                hashes,
                lambda row: recipes[row.document.production],
                self.now,
                again,
            )

        ids = {row["name"]: row["id"] for row in self.tracker.rows("SELECT id, name FROM campaigns")}
        taken = [
            one for one in map(self.model.production, recipes)
            if one and (one["campaign_id"] not in (None, ids.get(campaign))
                        or (one["recipe_hash"] != hashes[one["name"]] and not again))
        ]  # fmt: skip
        happened, entered = self.do(verb, dies)
        assert isinstance(entered, InputError) == bool(taken)
        if happened and not taken:
            campaign_id = ids.get(campaign, len(ids) + 1)
            for one in given:
                before = self.model.production(one.production)
                if before is None or before["recipe_hash"] != one.hash:
                    self._entered(one, again and before is not None)
                after = self.model.production(one.production)
                assert after
                after["campaign_id"] = campaign_id
                after["priority"] = after["priority"] if priority is None else priority

    def due_expansions(self) -> list[Expansion]:
        return [one for one in self.tracker.expansions() if not self.tracker.undecided(one)]

    @precondition(lambda self: self.due_expansions())
    @rule(which=which, dies=dies)
    def groups_are_made(self, which: int, dies: int | None) -> None:
        pending = self.due_expansions()
        if not pending:
            return
        expansion = pending[which % len(pending)]

        def verb(tracker: Tracker) -> None:
            production = tracker.production_by_id(expansion.production_id)
            refresh(tracker, production.id, recipes.recipe_of(tracker, production), self.now)
            tracker.expanded(expansion, self.now)

        if self.do(verb, dies)[0]:
            self.model.renew(Model.of(self.tracker), self.now)

    @precondition(lambda self: any(one["stale"] for one in self.model.jobs.values()))
    @rule(which=which, dies=dies)
    def stale_merges_are_redone(self, which: int, dies: int | None) -> None:
        production = self.tracker.production_by_id(self.any_production(which))
        stale = [job for job, one in self.model.jobs.items()
                 if one["stale"] and one["current"] and one["production_id"] == production.id]  # fmt: skip
        happened, entered = self.do(lambda tracker: redo_stale(tracker, production, self.now), dies)
        if happened:
            self.model.renew(Model.of(self.tracker), self.now)
            assert not any(self.model.jobs[job]["current"] for job in stale)
            assert {self.model.jobs[job]["name"] for job in stale} <= set(entered.made)

    # Jobs

    @rule()
    def somebody_looks_at_all_jobs(self) -> None:
        self.seen = [self.tracker.job_by_id(job_id) for job_id in self.model.jobs]

    @rule(which=which, new=st.sampled_from(JobState), fresh=st.booleans(), minutes=waits, dies=dies)
    def somebody_tries_to_move_a_job(
        self, which: int, new: JobState, fresh: bool, minutes: int | None, dies: int | None
    ) -> None:
        job = self.seen[which % len(self.seen)]
        job = self.tracker.job_by_id(sorted(self.model.jobs)[which % len(self.model.jobs)]) if fresh else job
        with_the_backend = {JobState.SUBMITTED, JobState.RUNNING}
        if new in MOVES[job.state] and new is not JobState.CANCELLED and with_the_backend & {job.state, new}:
            return  # what an attempt does moves these
        until = self.later(minutes) if minutes is not None and new is JobState.WAITING else None
        known = self.model.jobs[job.id]
        happened, moved = self.do(lambda tracker: tracker.move(job, new, self.now, Reason.GAP, not_before=until), dies)
        if new not in MOVES[job.state]:
            assert isinstance(moved, IllegalMoveError)
        else:
            assert moved is not stale_reader(job, known)
            if happened and moved:
                self.model.move(job.id, new, self.now, Reason.GAP, not_before=until)

    @rule()
    def somebody_tries_all_moves_that_are_none(self) -> None:
        for job in map(self.tracker.job_by_id, self.model.jobs):
            for new in set(JobState) - MOVES[job.state]:
                with pytest.raises(IllegalMoveError):
                    self.tracker.move(job, new, self.now)

    def due_jobs(self) -> list[int]:
        waiting = self.model.standing(JobState.WAITING)
        return [job for job in waiting if self.model.jobs[job]["not_before"] is None and self.unmet(job) == 0]

    @precondition(lambda self: self.due_jobs())
    @rule(which=which, most=st.integers(1, 6), fails=st.booleans(), dies=dies)
    def jobs_start(self, which: int, most: int, fails: bool, dies: int | None) -> None:
        """As a tick does: the furthest first; what a merge goes without is noted."""
        due = self.due_jobs()
        paused = {key for key, one in self.model.productions.items() if one["paused"]}
        startable = sorted({self.model.jobs[job]["production_id"] for job in due} - paused)
        assert self.tracker.startable() == startable
        if not startable:
            return
        production_id = startable[which % len(startable)]
        due = [job for job in due if self.model.jobs[job]["production_id"] == production_id]
        due.sort(key=lambda job: (-DEPTHS.index(self.model.jobs[job]["step"]), job))
        new, reason = (JobState.FAILED, Reason.TOO_FEW_INPUTS) if fails else (JobState.READY, None)

        def verb(tracker: Tracker) -> list[int]:
            jobs = tracker.to_start(production_id, most)
            for job in jobs:
                if job.step != "first":
                    tracker.set_lacks(job.id, ["L1-SAP000-SB109"])
                assert tracker.move(job, new, self.now, reason)
                tracker.settle_at(job.id, "near")
            return [job.id for job in jobs]

        happened, started = self.do(verb, dies)
        assert started == due[:most]
        for job in started if happened else ():
            self.model.move(job, new, self.now, reason)
            if self.model.jobs[job]["step"] != "first":
                self.model.jobs[job]["stale"] = 0

    @precondition(lambda self: self.model.standing(*UNFINISHED))
    @rule(which=which, every=st.booleans(), dies=dies)
    def the_operator_cancels(self, which: int, every: bool, dies: int | None) -> None:
        production_id = self.any_production(which)
        chosen = self.model.standing(*UNFINISHED, production_id=production_id)
        chosen = chosen if every else chosen[which % (len(chosen) or 1) :][:1]

        def verb(tracker: Tracker) -> None:
            for job_id in chosen:
                job = tracker.job_by_id(job_id)
                assert tracker.move(job, JobState.CANCELLED, self.now, Reason.CANCELLED, "by the operator")

        if self.do(verb, dies)[0]:
            for job_id in chosen:
                self.model.move(job_id, JobState.CANCELLED, self.now, Reason.CANCELLED)

    @precondition(
        lambda self: any(one["state"] in (JobState.FAILED, JobState.CANCELLED) for one in self.model.jobs.values())
    )
    @rule(which=which, every=st.booleans(), dies=dies)
    def the_operator_retries(self, which: int, every: bool, dies: int | None) -> None:
        """A job is found by an old attempt's id too; then it may have been superseded."""
        production_id = self.any_production(which)
        of_it = [job for job, one in sorted(self.model.jobs.items()) if one["production_id"] == production_id
                 and one["state"] in (JobState.FAILED, JobState.CANCELLED)]  # fmt: skip
        failed = self.model.standing(JobState.FAILED, JobState.CANCELLED, production_id=production_id)
        chosen = failed if every else of_it[which % (len(of_it) or 1) :][:1]
        needs = self.needs()
        jobs = [self.tracker.job_by_id(job) for job in chosen]
        happened, names = self.do(lambda tracker: retry_failed(tracker, jobs, self.now), dies)
        if happened:
            assert self.model.retried(chosen, needs, self.now) == list(names)
            self.model.renew(Model.of(self.tracker), self.now)

    @rule(rounds=st.integers(1, 3), handed=few, left=few, failing=few, minutes=waits, tells=st.booleans(),
          retries=st.booleans())  # fmt: skip
    def an_engine_goes_on_for_a_while(
        self, rounds: int, handed: int, left: int, failing: int, minutes: int | None, tells: bool, retries: bool
    ) -> None:
        """So that what stands at the end of a pipeline is reached.

        Parameters
        ----------
        rounds
            How many ticks it has.
        handed
            How many jobs the last one hands over; the others hand over all.
        left
            How many attempts are still with the backend after the last one.
        failing
            The how many-th attempt of each tick fails; none for 0.
        minutes
            When that is tried again; None for never.
        tells
            Whether the first step tells frequencies.
        retries
            Whether the operator lets all be tried again before.
        """
        for which in range(len(self.model.productions) if retries else 0):
            self.the_operator_retries(which, True, None)
        for tick in range(rounds):
            last = tick == rounds - 1
            if self.due_expansions():
                self.groups_are_made(0, None)
            for which in range(len(self.model.productions)):
                self.jobs_start(which, 6, False, None)
            ready = len(self.model.standing(JobState.READY))
            for which in range(min(handed, ready) if last else ready):
                self.a_job_is_handed_over(which, None)
            awaited = [attempt for attempt in self.model.open_attempts() if self.model.awaits(attempt)]
            for place, attempt in enumerate(awaited[left if last else 0 :], 1):
                which = self.model.open_attempts().index(attempt)
                if place == failing:
                    self.an_attempt_fails(which, False, minutes, None)
                else:
                    self.an_attempt_succeeds(which, tells, None)

    # Attempts

    @precondition(lambda self: self.model.standing(JobState.READY))
    @rule(which=which, dies=dies)
    def a_job_is_handed_over(self, which: int, dies: int | None) -> None:
        kinds = self.tracker.ready_kinds()
        ready = [job for job in self.model.standing(JobState.READY)
                 if not self.model.productions[self.model.jobs[job]["production_id"]]["paused"]]  # fmt: skip
        assert sum(kind.count for kind in kinds) == len(ready)
        if not kinds:
            return
        [job] = self.tracker.ready_of(kinds[which % len(kinds)], 1)
        assert job.id in ready
        happened, attempt = self.do(lambda tracker: tracker.intend(job, "grid", "near", self.now), dies)
        assert attempt not in self.model.attempts
        if happened:
            self.model.attempts[attempt] = {"job_id": job.id, "phase": Phase.INTENDED, "reason": None}
            self.model.move(job.id, JobState.SUBMITTED, self.now, attempt=attempt)

    @precondition(lambda self: self.model.open_attempts())
    @rule(which=which, phase=st.sampled_from((Phase.QUEUED, Phase.RUNNING)), dies=dies)
    def a_backend_says_where_an_attempt_is(self, which: int, phase: Phase, dies: int | None) -> None:
        attempts = self.model.open_attempts()
        attempt = attempts[which % len(attempts)]
        job_id = self.model.attempts[attempt]["job_id"]
        begins = (
            phase is Phase.RUNNING and self.model.awaits(attempt)
            and self.model.jobs[job_id]["state"] == JobState.SUBMITTED
        )  # fmt: skip

        def verb(tracker: Tracker) -> None:
            tracker.note_phase(attempt, phase, self.now, "wn1", "42.0")
            if begins:
                assert tracker.move(tracker.job_by_id(job_id), JobState.RUNNING, self.now)

        if self.do(verb, dies)[0]:
            self.model.attempts[attempt]["phase"] = phase
            if begins:
                self.model.move(job_id, JobState.RUNNING, self.now)

    @precondition(lambda self: self.model.open_attempts())
    @rule(which=which, tells=st.booleans(), dies=dies)
    def an_attempt_succeeds(self, which: int, tells: bool, dies: int | None) -> None:
        """Its job takes what it made, if it waits for it; the first step may tell a subband's frequency."""
        attempts = self.model.open_attempts()
        attempt = attempts[which % len(attempts)]
        job = self.tracker.job_by_id(self.model.attempts[attempt]["job_id"])
        awaited = self.model.awaits(attempt)
        outputs = OUTPUTS[job.step] if awaited else []

        def verb(tracker: Tracker) -> None:
            tracker.end_attempt(attempt, Phase.ENDED, self.now, None, "", "{}")
            if not awaited:
                return
            for output, product in outputs:
                file = StoredOutput(job.id, attempt, output, f"{job.name}.x", f"file:///s/{output}.{attempt}", 1, "1")
                tracker.add_file(file, product)
            tracker.remember(job.id, {"rms": 1})
            if tells and job.step == "first":
                production = tracker.production_of(job)
                tracker.place(production, job.role, job.key, absolute_subband(frequency_of(job.name)))
            assert tracker.move(job, JobState.SUCCEEDED, self.now)
            tracker.mark_stale(job.id)

        needs = self.needs()
        if not self.do(verb, dies)[0]:
            return
        self.model.attempts[attempt]["phase"] = Phase.ENDED
        for output, product in outputs:
            self.model.files[attempt, output] = {
                "job_id": job.id,
                "state": "made",
                "product": int(product),
                "published": "",
            }
        if awaited:
            self.model.move(job.id, JobState.SUCCEEDED, self.now)
            gone_on = (JobState.SUBMITTED, JobState.RUNNING, JobState.SUCCEEDED)
            for one in self.model.standing(*gone_on):
                if (one, job.id) in needs:
                    self.model.jobs[one]["stale"] = 1

    @precondition(lambda self: self.model.open_attempts())
    @rule(which=which, lost=st.booleans(), minutes=waits, dies=dies)
    def an_attempt_fails(self, which: int, lost: bool, minutes: int | None, dies: int | None) -> None:
        """Its job, if it waits for it, is put back until later, or fails; it has learnt what it takes."""
        attempts = self.model.open_attempts()
        attempt = attempts[which % len(attempts)]
        job = self.tracker.job_by_id(self.model.attempts[attempt]["job_id"])
        phase, reason = (Phase.LOST, Reason.LOST) if lost else (Phase.ENDED, Reason.PAYLOAD_FAILED)
        until = None if minutes is None else self.later(minutes)
        new, tries = (JobState.FAILED, None) if until is None else (JobState.WAITING, job.tries + 1)
        awaited = self.model.awaits(attempt)

        def verb(tracker: Tracker) -> None:
            tracker.end_attempt(attempt, phase, self.now, reason, "exit code 1", None)
            if awaited:
                tracker.change_demand(job.id, {"memory_mb": 8000}, ["near"])
                assert tracker.move(job, new, self.now, reason, "exit code 1", not_before=until, tries=tries)

        if self.do(verb, dies)[0]:
            self.model.attempts[attempt] |= {"phase": phase, "reason": reason}
            if awaited:
                self.model.move(job.id, new, self.now, reason, not_before=until, tries=tries)
                self.model.jobs[job.id] |= {"grown": '{"memory_mb": 8000}', "shunned": '["near"]'}

    def awaited_groups(self) -> list[str]:
        return [one for one in self.model.open_attempts() if self.model.awaits(one)
                and self.model.jobs[self.model.attempts[one]["job_id"]]["step"] == "band"]  # fmt: skip

    @precondition(lambda self: self.awaited_groups())
    @rule(which=which, dies=dies)
    def a_group_is_made_in_parts(self, which: int, dies: int | None) -> None:
        groups = self.awaited_groups()
        attempt = groups[which % len(groups)]
        job = self.tracker.job_by_id(self.model.attempts[attempt]["job_id"])

        def verb(tracker: Tracker) -> Entered:
            tracker.end_attempt(attempt, Phase.ENDED, self.now, Reason.OUT_OF_MEMORY, "", None)
            production = tracker.production_by_id(tracker.production_of(job))
            tracker.refine(production.id, *group_of_key(job.role, job.key), 2)
            redo = [one.name for one in tracker.dependents(job.id)]
            return refresh(tracker, production.id, recipes.recipe_of(tracker, production), self.now, [job.name, *redo])

        happened, entered = self.do(verb, dies)
        if happened:
            self.model.attempts[attempt] |= {"phase": Phase.ENDED, "reason": Reason.OUT_OF_MEMORY}
            self.model.renew(Model.of(self.tracker), self.now)
            assert attempt in entered.live

    # Files

    @precondition(lambda self: self.model.files)
    @rule(which=which, dies=dies)
    def a_product_is_published(self, which: int, dies: int | None) -> None:
        due = {
            key for key, one in self.model.files.items()
            if one["product"] and not one["published"] and one["state"] == "made"
            and self.model.jobs[one["job_id"]]["current"]
        }  # fmt: skip
        files = sorted(self.tracker.to_publish(), key=lambda file: (file.attempt, file.name))
        assert {(file.attempt, file.name) for file in files} == due
        if not files:
            return
        file = files[which % len(files)]
        if self.do(lambda tracker: tracker.note_published(file, "file:///products/x"), dies)[0]:
            self.model.files[file.attempt, file.name]["published"] = "file:///products/x"

    @precondition(lambda self: self.model.files)
    @rule(which=which, dies=dies)
    def scratch_is_cleaned(self, which: int, dies: int | None) -> None:
        jobs = sorted({one["job_id"] for one in self.model.files.values() if one["state"] == "made"})
        assert sorted(self.tracker.on_scratch()) == jobs
        if not jobs:
            return
        needs = self.needs()
        disposable = {job_id: self._disposable(job_id, needs) for job_id in jobs}
        files = disposable[jobs[which % len(jobs)]]

        def verb(tracker: Tracker) -> None:
            for file in files:
                tracker.note_deleted(file)

        if self.do(verb, dies)[0]:
            for file in files:
                self.model.files[file.attempt, file.name]["state"] = "deleted"

    def _disposable(self, job_id: int, needs: list[tuple[int, int]]) -> list[StoredOutput]:
        job = self.model.jobs[job_id]
        files = self.tracker.disposable(job_id, ["band"] if job["step"] in ("first", "band") else [])
        if job["current"] and files:
            readers = [self.model.jobs[reader] for reader, need in needs if need == job_id]
            for reader in (one for one in readers if one["current"]):
                assert (reader["state"], reader["stale"]) == (JobState.SUCCEEDED, 0), "somebody will read it"
            for file in files:
                here = self.model.files[file.attempt, file.name]
                assert here["published"] or not here["product"]
        return files

    # Productions, sites, time

    @precondition(lambda self: self.model.productions)
    @rule(which=which, paused=st.booleans(), priority=st.integers(-2, 2), most=st.none() | st.integers(1, 5), dies=dies)
    def the_operator_says_what_goes_first(
        self, which: int, paused: bool, priority: int, most: int | None, dies: int | None
    ) -> None:
        production_id = self.any_production(which)

        def verb(tracker: Tracker) -> None:
            tracker.pause(production_id, paused, self.now)
            tracker.set_priority(production_id, priority, self.now)
            tracker.set_max_running(production_id, most, self.now)

        if self.do(verb, dies)[0]:
            self.model.productions[production_id] |= {"paused": int(paused), "priority": priority, "max_running": most}

    @rule(node=st.sampled_from(("", "wn1")), released=st.booleans(), dies=dies)
    def a_quarantine_begins_or_ends(self, node: str, released: bool, dies: int | None) -> None:
        def verb(tracker: Tracker) -> str:
            probe = tracker.probe_id()
            if released:
                tracker.release("near", node, self.now)
                tracker.absolve("near", node)
            else:
                record = QuarantineRecord("near", node, "probed", self.now, self.later(10), 1, "it fails", probe)
                tracker.put_in_quarantine(record)
                tracker.blame("near", node, list(self.model.jobs))
            tracker.site_event(self.now, "near", node, "decided")
            return probe

        happened, probe = self.do(verb, dies)
        assert probe not in self.model.probes
        if happened:
            self.model.probes.append(probe)
            if not released:
                self.model.quarantine["near", node] = "probed"
            elif ("near", node) in self.model.quarantine:
                self.model.quarantine["near", node] = "released"
            shut = [key for key, state in sorted(self.model.quarantine.items()) if state != "released"]
            assert [(one.site, one.node) for one in self.tracker.quarantines()] == shut

    @rule(minutes=st.integers(-90, 180), dies=dies)
    def the_clock_is_set_or_goes_on(self, minutes: int, dies: int | None) -> None:
        """Back by more than an hour too: then nothing may wait for what it takes for the future."""
        self.time += timedelta(minutes=minutes)
        if self.do(lambda tracker: tracker.wake(self.now), dies)[0]:
            self.model.wake(self.now)
            for job in self.model.standing(JobState.WAITING):
                until = self.model.jobs[job]["not_before"]
                assert until is None or self.now < until <= self.later(90)

    @rule()
    def another_process_goes_on(self) -> None:
        self.process.again()

    # What must stand

    @invariant()
    def the_tracker_is_sound(self) -> None:
        if hasattr(self, "process"):
            assert list(problems(self.tracker)) == []

    @invariant()
    def the_tracker_holds_what_the_model_holds(self) -> None:
        if hasattr(self, "process"):
            found = Model.of(self.tracker)
            found.probes = self.model.probes
            assert vars(found) == vars(self.model)

    @invariant()
    def nothing_is_made_for_a_job_that_has_ended(self) -> None:
        if hasattr(self, "process"):
            wanted = [one for one in self.model.open_attempts() if self.model.awaits(one)]
            jobs = [self.model.attempts[one]["job_id"] for one in wanted]
            assert len(jobs) == len(set(jobs)), "a job waits for one attempt"
            assert sorted(jobs) == self.model.standing(JobState.SUBMITTED, JobState.RUNNING)


Machine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestMachine = Machine.TestCase


# What the machine may not come by


@pytest.fixture
def process() -> Iterator[Dying]:
    one = Dying()
    yield one
    one.end()


def test_the_operators_retry_lets_a_job_go_where_it_failed_before_and_keeps_what_it_learnt(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.enter()
    world.tracker.change_demand(world.job(name(100)).id, {"memory_mb": 8000}, ["far"])
    world.move(name(100), JobState.FAILED)
    world.retry(name(100))
    again = world.job(name(100))
    assert (again.grown, again.shunned) == ({"memory_mb": 8000}, ())


def test_a_superseded_job_is_not_brought_back_nor_touched(tmp_path: Path) -> None:
    known = [subband(n, frequency_hz=n * SUBBAND_HZ) for n in (100, 101)]
    world = World(tmp_path)
    world.enter(recipe(known))
    world.move(GROUP, JobState.FAILED)
    seen = world.job(GROUP)
    world.enter(recipe(known, parameters={"strength": 2}), again=True)
    before = contents(world.tracker)
    with world.tracker.transaction():
        assert retry_failed(world.tracker, [seen], world.now) == ()
    assert contents(world.tracker) == before


def test_keys_come_first_in_tables_without_rowid(process: Dying) -> None:
    """The check of sqlite 3.40 takes a column between those of a key for NULL."""
    tables = process.tracker.rows("SELECT name FROM sqlite_master WHERE sql LIKE '%) WITHOUT ROWID'")
    assert tables
    for (table,) in tables:
        keys = [row["cid"] for row in process.tracker.rows(f"PRAGMA table_info({table})") if row["pk"]]
        assert keys == list(range(len(keys))), table
    process.do(lambda tracker: entering.enter(tracker, recipe_of("field", "unknown", 1, 1), "2024-01-01"))
    assert process.tracker.expansions()
    assert list(problems(process.tracker)) == []


def renewed(tracker: Tracker) -> Any:
    """A change of the recipe, and what failed tried again: the verb with the most statements."""
    return entering.enter(tracker, recipe_of("field", "known", 2, 1), "2024-01-02", again=True)


def retried(tracker: Tracker) -> Any:
    return retry_failed(tracker, tracker.jobs(1, [JobState.FAILED]), "2024-01-02")


def handed_over(tracker: Tracker) -> Any:
    [ready] = tracker.jobs(1, [JobState.READY])
    return tracker.intend(ready, "grid", "near", "2024-01-02")


def succeeded(tracker: Tracker) -> Any:
    [job] = tracker.jobs(1, [JobState.SUBMITTED])
    assert job.attempt
    tracker.end_attempt(job.attempt, Phase.ENDED, "2024-01-02", None, "", "{}")
    tracker.add_file(StoredOutput(job.id, job.attempt, "ms", "x.MS", "file:///s/x", 1, "1"), False)
    tracker.remember(job.id, {"rms": 1})
    assert tracker.move(job, JobState.SUCCEEDED, "2024-01-02")
    tracker.mark_stale(job.id)


def under_way(process: Dying) -> None:
    """A production with a job that is ready, one that is submitted, and one that failed."""
    tracker = process.tracker
    with tracker.transaction():
        entering.enter(tracker, recipe_of("field", "known", 1, 1), "2024-01-01")
        first, second, third, _ = tracker.to_start(1, 4)
        for job in (first, second):
            tracker.move(job, JobState.READY, "2024-01-01")
        tracker.intend(tracker.job_by_id(second.id), "grid", "near", "2024-01-01")
        tracker.move(third, JobState.FAILED, "2024-01-01", Reason.INPUT_MISSING)


@pytest.mark.parametrize("verb", [renewed, retried, handed_over, succeeded])
def test_whichever_statement_it_dies_at_it_has_happened_wholly_or_not_at_all(
    process: Dying, verb: Callable[[Tracker], Any]
) -> None:
    under_way(process)
    thousandths, happened = 0, False
    life = Death()
    with closing(what_stands_on_disk(process.tracker.path, process.folder / "twin")) as twin:
        mortal(twin, life)
        carry_out(twin, verb)
    for last in range(1, life.steps + 1):
        assert not happened, "what has happened is not undone"
        thousandths = -(-1000 * (last - 1) // (life.steps - 1))
        happened, _ = process.die(verb, thousandths)
        assert happened == (last == life.steps), f"it died at statement {last} of {life.steps}"
        assert list(problems(process.tracker)) == []


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {pilots!r}]
from pathlib import Path
from tests.unit.tracker.test_machine import write_without_end

for path, statements in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        write_without_end(Path(path), tell)
    os.close(tell)
    committed = b""
    while statements > 0 and (some := os.read(told, min(statements, 4096))):
        statements -= len(some)
        committed += some
    os.kill(child, signal.SIGKILL)
    while some := os.read(told, 4096):
        committed += some
    os.close(told)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it ended before"
    print(committed.count(b"c"), flush=True)
"""


def write_without_end(path: Path, tell: int) -> None:
    """Replan, cancel and retry, and say so after every statement; never return."""

    class Told:
        def step(self) -> None:
            os.write(tell, b".")

    tracker = open_tracker(path)
    mortal(tracker, Told())  # type: ignore[arg-type]
    try:
        for number in range(1, 10_000):
            now = f"2024-01-01T{number:06d}"
            with tracker.transaction():
                entering.enter(tracker, recipe_of("field", "known", number, 1), now, again=True)
            os.write(tell, b"c")
            with tracker.transaction():
                for job in tracker.jobs(1):
                    tracker.move(job, JobState.CANCELLED, now, Reason.CANCELLED)
            os.write(tell, b"c")
            with tracker.transaction():
                retry_failed(tracker, tracker.jobs(1), now)
            os.write(tell, b"c")
    finally:
        os._exit(1)


def test_a_process_killed_while_it_writes_leaves_a_sound_tracker_and_all_that_it_committed() -> None:
    """With SIGKILL, a few dozen times, each time after another number of statements."""
    stream = random.Random(7)
    script = KILLED.format(root=str(ROOT), pilots=str(ROOT / "pilots"))
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        trackers = [Path(place, str(number), "tracker.db") for number in range(KILLS)]
        words: list[str] = []
        for path in trackers:
            path.parent.mkdir()
            path.write_bytes(empty_tracker())
            words += [str(path), str(stream.randrange(1, 900))]
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        told = [int(line) for line in done.stdout.split()]
        for path, committed in zip(trackers, told, strict=True):
            with closing(open_tracker(path)) as tracker:
                assert list(problems(tracker)) == []
                generation = tracker.value("SELECT generation FROM productions") or 0
                # The first of three commits of a round makes the generation; the last may not have been told.
                assert -(-committed // 3) <= generation <= committed // 3 + 1
        assert max(told) > 10, "it had come far"
