"""The payload: its commands, what ends them, and that nothing of them outlives it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from lofargrid_runner import process
from lofargrid_runner.contract import (
    Limits,
    OutputFile,
    Reason,
)
from lofargrid_runner.payload import Tail, telling

from tests.unit.pilots.attempts import PYTHON, Attempt, failing, shell

SMALL = Limits(walltime_s=60, memory_mb=60)


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
    # It sleeps, as the runner looks at memory now and then only, and a child's is gone with it.
    hungry = "import os, time; x = b'x' * (52 << 20); time.sleep(0.3); os.kill(os.getpid(), 9)"
    script = f'"{PYTHON}" -I -S -c "{hungry}"; exit $?'
    report = attempt.run(commands=(shell(script),), limits=SMALL)
    assert (report.reason, report.exit_code) == (Reason.OUT_OF_MEMORY, 137)


def test_more_memory_than_allowed_ends_the_payload(attempt: Attempt) -> None:
    # It would sleep for long: the runner is to end it.
    hungry = "import time; x = bytes(120 << 20); x = b'x' * (120 << 20); time.sleep(60)"
    report = attempt.run("--grace", "5", commands=((PYTHON, "-I", "-S", "-c", hungry),), limits=SMALL)
    assert report.reason == Reason.OUT_OF_MEMORY
    assert report.peak_memory_mb > 60
    assert "60 MB are allowed" in report.detail


def test_shared_pages_count_once(attempt: Attempt) -> None:
    # The forks sleep until the runner has seen them side by side.
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
    # The one that escaped outlives the payload, which sleeps until the runner has seen it start.
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
    monkeypatch.setattr(os, "fork", failing(11))
    assert process.guard(()) is None


def test_a_node_that_cannot_start_a_process_is_a_runner_error(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", failing(11))
    report = attempt.run()
    assert report.reason == Reason.RUNNER_ERROR
    assert "BlockingIOError" in report.detail


def test_a_program_that_cannot_be_executed_says_why(attempt: Attempt) -> None:
    path = attempt.base / "sandbox" / "odd"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    report = attempt.run(commands=(("sandbox/odd",),))
    assert (report.reason, report.exit_code) == (Reason.SOFTWARE_MISSING, 127)
    assert "cannot start" in report.detail
