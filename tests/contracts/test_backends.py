"""What every backend promises, the fake of the engine's tests too: a fake that lies fails first."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.backends.base import LOG_NAME, REPORT_NAME
from lofargrid.states import Phase
from tests.contracts.backends import Harness, Watcher, reason


def test_an_attempt_is_queued_runs_and_ends_with_its_report(harness: Harness) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    watcher.look()
    harness.backend.submit([job])
    harness.underway(job)
    watcher.until(lambda latest: latest.get(job.attempt) is not None and latest[job.attempt].phase is Phase.RUNNING)
    harness.end(job)
    told = watcher.until_over(job)[job.attempt]
    assert told.phase is Phase.ENDED
    assert told.report
    assert (told.report.attempt, told.report.succeeded) == (job.attempt, True)
    assert told.report_text


def test_a_payload_that_fails_ends_with_a_report_that_says_why(harness: Harness) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    harness.backend.submit([job])
    harness.end(job, 3)
    told = watcher.until_over(job)[job.attempt]
    assert (told.phase, reason(told)) == (Phase.ENDED, "payload-failed")


def test_the_same_attempt_handed_over_again_is_not_started_again(harness: Harness) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    for _ in range(2):
        harness.backend.submit([job])
    harness.underway(job)
    harness.backend.submit([job])
    harness.end(job)
    watcher.until_over(job)
    watcher.look()
    harness.backend.submit([job])
    watcher.look()
    assert harness.starts(job) == 1
    assert watcher.latest[job.attempt].phase is Phase.ENDED


def test_nothing_can_be_handed_over_too(harness: Harness) -> None:
    harness.backend.submit([])
    assert harness.backend.changes(None).observations == ()


def test_what_was_handed_over_is_known_at_once_to_who_asks_for_everything(harness: Harness) -> None:
    jobs = [harness.job(number) for number in (1, 2, 3)]
    harness.backend.submit(jobs)
    known = harness.backend.changes(None).observations
    assert sorted(one.attempt for one in known) == [job.attempt for job in jobs]
    assert {one.phase for one in known} <= {Phase.QUEUED, Phase.RUNNING}


def test_who_asks_for_everything_hears_each_attempt_once_as_it_is_now(harness: Harness) -> None:
    jobs, watcher = [harness.job(number) for number in (1, 2)], Watcher(harness.backend)
    harness.backend.submit(jobs)
    harness.underway(jobs[0])
    harness.underway(jobs[1])
    harness.end(jobs[0])
    watcher.until(
        lambda latest: (
            [latest.get(job.attempt) and latest[job.attempt].phase for job in jobs] == [Phase.ENDED, Phase.RUNNING]
        )
    )
    everything = harness.backend.changes(None).observations
    assert {one.attempt: one.phase for one in everything} == {
        jobs[0].attempt: Phase.ENDED,
        jobs[1].attempt: Phase.RUNNING,
    }
    assert len(everything) == 2


def test_a_cursor_may_be_asked_with_twice(harness: Harness) -> None:
    """The answer may have been lost on its way into the tracker."""
    job = harness.job(1)
    first = harness.backend.changes(None)
    harness.backend.submit([job])
    harness.underway(job)
    harness.end(job)
    watcher = Watcher(harness.backend)
    watcher.cursor = first.cursor
    watcher.until_over(job)
    for _ in range(3):
        again = harness.backend.changes(first.cursor)
        assert again.observations[-1].phase is Phase.ENDED
        assert again.cursor == watcher.cursor


def test_what_was_told_is_not_told_again(harness: Harness) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    harness.backend.submit([job])
    harness.end(job)
    watcher.until_over(job)
    for _ in range(3):
        assert harness.backend.changes(watcher.cursor).observations == ()


def test_a_cursor_may_be_asked_with_twice_also_after_some_were_told(harness: Harness) -> None:
    jobs, watcher = [harness.job(number) for number in (1, 2)], Watcher(harness.backend)
    harness.backend.submit(jobs)
    for job in jobs:
        harness.underway(job)
    harness.end(jobs[0])
    watcher.until_over(jobs[0])
    told = watcher.cursor
    harness.end(jobs[1])
    watcher.until_over(jobs[1])
    for _ in range(2):
        assert [one.attempt for one in harness.backend.changes(told).observations] == [jobs[1].attempt]


def test_another_process_finds_what_runs_and_hears_how_it_ends(harness: Harness) -> None:
    job = harness.job(1)
    harness.backend.submit([job])
    harness.underway(job)
    watcher = Watcher(harness.reopen())
    watcher.until(lambda latest: job.attempt in latest)
    harness.end(job)
    told = watcher.until_over(job)[job.attempt]
    assert (told.phase, harness.starts(job)) == (Phase.ENDED, 1)


def test_a_cancelled_attempt_that_runs_is_stopped(harness: Harness) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    watcher.look()
    harness.backend.submit([job])
    harness.underway(job)
    harness.backend.cancel([job.attempt])
    told = watcher.until_over(job)[job.attempt]
    assert (told.phase, reason(told)) == (Phase.ENDED, "stopped")


def test_another_process_can_cancel_what_runs(harness: Harness) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    watcher.look()
    harness.backend.submit([job])
    harness.underway(job)
    harness.reopen().cancel([job.attempt])
    assert reason(watcher.until_over(job)[job.attempt]) == "stopped"


def test_cancelling_the_unknown_and_the_ended_does_nothing(harness: Harness) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    harness.backend.submit([job])
    harness.end(job)
    watcher.until_over(job)
    for _ in range(2):
        harness.backend.cancel([job.attempt, "ffffffff-1-1"])
    watcher.look()
    harness.backend.cancel([job.attempt])
    watcher.look()
    assert watcher.phases(job)[-1] is Phase.ENDED
    assert watcher.phases(job).count(Phase.ENDED) == 1


def test_cancelling_twice_is_cancelling_once(harness: Harness) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    watcher.look()
    harness.backend.submit([job])
    harness.underway(job)
    harness.backend.cancel([job.attempt])
    harness.backend.cancel([job.attempt])
    watcher.until_over(job)
    watcher.look()
    assert [phase for phase in watcher.phases(job) if phase in (Phase.ENDED, Phase.LOST)] == [Phase.ENDED]


def test_the_log_can_be_had_while_the_attempt_runs(harness: Harness, tmp_path: Path) -> None:
    job = harness.job(1)
    harness.backend.submit([job])
    harness.underway(job)
    into = _folder(tmp_path)
    got = [path.name for path in harness.backend.fetch(job.attempt, into)]
    assert LOG_NAME in got
    assert REPORT_NAME not in got
    assert job.job in (into / LOG_NAME).read_text()


@pytest.mark.parametrize("looks", [1, 3])
def test_log_and_report_can_be_had_after_a_failure_however_often_it_was_told(
    harness: Harness, tmp_path: Path, looks: int
) -> None:
    job, watcher = harness.job(1), Watcher(harness.backend)
    harness.backend.submit([job])
    harness.end(job, 1)
    watcher.until_over(job)
    for _ in range(looks - 1):
        watcher.look()
    into = _folder(tmp_path)
    got = {path.name for path in harness.backend.fetch(job.attempt, into)}
    assert {LOG_NAME, REPORT_NAME} <= got
    assert "payload-failed" in (into / REPORT_NAME).read_text()


def test_of_an_unknown_attempt_there_is_nothing_to_have(harness: Harness, tmp_path: Path) -> None:
    assert harness.backend.fetch("ffffffff-1-1", _folder(tmp_path)) == []


def test_a_closed_backend_lets_run_what_runs(harness: Harness) -> None:
    job = harness.job(1)
    harness.backend.submit([job])
    harness.underway(job)
    harness.backend.close()
    harness.end(job)
    watcher = Watcher(harness.reopen())
    told = watcher.until_over(job)[job.attempt]
    assert told.report
    assert told.report.succeeded


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "fetched"
    folder.mkdir()
    return folder
