"""The driver in this process: stages, reasons, the report and the log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lofargrid_runner import cli, lock, node, process, runner
from lofargrid_runner.contract import (
    LOG_FILE,
    REPORT_FILE,
    Check,
    InputFile,
    Limits,
    OutputFile,
    Reason,
    Report,
    report_from_json,
)
from lofargrid_runner.log import Log
from lofargrid_runner.runner import Setting
from lofargrid_runner.stop import Stop

from tests.unit.pilots.attempts import Attempt, failing, shell

# Set-up


def test_the_environment_is_clean_and_secrets_stay_out(attempt: Attempt) -> None:
    secrets = {"X509_USER_PROXY": "/tmp/x", "BEARER_TOKEN": "secret", "LD_LIBRARY_PATH": "/odd", "EVIL": "x"}
    attempt.environment.update(secrets, PATH=f"relative::{attempt.environment['PATH']}")
    report = attempt.run(
        commands=(shell("env -0 > o"),),
        outputs=(OutputFile("o", "o", "o"),),
        environment={"DATA": "x y"},
        path=("/opt/software/bin",),
    )
    lines = (attempt.out / "o.t1-7").read_text().split("\0")
    found = dict(line.partition("=")[::2] for line in lines if line)
    work = str(attempt.work)
    assert report.succeeded
    assert not set(found) & set(secrets)
    assert found["PATH"].startswith(f"{work}/bin:/opt/software/bin:/")
    assert (found["HOME"], found["TMPDIR"], found["DATA"]) == (f"{work}/home", f"{work}/tmp", "x y")
    assert (found["LANG"], found["USER"]) == ("C.UTF-8", "someone")
    assert (found["LOFARGRID_WORK"], found["LOFARGRID_SANDBOX"]) == (work, f"{work}/sandbox")
    assert found["LOFARGRID_ATTEMPT"] == "t1-7"


def test_an_alias_gives_a_command_its_usual_name(attempt: Attempt) -> None:
    report = attempt.run(aliases={"DP3-of-old": "true", "sh": "false"}, commands=(("DP3-of-old",), shell(":")))
    assert report.succeeded


def test_a_missing_program_is_named_with_the_path_searched_before_anything_runs(attempt: Attempt) -> None:
    report = attempt.run(commands=(("true",), ("DP9", "x")), aliases={"DP9": "dp9-none"}, path=("/opt/x",))
    assert (report.reason, report.stage) == (Reason.SOFTWARE_MISSING, "setup")
    assert "DP9 not found (nor as dp9-none)" in report.detail
    assert "/opt/x" in report.detail


def test_the_program_of_a_check_is_sought_before_the_payload(attempt: Attempt) -> None:
    report = attempt.run(checks=(Check("c", ("sandbox/none",)),))
    assert (report.reason, report.stage) == (Reason.SOFTWARE_MISSING, "setup")


def test_a_program_that_the_payload_makes_may_be_missing_at_first(attempt: Attempt) -> None:
    make = shell("printf '#!/bin/sh\\n' > made; chmod +x made")
    assert attempt.run(commands=(make, ("./made",))).succeeded
    report = attempt.run(commands=(("./made",),))
    assert (report.reason, report.stage) == (Reason.SOFTWARE_MISSING, "payload")


def test_a_missing_sandbox_is_missing_software(attempt: Attempt) -> None:
    report = attempt.run(sandbox="nowhere")
    assert (report.reason, report.stage) == (Reason.SOFTWARE_MISSING, "setup")
    assert "nowhere" in report.detail


def test_scratch_that_takes_no_set_up_is_full(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "symlink", failing(28))
    report = attempt.run()
    assert (report.reason, report.stage) == (Reason.SCRATCH_FULL, "setup")


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": "../up"},
        {"attempt": "a/b"},
        {"attempt": ""},
        {"files": {"../x": ""}},
        {"files": {"/etc/x": ""}},
        {"files": {"sandbox/x": ""}},
        {"files": {"a\nb": ""}},
        {"files": {"a": "", "./a": ""}},
        {"aliases": {"../x": "true"}},
        {"inputs": (InputFile("n", "", "file:///x", "a/../../b"),)},
        {"inputs": (InputFile("n", "", "file:///x", "."),)},
        {"inputs": (InputFile("n", "../k", "file:///x", "a"),)},
        {"inputs": (InputFile("n", "k", "file:///x", "bin/a"),)},
        {"outputs": (OutputFile("n", "../a", "a"),)},
        {"outputs": (OutputFile("n", "a", "a/b"),)},
        {"outputs": (OutputFile("n", "a", "a"), OutputFile("m", "b", "a"))},
        {"commands": (), "checks": (Check("c", ("true",)),)},
        {"commands": ((),)},
        {"limits": Limits(0, 1)},
        {"limits": Limits(1, "1")},
        {"limits": Limits(1, 1, "1")},
    ],
)
def test_a_harmful_or_senseless_job_is_refused_before_anything_is_made(
    attempt: Attempt, changes: dict[str, Any]
) -> None:
    report = attempt.run(**changes)
    assert (report.reason, report.stage) == (Reason.RUNNER_ERROR, "probe")
    assert report.detail.startswith("job.json: ")
    assert not attempt.work.exists()


# Being stopped


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_a_signal_stops_the_payload_and_says_so(attempt: Attempt, name: str) -> None:
    report = attempt.run(commands=(shell(f"kill -{name} {os.getpid()}; sleep 60"), ("true",)))
    assert (report.reason, report.stage) == (Reason.STOPPED, "payload")
    assert f"SIG{name}" in report.detail


def test_a_signal_stops_a_check(attempt: Attempt) -> None:
    report = attempt.run(checks=(Check("c", shell(f"kill -TERM {os.getpid()}; sleep 60")),))
    assert (report.reason, report.stage) == (Reason.STOPPED, "checks")


def test_a_signal_between_commands_starts_no_other(attempt: Attempt) -> None:
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Exception, match="SIGTERM"):
            stop.check()


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            stop.check()
    finally:
        signal.signal(signal.SIGHUP, before)


# Patience and lingering

TERM = f"kill -TERM {os.getpid()}"


def test_an_attempt_that_failed_soon_keeps_its_slot_and_its_report_is_there_before(attempt: Attempt) -> None:
    began = time.monotonic()
    with once("keeps its slot", attempt, f"ls > seen; cat {REPORT_FILE} > told"):
        report = attempt.run(commands=(("false",),), linger_s=0.4)
        took_s = time.monotonic() - began
    assert took_s >= 0.4
    assert (attempt.folder / "seen").read_text().split() == ["job.json", "job.log", "lock", "report.json", "seen"]
    assert report_from_json((attempt.folder / "told").read_text()) == report
    assert report.reason == Reason.PAYLOAD_FAILED
    assert sum(report.seconds.values()) < 0.4


@pytest.mark.parametrize(
    ("command", "linger_s"), [(("true",), 60), (("sh", "-c", "sleep 0.1; exit 1"), 0.1), (("false",), 0)]
)
def test_who_succeeded_or_failed_late_gives_its_slot_back_at_once(
    attempt: Attempt, command: tuple[str, ...], linger_s: float
) -> None:
    attempt.run(commands=(command,), linger_s=linger_s)
    assert "keeps its slot" not in attempt.log


def test_sigterm_ends_the_lingering_at_once_and_changes_nothing_told(attempt: Attempt) -> None:
    began = time.monotonic()
    with once("keeps its slot", attempt, TERM):
        report = attempt.run(commands=(("false",),), linger_s=60)
    assert time.monotonic() - began < 30
    assert report.reason == Reason.PAYLOAD_FAILED


def test_who_was_stopped_does_not_linger(attempt: Attempt) -> None:
    report = attempt.run(commands=(shell(f"kill -TERM {os.getpid()}; sleep 60"),), linger_s=60)
    assert report.reason == Reason.STOPPED
    assert "keeps its slot" not in attempt.log


OUTPUT = (OutputFile("o", "o", "o"),)


def block(attempt: Attempt) -> None:
    """Let nothing be stored: a file stands where the folder is to be."""
    attempt.out.write_text("in the way")


def patient(attempt: Attempt, patience_s: float, **changes: Any) -> Report:
    """Run with short pauses, in this process."""
    attempt.write(commands=(shell("echo once >> o"),), outputs=OUTPUT, patience_s=patience_s)
    spec = attempt.spec
    return runner.run(spec, Setting(str(attempt.folder), str(attempt.work), attempt.environment, **changes))


def test_outputs_are_stored_once_the_storage_takes_them_and_the_payload_ran_once(attempt: Attempt) -> None:
    block(attempt)
    with once("tried again", attempt, f"rm '{attempt.out}'"):
        report = patient(attempt, 60, pause_s=0.05)
    assert report.succeeded, report.detail
    assert attempt.stored == ["o.t1-7"]
    assert (attempt.out / "o.t1-7").read_text() == "once\n"
    assert [one.url for one in report.outputs] == [f"{attempt.spec.destination}/o.t1-7"]
    assert [one.name for one in report.transfers] == ["o"]


def test_each_pause_is_twice_as_long_until_the_patience_is_over(attempt: Attempt) -> None:
    block(attempt)
    report = patient(attempt, 0.5, pause_s=0.05)
    pauses = re.findall(r"tried again in (\S+) s", attempt.log)
    assert pauses == ["0.05", "0.1", "0.2"]
    assert (report.reason, report.stage) == (Reason.STAGE_OUT_FAILED, "stage-out")
    assert report.seconds["stage-out"] < 0.5


def test_without_patience_a_storage_that_refuses_is_a_failure_at_once(attempt: Attempt) -> None:
    block(attempt)
    report = attempt.run(commands=(shell("touch o"),), outputs=OUTPUT)
    assert report.reason == Reason.STAGE_OUT_FAILED
    assert "tried again" not in attempt.log


def test_waiting_does_not_help_against_an_output_that_is_not_there(attempt: Attempt) -> None:
    report = attempt.run(outputs=OUTPUT, patience_s=60)
    assert report.reason == Reason.OUTPUT_MISSING
    assert "tried again" not in attempt.log


def test_who_is_stopped_while_waiting_for_the_storage_says_so_at_once(attempt: Attempt) -> None:
    block(attempt)
    began = time.monotonic()
    with once("tried again", attempt, TERM):
        report = patient(attempt, 600, pause_s=60)
    assert time.monotonic() - began < 30
    assert (report.reason, report.stage) == (Reason.STOPPED, "stage-out")
    assert report.outputs == ()


@contextlib.contextmanager
def once(word: str, attempt: Attempt, script: str) -> Iterator[None]:
    """Run a shell script in the attempt's folder as soon as its log holds a word."""
    wait = f"until grep -q '{word}' {LOG_FILE} 2>/dev/null; do sleep 0.01; done; {script}"
    with subprocess.Popen(["sh", "-c", wait], cwd=attempt.folder) as watcher:
        try:
            yield
            assert watcher.wait(10) == 0
        finally:
            watcher.kill()


# Report, log, lock, command line


def test_the_log_begins_with_who_to_ask_and_that_sigterm_is_safe(attempt: Attempt) -> None:
    attempt.run()
    head = attempt.log.splitlines()[:8]
    assert head[:5] == [
        *("owner: vo member", "production: field", "job: L1-SB000", "attempt: t1-7"),
        "contact: vo@example.org",
    ]
    assert head[7] == "SIGTERM is safe: the job goes back to its queue"


def test_the_log_keeps_head_and_tail_and_says_what_it_cut(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), head_bytes=100, tail_bytes=100)
    largest = 0
    for number in range(100):
        log.write(b"%09d\n" % number)
        largest = max(largest, (tmp_path / "log").stat().st_size)
    log.write(b"")
    log.close()
    text = (tmp_path / "log").read_text()
    assert text.startswith("000000000\n")
    assert text.endswith("000000099\n")
    kept = len([line for line in text.splitlines() if line.isdigit()])
    assert f"[... {(100 - kept) * 10} bytes cut" in text
    assert kept == 20
    assert largest <= 100 + 2 * 100 + 100


def test_a_log_just_over_its_size_is_cut_when_it_closes(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), head_bytes=4, tail_bytes=4)
    log.write(b"headcuttail")
    log.close()
    assert (tmp_path / "log").read_text().startswith("head\n[... 3 bytes cut")
    assert (tmp_path / "log").read_text().endswith("]\ntail")


def test_who_cannot_be_killed_does_not_keep_the_report(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SWEEPS", 3)
    monkeypatch.setattr(process.Process, "living", lambda _: [os.getpid()])
    monkeypatch.setattr(os, "kill", lambda *_: None)
    assert attempt.run().succeeded
    assert "1 processes left behind" in attempt.log


def test_the_runners_lines_never_glue_to_the_payloads_output(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"))
    log.write(b"no end of line")
    log.line("own \udcff line")
    log.close()
    assert (tmp_path / "log").read_text().splitlines()[1].endswith("] own \\udcff line")


def test_a_log_on_a_full_disk_costs_lines_and_not_the_job(tmp_path: Path) -> None:
    log = Log("/dev/full", head_bytes=1, tail_bytes=1)
    log.line("lost")
    log.close()


def test_an_unexpected_error_is_reported_with_its_place_and_logged_in_full(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: Any) -> None:
        raise LookupError("a surprise")

    monkeypatch.setattr(runner, "batch_ids", surprise)
    report = attempt.run()
    assert report.reason == Reason.RUNNER_ERROR
    assert report.detail.startswith("LookupError: a surprise (test_runner.py:")
    assert "Traceback" in attempt.log


def test_a_report_that_finds_no_room_is_written_once_the_work_is_gone(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = os.fsync
    rooms = iter([False, True])

    def fsync(file: int) -> None:
        if not next(rooms):
            raise OSError(28, "No space left on device")
        true(file)

    monkeypatch.setattr(os, "fsync", fsync)
    assert attempt.run().succeeded
    assert "once more after cleaning" in attempt.log


def test_a_report_that_cannot_be_written_goes_to_stderr(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fsync", failing(28))
    assert cli.main(["run", str(attempt.write())], attempt.environment) == 1
    said = capsys.readouterr().err
    assert '"outcome": "succeeded"' in said
    assert "cannot write log or report" in said
    assert sorted(os.listdir(attempt.folder)) == ["job.json", "job.log", "lock"]


def test_the_report_of_an_earlier_run_never_speaks_for_this_one(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt.run()
    monkeypatch.setattr(cli, "run", failing(5))
    assert cli.main(["run", str(attempt.write())], attempt.environment) == 1
    assert (attempt.folder / REPORT_FILE).read_text() == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["join"],
        ["run"],
        ["run", "a", "b"],
        ["run", "--no", "a"],
        ["run", "a", "--grace"],
        ["run", "a", "--grace=x"],
        ["run", "a", "--grace", "-1"],
        ["run", "/nowhere/job.json"],
    ],
)
def test_bad_usage_is_exit_code_2_and_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments, {}) == 2
    assert capsys.readouterr().err.startswith("lofargrid runner: ")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"contract": 99}', "\udcff"])
def test_an_unreadable_job_is_exit_code_2_and_touches_nothing(attempt: Attempt, content: str) -> None:
    path = attempt.folder / "job.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert cli.main(["run", str(path)], {}) == 2
    assert os.listdir(attempt.folder) == ["job.json"]


def test_help_is_for_humans(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"], {}) == 0
    assert "exit code" in capsys.readouterr().out


def test_a_second_runner_in_the_same_directory_touches_nothing(
    attempt: Attempt, capsys: pytest.CaptureFixture[str]
) -> None:
    attempt.run()
    before = {path.name: path.read_bytes() for path in attempt.folder.iterdir()}
    held = lock.take(str(attempt.folder), None)
    assert cli.main(["run", str(attempt.folder / "job.json")], attempt.environment) == 2
    os.close(held)
    assert "another runner holds" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in attempt.folder.iterdir()} == before


def test_a_lock_that_the_parent_holds_is_taken_over(attempt: Attempt) -> None:
    file = os.open(attempt.folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.set_inheritable(file, True)
    assert attempt.run("--lock-fd", str(file)).succeeded


def test_a_descriptor_that_is_not_the_lock_is_refused(attempt: Attempt, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(attempt.write())
    assert cli.main(["run", path, "--lock-fd", "0"], {}) == 2
    (attempt.folder / "lock").touch()
    assert cli.main(["run", path, "--lock-fd", "0"], {}) == 2
    assert "descriptor 0 is not" in capsys.readouterr().err


def test_a_file_system_without_locks_is_no_obstacle(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(38))
    assert attempt.run().succeeded
    monkeypatch.setattr(fcntl, "flock", failing(5))
    assert cli.main(["run", str(attempt.write())], {}) == 2


def test_the_lock_file_is_readable_by_the_admin(attempt: Attempt) -> None:
    attempt.run()
    assert stat.S_IMODE((attempt.folder / "lock").stat().st_mode) & 0o444


def test_in_a_pilot_the_ids_of_the_pilots_own_job_are_ours_too(tmp_path: Path) -> None:
    ad = tmp_path / "machine.ad"
    ad.write_text('Cpus = 2\nLofargridPilot = "t1-p1"\nLofargridBatch = "pbs=8.pbs slurm=12"\n')
    assert node.batch_ids({"_CONDOR_MACHINE_AD": str(ad)}) == {"pilot": "t1-p1", "pbs": "8.pbs", "slurm": "12"}
    ad.write_text("Cpus = 2\n")
    assert node.batch_ids({"_CONDOR_MACHINE_AD": str(ad)}) == {}
