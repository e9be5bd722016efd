"""What the tracker tells of sites, and that it does not cost more the more it holds."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from lofargrid.states import Phase, Reason
from lofargrid.tracker import open_tracker
from lofargrid.tracker.sites import SPEED_SAMPLE, Failure, Outcome, SiteEvent, Sites, Speed

SINCE = "2026-03-02T00:00:00.000+00:00"
BEFORE = "2026-03-01T23:59:59.999+00:00"
NUMBERS = itertools.count(1)


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    tracker = open_tracker(tmp_path / "tracker.db")
    tracker.add_production("field", "", "", "")
    tracker.close()
    connection = sqlite3.connect(tmp_path / "tracker.db", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(
        "INSERT INTO jobs (id, production_id, name, step, role, sap, key, generation, signature, state, unmet, updated)"
        " VALUES (1, 1, 'the-job', 'one', 'data', 0, 'k', 1, '', 'running', 0, '')"
    )
    return connection


@pytest.fixture
def sites(connection: sqlite3.Connection, tmp_path: Path) -> Sites:
    return Sites(connection, tmp_path / "tracker.db")


def ended(
    sites: Sites, reason: Reason | None = None, at: str = SINCE, site: str = "SURF", node: str = "wn1",
    report: str | None = None, phase: Phase = Phase.ENDED,
) -> str:  # fmt: skip
    """Enter an attempt that ended."""
    attempt = f"t-1-{next(NUMBERS)}"
    sites.write(
        "INSERT INTO attempts (id, job_id, number, phase, backend, site, node, intended, ended, reason, detail, report)"
        " VALUES (?, 1, 1, ?, 'x', ?, ?, '', ?, ?, ?, ?)",
        attempt, phase, site, node, at, reason, "in detail" if reason else "", report,
    )  # fmt: skip
    return attempt


def under_way(sites: Sites, site: str, phase: Phase) -> None:
    sites.write(
        "INSERT INTO attempts (id, job_id, number, phase, backend, site, intended) VALUES (?, 1, 1, ?, 'x', ?, '')",
        f"t-1-{next(NUMBERS)}", phase, site,
    )  # fmt: skip


def report(*transfers: tuple[int, float]) -> str:
    return json.dumps({"transfers": [{"size_bytes": size, "seconds": seconds} for size, seconds in transfers]})


# How attempts ended


def test_what_ended_is_counted_by_site_node_and_reason(sites: Sites) -> None:
    for reason in (None, None, Reason.LOST, Reason.NODE_UNFIT, Reason.LOST):
        ended(sites, reason)
    ended(sites, Reason.LOST, node="")
    ended(sites, site="Leiden", node="wn1")
    assert sites.site_outcomes(SINCE) == [
        Outcome("Leiden", "wn1", None, 1),
        Outcome("SURF", "", Reason.LOST, 1),
        Outcome("SURF", "wn1", None, 2),
        Outcome("SURF", "wn1", Reason.LOST, 2),
        Outcome("SURF", "wn1", Reason.NODE_UNFIT, 1),
    ]


def test_what_ended_before_is_not_counted_and_what_is_under_way_neither(sites: Sites) -> None:
    ended(sites, at=BEFORE)
    under_way(sites, "SURF", Phase.RUNNING)
    assert sites.site_outcomes(SINCE) == []
    ended(sites, at=SINCE)
    ended(sites, at="2026-03-09T00:00:00.000+00:00", site="Leiden")
    assert [one.site for one in sites.site_outcomes(SINCE)] == ["Leiden", "SURF"]


def test_the_outcomes_of_one_site_are_its_own(sites: Sites) -> None:
    for site in ("Leiden", "SURF", "SURF-2"):
        ended(sites, site=site)
    assert [one.site for one in sites.site_outcomes(SINCE, "SURF")] == ["SURF"]
    assert sites.site_outcomes(SINCE, "Delft") == []


def test_an_empty_tracker_tells_of_no_site(sites: Sites) -> None:
    assert sites.site_outcomes(SINCE) == []
    assert sites.at_sites() == {}
    assert sites.site_speed("SURF", SINCE) == Speed(0, 0.0)
    assert sites.site_failures("SURF", SINCE, 5) == []
    assert sites.site_events("SURF", 5) == []


# Speed


def test_the_speed_is_that_of_all_copies_together(sites: Sites) -> None:
    ended(sites, report=report((30_000_000, 1.0), (10_000_000, 3.0)))
    ended(sites, Reason.PAYLOAD_FAILED, report=report((20_000_000, 2.0)))
    ended(sites, report=report())
    ended(sites, report=None, phase=Phase.LOST)
    ended(sites, report=report((10**12, 1.0)), at=BEFORE)
    ended(sites, report=report((10**12, 1.0)), site="Leiden")
    assert sites.site_speed("SURF", SINCE) == Speed(60_000_000, 6.0)
    assert sites.site_speed("SURF", SINCE).mb_s == 10.0


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"transfers": []}', '{"transfers": [{}]}', report((5, 0.0))])
def test_a_report_that_tells_no_time_tells_no_speed(sites: Sites, text: str) -> None:
    ended(sites, report=text)
    assert sites.site_speed("SURF", SINCE).mb_s is None


def test_the_latest_reports_tell_the_speed_of_a_busy_site(sites: Sites) -> None:
    for _ in range(10):
        ended(sites, report=report((10**12, 1.0)))
    for _ in range(SPEED_SAMPLE):
        ended(sites, report=report((1_000_000, 1.0)), at="2026-03-03T00:00:00.000+00:00")
    assert sites.site_speed("SURF", SINCE) == Speed(SPEED_SAMPLE * 1_000_000, float(SPEED_SAMPLE))


# Now


def test_what_sites_have_now_is_counted_by_what_their_backends_say(sites: Sites) -> None:
    for phase in (Phase.RUNNING, Phase.RUNNING, Phase.QUEUED, Phase.INTENDED):
        under_way(sites, "SURF", phase)
    under_way(sites, "Leiden", Phase.HELD)
    ended(sites, site="Delft")
    assert sites.at_sites() == {
        "SURF": {Phase.RUNNING: 2, Phase.QUEUED: 1, Phase.INTENDED: 1},
        "Leiden": {Phase.HELD: 1},
    }


# History


def test_failures_are_told_the_latest_first_with_their_job(sites: Sites) -> None:
    first = ended(sites, Reason.LOST, at="2026-03-03T00:00:00.000+00:00")
    ended(sites, None, at="2026-03-04T00:00:00.000+00:00")
    last = ended(sites, Reason.SCRATCH_FULL, at="2026-03-05T00:00:00.000+00:00", node="wn2")
    ended(sites, Reason.LOST, at=BEFORE)
    ended(sites, Reason.LOST, site="Leiden")
    found = sites.site_failures("SURF", SINCE, 10)
    assert [one.attempt for one in found] == [last, first]
    assert found[0] == Failure(
        "2026-03-05T00:00:00.000+00:00", "the-job", last, "wn2", Reason.SCRATCH_FULL, "in detail"
    )
    assert sites.site_failures("SURF", SINCE, 1) == found[:1]


def test_what_was_decided_is_told_the_latest_first(connection: sqlite3.Connection, sites: Sites) -> None:
    rows = [("1", "SURF", "", "a"), ("2", "SURF", "wn1", "b"), ("3", "Leiden", "", "c"), ("4", "SURF-2", "", "d")]
    connection.executemany("INSERT INTO site_events (at, site, node, text) VALUES (?, ?, ?, ?)", rows)
    assert sites.site_events("SURF", 5) == [SiteEvent("2", "wn1", "b"), SiteEvent("1", "", "a")]
    assert sites.site_events("SURF", 1) == [SiteEvent("2", "wn1", "b")]


# Cost


def effort(connection: sqlite3.Connection, call: Callable[[], object]) -> int:
    """How many tens of steps of sqlite's machine a call takes."""
    steps = itertools.count()

    def step() -> int:
        next(steps)
        return 0

    connection.set_progress_handler(step, 10)
    call()
    connection.set_progress_handler(None, 0)
    return next(steps)


def test_old_attempts_cost_nothing(connection: sqlite3.Connection, sites: Sites) -> None:
    for number in range(50):
        ended(sites, Reason.LOST if number % 2 else None, node=f"wn{number % 5}", report=report((1, 1.0)))
        sites.write("INSERT INTO site_events (at, site, node, text) VALUES ('1', 'SURF', '', 'a')")
    calls: dict[str, Callable[[], object]] = {
        "outcomes": lambda: sites.site_outcomes(SINCE),
        "outcomes of one": lambda: sites.site_outcomes(SINCE, "SURF"),
        "speed": lambda: sites.site_speed("SURF", SINCE),
        "now": sites.at_sites,
        "failures": lambda: sites.site_failures("SURF", SINCE, 100),
        "failures of another": lambda: sites.site_failures("Leiden", SINCE, 100),
        "events": lambda: sites.site_events("SURF", 10),
        "events of another": lambda: sites.site_events("Leiden", 10),
    }
    before = {name: effort(connection, call) for name, call in calls.items()}
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO attempts (id, job_id, number, phase, backend, site, node, intended, ended, reason, report)"
        " VALUES (?, 1, 1, 'ended', 'x', ?, ?, '', ?, ?, ?)",
        (
            (f"old-{n}", ("SURF", "Leiden")[n % 2], f"old{n}", BEFORE, Reason.LOST if n % 3 else None, report((1, 1.0)))
            for n in range(5000)
        ),
    )
    connection.execute("INSERT INTO site_events (at, site, node, text) SELECT '1', 'Delft', '', 'b' FROM attempts")
    connection.execute("COMMIT")
    after = {name: effort(connection, call) for name, call in calls.items()}
    assert {name: (before[name], after[name]) for name in calls if after[name] > before[name] + 10} == {}
