"""The node, and the work directory on it, which is made and taken away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lofargrid_runner import cli, node, process, workdir
from lofargrid_runner.contract import (
    WORK_MARK,
    Limits,
    OutputFile,
    Reason,
)
from lofargrid_runner.failure import free_text

from tests.unit.pilots.attempts import Attempt, failing, shell


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
    monkeypatch.setattr("builtins.open", failing(2))
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
    monkeypatch.setattr(workdir, "remove", failing(16))
    assert cli.main(["run", str(attempt.write())], attempt.environment) == 0
    assert "could not remove" in attempt.log
