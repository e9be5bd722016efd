"""The driver in this process: stages, reasons, the report, the log, and a clean node afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lofargrid_runner import cli, lock, node, process, runner, workdir
from lofargrid_runner.contract import (
    LOG_FILE,
    REPORT_FILE,
    WORK_MARK,
    Check,
    InputFile,
    Limits,
    OutputFile,
    Reason,
    Report,
    report_from_json,
)
from lofargrid_runner.failure import free_text
from lofargrid_runner.log import Log
from lofargrid_runner.payload import Tail, telling
from lofargrid_runner.runner import Setting
from lofargrid_runner.stop import Stop

from tests.unit.pilots.attempts import PYTHON, Attempt, shell

SMALL = Limits(walltime_s=60, memory_mb=60)


# --- payload -----------------------------------------------------------------------------------------


def test_an_empty_job_succeeds_and_its_report_says_where_and_when(attempt: Attempt) -> None:
    report = attempt.run(software={"release": "r1"})
    assert (report.outcome, report.stage, report.reason, report.exit_code) == ("succeeded", "done", None, 0)
    assert list(report.seconds) == ["probe", "stage-in", "setup", "payload", "checks", "stage-out"]
    assert report.started <= report.ended
    assert report.started.endswith("Z")
    assert report.software == {"release": "r1"}
    assert report.peak_memory_mb > 0


def test_commands_run_in_order_in_the_work_directory(attempt: Attempt) -> None:
    (attempt.base / "sandbox" / "step.sh").write_text("cat made.txt sub/plan.parset > o\n")
    commands = (shell("echo one > made.txt"), ("sh", "sandbox/step.sh"))
    report = attempt.run(commands=commands, files={"sub/plan.parset": "two é\n"}, outputs=(OutputFile("o", "o", "o"),))
    assert report.succeeded
    assert (attempt.out / "o.t1-7").read_text() == "one\ntwo é\n"


def test_a_failed_command_ends_the_attempt_with_its_telling_line(attempt: Attempt) -> None:
    script = "echo hello; echo 'std exception detected: BucketCache::getBucket'; echo bye >&2; exit 3"
    report = attempt.run(commands=(shell(script), shell("touch never")))
    assert (report.reason, report.stage, report.exit_code) == (Reason.PAYLOAD_FAILED, "payload", 3)
    assert "std exception detected: BucketCache::getBucket" in report.detail
    assert "exit code 3" in report.detail
    assert "touch never" not in attempt.log
    assert "hello" in attempt.log
    assert "bye" in attempt.log


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("Error: a\nstd exception: b\nerror: c", "std exception: b"),
        ("error: a\nError: b\nc", "Error: b"),
        ("a\nERROR b\nerror: c", "ERROR b"),
        ("some error\n\x1b[31mlast\x1b[0m", "some error"),
        ("ValueException\nx", "ValueException"),
        ("a\n\nb\rc\nd\n", "b | c | d"),
        ("", ""),
    ],
)
def test_the_telling_line(output: str, line: str) -> None:
    assert telling(output.encode()) == line


def test_a_tail_forgets_what_is_old() -> None:
    tail = Tail(4)
    for letter in b"abcdefghij":
        tail.add(bytes([letter]))
    assert tail.read() == b"ghij"


@pytest.mark.parametrize(
    ("script", "reason", "number"),
    [
        ("kill -9 $$", Reason.PAYLOAD_KILLED, signal.SIGKILL),
        ("kill -SEGV $$", Reason.PAYLOAD_CRASHED, signal.SIGSEGV),
        ("kill -ILL $$", Reason.NODE_UNFIT, signal.SIGILL),
        ("kill -40 $$", Reason.PAYLOAD_KILLED, 40),
        ("echo terminate called after throwing std::bad_alloc; kill -ABRT $$", Reason.OUT_OF_MEMORY, 6),
        ("echo fork: Cannot allocate memory; exit 1", Reason.OUT_OF_MEMORY, None),
        ("echo write: No space left on device >&2; exit 1", Reason.SCRATCH_FULL, None),
        ("sh -c 'kill -9 $$'; exit $?", Reason.PAYLOAD_KILLED, None),
        ("sh -c 'kill -SEGV $$'; exit $?", Reason.PAYLOAD_CRASHED, None),
        ("no-such-program", Reason.SOFTWARE_MISSING, None),
        (
            "echo Connection refused, trying again; echo ValueError: no finite solutions; exit 1",
            Reason.PAYLOAD_FAILED,
            None,
        ),
        ("cat gone.skymodel", Reason.INPUT_MISSING, None),
        ("exit 1", Reason.PAYLOAD_FAILED, None),
    ],
)
def test_how_a_command_died_gives_the_reason(attempt: Attempt, script: str, reason: Reason, number: int | None) -> None:
    report = attempt.run(commands=(shell(script),))
    assert (report.reason, report.signal) == (reason, number)


def test_killed_with_high_memory_is_out_of_memory(attempt: Attempt) -> None:
    hungry = "import os; x = b'x' * (52 << 20); os.kill(os.getpid(), 9)"
    report = attempt.run(commands=((PYTHON, "-I", "-S", "-c", hungry),), limits=SMALL)
    assert (report.reason, report.signal) == (Reason.OUT_OF_MEMORY, 9)


def test_a_child_killed_with_high_memory_is_out_of_memory(attempt: Attempt) -> None:
    hungry = "import os, time; x = b'x' * (52 << 20); time.sleep(0.3); os.kill(os.getpid(), 9)"
    script = f'"{PYTHON}" -I -S -c "{hungry}"; exit $?'
    report = attempt.run(commands=(shell(script),), limits=SMALL)
    assert (report.reason, report.exit_code) == (Reason.OUT_OF_MEMORY, 137)


def test_more_memory_than_allowed_ends_the_payload(attempt: Attempt) -> None:
    hungry = "import time; x = bytes(120 << 20); x = b'x' * (120 << 20); time.sleep(60)"
    report = attempt.run("--grace", "5", commands=((PYTHON, "-I", "-S", "-c", hungry),), limits=SMALL)
    assert report.reason == Reason.OUT_OF_MEMORY
    assert report.peak_memory_mb > 60
    assert "60 MB are allowed" in report.detail


def test_shared_pages_count_once(attempt: Attempt) -> None:
    forking = (
        "import os, time; x = b'x' * (40 << 20)\n"
        "for _ in range(4):\n if os.fork() == 0: time.sleep(0.5); os._exit(0)\n"
        "for _ in range(4): os.wait()"
    )
    # In a process of its own: a fork of this one would count with all its pages until it becomes the payload.
    attempt.start(commands=((PYTHON, "-I", "-S", "-c", forking),), limits=Limits(60, 140)).communicate()
    report = attempt.report
    assert report.succeeded, report.detail
    assert report.peak_memory_mb < 140  # five times 40 MB were they counted each


def test_the_walltime_holds_for_all_commands_together(attempt: Attempt) -> None:
    report = attempt.run(commands=(("true",), ("sleep", "60")), limits=Limits(0.2, 1000))
    assert (report.reason, report.signal) == (Reason.OUT_OF_TIME, signal.SIGTERM)
    assert "after 0.2 s" in report.detail


def test_a_payload_that_works_may_go_on_beyond_its_walltime(attempt: Attempt) -> None:
    busy = (PYTHON, "-I", "-S", "-c", "import time\nwhile time.process_time() < 0.5: pass")
    report = attempt.run(commands=(busy,), limits=Limits(0.2, 1000), overtime_s=20)
    assert report.succeeded, report.detail


def test_a_payload_that_works_is_ended_when_its_overtime_is_over(attempt: Attempt) -> None:
    busy = (PYTHON, "-I", "-S", "-c", "while True: pass")
    report = attempt.run(commands=(busy,), limits=Limits(0.2, 1000), overtime_s=0.6)
    assert (report.reason, report.signal) == (Reason.OUT_OF_TIME, signal.SIGTERM)
    assert "after 0.2 s of walltime, and up to 0.6 s more while it works" in report.detail
    assert report.seconds["payload"] >= 0.8


def test_a_payload_that_hangs_gets_no_overtime_but_the_first_stretch(attempt: Attempt) -> None:
    report = attempt.run(commands=(("sleep", "60"),), limits=Limits(0.2, 1000), overtime_s=4)
    assert report.reason == Reason.OUT_OF_TIME
    assert report.seconds["payload"] < 4


def test_who_ignores_sigterm_is_killed_after_the_grace(attempt: Attempt) -> None:
    deaf = shell("trap '' TERM; while :; do sleep 60; done")
    report = attempt.run("--grace=0.1", commands=(deaf,), limits=Limits(0.1, 1000))
    assert (report.reason, report.signal) == (Reason.OUT_OF_TIME, signal.SIGKILL)


def test_a_child_may_tidy_up_within_the_grace(attempt: Attempt) -> None:
    script = "(trap 'sleep 0.1; echo tidy; exit' TERM; while :; do sleep 0.01; done) & exec sleep 60"
    report = attempt.run(commands=(shell(script),), limits=Limits(0.2, 1000))
    assert report.reason == Reason.OUT_OF_TIME
    assert "tidy" in attempt.log


@pytest.mark.parametrize("script", ["sleep 600 & echo $!", "timeout 600 sleep 600 >/dev/null 2>&1 & echo $!"])
def test_nothing_outlives_the_command_that_started_it(attempt: Attempt, script: str) -> None:
    report = attempt.run(commands=(shell(f"{script} > pids"),), outputs=(OutputFile("p", "pids", "pids"),))
    assert report.succeeded
    # Who was killed may still wait, as a zombie without memory, for the machine's init to notice.
    assert process.resident_bytes(int((attempt.out / "pids.t1-7").read_text())) == 0
    assert "left behind" in attempt.log


def test_a_process_that_escaped_the_session_does_not_hold_the_runner(attempt: Attempt) -> None:
    escaping = (
        "import os, time\nif os.fork() == 0:\n os.setsid(); print(os.getpid(), flush=True); time.sleep(60)\n"
        "time.sleep(0.2)"
    )
    report = attempt.run(commands=((PYTHON, "-I", "-S", "-c", escaping),))
    os.kill(int(next(line for line in attempt.log.splitlines() if line.isdigit())), signal.SIGKILL)
    assert report.succeeded


def test_the_watchman_of_a_payload_goes_home(attempt: Attempt) -> None:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    assert attempt.run(
        commands=(shell(f"cat {children} > seen"),), outputs=(OutputFile("s", "seen", "seen"),)
    ).succeeded
    assert len(set((attempt.out / "seen.t1-7").read_text().split()) - before) == 2
    assert set(children.read_text().split()) <= before


def test_a_node_that_cannot_start_a_watchman_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", _failing(11))
    assert process.guard(()) is None


def test_a_node_that_cannot_start_a_process_is_a_runner_error(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", _failing(11))
    report = attempt.run()
    assert report.reason == Reason.RUNNER_ERROR
    assert "BlockingIOError" in report.detail


def _failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_program_that_cannot_be_executed_says_why(attempt: Attempt) -> None:
    path = attempt.base / "sandbox" / "odd"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    report = attempt.run(commands=(("sandbox/odd",),))
    assert (report.reason, report.exit_code) == (Reason.SOFTWARE_MISSING, 127)
    assert "cannot start" in report.detail


# --- being stopped -----------------------------------------------------------------------------------


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


# --- patience and lingering --------------------------------------------------------------------------

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


# --- set-up ------------------------------------------------------------------------------------------


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
    monkeypatch.setattr(os, "symlink", _failing(28))
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


# --- node and work directory -------------------------------------------------------------------------


def test_the_report_describes_the_node_and_holds_every_id(attempt: Attempt) -> None:
    ad = attempt.base / "job.ad"
    ad.write_text('ClusterId = 12\nProcId = 3\nGlobalJobId = "ce#12.3"\nSecret = "x"\n')
    attempt.environment.update({"SLURM_JOB_ID": "7", "PBS_JOBID": "8.pbs", "JOBID": "9", "_CONDOR_JOB_AD": str(ad)})
    report = attempt.run()
    condor = {"htcondor_cluster": "12", "htcondor_proc": "3", "htcondor": "ce#12.3"}
    assert report.ids == {"slurm": "7", "pbs": "8.pbs", "dirac": "9", **condor}
    assert report.node["host"] == os.uname().nodename
    assert report.node["cpus"] == len(os.sched_getaffinity(0))
    assert report.node["memory_mb"] > 0
    assert report.node["scratch_free_mb"] > 0
    assert set(report.node) == {
        *("host", "cpus", "cpu_model", "cpu_flags", "memory_mb"),
        *("scratch_free_mb", "python", "kernel", "cvmfs"),
    }


def test_what_cannot_be_found_out_is_left_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert node.batch_ids({"_CONDOR_JOB_AD": "/nowhere", "SLURM_JOB_ID": ""}) == {}
    monkeypatch.setattr("builtins.open", _failing(2))
    assert node.probe(str(tmp_path))["cpu_model"] == ""
    assert process.resident_bytes(1) == 0
    assert process.fair_share_bytes(1) == 0
    assert free_text("/nowhere") == "free space unknown: No such file or directory"


@pytest.mark.parametrize(("total", "reason"), [(50, Reason.NODE_UNFIT), (5000, Reason.SCRATCH_FULL)])
def test_too_little_scratch_is_said_with_numbers(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, total: int, reason: Reason
) -> None:
    class Disk:
        f_frsize, f_blocks, f_bavail = 1 << 20, total, 40

    monkeypatch.setattr(os, "statvfs", lambda _: Disk)
    report = attempt.run(limits=Limits(1, 1, scratch_mb=100))
    assert (report.reason, report.stage) == (reason, "probe")
    assert f"needs 100 MB of scratch, 40 MB of {total} MB are free" in report.detail


def test_a_work_directory_that_cannot_be_made_is_the_nodes_fault(attempt: Attempt) -> None:
    attempt.work.write_text("in the way")
    code = cli.main(["run", str(attempt.write())], attempt.environment)
    assert (code, attempt.report.reason) == (1, Reason.NODE_UNFIT)
    assert attempt.work.read_text() == "in the way"


def test_another_work_directory_is_used_and_removed(attempt: Attempt, tmp_path: Path) -> None:
    work = tmp_path / "scratch" / "w"
    assert attempt.run("--work", str(work), commands=(shell(f"test $PWD = {work}"),)).succeeded
    assert not work.exists()


def test_a_full_directory_of_somebody_else_is_left_alone(attempt: Attempt, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("precious")
    report = attempt.run("--work", str(tmp_path / "theirs"))
    assert report.reason == Reason.NODE_UNFIT
    assert "not empty and not ours" in report.detail
    assert (tmp_path / "theirs" / "thesis.tex").read_text() == "precious"


def test_the_work_directory_of_another_attempt_is_left_alone(attempt: Attempt, tmp_path: Path) -> None:
    workdir.make(str(tmp_path / "w"), "other")
    report = attempt.run("--work", str(tmp_path / "w"))
    assert report.reason == Reason.NODE_UNFIT
    assert "belongs to attempt other" in report.detail
    assert (tmp_path / "w").is_dir()


def test_what_a_killed_runner_of_this_attempt_left_is_replaced(attempt: Attempt) -> None:
    workdir.make(str(attempt.work), "t1-7")
    (attempt.work / "o").write_text("old")
    report = attempt.run(outputs=(OutputFile("o", "o", "o"),))
    assert report.reason == Reason.OUTPUT_MISSING


def test_links_in_the_work_directory_are_removed_and_not_followed(attempt: Attempt) -> None:
    kept = attempt.base / "data" / "kept"
    kept.write_text("x")
    attempt.run(commands=(shell(f"ln -s {kept.parent} out; mkdir -p a/b; chmod 0 a"),))
    assert kept.read_text() == "x"


def test_folders_without_permissions_are_removed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w" / "closed").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    workdir.remove(str(tmp_path / "w"))
    assert os.listdir(tmp_path) == []


def test_the_work_directory_is_kept_for_who_asks(attempt: Attempt) -> None:
    attempt.environment["LOFARGRID_KEEP_WORK"] = "1"
    attempt.run(files={"f": "x"})
    assert (attempt.work / "f").read_text() == "x"
    assert not (attempt.work / WORK_MARK).exists(), "it is nobody's to remove any more"
    assert "kept" in attempt.log


def test_a_work_directory_that_cannot_be_removed_is_said_in_the_log(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workdir, "remove", _failing(16))
    assert cli.main(["run", str(attempt.write())], attempt.environment) == 0
    assert "could not remove" in attempt.log


# --- report, log, lock, command line -----------------------------------------------------------------


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
    monkeypatch.setattr(os, "fsync", _failing(28))
    assert cli.main(["run", str(attempt.write())], attempt.environment) == 1
    said = capsys.readouterr().err
    assert '"outcome": "succeeded"' in said
    assert "cannot write log or report" in said
    assert sorted(os.listdir(attempt.folder)) == ["job.json", "job.log", "lock"]


def test_the_report_of_an_earlier_run_never_speaks_for_this_one(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt.run()
    monkeypatch.setattr(cli, "run", _failing(5))
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
    monkeypatch.setattr(fcntl, "flock", _failing(38))
    assert attempt.run().succeeded
    monkeypatch.setattr(fcntl, "flock", _failing(5))
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
