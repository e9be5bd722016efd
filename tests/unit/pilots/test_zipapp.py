"""The true zipapp, as a worker node starts it."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from lofargrid_runner.contract import Check, Limits, OutputFile, Reason

from lofargrid.zipapp import build_zipapp
from tests.unit.pilots.attempts import PYTHON, Attempt, measurement_set, printing, shell

BOOTSTRAP = Path(__file__).parents[3] / "pilots" / "bootstrap.sh"
WAIT_S = 60


def announced(attempt: Attempt, script: str = "sleep 600") -> tuple[str, ...]:
    """A command that says through a named pipe that it runs, and then does not end by itself."""
    os.mkfifo(attempt.base / "ready")
    return shell(f"echo $$ > {attempt.base}/ready; {script}")


def wait_until_ready(attempt: Attempt) -> int:
    return int((attempt.base / "ready").read_text())


def wait_until_gone(pid: int) -> None:
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([file], [], [], WAIT_S)[0], "the process outlived its runner"
    os.close(file)


def pythons() -> list[str]:
    found = [shutil.which(f"python3.{minor}") for minor in range(9, 15)]
    candidates = ["/usr/bin/python3", *(str(Path(path)) for path in found if path)]
    return [path for path in candidates if _speaks(path)]


def _speaks(path: str) -> bool:
    script = "import sys; sys.exit(sys.version_info < (3, 9))"
    try:
        return subprocess.run([path, "-I", "-S", "-c", script], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize("python", [PYTHON, *pythons()])
def test_a_whole_job_runs_on_every_python_at_hand(attempt: Attempt, python: str) -> None:
    child = attempt.start(
        python=python,
        inputs=(attempt.input(measurement_set(), kind="ms"),),
        commands=(shell("cp -r in.MS o.MS"),),
        checks=(printing('{"rows": 1}'),),
        outputs=(OutputFile("o", "o.MS", "o.tar", pack=True),),
    )
    assert child.communicate()[1] == ""
    assert child.returncode == 0
    assert attempt.report.succeeded
    assert attempt.stored == ["o.tar.t1-7"]
    assert sorted(os.listdir(attempt.folder)) == ["job.json", "job.log", "lock", "report.json"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_and_is_reported(attempt: Attempt, number: signal.Signals) -> None:
    child = attempt.start(commands=(announced(attempt),))
    pid = wait_until_ready(attempt)
    child.send_signal(number)
    assert "stopped" in child.communicate(timeout=WAIT_S)[1]
    assert (child.returncode, attempt.report.reason) == (1, Reason.STOPPED)
    wait_until_gone(pid)
    assert not attempt.work.exists()


def test_the_log_can_be_read_while_the_payload_runs(attempt: Attempt) -> None:
    child = attempt.start(commands=(shell("echo half way"), announced(attempt)))
    wait_until_ready(attempt)
    text = attempt.log
    child.terminate()
    child.communicate(timeout=WAIT_S)
    assert text.startswith("owner: vo member\n")
    assert "half way" in text


def test_a_payload_killed_from_outside_is_reported(attempt: Attempt) -> None:
    child = attempt.start(commands=(announced(attempt, "exec sleep 600"),))
    os.kill(wait_until_ready(attempt), signal.SIGKILL)
    child.communicate(timeout=WAIT_S)
    assert (attempt.report.reason, attempt.report.signal) == (Reason.PAYLOAD_KILLED, 9)


def test_a_runner_killed_in_its_payloads_first_instant_takes_it_along_and_frees_the_lock(attempt: Attempt) -> None:
    child = attempt.start(commands=(announced(attempt),))
    pid = wait_until_ready(attempt)
    child.kill()
    child.communicate(timeout=WAIT_S)
    wait_until_gone(pid)
    with (attempt.folder / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
    again = attempt.start(commands=(("true",),))
    again.communicate(timeout=WAIT_S)
    assert again.returncode == 0
    assert not attempt.work.exists()


def test_two_runners_at_once_are_one_too_many(attempt: Attempt) -> None:
    first = attempt.start(commands=(announced(attempt),))
    wait_until_ready(attempt)
    second = attempt.start()
    assert "another runner holds" in second.communicate(timeout=WAIT_S)[1]
    assert (second.returncode, first.poll()) == (2, None)
    first.terminate()
    first.communicate(timeout=WAIT_S)
    assert attempt.report.reason == Reason.STOPPED


def test_a_lock_is_handed_over_by_descriptor(attempt: Attempt) -> None:
    with (attempt.folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        command = [PYTHON, "-I", "-S", str(attempt.zipapp), "run", str(attempt.write())]
        command += ["--lock-fd", str(file.fileno())]
        code = subprocess.run(command, env=attempt.environment, pass_fds=[file.fileno()]).returncode
    assert code == 0


def test_endless_output_fills_no_disk(attempt: Attempt) -> None:
    child = attempt.start(commands=(("yes", "0123456789" * 20),), limits=Limits(1, 1000))
    child.communicate(timeout=WAIT_S)
    size = (attempt.folder / "job.log").stat().st_size
    assert attempt.report.reason == Reason.OUT_OF_TIME
    assert 16 << 20 <= size <= 17 << 20
    assert "bytes cut" in attempt.log


def test_memory_and_walltime_are_watched(attempt: Attempt) -> None:
    hungry = "import time; x = b'x' * (120 << 20); time.sleep(600)"
    command = (PYTHON, "-I", "-S", "-c", hungry)
    child = attempt.start(commands=(command,), limits=Limits(600, 60))
    child.communicate(timeout=WAIT_S)
    assert attempt.report.reason == Reason.OUT_OF_MEMORY
    child = attempt.start(commands=(("sleep", "600"),), limits=Limits(0.1, 60))
    child.communicate(timeout=WAIT_S)
    assert attempt.report.reason == Reason.OUT_OF_TIME


def test_a_file_too_large_for_scratch_is_scratch_full(attempt: Attempt) -> None:
    entry = attempt.input(bytes(2 << 20), unpack=False)
    command = f'ulimit -f 1024; exec "{PYTHON}" -I -S "$0" run "$1"'
    path = str(attempt.write(inputs=(entry,)))
    subprocess.run(["sh", "-c", command, attempt.zipapp, path], env=attempt.environment, capture_output=True)
    assert attempt.report.reason == Reason.SCRATCH_FULL
    assert "bytes free" in attempt.report.detail


def test_a_measurement_on_stdout_survives_a_closed_stdin_and_stdout(attempt: Attempt) -> None:
    check = Check("c", shell("cat; echo '{}'"))
    command = f'exec "{PYTHON}" -I -S "$0" run "$1" <&- >&- 2>&-'
    path = str(attempt.write(checks=(check,)))
    assert subprocess.run(["sh", "-c", command, attempt.zipapp, path], env=attempt.environment).returncode == 0


def test_the_zipapp_has_the_same_bytes_every_time_and_both_forms_of_each_module(zipapp: Path, tmp_path: Path) -> None:
    again = build_zipapp(tmp_path / "sub" / "again.pyz")
    assert again.read_bytes() == zipapp.read_bytes()
    assert os.access(again, os.X_OK)
    names = zipfile.ZipFile(again).namelist()
    assert "__main__.py" in names
    assert {f"{name}c" for name in names if name.endswith(".py")} < set(names)
    assert os.listdir(again.parent) == ["again.pyz"]


def test_the_runner_loads_nothing_costly(zipapp: Path) -> None:
    costly = "argparse subprocess pathlib shutil tempfile tarfile logging urllib lofargrid_runner.causes"
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import lofargrid_runner.cli, lofargrid_runner.checks\n"
        "import lofargrid_runner.stage_in, lofargrid_runner.stage_out, lofargrid_runner.payload\n"
        "print(lofargrid_runner.cli.__cached__, *sorted(set(sys.modules) & set(sys.argv[2:])))"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(zipapp), *costly.split()]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[1:] == []
    assert said[0].endswith(".pyc") or said[0] == "None"


def test_the_package_runs_as_a_module(attempt: Attempt) -> None:
    environment = {**attempt.environment, "PYTHONPATH": str(BOOTSTRAP.parent)}
    command = [PYTHON, "-m", "lofargrid_runner", "run", str(attempt.write())]
    assert subprocess.run(command, env=environment).returncode == 0


def test_the_bootstrap_starts_the_runner_and_keeps_its_exit_code(attempt: Attempt) -> None:
    environment = {**attempt.environment, "LOFARGRID_RUNNER": str(attempt.zipapp)}
    path = str(attempt.write(commands=(("false",),)))
    assert subprocess.run(["sh", BOOTSTRAP, "run", path], env=environment).returncode == 1
    assert subprocess.run(["sh", BOOTSTRAP, "jog", path], env=environment).returncode == 2


def test_the_bootstrap_finds_the_runner_beside_itself(attempt: Attempt) -> None:
    folder = attempt.base / "with space"
    folder.mkdir()
    shutil.copy(BOOTSTRAP, folder)
    shutil.copy(attempt.zipapp, folder)
    command = ["sh", str(folder / "bootstrap.sh"), "run", str(attempt.write())]
    assert subprocess.run(command, env=attempt.environment).returncode == 0


def test_the_bootstrap_says_clearly_that_there_is_no_python(attempt: Attempt) -> None:
    tools = attempt.base / "tools"
    tools.mkdir()
    for tool in ("dirname", "mkdir", "touch", "uname"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    (tools / "python3").symlink_to("/bin/false")
    script = BOOTSTRAP.read_text().replace("/usr/bin/python3", "/none").replace("/usr/libexec", "/none")
    (attempt.base / "bootstrap.sh").write_text(script)
    job = attempt.write()
    done = subprocess.run(
        ["/bin/sh", attempt.base / "bootstrap.sh", "run", job], env={"PATH": str(tools)}, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert "no python3 >= 3.9" in done.stderr
    # A batch system that brings outputs home finds them, empty.
    assert {"report.json", "job.log", "out"} <= {path.name for path in job.parent.iterdir()}
