"""The command line as a whole: its help, its exit codes, and that a mistake never shows a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lofargrid import __version__
from lofargrid.cli.app import main
from tests.unit.cli.seat import Seat, command

ROOT = Path(__file__).parents[3]
VERBS = ["init", "plan", "submit", "run", "sim", "status", "why", "logs", "get", "retry", "pause", "resume", "cancel",
         "priority", "max-running", "compare", "pipelines", "sites", "tape", "pilots", "proxy", "doctor", "demo-data",
         "demo-result", "version"]  # fmt: skip


def test_without_a_verb_the_help_is_printed(seat: Seat) -> None:
    said = seat()
    assert said.out.startswith("Usage: lofargrid [OPTIONS] COMMAND")
    assert said.out == seat("--help").out
    assert said.err == ""


def test_the_help_names_every_verb_in_a_line_that_is_not_cut(seat: Seat) -> None:
    listed = seat("--help").out.partition("Commands:\n")[2]
    assert sorted(line.split()[0] for line in listed.splitlines()) == sorted(VERBS)
    assert "..." not in listed
    assert all(line.endswith(".") for line in listed.splitlines())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_each_of_its_words(seat: Seat, verb: str) -> None:
    said = seat(verb, "--help").out
    assert said.startswith(f"Usage: lofargrid {verb}")
    options = [line for line in said.splitlines() if line.startswith("  --")]
    assert all(len(line.split(maxsplit=1)) == 2 for line in options)


def test_the_version_is_data(seat: Seat) -> None:
    assert seat("version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["stauts"], "No such command 'stauts'"),
        (["run"], "Missing argument 'FILE|NAME'"),
        (["run", "--replam", "a"], "No such option"),
        (["logs", "a", "--tail", "some"], "Invalid value for '--tail'"),
        (["demo-data", "x", "--subbands", "489"], "Invalid value for '--subbands'"),
        (["plan", "a\0b"], "Invalid value for 'FILE'"),
    ],
)
def test_words_that_are_no_command_are_told_in_one_line_with_exit_code_2(
    seat: Seat, words: list[str], what: str
) -> None:
    said = seat(*words, code=2)
    assert what in said.err
    assert said.err.endswith("(see --help)\n")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_another_tracker_can_be_named(finished: Seat, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    assert "no productions yet" in finished("--tracker", str(other), "status").err
    assert other.exists()
    assert "field" in finished("--tracker", str(finished.data / "tracker.db"), "status").out


def test_a_tracker_in_the_folder_at_hand_is_found_from_everywhere(seat: Seat) -> None:
    seat("--tracker", "here.db", "submit", seat.write())
    assert (seat.desk / "here.db").exists()
    assert not seat.data.exists()


def test_a_reader_that_has_read_enough_is_no_fault(seat: Seat) -> None:
    read, write = os.pipe()
    os.close(read)  # nobody reads
    said = subprocess.run(command("pipelines"), stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (said.returncode, said.stderr) == (1, "")


def test_a_file_that_vanishes_under_a_verb_is_told_by_name(finished: Seat, tmp_path: Path) -> None:
    seat = Seat(tmp_path)
    seat.observe()
    seat("run", seat.write())
    (seat.desk / "products" / "L654321-SAP000-all.txt.json").unlink()
    said = seat("get", "field", "brought", code=1)
    assert "L654321-SAP000-all.txt.json: No such file or directory" in said.err


def test_a_bug_is_not_hidden(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lofargrid.cli.doctor.bytes_text", lambda size: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        seat("doctor")


def test_the_installed_command_ends_with_the_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOFARGRID_DATA", str(tmp_path))
    for words, code in ((["version"], 0), (["status", "nix"], 2)):
        monkeypatch.setattr(sys, "argv", ["lofargrid", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code


def test_the_module_ends_with_the_exit_code(seat: Seat) -> None:
    said = subprocess.run(command("plan", "none.yaml"), cwd=seat.desk, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "none.yaml: there is no such file. Check the name\n"


def submit_in(folder: Path) -> Path:
    """A checkout with nothing but submit.py in it."""
    folder.mkdir()
    (folder / "submit.py").write_bytes((ROOT / "submit.py").read_bytes())
    return folder / "submit.py"


def test_submit_without_an_environment_names_the_command_that_builds_it(tmp_path: Path) -> None:
    script = submit_in(tmp_path / "a checkout")
    said = subprocess.run([sys.executable, str(script), "status"], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert said.stderr == f"There is no environment yet. Build it with: make -C '{script.parent}' setup\n"


def test_submit_runs_the_command_line_in_its_environment_with_all_words_even_through_a_link(tmp_path: Path) -> None:
    script = submit_in(tmp_path / "a checkout")
    python = script.parent / ".venv" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nfor word; do echo "$word"; done; exit 3\n')
    python.chmod(0o755)
    link = tmp_path / "submit"
    link.symlink_to(script)
    said = subprocess.run([sys.executable, str(link), "plan", "a b", ""], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (3, "-m\nlofargrid.cli\nplan\na b\n\n")
