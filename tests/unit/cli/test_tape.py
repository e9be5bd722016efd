"""What is asked for from tape, as `tape` shows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lofargrid.cli.session import stamp
from lofargrid.cli.tape import standings
from lofargrid.documents.sites import SHIPPED, read_sites
from lofargrid.states import JobState
from lofargrid.tracker import open_tracker
from lofargrid.tracker.records import RecallLevel, RecallRecord
from tests.unit.cli.seat import Seat

SITES = read_sites(SHIPPED)
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
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
    other, surf = json.loads(recalling("tape", "--json").out)
    assert (other["site"], other["jobs"], other["awaited"], other["window_bytes"]) == ("-", 1, 1, None)
    told = {"site": "SURF", "jobs": 2, "awaited": 3, "on_disk": 1, "failures": 1}
    told |= {"since": "2026-11-01T10:00:00.000+00:00", "window_bytes": 5 * 10**12, "left_s": None}
    told |= {"awaited_bytes": 3 * 36 * 10**9, "on_disk_bytes": 36 * 10**9, "rate_bytes_s": 0.0}
    assert surf == told
    head, _, row = recalling("tape").out.splitlines()
    assert head.split()[:2] == ["site", "jobs"]
    for words in ("SURF", "2026-11-01 10:00:00 UTC", "108.0 GB", "1, 36.0 GB", "5.0 TB"):
        assert words in row


def level(at: datetime, brought_gb: int, on_disk_gb: int = 0) -> RecallLevel:
    stamped = at.isoformat(timespec="milliseconds")
    return RecallLevel("SURF", stamped, on_disk_gb * 10**9, 72 * 10**9, brought_gb * 10**9)


@pytest.mark.parametrize(
    ("ages_min", "rate_gb_h"), [((300, 90, 30), 36.0), ((40, 30), 54.0), ((300, 90), 0.0)]
)  # fmt: skip
def test_the_rate_is_that_of_the_last_hour(ages_min: tuple[int, ...], rate_gb_h: float) -> None:
    levels = [level(NOW - timedelta(minutes=age), 36 * number) for number, age in enumerate(ages_min)]
    waits = RecallRecord(url(0), 72 * 10**9, "1", levels[0].at, "2099", "", 0, waiting=(1,), readers=(1,))
    (one,) = standings([waits], levels, SITES, NOW)
    assert one.rate_bytes_s * 3600 / 1e9 == pytest.approx(rate_gb_h, rel=0.001)
    assert one.left_s == (pytest.approx(72 / rate_gb_h * 3600, rel=0.001) if rate_gb_h else None)


def test_a_picture_shows_the_windows_over_time(recalling: Seat, tmp_path: Path) -> None:
    assert "nothing was ever asked for" in recalling("tape", "--picture", str(tmp_path / "w.png"), code=2).err
    tracker = open_tracker(recalling.data / "tracker.db")
    with tracker.transaction():
        for hour in range(5):
            tracker.note_level(level(NOW + timedelta(hours=hour), 36 * hour, 100 * hour))
    tracker.close()
    assert str(tmp_path / "w.png") in recalling("tape", "--picture", str(tmp_path / "w.png")).err
    assert (tmp_path / "w.png").read_bytes()[1:4] == b"PNG"
    assert "cannot write the picture" in recalling("tape", "--picture", str(tmp_path / "no" / "w.png"), code=2).err


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
    assert seat("tape").err == "1 job more will be asked for when the window has room and `run` looks\n"
