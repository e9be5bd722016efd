"""What is particular to the local backend: processes of this machine, with the true runner."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lofargrid_runner import workdir
from lofargrid_runner.contract import JobSpec, OutputFile, to_json

from lofargrid.backends.local import LocalBackend
from lofargrid.errors import BackendError
from lofargrid.names import path_of
from lofargrid.recipes.sandboxes import pack_runner
from lofargrid.states import Phase
from tests.contracts.backends import PATIENCE_S, Local, Watcher, reason, spec

SUBMITTER = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {pilots!r}]
from lofargrid_runner.contract import job_from_json
from lofargrid.backends.local import LocalBackend
from lofargrid.states import Phase
backend = LocalBackend(Path({attempts!r}), Path({runner!r}), 2)
cursor = backend.changes(None).cursor
backend.submit([job_from_json(Path(path).read_text()) for path in sys.argv[1:]])
while True:
    changes = backend.changes(cursor)
    cursor = changes.cursor
    for one in changes.observations:
        print(one.phase, one.batch_id, flush=True)
    backend.wait(60)
"""


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_runner(tmp_path_factory.mktemp("runner"))


@pytest.fixture
def local(tmp_path: Path, runner: Path) -> Iterator[Local]:
    one = Local(tmp_path, runner, slots=1)
    yield one
    one.close()


def running(watcher: Watcher, job: JobSpec) -> int:
    """Wait until an attempt runs; its runner's process id."""
    latest = watcher.until(lambda latest: job.attempt in latest and latest[job.attempt].phase is Phase.RUNNING)
    return int(latest[job.attempt].batch_id or 0)


def work_of(job: JobSpec) -> Path:
    return Path(path_of(job.destination)) / f"work-{job.attempt}"


def test_outputs_stand_under_the_attempts_name_and_the_work_folder_is_gone(local: Local) -> None:
    job = spec(local.folder, script="echo made > it")
    job = job._replace(outputs=(OutputFile("it", "it", "job-1.txt"),))
    local.backend.submit([job])
    told = Watcher(local.backend).until_over(job)[job.attempt]
    assert told.report
    [stored] = told.report.outputs
    assert stored.url.endswith(f"/out%20put/job-1.txt.{job.attempt}")
    assert sorted(path.name for path in Path(path_of(job.destination)).iterdir()) == [f"job-1.txt.{job.attempt}"]


def test_no_more_run_at_once_than_there_are_slots(local: Local) -> None:
    jobs, watcher = [local.job(1), local.job(2)], Watcher(local.backend)
    watcher.look()
    local.backend.submit(jobs)
    local.underway(jobs[0])
    assert local.starts(jobs[1]) == 0
    local.end(jobs[0])
    local.underway(jobs[1])
    local.end(jobs[1])
    watcher.until_over(*jobs)
    assert (local.starts(jobs[0]), local.starts(jobs[1])) == (1, 1)


def test_a_runner_that_is_killed_is_lost_and_its_work_folder_is_removed(local: Local) -> None:
    job, watcher = local.job(1), Watcher(local.backend)
    watcher.look()
    local.backend.submit([job])
    process_id = running(watcher, job)
    local.underway(job)
    assert work_of(job).is_dir()
    os.kill(process_id, signal.SIGKILL)
    told = watcher.until_over(job)[job.attempt]
    assert (told.phase, told.report, told.detail) == (Phase.LOST, None, "the runner ended without a report")
    assert not work_of(job).exists()


def test_attempts_find_the_proxy_that_jobs_are_to_have(local: Local) -> None:
    backend = LocalBackend(local.folder / "other", local.runner, 1, Path("/some/proxy"))
    job, watcher = local.job(1), Watcher(backend)
    backend.submit([job])
    environment = Path(f"/proc/{running(watcher, job)}/environ").read_bytes().split(b"\0")
    assert b"X509_USER_PROXY=/some/proxy" in environment
    local.underway(job)
    local.end(job)
    watcher.until_over(job)
    backend.close()


def test_a_runner_that_cannot_run_is_lost(tmp_path: Path) -> None:
    broken = tmp_path / "runner.pyz"
    broken.write_text("no zip and no Python")
    local = Local(tmp_path, broken, slots=1)
    job = spec(tmp_path)
    local.backend.submit([job])
    told = Watcher(local.backend).until_over(job)[job.attempt]
    assert (told.phase, told.detail) == (Phase.LOST, "the runner ended without a report")
    names = [path.name for path in local.backend.fetch(job.attempt, tmp_path)]
    assert names == ["runner.log"]
    assert "SyntaxError" in (tmp_path / "runner.log").read_text()
    local.close()


# Cancel


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_is_cancelled_while_it_is_queued_never_starts(local: Local, elsewhere: bool) -> None:
    jobs, watcher = [local.job(1), local.job(2)], Watcher(local.backend)
    watcher.look()
    local.backend.submit(jobs)
    local.underway(jobs[0])
    (local.reopen() if elsewhere else local.backend).cancel([jobs[1].attempt])
    local.end(jobs[0])
    told = watcher.until_over(*jobs)
    assert told[jobs[0].attempt].phase is Phase.ENDED
    assert (told[jobs[1].attempt].phase, told[jobs[1].attempt].detail) == (Phase.LOST, "cancelled before it started")
    assert local.starts(jobs[1]) == 0


def half_submitted(local: Local, job: JobSpec) -> Path:
    """The folder of an attempt whose starting the test can hold up: the name of its work folder comes by a pipe."""
    folder = local.folder / "attempts" / "active" / job.attempt
    folder.mkdir()
    os.mkfifo(folder / "work")
    (folder / "job.json").write_text(to_json(job))
    return folder


def test_a_cancel_in_the_very_moment_of_starting_is_heard(local: Local) -> None:
    job = spec(local.folder, script="cat")
    folder = half_submitted(local, job)
    watcher = Watcher(local.backend)
    watcher.look()
    with (folder / "work").open("w") as pipe:  # opens when the slot reads: it has found nothing against starting
        local.backend.cancel([job.attempt])
        (folder / "work").unlink()
        (folder / "work").write_text(str(work_of(job)))
        pipe.write(str(work_of(job)))
    told = watcher.until_over(job)[job.attempt]
    assert told.phase is Phase.LOST or reason(told) == "stopped"
    assert not work_of(job).exists()


def test_a_cancel_before_the_process_id_is_known_is_left_to_the_slot(local: Local) -> None:
    folder = local.folder / "attempts" / "active" / "abcd1234-1-1"
    folder.mkdir()
    (folder / "started").touch()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        local.backend.cancel(["abcd1234-1-1"])
    assert (folder / "unwanted").exists()


def test_a_process_id_that_another_program_may_have_now_is_not_signalled(local: Local) -> None:
    folder = local.folder / "attempts" / "active" / "abcd1234-1-1"
    folder.mkdir()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as stranger:
        (folder / "started").write_text(str(stranger.pid))
        local.backend.cancel(["abcd1234-1-1"])
        stranger.communicate()
    assert stranger.returncode == 0


# After the death of the process that submitted


def test_a_runner_that_a_dead_process_left_is_adopted(local: Local) -> None:
    job = local.job(1)
    path = local.folder / "job.json"
    path.write_text(to_json(job))
    root = Path(__file__).parents[3]
    script = SUBMITTER.format(
        root=str(root), pilots=str(root / "pilots"), attempts=str(local.folder / "attempts"), runner=str(local.runner)
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as child:
        local.underway(job)
        assert child.stdout
        assert child.stdout.readline().startswith("running")
        child.kill()
    watcher = Watcher(LocalBackend(local.folder / "attempts", local.runner, 1))
    running(watcher, job)
    local.end(job)
    told = watcher.until_over(job)[job.attempt]
    assert told.report
    assert told.report.succeeded
    assert local.starts(job) == 1
    watcher.backend.close()


def test_what_ended_while_nobody_looked_is_told(local: Local) -> None:
    job = spec(local.folder)
    local.backend.submit([job])
    Watcher(local.backend).until_over(job)
    local.backend.close()
    assert Watcher(local.reopen()).until_over(job)[job.attempt].phase is Phase.ENDED


def test_what_runs_is_taken_on_before_what_waits(local: Local) -> None:
    """With one slot: the runner of the dead process has it until it ends."""
    jobs = [local.job(1), local.job(2)]
    local.backend.submit([jobs[1], jobs[0]])
    local.underway(jobs[1])
    local.backend.close()
    watcher = Watcher(local.reopen())
    running(watcher, jobs[1])
    assert local.starts(jobs[0]) == 0
    local.end(jobs[1])
    local.underway(jobs[0])
    local.end(jobs[0])
    watcher.until_over(*jobs)


def test_an_attempt_that_was_half_written_when_the_process_died_is_completed(local: Local) -> None:
    job = spec(local.folder)
    folder = local.folder / "attempts" / "active" / job.attempt
    folder.mkdir()
    (folder / "job.json.part").write_text("{")
    assert local.backend.changes(None).observations == ()
    local.backend.submit([job])
    assert Watcher(local.backend).until_over(job)[job.attempt].phase is Phase.ENDED


@pytest.mark.parametrize(
    ("report", "detail"),
    [("{", "its report cannot be read: "), ('{"contract": 0}', "its report cannot be read: contract 0 where")],
)
def test_a_report_that_cannot_be_read_is_no_report(local: Local, report: str, detail: str) -> None:
    job = spec(local.folder)
    folder = local.folder / "attempts" / "active" / job.attempt
    folder.mkdir()
    for name, content in (("job.json", to_json(job)), ("started", "1"), ("work", str(work_of(job)))):
        (folder / name).write_text(content)
    (folder / "report.json").write_text(report)
    work_of(job).mkdir(parents=True)
    told = Watcher(local.backend).until_over(job)[job.attempt]
    assert told.phase is Phase.LOST
    assert told.detail.startswith(detail)
    assert not work_of(job).exists()


def ended_with_work(local: Local, job: JobSpec) -> Path:
    """An attempt whose runner has written its report and not removed its work folder: that, filled."""
    local.backend.submit([job])
    report = Watcher(local.backend).until_over(job)[job.attempt].report
    assert report
    folder = local.folder / "attempts" / "active" / job.attempt
    work = work_of(job)
    workdir.make(str(work), job.attempt)
    (work / "band.MS").mkdir()
    (work / "band.MS" / "table.f0").write_text("visibilities")
    local.backend = local.reopen()
    assert (folder / "report.json").exists()
    return work


def test_a_runner_that_is_killed_after_its_report_leaves_no_work_folder(local: Local) -> None:
    job = spec(local.folder)
    work = ended_with_work(local, job)
    told = Watcher(local.backend).until_over(job)[job.attempt]
    assert told.phase is Phase.ENDED
    assert not work.exists()


def test_a_work_folder_that_its_runner_was_to_keep_stays(local: Local) -> None:
    job = spec(local.folder)
    work = ended_with_work(local, job)
    workdir.keep(str(work))
    assert Watcher(local.backend).until_over(job)[job.attempt].phase is Phase.ENDED
    assert (work / "band.MS" / "table.f0").read_text() == "visibilities"


def test_an_attempt_whose_folder_is_broken_is_lost_and_the_slot_goes_on(local: Local) -> None:
    broken, sound = spec(local.folder, 1), spec(local.folder, 2)
    folder = local.folder / "attempts" / "active" / broken.attempt
    folder.mkdir()
    (folder / "job.json").write_text(to_json(broken))
    watcher = Watcher(local.backend)
    watcher.look()
    local.backend.submit([sound])
    told = watcher.until_over(broken, sound)
    assert told[broken.attempt].detail.startswith("it could not be started: ")
    assert told[sound.attempt].phase is Phase.ENDED


# The rest


def test_a_folder_that_cannot_be_written_is_a_trouble_of_the_backend(local: Local) -> None:
    active = local.folder / "attempts" / "active"
    active.rmdir()
    active.write_text("a file where a folder is needed")
    with pytest.raises(BackendError, match=f"cannot write {active}/abcd1234-1-1: Not a directory"):
        local.backend.submit([spec(local.folder)])


def test_what_was_told_is_put_away_with_its_log_and_report(local: Local) -> None:
    job, watcher = spec(local.folder), Watcher(local.backend)
    local.backend.submit([job])
    watcher.until_over(job)
    watcher.look()
    assert list((local.folder / "attempts" / "active").iterdir()) == []
    assert {"job.log", "report.json"} < {path.name for path in
                                         (local.folder / "attempts" / "ended" / job.attempt).iterdir()}  # fmt: skip


def test_a_putting_away_that_failed_is_repeated_and_loses_nothing(local: Local) -> None:
    jobs, watcher = [spec(local.folder, 1), spec(local.folder, 2)], Watcher(local.backend)
    first = local.backend.changes(None).cursor
    local.backend.submit(jobs)
    while sum(one.phase is Phase.ENDED for one in local.backend.changes(first).observations) < 2:
        local.backend.wait(PATIENCE_S)
    watcher.cursor = first
    watcher.look()
    ended = local.folder / "attempts" / "ended"
    ended.rename(local.folder / "aside")
    ended.mkdir()
    (ended / jobs[1].attempt).mkdir()
    (ended / jobs[1].attempt / "in the way").touch()
    with pytest.raises(BackendError, match=f"cannot put away .*/{jobs[1].attempt}: Directory not empty"):
        watcher.look()
    (ended / jobs[1].attempt / "in the way").unlink()
    watcher.look()
    assert sorted(path.name for path in ended.iterdir()) == [job.attempt for job in jobs]
    assert [watcher.phases(job)[-1] for job in jobs] == [Phase.ENDED, Phase.ENDED]


def test_waiting_ends_when_something_happens(local: Local) -> None:
    job = spec(local.folder)
    local.backend.changes(None)
    local.backend.submit([job])
    local.backend.wait(PATIENCE_S)
    assert local.backend.changes("0").observations


def test_a_closed_backend_leaves_no_thread_and_starts_nothing_more(local: Local) -> None:
    before = set(threading.enumerate())
    backend = LocalBackend(local.folder / "other", local.runner, 3)
    threads = set(threading.enumerate()) - before
    assert len(threads) == 3
    backend.close()
    backend.submit([spec(local.folder)])
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert not (local.folder / "other" / "active" / "abcd1234-1-1" / "started").exists()
