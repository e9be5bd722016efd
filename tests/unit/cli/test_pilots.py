"""The verbs of pilots: listed, started, made as a script, drained and stopped, by the names that people have."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lofargrid.cli import session
from lofargrid.cli.session import Session
from tests.unit.cli.seat import Seat
from tests.unit.fleet.factories import SECRET, Berth, joined


@pytest.fixture
def berth(seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Berth]:
    """A fleet that the seat's commands find."""
    (tmp_path / "berth").mkdir()
    berth = Berth(tmp_path / "berth")
    monkeypatch.setenv("PATH", f"{berth.programs}:{os.environ['PATH']}")
    monkeypatch.setattr(Session, "fleet", lambda *_: berth.fleet)
    monkeypatch.setattr(Session, "tracker", lambda *_: berth.world.tracker)
    site = {"backend": "htcondor", "slots": 10, "cores": 2, "pilots": {"through": "slurm"}}
    (tmp_path / "sites.yaml").write_text(json.dumps({"sites": {"Leiden": site}}))
    seat.environment["LOFARGRID_SITES"] = str(tmp_path / "sites.yaml")
    yield berth


def started(berth: Berth, number: int = 1) -> list[str]:
    return berth.fleet.start("Leiden", number)


# Listing


def test_without_pilots_the_way_to_some_is_told(seat: Seat, berth: Berth) -> None:
    said = seat("pilots")
    assert (said.out, said.err) == ("", "no pilots; `pilots start --site SITE` starts some where jobs wait\n")
    assert seat("pilots", "--json").json == []


def test_those_that_are_there_come_first_then_those_that_left(seat: Seat, berth: Berth) -> None:
    first, second = started(berth, 2)
    berth.report(first, "node-unfit", "wn7: " + "no room, " * 20)
    berth.pool.pilots = [joined(second, running=2)]
    head, *rows = seat("pilots").out.splitlines()
    assert head.split() == ["pilot", "site", "through", "id", "node", "state", "jobs", "sign", "of", "life"]
    assert [row.split()[0] for row in rows] == [second, first]
    assert "2 jobs" in rows[0]
    assert "2026-01-02 03:00:00 UTC" in rows[0]
    assert "node-unfit: wn7: no room, no room" in rows[1]
    assert " ..." in rows[1], "all of it would not fit the line"
    told = seat("pilots", "--json").json
    assert [one["pilot"] for one in told] == [second, first]
    assert told[1]["detail"].endswith("no room, ")


# Starting


def test_where_nothing_waits_none_is_started(seat: Seat, berth: Berth) -> None:
    assert seat("pilots", "start", "--site", "Leiden").err == "nothing waits for Leiden: no pilot is started\n"
    assert berth.world.tracker.pilots_of("", 5) == []


@pytest.mark.parametrize(
    ("words", "number"), [((), 1), (("--count", "3"), 3), (("--max", "2"), 2), (("--max", "9"), 3)]
)
def test_as_many_are_started_as_asked_for(seat: Seat, berth: Berth, words: tuple[str, ...], number: int) -> None:
    berth.queue(10)
    said = seat("pilots", "start", "--site", "Leiden", *words)
    assert sorted(said.out.split()) == sorted(one.id for one in berth.world.tracker.pilots_of("", 9))
    assert len(said.out.split()) == number
    pilots = "1 pilot" if number == 1 else f"{number} pilots"
    assert said.err == f"{pilots} asked of fake; 10 jobs of Leiden wait\n"


def test_how_many_is_said_in_one_way(seat: Seat, berth: Berth) -> None:
    assert "--count and --max" in seat("pilots", "start", "--site", "Leiden", "--count", "1", "--max", "1", code=2).err


@pytest.mark.parametrize("verb", ["start", "script"])
def test_a_site_that_is_none_is_told_with_one_that_is(seat: Seat, berth: Berth, verb: str) -> None:
    said = seat("pilots", verb, "--site", "Leyden", code=2)
    assert "there is no site 'Leyden'" in said.err
    assert "Leiden" in said.err


def test_a_pool_that_gives_no_token_is_told(seat: Seat, berth: Berth) -> None:
    berth.pool.refusal = "the pool gives no token for a pilot: DENIED"
    assert "DENIED" in seat("pilots", "script", "--site", "Leiden", code=1).err


# As a script


def test_a_script_goes_where_it_is_wanted_and_its_token_is_named(seat: Seat, berth: Berth) -> None:
    said = seat("pilots", "script", "--site", "Leiden")
    assert said.out.startswith("#!/bin/sh\n")
    assert "its token jti-1 opens the pool until 2026-01-02 16:00 UTC; let nobody else read the script" in said.err
    assert SECRET not in said.err


def test_a_file_that_holds_it_is_for_nobody_else_to_read_also_if_it_was_there(seat: Seat, berth: Berth) -> None:
    path = seat.desk / "pilot.sh"
    path.write_text("old")
    path.chmod(0o644)
    assert seat("pilots", "script", "--site", "Leiden", "-o", "pilot.sh").out == ""
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith("#!/bin/sh")


def test_for_a_new_machine_it_is_a_cloud_init(seat: Seat, berth: Berth) -> None:
    assert "write_files" in yaml.safe_load(seat("pilots", "script", "--site", "Leiden", "--cloud-init").out)


def test_a_file_that_cannot_be_written_is_told(seat: Seat, berth: Berth) -> None:
    said = seat("pilots", "script", "--site", "Leiden", "-o", "nowhere/x", code=1)
    assert said.err == "nowhere/x: No such file or directory\n"


# Ending


def test_pilots_are_ended_by_their_id_their_batch_id_or_their_node(seat: Seat, berth: Berth) -> None:
    first, second = started(berth, 2)
    berth.pool.pilots = [joined(first, node="wn1.x", batch=""), joined(second, node="wn2.x", batch="")]
    batch_id = berth.world.tracker.pilots_of("", 5)[0].batch_id
    assert seat("pilots", "drain", first).err == "1 pilot drained\n"
    assert seat("pilots", "drain", batch_id, first, "wn2").err == "2 pilots drained\n"
    assert seat("pilots", "drain", "--site", "Leiden").err == "2 pilots drained\n"
    assert seat("pilots", "stop", first).err == "1 pilot told to stop\n"
    assert len(berth.cancelled) == 1


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_whom_to_end_must_be_said(seat: Seat, berth: Berth, verb: str) -> None:
    assert "no pilot is named" in seat("pilots", verb, code=2).err
    assert "there is no pilot 'p9' now" in seat("pilots", verb, "p9", code=2).err


def test_one_that_others_started_can_be_drained_only(seat: Seat, berth: Berth) -> None:
    berth.pool.pilots = [joined("other-p1")]
    assert "other-p1 was not started from here" in seat("pilots", "stop", "--site", "Leiden", code=2).err
    assert seat("pilots", "drain", "other-p1").err == "1 pilot drained\n"


def test_the_true_fleet_needs_htcondors_bindings(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "lack_of", lambda _: "HTCondor's bindings are not here")
    assert "pip install 'lofargrid[htcondor]'" in seat("pilots", code=2).err
