"""why and logs for those who look from a node: a pilot, its batch id, a host name."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
from pathlib import Path

import pytest

from lofargrid.backends.local import LocalBackend
from lofargrid.cli.session import Session
from tests.unit.cli.seat import Seat
from tests.unit.fleet.factories import Berth, joined


def change(seat: Seat, *statements: str) -> None:
    """Write into the tracker what pilots would leave there."""
    with contextlib.closing(sqlite3.connect(seat.data / "tracker.db")) as tracker, tracker:
        for one in statements:
            tracker.execute(one)


PILOT = (
    "INSERT INTO pilots (id, site, through, batch_id, token, token_expires, asked) VALUES"
    " ('t1-p1', 'Leiden', 'slurm', '4711', 'jti', '', '2026-01-02T03:00:00.000+00:00')"
)


@pytest.fixture
def ran(seat: Seat, finished: Seat) -> Seat:
    """What went well, for tests that change its tracker."""
    shutil.copytree(finished.folder, seat.folder, dirs_exist_ok=True)
    return seat


@pytest.fixture
def piloted(ran: Seat) -> Seat:
    """All that was done was done in one pilot, on one node of Leiden."""
    change(ran, PILOT, "UPDATE attempts SET pilot = 't1-p1', node = 'wn5.leiden.example.org', site = 'Leiden'")
    return ran


@pytest.fixture
def berth(seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berth:
    """A pool with pilots that the seat's commands ask."""
    (tmp_path / "berth").mkdir()
    one = Berth(tmp_path / "berth")
    monkeypatch.setenv("PATH", f"{one.programs}:{os.environ['PATH']}")
    monkeypatch.setattr(Session, "fleet", lambda *_: one.fleet)
    site = {"backend": "htcondor", "slots": 1, "pilots": {"through": "slurm"}}
    (tmp_path / "sites.yaml").write_text(json.dumps({"sites": {"Leiden": site}}))
    seat.environment["LOFARGRID_SITES"] = str(tmp_path / "sites.yaml")
    return one


@pytest.mark.parametrize("word", ["t1-p1", "4711", "wn5.leiden.example.org", "wn5"])
def test_a_pilot_or_its_node_is_told_with_what_ran_there(piloted: Seat, word: str) -> None:
    lines = piloted("why", word).out.splitlines()
    if word in ("t1-p1", "4711"):
        assert lines[:2] == ["pilot t1-p1 (slurm 4711) of site Leiden: waits for a node", "  7 jobs so far"]
    else:
        assert lines[0] == f"{word}: jobs of site Leiden"
    assert "  owner janneke; contact janneke" in lines
    ran = [line for line in lines if line.startswith("  ran ")]
    assert ran[0].startswith("  ran field/L654321-SAP000-all attempt 1: succeeded, 2")
    assert len(ran) == 5
    assert "  and 2 before" in lines
    assert "  log of L654321-SAP000-all:" in lines
    assert len(lines[lines.index("  log of L654321-SAP000-all:") :]) == 6


def test_a_program_gets_all_of_it(piloted: Seat) -> None:
    told = piloted("why", "4711", "--json").json
    assert (told["place"], len(told["ended"]), told["running"]) == ("4711", 7, [])
    assert told["pilots"][0]["batch_id"] == "4711"


@pytest.mark.parametrize("word", ["t1-p1", "4711", "wn5"])
def test_the_log_is_that_of_what_ran_there_last(piloted: Seat, word: str) -> None:
    said = piloted("logs", word)
    assert said.out == piloted("logs", "L654321-SAP000-all").out
    assert said.err == "field/L654321-SAP000-all, attempt 1\n"
    assert piloted("logs", word, "--tail", "2").out.splitlines() == said.out.splitlines()[-2:]


def test_this_machine_is_a_node_too(ran: Seat) -> None:
    host = socket.gethostname()
    assert f"{host}: jobs of site local" in ran("why", host).out


def test_an_id_of_one_attempt_alone_is_as_good_as_its_job(ran: Seat) -> None:
    change(ran, "INSERT INTO ids SELECT 'ce#12.0', id FROM attempts LIMIT 1")
    assert "succeeded" in ran("why", "ce#12.0").out.splitlines()[0]
    assert "ran " not in ran("why", "ce#12.0").out


def test_an_id_that_jobs_of_several_productions_ran_under_is_a_place(ran: Seat) -> None:
    ran("run", ran.write(production="other", output="elsewhere"))
    change(ran, "INSERT INTO ids SELECT '8.pbs', id FROM attempts")
    said = ran("why", "8.pbs").out
    assert said.startswith("8.pbs: jobs of site local\n")
    assert "ran other/" in said
    assert ran("logs", "8.pbs").err.startswith("other/")


def test_what_runs_in_a_pilot_now_is_told_by_the_pool(piloted: Seat, berth: Berth) -> None:
    change(
        piloted,
        "UPDATE attempts SET phase = 'running', ended = NULL, batch_id = '7.0' WHERE id ="
        " (SELECT a.id FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.name LIKE '%SB001%')",
        "UPDATE attempts SET phase = 'running', ended = NULL, batch_id = '7.1' WHERE id ="
        " (SELECT a.id FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.name LIKE '%SB002%')",
    )
    berth.pool.pilots = [
        joined("t1-p1", node="wn5.leiden.example.org", jobs=("7.0",), running=1),
        joined("t2-p1", node="wn5.leiden.example.org", jobs=("7.1",), running=1, batch="slurm=4712"),
    ]
    one = piloted("why", "4712").out
    assert "pilot t2-p1 (script slurm=4712) of site Leiden on wn5.leiden.example.org: 1 job" in one
    assert [line.split()[1] for line in one.splitlines() if line.startswith("  runs")] == [
        "field/L654321-SAP000-SB002-one"
    ]
    assert "`pilots drain 4712`" in one
    both = piloted("why", "wn5").out
    assert both.count("  runs ") == 2
    assert both.count("pilot t") == 2


def test_a_pool_that_does_not_answer_leaves_what_was_written_down(piloted: Seat, berth: Berth) -> None:
    berth.pool.refusal = "HTCondor did not answer"
    berth.world.tracker.enter_pilot("x", "Leiden", "slurm", "", "", "2026-01-02T03:00:00.000+00:00")
    said = piloted("why", "4711")
    assert "HTCondor did not answer; what was written down so far:" in said.err
    assert "pilot t1-p1 (slurm 4711)" in said.out


def test_a_pilot_without_a_job_has_its_own_output(seat: Seat, berth: Berth) -> None:
    seat("submit", seat.write())
    [pilot] = berth.fleet.start("Leiden", 1)
    assert "nothing has run there yet" in seat("logs", pilot, code=1).err
    (berth.means.root / pilot / "pilot.out").write_text("one\ntwo\n")
    assert seat("logs", pilot).out == "one\ntwo\n"
    assert f"pilot {pilot} (fake 1) of site Leiden: waits for a node" in seat("why", pilot).out


def test_a_log_is_shown_without_what_a_terminal_would_act_on(piloted: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_: object, attempt: str, into: Path) -> list[Path]:
        (into / "job.log").write_bytes(b"evil \x1b[2J\tend\n")
        return [into / "job.log"]

    monkeypatch.setattr(LocalBackend, "fetch", fetch)
    monkeypatch.setattr("lofargrid.backends.several.SeveralBackends.fetch", fetch, raising=False)
    assert "    evil ?[2J\tend\n" in piloted("why", "4711").out


def test_what_is_no_place_is_told_as_ever(finished: Seat) -> None:
    assert "there is no campaign, production, job or attempt 'wn9'" in finished("why", "wn9", code=2).err
