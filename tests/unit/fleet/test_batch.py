"""Batch systems: their commands are composed, their answers read, their refusals told."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lofargrid.documents.batch import BatchDocument, read_batches
from lofargrid.errors import BackendError
from lofargrid.pilots import batch
from lofargrid.pilots.batch import Commands, Request, ThisMachine
from tests.grid.processes import until
from tests.unit.factories import CONTENT

JDL = CONTENT / "jdl"
SHIPPED = read_batches(JDL / "batch.yaml")


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return Request(
        "t1-p1", tmp_path / "pilot.sh", tmp_path, tmp_path / "pilot.out", 4, 8000, 2000, 600, ("--partition=a b",)
    )


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH: what is in it writes down its words."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(programs: Path, called: str, prints: str = "", exit_code: int = 0) -> None:
    path = programs / called
    path.write_text(f'#!/bin/sh\nfor one; do echo "$one"; done > {programs}/{called}.words\n{prints}\nexit {exit_code}')
    path.chmod(0o755)


def words(programs: Path, called: str) -> list[str]:
    return (programs / f"{called}.words").read_text().splitlines()


def commands(system: str = "slurm", **environment: str) -> Commands:
    return Commands(SHIPPED[system], JDL, environment)


def test_slurm_is_asked_for_what_a_pilot_needs_and_the_site_wants(request_: Request, programs: Path) -> None:
    program(programs, "sbatch", "echo '4711;cluster'")
    assert commands().submit(request_) == "4711"
    told = words(programs, "sbatch")
    assert told[-2:] == ["--partition=a b", str(request_.script)]
    assert {"--cpus-per-task=4", "--mem=8000M", "--time=600", f"--output={request_.out}"} <= set(told)
    assert "--export=NONE" in told, "nothing of our environment travels"


def test_htcondor_is_given_a_description(request_: Request, programs: Path) -> None:
    program(programs, "condor_submit", "echo '12.0 - 12.0'")
    one = replace(request_, options=("+MaxRuntime = 600",))
    assert commands("htcondor").submit(one) == "12"
    [description] = [word for word in words(programs, "condor_submit") if word.endswith(".sub")]
    text = Path(description).read_text()
    for line in (
        f"executable = {request_.script}",
        "request_cpus = 4",
        "request_memory = 8000",
        "request_disk = 2048000",
        "+MaxRuntime = 600",
        'My.LofargridPilot = "t1-p1"',
    ):
        assert line in text.splitlines()
    assert text.rstrip().endswith("queue")


def test_the_commands_find_the_sites_environment(request_: Request, programs: Path) -> None:
    program(programs, "sbatch", 'echo "1 $SLURM_CONF" > "$0.said"; cat "$0.said"')
    commands(SLURM_CONF="/etc/other.conf").submit(request_)
    assert (programs / "sbatch.said").read_text() == "1 /etc/other.conf\n"


@pytest.mark.parametrize(
    ("prints", "exit_code", "told"),
    [
        ("echo 'sbatch: error: invalid account' >&2", 1, "sbatch: error: invalid account"),
        ("echo 'queue is closed'", 1, "sbatch: queue is closed"),
        ("", 3, "sbatch: exit code 3"),
        ("echo submitted", 0, "sbatch gave no id: submitted"),
        ("", 0, "sbatch gave no id: nothing"),
    ],
)
def test_what_a_batch_system_does_not_do_is_told_in_its_words(
    request_: Request, programs: Path, prints: str, exit_code: int, told: str
) -> None:
    program(programs, "sbatch", prints, exit_code)
    with pytest.raises(BackendError) as caught:
        commands().submit(request_)
    assert str(caught.value) == told


def test_a_batch_system_that_is_not_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackendError, match="squeue: not found"):
        commands().living()


def test_those_that_live_are_the_numbers_that_lines_begin_with(programs: Path) -> None:
    program(programs, "squeue", "printf '  12\\n13 x\\nno jobs\\n'")
    assert commands().living() == {"12", "13"}


def test_all_are_cancelled_in_one_call(programs: Path) -> None:
    program(programs, "scancel")
    commands().cancel(["1", "2"])
    assert words(programs, "scancel") == ["1", "2"]


@pytest.mark.parametrize("system", SHIPPED)
def test_what_the_shipped_ones_name_is_known(system: str) -> None:
    known = {"pilot", "cores", "memory_mb", "walltime_min", "out", "description"}
    assert set(re.findall(r"{(\w+)}", " ".join(SHIPPED[system].submit))) <= known
    template = SHIPPED[system].template
    assert not template or (JDL / template).is_file()


def test_an_entry_is_three_commands() -> None:
    assert set(BatchDocument.model_fields) == {"submit", "living", "cancel", "template"}


# This machine


def test_on_this_machine_a_pilot_is_a_process_that_outlives_us(request_: Request) -> None:
    request_.script.write_text("echo here; exec sleep 1000\n")
    machine = ThisMachine()
    id_ = machine.submit(request_)
    assert id_ in machine.living()
    until(lambda: request_.out.read_text() == "here\n", "it does not run")
    pid = int(id_.partition("-")[0])
    assert os.getsid(pid) == pid
    machine.cancel([id_])
    until(lambda: id_ not in machine.living(), "it runs on")


def test_a_process_that_has_taken_the_number_of_a_pilot_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        started = batch._started(process.pid)
        ThisMachine().cancel([f"{process.pid}-{int(started) + 1}", "999999999-5"])
        assert process.poll() is None
        process.kill()
