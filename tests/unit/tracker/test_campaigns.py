"""What the tracker tells of many productions at once, from tallies; it must be what counting the jobs would tell."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lofargrid.model import StoredOutput
from lofargrid.states import FINAL, MOVES, JobState, Reason
from lofargrid.tracker import Tracker, open_tracker
from lofargrid.tracker.campaigns import Course, FailedAlike

NOW = "2024-01-01T00:00:00.000+00:00"
STEPS = ("one", "band", "all")


class Books:
    """Productions with jobs in states that the test gives; three steps, a job of each a subband."""

    def __init__(self, path: Path) -> None:
        self.tracker: Tracker = open_tracker(path)
        self.sql = sqlite3.connect(path, isolation_level=None)

    def production(self, name: str, *states: JobState, campaign: str = "", step: str = "one") -> int:
        known = self.tracker.production(name)
        number = known.id if known else self.tracker.add_production(name, "h", "{}", NOW)
        for state in states:
            self.job(number, step, state)
        if campaign:
            found = self.tracker.campaign(campaign)
            self.tracker.join(number, found.id if found else self.tracker.add_campaign(campaign, NOW))
        return number

    def job(self, production_id: int, step: str, state: JobState, reason: Reason | None = None, **more: object) -> int:
        columns = {
            "production_id": production_id, "step": step, "role": "data", "sap": 0, "key": "k", "generation": 1,
            "signature": b"", "state": JobState.WAITING, "unmet": 0, "updated": NOW, **more,
        }  # fmt: skip
        count = self.sql.execute("SELECT count(*) FROM jobs WHERE production_id = ?", [production_id]).fetchone()[0]
        columns.setdefault("name", f"L1-SAP000-SB{count:03d}-{step}")
        marks = ", ".join("?" * len(columns))
        made = self.sql.execute(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks})", list(columns.values()))
        self.sql.execute(
            "INSERT INTO tallies VALUES (?, ?, 'waiting', 1) ON CONFLICT DO UPDATE SET n = n + 1", [production_id, step]
        )
        assert made.lastrowid is not None
        # The trigger keeps the tallies.
        self.sql.execute("UPDATE jobs SET state = ?, reason = ? WHERE id = ?", [state, reason, made.lastrowid])
        return made.lastrowid

    def file(self, job_id: int, published: str = "", state: str = "made") -> None:
        attempt = f"t-{job_id}-1"
        self.sql.execute(
            "INSERT INTO attempts (id, job_id, number, phase, backend, site, intended)"
            " VALUES (?, ?, 1, 'ended', 'local', 'local', ?)",
            [attempt, job_id, NOW],
        )  # fmt: skip
        self.tracker.add_file(StoredOutput(job_id, attempt, "f", "f", "file:///f", 1, "0" * 8), product=True)
        self.sql.execute("UPDATE files SET published = ?, state = ?", [published, state])

    @property
    def survey(self) -> int:
        found = self.tracker.campaign("survey")
        assert found is not None
        return found.id


@pytest.fixture
def books(tmp_path: Path) -> Books:
    books = Books(tmp_path / "tracker.db")
    books.tracker.add_campaign("survey", NOW)
    return books


WAITING, READY, RUNNING = JobState.WAITING, JobState.READY, JobState.RUNNING
DONE, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED


def test_a_campaign_has_its_productions(books: Books) -> None:
    books.production("alone")
    books.production("a", campaign="survey")
    books.production("b", campaign="survey")
    (found,) = books.tracker.campaigns()
    assert (found.name, found.created, found.productions) == ("survey", NOW, 2)
    assert books.tracker.campaign("survey") == found
    assert books.tracker.campaign("other") is None
    assert [one.name for one in books.tracker.productions(found.id)] == ["a", "b"]
    assert [one.campaign for one in books.tracker.productions()] == [None, "survey", "survey"]
    assert sorted(books.tracker.names()) == ["a", "alone", "b", "survey"]


@settings(max_examples=25, deadline=None)
@given(
    given_jobs=st.lists(
        st.tuples(st.sampled_from(["alone", "a", "b", "c"]), st.sampled_from(STEPS), st.sampled_from(list(JobState))),
        max_size=25,
    )
)
def test_tallies_tell_what_counting_would(
    given_jobs: list[tuple[str, str, JobState]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    books = Books(tmp_path_factory.mktemp("books") / "tracker.db")
    books.tracker.add_campaign("survey", NOW)
    for name in ("alone", "a", "b", "c"):
        books.production(name, campaign="" if name == "alone" else "survey")
    for name, step, state in given_jobs:
        books.production(name, state, step=step)
    tracker = books.tracker
    ids = {one.name: one.id for one in tracker.productions()}

    counted = Counter((ids[name], step, state) for name, step, state in given_jobs)
    told = {(number, step, state): n for number, steps in tracker.tallies().items() for step, counts in steps.items()
            for state, n in counts.items()}  # fmt: skip
    assert told == counted
    inside = Counter((step, state) for name, step, state in given_jobs if name != "alone")
    assert {(step, state): n for step, counts in tracker.campaign_counts(books.survey).items()
            for state, n in counts.items()} == inside  # fmt: skip
    assert set(tracker.tallies(books.survey)) == {ids[name] for name, *_ in given_jobs if name != "alone"}

    by_name: dict[str, list[JobState]] = {}
    for name, _, state in given_jobs:
        if name != "alone":
            by_name.setdefault(name, []).append(state)
    final = [states for states in by_name.values() if set(states) <= FINAL]
    marred = [states for states in final if {FAILED, CANCELLED} & set(states)]
    waiting = [states for states in by_name.values() if set(states) == {WAITING}]
    going = len(by_name) - len(final) - len(waiting)
    assert tracker.course(books.survey) == Course(len(waiting), going, len(final) - len(marred), len(marred))
    assert tracker.campaign_unfinished(books.survey) == (len(final) < len(by_name))
    busy = {name for name, states in by_name.items() if {READY, JobState.SUBMITTED, RUNNING} & set(states)}
    assert {name for name, _, _ in tracker.going(books.survey, 5)} == busy
    assert {(name, done, n) for name, done, n in tracker.going(books.survey, 5)} == {
        (name, by_name[name].count(DONE), len(by_name[name])) for name in busy
    }
    failed = Counter(step for name, step, state in given_jobs if name != "alone" and state in (FAILED, CANCELLED))
    assert {one.step: one.jobs for one in tracker.failed_alike(books.survey)} == failed


def test_every_state_can_be_told(books: Books) -> None:
    assert set(MOVES) == set(JobState)
    books.production("a", *JobState, campaign="survey")
    assert books.tracker.campaign_counts(books.survey) == {"one": dict.fromkeys(JobState, 1)}


def test_only_a_few_that_are_going_are_told(books: Books) -> None:
    for number in range(9):
        books.production(f"p{number}", RUNNING, READY, DONE, campaign="survey")
    assert books.tracker.going(books.survey, 4) == [(f"p{number}", 1, 3) for number in range(4)]


def test_a_campaign_is_paused_when_all_that_could_go_is(books: Books) -> None:
    first = books.production("a", WAITING, campaign="survey")
    books.production("b", DONE, campaign="survey")
    books.production("alone", WAITING)
    assert not books.tracker.campaign_paused(books.survey)
    books.tracker.pause(first, True, NOW)
    assert books.tracker.campaign_paused(books.survey)


def test_a_product_without_its_final_name_is_something_to_do(books: Books) -> None:
    number = books.production("a", campaign="survey")
    books.file(books.job(number, "all", DONE))
    assert books.tracker.campaign_unfinished(books.survey)
    books.file(books.job(books.production("alone"), "all", DONE), published="file:///x")
    assert not books.tracker.campaign_unfinished(books.survey)


def test_what_is_left_on_scratch_is_the_campaigns_own(books: Books) -> None:
    job = books.job(books.production("alone"), "all", DONE)
    books.tracker.note_unswept(books.tracker.job_by_id(job))
    books.production("a", DONE, campaign="survey")
    assert books.tracker.campaign_swept(books.survey)
    books.tracker.join(1, books.survey)
    assert not books.tracker.campaign_swept(books.survey)
    books.tracker.note_swept(1)
    assert books.tracker.campaign_swept(books.survey)


def test_what_failed_alike_is_counted_with_one_of_them(books: Books) -> None:
    a, b = (books.production(name, DONE, campaign="survey") for name in "ab")
    crashed = [books.job(number, "one", FAILED, Reason.PAYLOAD_CRASHED) for number in (a, a, b)]
    books.job(b, "all", FAILED, Reason.NEED_FAILED)
    gone = books.job(b, "one", CANCELLED, Reason.CANCELLED)
    books.job(books.production("alone"), "one", FAILED, Reason.PAYLOAD_CRASHED)
    books.job(a, "one", FAILED, Reason.PAYLOAD_CRASHED, name="old", current=0)
    found = books.tracker.failed_alike(books.survey)
    assert found[0] == FailedAlike("one", Reason.PAYLOAD_CRASHED, 3, 2, crashed[0])
    assert {(one.step, one.reason) for one in found[1:]} == {("all", Reason.NEED_FAILED), ("one", Reason.CANCELLED)}
    assert books.tracker.failed_alike(books.survey, "one")[1].first == gone
    assert books.tracker.failed_alike(books.survey, "band") == []


def test_stale_jobs_and_lacks_are_told_without_reading_all(books: Books) -> None:
    number = books.production("a")
    for step in ("band", "all"):
        books.job(number, step, DONE, stale=1, name=step, lacks='["SB001", "SB000"]')
    books.job(number, "all", DONE, stale=1, current=0, name="old", lacks='["SB009"]')
    books.job(number, "all", FAILED, name="x", lacks='["SB008"]')
    books.job(books.production("other"), "all", DONE, stale=1, name="y", lacks='["SB007"]')
    assert books.tracker.stale_names(number) == ["band", "all"]
    assert books.tracker.lacking(number) == ["SB000", "SB001"]


def test_the_last_job_is_that_of_a_step_or_of_all_and_unfinished_if_asked(books: Books) -> None:
    number = books.production("a")
    first, band, last = (books.job(number, step, state) for step, state in
                         (("one", WAITING), ("band", RUNNING), ("all", DONE)))  # fmt: skip
    books.job(books.production("other"), "all", WAITING)
    tracker = books.tracker
    assert tracker.last_job(number) == last
    assert tracker.last_job(number, unfinished=True) == band
    assert tracker.last_job(number, "one") == first
    assert tracker.last_job(number, "all", unfinished=True) is None
    assert tracker.last_job(99) is None


def test_names_of_jobs_that_begin_alike_are_few(books: Books) -> None:
    a, b = (books.production(name) for name in "ab")
    for number in range(5):
        books.job(a, "one", WAITING, name=f"L1-SAP000-SB{number:03d}-one")
    books.job(b, "one", WAITING, name="L1-SAP000-SB000-one")
    books.job(b, "one", WAITING, name="L2-SAP000-SB000-one")
    tracker = books.tracker
    assert tracker.job_names("L1-SAP000-SB000", None, 9) == ["L1-SAP000-SB000-one"]
    assert len(tracker.job_names("L1-", None, 3)) == 3
    assert tracker.job_names("L", b, 9) == ["L1-SAP000-SB000-one", "L2-SAP000-SB000-one"]
    assert tracker.job_names("M", None, 9) == []


def test_jobs_of_a_name_are_found_in_the_campaign(books: Books) -> None:
    wanted = []
    for name, campaign in (("a", "survey"), ("b", "survey"), ("c", "other"), ("d", "")):
        number = books.production(name, campaign=campaign)
        wanted.append((name, books.job(number, "one", WAITING, name="L1-SAP000-SB000-one")))
    assert books.tracker.jobs_named("L1-SAP000-SB000-one", books.survey) == wanted[:2]


def test_priority_and_bound_are_written_with_an_event_when_they_change(books: Books) -> None:
    number = books.production("a")
    for _ in range(2):
        books.tracker.set_priority(number, 7, NOW)
        books.tracker.set_max_running(number, 3, NOW)
    (one,) = books.tracker.productions()
    assert (one.priority, one.max_running) == (7, 3)
    books.tracker.set_max_running(number, None, NOW)
    assert books.tracker.productions()[0].max_running is None
    events = [row[0] for row in books.tracker.rows("SELECT text FROM events")]
    assert events == ["priority 7", "max_running 3", "max_running None"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda tracker: tracker.tallies(1),
        lambda tracker: tracker.campaign_counts(1),
        lambda tracker: tracker.course(1),
        lambda tracker: tracker.going(1, 5),
        lambda tracker: tracker.campaign_unfinished(1),
        lambda tracker: tracker.campaign_paused(1),
        lambda tracker: tracker.campaign_swept(1),
        lambda tracker: tracker.failed_alike(1),
        lambda tracker: tracker.stale_names(1),
        lambda tracker: tracker.last_job(1),
        lambda tracker: tracker.job_names("L1", None, 5),
        lambda tracker: tracker.jobs_named("L1", 1),
    ],
)
def test_no_question_reads_all_jobs_or_attempts(books: Books, ask: Callable[[Tracker], object]) -> None:
    asked: list[str] = []
    connection = sqlite3.connect(books.tracker.path, isolation_level=None)
    tracker = Tracker(connection, books.tracker.path)
    connection.set_trace_callback(asked.append)
    ask(tracker)
    connection.set_trace_callback(None)
    plans = [str(row[3]) for sql in asked for row in books.sql.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert plans
    scans = [plan for plan in plans if re.match("SCAN (j|jobs|a|attempts)\\b", plan)]
    assert [plan for plan in scans if "INDEX" not in plan] == []
