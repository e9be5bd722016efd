"""Processes on the submit host: argument lists, never a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lofargrid.commands import Result, run, start


def test_a_command_gives_back_code_output_and_errors() -> None:
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert run([sys.executable, "-c", script]) == Result(3, "out\n", "err\n")


def test_words_are_passed_as_they_are() -> None:
    words = ["a b", "$HOME", "`id`", "*", "; rm -rf /", ""]
    result = run([sys.executable, "-c", "import sys; print(sys.argv[1:])", *words])
    assert result.stdout == f"{words}\n"


def test_it_reads_what_it_is_given_and_never_the_terminal() -> None:
    assert run(["cat"], stdin="text").stdout == "text"
    assert run(["cat"]).stdout == ""


def test_it_sees_the_environment_that_it_is_given_and_no_other() -> None:
    result = run([sys.executable, "-c", "import os; print(sorted(os.environ))"], {"ONE": "1", "LC_CTYPE": "C.UTF-8"})
    assert result.stdout == "['LC_CTYPE', 'ONE']\n"


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert run(["printf", r"a\377b"]).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_a_program_that_is_not_there_gives_127() -> None:
    assert run(["no-such-program"]) == Result(127, "", "no-such-program: not found")


def test_a_program_that_may_not_be_run_gives_126(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    assert run([str(tmp_path / "tool")]) == Result(126, "", f"{tmp_path}/tool: Permission denied")


def test_one_that_takes_too_long_is_killed_and_gives_124() -> None:
    assert run(["sleep", "60"], timeout_s=0.05) == Result(124, "", "sleep: no answer in 0.05 s")


def test_what_is_started_has_a_session_of_its_own_and_writes_to_its_log(tmp_path: Path) -> None:
    script = "import os, sys; print(os.getsid(0) == os.getpid(), os.getcwd(), repr(sys.stdin.read()))"
    assert start([sys.executable, "-c", script], tmp_path).wait() == 0
    assert (tmp_path / "runner.log").read_text() == f"True {tmp_path} ''\n"


def test_what_is_started_again_adds_to_the_log(tmp_path: Path) -> None:
    for word in ("one", "two"):
        start(["sh", "-c", f"echo {word} >&2"], tmp_path).wait()
    assert (tmp_path / "runner.log").read_text() == "one\ntwo\n"


def test_only_the_named_descriptors_are_inherited(tmp_path: Path) -> None:
    kept, other = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(other, True)
    script = f"import os; os.fstat({kept})\ntry: os.fstat({other})\nexcept OSError: print('closed')"
    process: subprocess.Popen[bytes] = start([sys.executable, "-c", script], tmp_path, keep=[kept])
    assert process.wait() == 0
    assert (tmp_path / "runner.log").read_text() == "closed\n"
    os.close(kept)
    os.close(other)
