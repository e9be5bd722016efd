"""The startd as a pilot's child: what it is told, what it leaves, and how it is ended whole."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from lofargrid_runner.contract import STARTD_FILE, TOKEN_FILE, PilotSpec
from lofargrid_runner.release import Release
from lofargrid_runner.startd import Offer, Startd, below, plain, preamble
from lofargrid_runner.stop import Stop

from lofargrid import assets
from tests.grid.processes import until

SPEC = PilotSpec("t1-p1", "Leiden", "janneke", "j@example.org", "pool.example.org:9618", 2, 4000, 1000, 3600, 600)
RELEASE = Release("/opt/condor/sbin", "/opt/condor/libexec", "/opt/condor/lib")


def settings(spec: PilotSpec = SPEC, offer: Offer = Offer(1000.5, {}), path: str = "/usr/bin") -> dict[str, str]:  # noqa: B008
    lines = preamble("/scratch/work", spec, offer, RELEASE, {"PATH": path}).splitlines()
    return dict(line.split(" = ", 1) for line in lines)


def child(folder: Path, script: str) -> Startd:
    """A startd that is a shell script."""
    sbin = folder / "release" / "sbin"
    sbin.mkdir(parents=True)
    (sbin / "condor_startd").write_text(f"#!/bin/sh\n{script}\n")
    (sbin / "condor_startd").chmod(0o755)
    work = folder / "work"
    work.mkdir()
    (folder / STARTD_FILE).write_text("START = True\n")
    (folder / TOKEN_FILE).write_text("head.body.secret\n")
    release = Release(str(sbin), "/nowhere", "/nowhere")
    return Startd(str(work), SPEC, Offer(1000, {}), release, str(folder), {"PATH": os.environ["PATH"]})


def test_it_is_told_what_it_offers_and_until_when() -> None:
    told = settings(offer=Offer(1000.9, {"slurm": "12", "host id": "a b"}))
    assert told["PILOT_CORES"] == "2"
    assert told["PILOT_ENDS"] == "1000"
    assert told["PILOT_BATCH"] == "host_id=a_b slurm=12"
    assert told["COLLECTOR_HOST"] == "pool.example.org:9618"
    assert told["BIN"] == "/opt/condor/bin"
    assert "NO_DNS" not in told


@pytest.mark.parametrize(("idle_s", "update_s"), [(1, 1), (15, 5), (60, 20), (600, 20)])
def test_it_looks_often_enough_to_tell_idleness_from_a_gap_between_two_jobs(idle_s: int, update_s: int) -> None:
    told = settings(SPEC._replace(idle_s=idle_s))
    assert (told["PILOT_IDLE_S"], told["PILOT_UPDATE_S"]) == (str(idle_s), str(update_s))


def test_the_configuration_that_pilots_share_uses_all_that_it_is_told() -> None:
    used = re.findall(r"\$\((PILOT_\w+)\)", (assets.content() / "pilots" / STARTD_FILE).read_text())
    assert {*used} == {one for one in settings() if one.startswith("PILOT_")}


def test_where_nobody_knows_its_node_nothing_is_looked_up() -> None:
    told = settings(offer=Offer(1000, {}, "wn1.example.org"))
    assert (told["NO_DNS"], told["NETWORK_HOSTNAME"], told["DEFAULT_DOMAIN_NAME"]) == (
        "True",
        "wn1.example.org",
        "example.org",
    )
    assert settings(offer=Offer(1000, {}, "wn1"))["DEFAULT_DOMAIN_NAME"] == "localdomain"


@pytest.mark.parametrize("evil", ["x\nSTART = True", "$(SECRET)", 'a"b', "a = b", "a\\\nb", "`id`"])
def test_no_text_can_mean_anything_to_the_configuration(evil: str) -> None:
    odd = SPEC._replace(site=evil, owner=evil, collector=evil, pilot=evil)
    told = settings(odd, Offer(1, {evil: evil}, evil), path=f"/usr/bin:{evil}")
    assert told.keys() == settings(offer=Offer(1, {}, "x")).keys()
    assert not {"$", '"', "\\", "`"} & set("".join(told.values()))


def test_a_text_keeps_what_is_harmless() -> None:
    assert plain("a.b-c_d+e1 f", " ") == "a.b-c_d+e1 f"
    assert plain("a:b/c") == "a_b_c"


def test_the_token_is_for_nobody_else_to_read_and_jobs_may_enter_where_they_run(tmp_path: Path) -> None:
    startd = child(tmp_path, "exit 0")
    until(startd.has_ended, "it goes on")
    token = tmp_path / "work" / "tokens.d" / "pilot"
    assert token.read_text() == "head.body.secret\n"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "work" / "execute").stat().st_mode) == 0o755
    assert (tmp_path / "work" / "condor_config").read_text().endswith("START = True\n")


def test_it_has_no_more_of_our_environment_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    startd = child(tmp_path, "env")
    until(startd.has_ended, "it goes on")
    assert {line.partition("=")[0] for line in startd.last_words(50)} <= {"CONDOR_CONFIG", "PATH", "HOME", "PWD"}


def test_its_last_words_are_its_logs_else_what_it_printed(tmp_path: Path) -> None:
    startd = child(tmp_path, "echo printed >&2; exit 3")
    until(startd.has_ended, "it goes on")
    assert (startd.last_words(5), startd.exit_code) == (["printed"], 3)
    (tmp_path / "work" / "log" / "StartLog").write_text("one\ntwo\nthree\n")
    assert startd.last_words(2) == ["two", "three"]
    (tmp_path / "work" / "log" / "StartLog").unlink()
    (tmp_path / "work" / "log" / "out").unlink()
    assert startd.last_words(2) == []


def test_drained_it_starts_nothing_more_and_is_asked_to_leave(tmp_path: Path) -> None:
    startd = child(
        tmp_path, "trap 'echo hup' HUP; trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    )
    until(lambda: startd.last_words(1) == ["up"], "it is not up")
    startd.drain()
    until(startd.has_ended, "it goes on")
    assert startd.last_words(5) == ["up", "hup", "term"]
    assert (tmp_path / "work" / "condor_config").read_text().endswith("START = False\nLofargridDrains = True\n")


def test_told_to_stop_it_is_asked_twice_and_then_swept_away_with_what_it_started(tmp_path: Path) -> None:
    lonely = "setsid sh -c 'sleep 1000 & wait' >/dev/null 2>&1 &"
    ignored = signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # as for all that a script starts with &
    startd = child(
        tmp_path, f"trap 'echo asked' TERM QUIT; trap '' HUP; {lonely}\necho up; while :; do sleep 0.05; done"
    )
    signal.signal(signal.SIGQUIT, ignored)
    until(lambda: startd.last_words(1) == ["up"], "it is not up")
    until(lambda: len(below(os.getpid())) >= 4, "its children are not there")
    with Stop() as stop:
        startd.stop(0.2, stop)
    assert not startd.has_ended()
    until(lambda: startd.last_words(5).count("asked") == 2, "it was not asked twice")
    left = set(below(os.getpid()))
    startd.sweep()
    assert not left & set(below(os.getpid()))
    assert "MAXJOBRETIREMENTTIME = 0" in (tmp_path / "work" / "condor_config").read_text()


def test_whoever_is_below_a_process_is_found_however_far() -> None:
    script = "import subprocess, sys; subprocess.run(['sh', '-c', 'sleep 1000 & echo up; wait'])"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    found = below(process.pid)
    assert len(found) == 2
    for pid in [*found, process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
