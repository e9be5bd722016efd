"""A pilot from its probe to its report, with a startd that does as its log says. tests/production has the real one."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lofargrid_runner import fitness, join
from lofargrid_runner.contract import (
    PILOT_FILE,
    PILOT_REPORT,
    STARTD_FILE,
    TOKEN_FILE,
    PilotReport,
    PilotSpec,
    pilot_report_from_json,
    to_json,
)
from lofargrid_runner.join import Place

IN = "CCBListener: registered with CCB server pool as ccbid 1"
OUT = "SECMAN: required authentication with collector pool failed, so aborting command UPDATE_STARTD_AD."
NO_JOB = "No resources have been claimed for 600 seconds"
FOREVER = "while :; do sleep 0.02; done"


class Node:
    """A node with a scratch, a pilot's folder and a startd that is a shell script."""

    def __init__(self, folder: Path, collector: str) -> None:
        self.scratch = folder / "scratch"
        self.folder = folder / "pilot"
        self.sbin = folder / "release" / "sbin"
        for one in (self.scratch, self.folder, self.sbin):
            one.mkdir(parents=True)
        self.spec = PilotSpec(
            "t1-p1", "Leiden", "janneke", "janneke@example.org", collector, 1, 10, 1, 3600, 600, str(self.sbin.parent)
        )
        self.environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.scratch), "SLURM_JOB_ID": "12"}
        self.expires = time.time() + 86_400
        (self.folder / STARTD_FILE).write_text("START = True\n")

    def write(self) -> Path:
        body = base64.urlsafe_b64encode(json.dumps({"iat": 1, "exp": self.expires}).encode()).decode()
        (self.folder / TOKEN_FILE).write_text(f"head.{body}.secret")
        path = self.folder / PILOT_FILE
        path.write_text(to_json(self.spec))
        return path

    def startd(self, *log: str, then: str = "") -> None:
        lines = "".join(f"echo '{line}' >> \"$HOME/log/StartLog\"\n" for line in log)
        (self.sbin / "condor_startd").write_text(f"#!/bin/sh\n{lines}{then}\n")
        (self.sbin / "condor_startd").chmod(0o755)

    def join(self, **changes: Any) -> PilotReport:
        self.write()
        return join.join(self.spec, Place(str(self.folder), self.environment, **changes))

    @property
    def is_clean(self) -> bool:
        return list(self.scratch.iterdir()) == []


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(join, "LOOK_S", 0.05)
    monkeypatch.setattr(fitness, "_root", list)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Node(tmp_path, f"127.0.0.1:{server.getsockname()[1]}")


def told(report: PilotReport) -> tuple[str | None, str]:
    return report.reason, report.detail


def test_a_pilot_that_nobody_needs_any_more_leaves_in_good_order(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.startd(IN, NO_JOB)
    report = node.join()
    assert told(report) == (None, "no job came for 600 s")
    assert (report.joined, report.ids, report.node["host"]) == (True, {"slurm": "12"}, os.uname().nodename)
    assert node.is_clean
    lines = capsys.readouterr().out.splitlines()
    assert pilot_report_from_json(lines[-1].removeprefix(PILOT_REPORT)) == report
    assert "pilot t1-p1 of janneke for site Leiden; contact: janneke@example.org" in lines[0]
    assert "SIGTERM is safe" in lines[1]
    assert node.folder.exists(), "what was not to be discarded stays"


def test_told_to_discard_nothing_of_it_is_left(node: Node) -> None:
    node.startd(IN, NO_JOB)
    node.join(discard=True)
    assert not node.folder.exists()


def test_a_pilot_that_the_pool_never_let_in_says_why(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.startd("Initial update sent to collector(s)", OUT, NO_JOB)
    report = node.join()
    assert told(report) == ("credential-refused", f"the pool did not take it: {OUT}")
    assert not report.joined
    assert OUT in capsys.readouterr().out
    assert node.is_clean


def test_a_pilot_that_the_pool_does_not_let_in_does_not_wait_for_ever(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "JOINING_S", 0.2)
    node.startd(OUT, then=FOREVER)
    assert node.join(grace_s=0.2).reason == "credential-refused"
    assert node.is_clean


def test_a_startd_that_never_came_to_join_is_the_nodes_fault(node: Node) -> None:
    node.startd(then="echo 'libcrypt.so.1: cannot open shared object file' >&2; exit 127")
    assert told(node.join()) == ("node-unfit", "the startd did not come to join the pool")


def test_a_startd_that_dies_is_told_with_its_last_words(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.startd(IN, "ERROR: assertion failed", then="exit 44")
    assert told(node.join()) == ("node-unfit", "the startd ended by itself, exit code 44")
    assert "ERROR: assertion failed" in capsys.readouterr().out


def test_a_pilot_that_the_pool_drained_leaves(node: Node) -> None:
    node.startd(IN, "Draining completed", NO_JOB)
    assert told(node.join()) == (None, "it was drained")


def test_a_site_drains_a_pilot_by_a_signal(node: Node) -> None:
    node.startd(IN, then=f"trap 'exit 0' TERM; trap '' HUP; kill -USR1 $PPID; {FOREVER}")
    assert told(node.join()) == (None, "it was drained")
    assert node.is_clean


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_site_stops_a_pilot_by_a_signal_and_nothing_runs_on(node: Node, number: signal.Signals) -> None:
    node.startd(IN, then=f"setsid sleep 1000 & kill -{number.name[3:]} $PPID; {FOREVER}")
    assert told(node.join(grace_s=0.4)) == ("stopped", f"{number.name} asked the pilot to stop")
    assert node.is_clean
    assert not join_children()


def join_children() -> list[int]:
    from lofargrid_runner.startd import below

    return below(os.getpid())


def test_a_pilot_leaves_when_its_time_is_up(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "LEAVING_S", 3599.8)
    node.startd(IN, then=FOREVER)
    assert told(node.join(grace_s=0.2)) == (None, "its time was up")


def test_a_bad_node_takes_no_job(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.spec = node.spec._replace(needs=("/no/such/folder",))
    node.startd(then="touch started")
    report = node.join()
    assert told(report) == ("node-unfit", f"{os.uname().nodename}: no /no/such/folder")
    assert (report.joined, node.is_clean) == (False, True)


def test_an_expired_token_is_told_before_anything_is_started(node: Node) -> None:
    node.expires = time.time() - 5
    assert node.join().reason == "credential-expired"


def test_where_no_name_service_is_the_pool_is_spoken_to_by_its_address(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(join, "unknown_host", lambda: "wn1.example.org")
    port = node.spec.collector.rpartition(":")[2]
    node.spec = node.spec._replace(collector=f"localhost:{port}")
    node.startd(then='grep -E \'^(COLLECTOR_HOST|NO_DNS)\' "$CONDOR_CONFIG" >> "$HOME/log/StartLog"')
    node.join()
    said = capsys.readouterr().out
    assert "no name service knows wn1.example.org" in said
    assert f"COLLECTOR_HOST = 127.0.0.1:{port}" in said
    assert "NO_DNS = True" in said


def test_scratch_that_cannot_be_used_is_passed_over(node: Node, tmp_path: Path) -> None:
    spaced = tmp_path / "with space"
    spaced.mkdir()
    environment = {"_CONDOR_SCRATCH_DIR": str(spaced), "TMPDIR": str(node.scratch)}
    made = Path(join.make_work("t1-p1", environment))
    assert made.parent == node.scratch
    shutil.rmtree(made)


def test_without_any_scratch_the_node_is_unfit(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join.os, "access", lambda *_: False)
    reason, detail = told(node.join())
    assert reason == "node-unfit"
    assert detail.endswith("/var/tmp, /tmp can be written, or HTCondor bears its name")


def test_a_full_disk_is_told_as_such(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "condor_config")

    monkeypatch.setattr(join, "Startd", full)
    node.startd()
    assert node.join().reason == "scratch-full"


def test_what_cannot_be_removed_is_said(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise OSError(16, "Device or resource busy", path)

    monkeypatch.setattr(join.workdir, "remove", refuse)
    said: list[str] = []
    node.startd(IN, NO_JOB)
    node.write()
    report = join.join(node.spec, Place(str(node.folder), node.environment), said.append)
    assert told(report) == (None, "no job came for 600 s")
    assert said[-2].endswith(": Device or resource busy")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), ("{", "pilot.json"), ("{}", "pilot.json"), ('{"contract": 99}', "pilot.json")],
)
def test_a_description_that_is_none_is_told_on_the_command_line(
    tmp_path: Path, zipapp: Path, content: str | None, words: str
) -> None:
    path = tmp_path / PILOT_FILE
    if content is not None:
        path.write_text(content)
    done = subprocess.run([sys.executable, zipapp, "join", path], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_zipapp_is_a_pilot_whole(node: Node, zipapp: Path, drop: Callable[[list[str]], list[str]]) -> None:
    node.startd(IN, NO_JOB)
    words = drop([sys.executable, str(zipapp), "join", str(node.write()), "--discard"])
    done = subprocess.run(words, env=node.environment, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    report = pilot_report_from_json(done.stdout.splitlines()[-1].removeprefix(PILOT_REPORT))
    assert told(report) == (None, "no job came for 600 s")
    assert not node.folder.exists()


@pytest.fixture
def drop() -> Callable[[list[str]], list[str]]:
    """Be an ordinary user, if we are root."""
    nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    return lambda words: [*nobody, *words] if os.getuid() == 0 else words
