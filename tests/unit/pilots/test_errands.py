"""What the submit host asks of storages; what real ones answer is in tests/contracts/test_storages.py."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from lofargrid_runner.contract import Reason

WAITED_S = 30_000.0


def do(zipapp: Path, *errands: dict[str, str], tools: tuple[str, ...] = ("https",), text: str = "") -> Any:
    """What the runner answers."""
    asked = text or json.dumps({"tools": tools, "errands": errands})
    done = subprocess.run(
        [sys.executable, "-I", "-S", zipapp, "errands"], input=asked, capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else (done.returncode, done.stderr)


def test_an_errand_that_fails_says_why_and_keeps_none_back(zipapp: Path) -> None:
    told = do(zipapp, {"do": "look", "url": "srm://host/a"}, {"do": "remove", "url": "davs://localhost:1/a"})
    assert [one["reason"] for one in told] == [Reason.SOFTWARE_MISSING, Reason.STORAGE_UNAVAILABLE]
    assert told[0]["detail"] == "this node cannot speak srm://, of https"


def test_what_cannot_be_brought_leaves_nothing_here(zipapp: Path, tmp_path: Path) -> None:
    target = {"target": f"file://{tmp_path}/deep/a", "adler32": "00000001"}
    (told,) = do(zipapp, {"do": "copy", "url": "srm://host/a", **target})
    assert told["reason"] == Reason.SOFTWARE_MISSING
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_disk_that_takes_nothing_is_told(zipapp: Path) -> None:
    target = {"target": "file:///proc/none/a", "adler32": "00000001"}
    (told,) = do(zipapp, {"do": "copy", "url": "davs://localhost:1/a", **target})
    assert told["reason"] == Reason.NODE_UNFIT
    assert "/proc/none" in told["detail"]


def test_what_is_no_json_is_refused(zipapp: Path) -> None:
    code, said = do(zipapp, text="{")
    assert code == 2
    assert "no JSON on the standard input" in said


def test_an_errand_ends_with_the_process_that_asked_for_it(zipapp: Path, tmp_path: Path) -> None:
    """Also the tool that does it, whatever becomes of who asked."""
    fifo, curl = tmp_path / "fifo", tmp_path / "curl"
    os.mkfifo(fifo)
    curl.write_text(f'#!/bin/sh\necho $$ > "{fifo}"\nexec sleep 600\n')
    curl.chmod(0o755)
    asked = json.dumps({"tools": ["curl"], "errands": [{"do": "look", "url": "davs://localhost:1/a"}]})
    words = [sys.executable, "-I", "-S", str(zipapp), "errands"]
    ask = f"import subprocess; subprocess.run({words!r}, input={asked!r}, text=True)"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    who = subprocess.Popen([sys.executable, "-c", ask], env=environment, stderr=subprocess.DEVNULL)
    tool = os.pidfd_open(int(fifo.read_text()))
    who.kill()
    who.wait()
    ended = select.poll()
    ended.register(tool, select.POLLIN)
    assert ended.poll(WAITED_S)
    os.close(tool)
