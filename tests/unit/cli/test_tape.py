"""What is asked for from tape, as `tape` shows it."""

from __future__ import annotations

import json

import pytest

from lofargrid.cli.session import stamp
from lofargrid.states import JobState
from lofargrid.tracker import open_tracker
from tests.unit.cli.seat import Seat

PREFIX = "srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar/ops"


def url(number: int, prefix: str = PREFIX) -> str:
    return f"{prefix}/L1/SB{number:03d}.tar"


@pytest.fixture
def recalling(seat: Seat) -> Seat:
    """Two jobs wait for three files of one site, a fourth one lies on disk, a fifth is of another archive."""
    seat.write()
    seat("submit", "production.yaml")
    tracker = open_tracker(seat.data / "tracker.db")
    first, second, third = tracker.to_start(1, 3)
    with tracker.transaction():
        for job in (first, second):
            tracker.move(job, JobState.RECALLING, stamp())
        tracker.note_readers(first.id, [url(0), url(1)])
        tracker.note_readers(second.id, [url(1), url(2), "srm://elsewhere/x"])
        tracker.note_readers(third.id, [url(3)])
        for urls, hour in (([url(0), url(1)], 10), ([url(2), url(3), "srm://elsewhere/x"], 11)):
            since = f"2026-11-01T{hour}:00:00.000+00:00"
            tracker.note_recalls(dict.fromkeys(urls, 36 * 10**9), f"SURF {hour}", since, "2099-01-01")
        tracker.note_came([url(3)], [], "2026-11-01T12:00:00.000+00:00")
        tracker.recall_failed(url(1))
    tracker.close()
    return seat


def test_the_recalls_of_each_site_are_shown(recalling: Seat) -> None:
    surf = {"site": "SURF", "jobs": 2, "awaited": 3, "on_disk": 1, "failures": 1}
    other = {"site": "-", "jobs": 1, "awaited": 1, "on_disk": 0, "failures": 0}
    assert json.loads(recalling("tape", "--json").out) == [
        other | {"since": "2026-11-01T11:00:00.000+00:00"}, surf | {"since": "2026-11-01T10:00:00.000+00:00"}
    ]  # fmt: skip
    head, _, row = (line.split() for line in recalling("tape").out.splitlines())
    assert head[0] == "site"
    assert (row[0], row[1], row[2], row[-2:]) == ("SURF", "2", "3", ["1", "1"])


def test_without_any_a_line_says_so(seat: Seat) -> None:
    seat.write()
    seat("submit", "production.yaml")
    assert seat("tape").err == "nothing is asked for from tape\n"
    assert seat("tape", "--json").out == "[]\n"


def test_jobs_that_nobody_has_asked_for_yet_are_counted(seat: Seat) -> None:
    seat.write()
    seat("submit", "production.yaml")
    tracker = open_tracker(seat.data / "tracker.db")
    with tracker.transaction():
        tracker.move(tracker.to_start(1, 1)[0], JobState.RECALLING, stamp())
    tracker.close()
    assert seat("tape").err == "1 job more will be asked for at the next look of `run`\n"
