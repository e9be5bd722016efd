"""sites: what is told of sites that did well, badly, or nothing."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from lofargrid.cli.text import time_text
from lofargrid.states import Phase, Reason
from lofargrid.tracker import open_tracker
from tests.unit.cli.seat import Seat

NOW = datetime.now(UTC)
SINCE = "2026-02-03T04:05:06.000+00:00"
UNTIL = "2026-02-03T04:15:06.000+00:00"


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat(timespec="milliseconds")


@dataclass
class Past:
    """Enters what a tracker would hold after some days on the grid."""

    connection: sqlite3.Connection
    numbers: Iterator[int]

    def ended(self, reason: Reason | None = None, site: str = "SURF", node: str = "wn1", at: str = "") -> None:
        report = json.dumps({"transfers": [{"size_bytes": 90_000_000, "seconds": 2.0}]})
        self.connection.execute(
            "INSERT INTO attempts (id, job_id, number, phase, backend, site, node, intended, ended, reason, detail,"
            " report) VALUES (?, 1, 1, 'ended', 'htcondor', ?, ?, '', ?, ?, ?, ?)",
            (f"t-1-{next(self.numbers)}", site, node, at or ago(hours=1), reason, "no disk" if reason else "", report),
        )

    def under_way(self, phase: Phase, site: str = "SURF") -> None:
        self.connection.execute(
            "INSERT INTO attempts (id, job_id, number, phase, backend, site, intended)"
            " VALUES (?, 1, 1, ?, 'htcondor', ?, '')",
            (f"t-1-{next(self.numbers)}", phase, site),
        )

    def quarantined(self, site: str = "SURF", node: str = "", state: str = "quarantined") -> None:
        self.connection.execute(
            "INSERT INTO quarantine (site, node, state, since, until, strikes, reason)"
            " VALUES (?, ?, ?, ?, ?, 1, 'it failed')",
            (site, node, state, SINCE, UNTIL),
        )

    def decided(self, text: str, node: str = "", site: str = "SURF", at: str = "") -> None:
        self.connection.execute(
            "INSERT INTO site_events (at, site, node, text) VALUES (?, ?, ?, ?)",
            (at or ago(hours=2), site, node, text),
        )


@pytest.fixture
def past(seat: Seat) -> Iterator[Past]:
    tracker = open_tracker(seat.data / "tracker.db")
    tracker.add_production("field", "", "", "")
    tracker.close()
    connection = sqlite3.connect(seat.data / "tracker.db", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(
        "INSERT INTO jobs (id, production_id, name, step, role, sap, key, generation, signature, state, unmet, updated)"
        " VALUES (1, 1, 'the-job', 'one', 'data', 0, 'k', 1, '', 'running', 0, '')"
    )
    seat.environment["HOME"] = str(seat.folder)
    seat.environment["XDG_CONFIG_HOME"] = ""
    yield Past(connection, itertools.count(1))
    connection.close()


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each row of a table by its first cell."""
    cells = [[cell for cell in line.split("  ") if cell] for line in text.splitlines()]
    return {first.strip(): [one.strip() for one in rest] for first, *rest in cells}


def test_sites_without_a_past_are_listed_with_what_they_are(seat: Seat, past: Past) -> None:
    table = rows(seat("sites").out)
    assert table.pop("site") == ["tier", "slots", "running", "success", "MB/s", "nodes out", "state"]
    assert list(table) == ["SURF", "Juelich", "Poznan", "local"]
    assert table["SURF"][0] == "1"
    assert table["SURF"][2:] == ["0", "-", "-", "0", "open"]
    assert table["Poznan"][1:] == ["0", "0", "-", "-", "0", "storage only"]


def test_a_site_is_told_with_what_it_did_in_the_last_week(seat: Seat, past: Past) -> None:
    for reason in (None, None, Reason.SCRATCH_FULL):
        past.ended(reason)
    past.ended(Reason.LOST, at=ago(days=7, seconds=60))
    past.ended(site="Juelich", at=ago(days=6, hours=23))
    for phase in (Phase.RUNNING, Phase.RUNNING, Phase.QUEUED):
        past.under_way(phase)
    table = rows(seat("sites").out)
    assert table["SURF"][2:] == ["2", "66 % of 3", "45.0", "0", "open"]
    assert table["Juelich"][2:] == ["0", "100 % of 1", "45.0", "0", "open"]


def test_one_failure_among_many_successes_is_not_rounded_away(seat: Seat, past: Past) -> None:
    past.ended(Reason.LOST)
    for _ in range(999):
        past.ended()
    assert rows(seat("sites").out)["SURF"][3] == "99 % of 1000"


@pytest.mark.parametrize("reason", [Reason.STOPPED, Reason.CANCELLED])
def test_what_was_told_to_stop_says_nothing_of_the_site(seat: Seat, past: Past, reason: Reason) -> None:
    past.ended()
    past.ended(reason, node="wn2")
    assert rows(seat("sites").out)["SURF"][3] == "100 % of 1"
    assert seat("sites", "SURF", "--json").json[0]["nodes"] == []


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("quarantined", f"quarantined since {time_text(SINCE)}, until {time_text(UNTIL)}: it failed"),
        ("probed", f"quarantined since {time_text(SINCE)}, being probed: it failed"),
        ("probation", f"on probation, quarantined since {time_text(SINCE)}: it failed"),
        ("released", "open"),
    ],
)
def test_a_quarantine_is_told_with_its_times_and_reason(seat: Seat, past: Past, state: str, text: str) -> None:
    past.quarantined(state=state)
    assert rows(seat("sites").out)["SURF"][-1] == text
    assert seat("sites", "SURF").out.splitlines()[0] == f"SURF (LCG.SARA-MATRIX.nl): tier 1, {text}"


def test_quarantined_nodes_are_counted_at_their_site(seat: Seat, past: Past) -> None:
    past.quarantined(node="wn1")
    past.quarantined(node="wn2", state="probed")
    past.quarantined(node="wn3", state="released")
    past.ended(Reason.LOST, node="wn4")
    table = rows(seat("sites").out)
    assert table["SURF"][-2:] == ["2", "open"]
    assert table["Juelich"][-2:] == ["0", "open"]


def test_all_about_one_site(seat: Seat, past: Past) -> None:
    past.under_way(Phase.RUNNING)
    past.under_way(Phase.INTENDED)
    past.under_way(Phase.QUEUED)
    past.ended()
    lines = seat("sites", "SURF").out.splitlines()
    assert lines[0] == "SURF (LCG.SARA-MATRIX.nl): tier 1, open"
    body = [" ".join(line.split()) for line in lines[1:]]
    assert body == [
        "jobs 1 running, 2 queued, 200 slots",
        "one may take 8 cores, 64000 MB of memory, 2160 min, 400000 MB of scratch",
        "nothing gets them there yet: only rehearsed",
        "last 7 d 1 of 1 attempt succeeded, 45.0 MB/s a copy",
        "files srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar",
        "doors gsiftp: gsiftp://gridftp.grid.sara.nl:2811",
        "scratch gsiftp://gridftp.grid.sara.nl:2811/pnfs/grid.sara.nl/data/lofar/user/lofargrid",
        "link 100 copies at once, 1000 MB/s together, 50 MB/s each",
    ]


def test_storage_without_compute_and_this_machine_say_so(seat: Seat, past: Past) -> None:
    storage = seat("sites", "Poznan").out
    assert "none can run here" in storage
    assert storage.count("gsiftp://door0") == 2
    assert "no attempt ended, no copies" in storage
    machine = seat("sites", "local").out
    assert "are never quarantined" in machine
    assert "1000000000 min" in machine


def test_nodes_that_something_failed_on_are_told_and_those_in_quarantine(seat: Seat, past: Past) -> None:
    past.ended(node="good")
    for reason in (None, Reason.LOST, Reason.LOST, Reason.SCRATCH_FULL):
        past.ended(reason, node="bad")
    past.ended(Reason.LOST, node="")
    past.quarantined(node="idle")
    past.ended(Reason.LOST, site="Juelich", node="elsewhere")
    table = rows(seat("sites", "SURF").out.split("MB/s each\n")[1])
    assert table["node"] == ["ended", "succeeded", "failed", "state"]
    assert table["bad"] == ["4", "1", "2 lost, 1 scratch-full", "open"]
    assert table["idle"][:3] == ["0", "0", "-"]
    assert table["idle"][3].startswith("quarantined since")
    assert not {"good", "elsewhere", ""} & set(table)


def test_the_last_decisions_and_failures_are_told_the_latest_first(seat: Seat, past: Past) -> None:
    past.decided("quarantined", node="wn1", at=ago(hours=2))
    past.decided("opened", at=ago(hours=4))
    past.decided("of another site", site="Juelich")
    past.ended(Reason.SCRATCH_FULL, at=ago(hours=3))
    past.ended(at=ago(hours=1))
    assert seat("sites", "SURF").out.splitlines()[-3:] == [
        f"{time_text(ago(hours=2))}  wn1: quarantined",
        f"{time_text(ago(hours=3))}  wn1: the-job failed: scratch-full: no disk",
        f"{time_text(ago(hours=4))}  opened",
    ]


def test_not_more_than_ten_of_them(seat: Seat, past: Past) -> None:
    for minutes in reversed(range(12)):
        past.decided("decided", at=ago(minutes=minutes))
        past.ended(Reason.LOST, at=ago(minutes=minutes))
    events = seat("sites", "SURF", "--json").json[0]["events"]
    assert len(events) == 10
    assert events[0]["at"] == ago(minutes=0)
    assert events[-1]["at"] == ago(minutes=4)


def test_as_json_all_can_be_read_by_a_program(seat: Seat, past: Past) -> None:
    past.ended()
    past.ended(Reason.LOST)
    past.quarantined(state="probation")
    past.quarantined(node="wn9")
    found = {one["name"]: one for one in seat("sites", "--json").json}
    assert list(found) == ["SURF", "Juelich", "Poznan", "local"]
    surf = found["SURF"]
    assert (surf["slots"], surf["tier"], surf["state"]) == (200, 1, "probation")
    assert (surf["ended"], surf["succeeded"], surf["success_rate"], surf["mb_s"]) == (2, 1, 0.5, 45.0)
    assert (surf["nodes_out"], surf["quarantine"]["until"]) == (["wn9"], UNTIL)
    assert [(one["node"], one["failures"]) for one in surf["nodes"]] == [("wn1", {"lost": 1}), ("wn9", {})]
    assert (found["Juelich"]["success_rate"], found["Juelich"]["mb_s"]) == (None, None)
    assert "events" not in surf
    assert seat("sites", "SURF", "--json").json[0]["events"][0]["text"] == "the-job failed: lost: no disk"


def test_own_sites_stand_beside_those_that_came(seat: Seat, past: Past) -> None:
    config = seat.folder / ".config" / "lofargrid" / "sites.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("sites: {Leiden: {slots: 5}, SURF: {slots: 7}}")
    other = seat.folder / "other.yaml"
    other.write_text("sites: {SURF: {slots: 9}}")
    seat.environment["LOFARGRID_SITES"] = str(other)
    table = rows(seat("sites").out)
    assert (table["Leiden"][1], table["SURF"][1]) == ("5", "9")
    other.write_text("sites: {SURF: {slots: -9}}")
    assert f"{other}:1: sites.SURF.slots: should be" in seat("sites", code=2).err


def test_an_unknown_site_is_told_with_the_nearest(seat: Seat, past: Past) -> None:
    assert seat("sites", "surf", code=2).err == "there is no site 'surf'. Did you mean 'SURF'?\n"
