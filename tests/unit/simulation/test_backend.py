"""What the batch systems tell, also when they tell it late, twice, or never. See tests/contracts for the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from lofargrid_runner.contract import Limits

from lofargrid.errors import BackendError
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.nodes import Trouble
from lofargrid.states import Phase
from tests.unit.simulation.grids import grid, history, later, reason, run, spec, submit, told

LOST_S = 1200.0


def on(one: Grid, number: int = 0, **changes: object) -> str:
    """An attempt at work on the first node of NEAR."""
    job = submit(one, number, node=one.nodes["NEAR"][0].host, **changes)[0]
    later(one, 60.0)
    assert told(one)[job.attempt].phase is Phase.RUNNING
    return job.attempt


def broken(one: Grid, trouble: Trouble, lasts_s: float | None = None) -> None:
    """The first node of NEAR breaks now."""
    one.breakdowns.plan(one.nodes["NEAR"][0], trouble, one.clock.elapsed_s, lasts_s)
    later(one, 1.0)


def test_no_more_run_at_once_than_there_are_slots() -> None:
    one = grid()
    submit(one, *range(10))
    later(one, 100.0)
    assert (one.backend.running, one.backend.queued("NEAR"), one.backend.queued("FAR")) == (4, 6, 0)


def test_who_came_first_is_served_first() -> None:
    one = grid()
    run(one, *submit(one, *range(12)))
    started = [line.split("-")[1] for line in one.trace.lines if " start " in line]
    groups = [sorted(map(int, started[first : first + 4])) for first in (0, 4, 8)]
    assert groups == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_nodes_may_run_several_jobs_at_once() -> None:
    one = grid(slots_per_node=3)
    assert [node.slots for node in one.nodes["NEAR"]] == [3, 1]
    submit(one, *range(10))
    later(one, 100.0)
    nodes = [observation.node for observation in told(one).values() if observation.node]
    assert sorted(nodes.count(host) for host in {*nodes}) == [1, 3]


def test_who_asks_for_more_memory_than_nodes_have_waits_and_keeps_nobody_back() -> None:
    one = grid()
    large = submit(one, 1, limits=Limits(3600, 99_000))[0]
    run(one, *submit(one, 2, 3))
    assert history(one, large.attempt) == [Phase.QUEUED]


def test_a_site_without_a_batch_system_takes_no_jobs() -> None:
    with pytest.raises(BackendError, match="abcd1234-1-1: no batch system at 'NOWHERE'"):
        grid().backend.submit([spec(1, site="NOWHERE")])


def test_waiting_passes_virtual_time_until_something_changes_and_a_moment_more() -> None:
    one = grid()
    one.backend.wait(500.0)
    assert one.clock.elapsed_s == 500.0
    submit(one, 1)
    one.backend.wait(0.0)
    one.backend.wait(9000.0)
    started_s = next(float(line.split()[0]) for line in one.trace.lines if " start " in line)
    assert one.clock.elapsed_s == pytest.approx(started_s + one.backend.settle_s, abs=0.001)
    one.backend.wait(9000.0)
    assert told(one)["abcd1234-1-1"].phase is Phase.ENDED


def test_what_is_cancelled_before_it_starts_never_starts() -> None:
    one = grid()
    job = submit(one, 1)[0]
    one.backend.cancel([job.attempt])
    later(one, 1000.0)
    assert history(one, job.attempt) == [Phase.QUEUED, Phase.LOST]


def test_an_attempt_on_a_node_that_dies_is_lost_after_a_grace_time_and_leaves_what_it_left() -> None:
    one = grid()
    attempt = on(one)
    broken(one, Trouble.DEAD)
    later(one, LOST_S - 10.0)
    assert history(one, attempt) == [Phase.QUEUED, Phase.RUNNING]
    later(one, 10.0)
    assert history(one, attempt)[2:] == [Phase.LOST]
    later(one, 5000.0)
    assert history(one, attempt)[2:] == [Phase.LOST]
    assert one.measure.causes() == {attempt: Cause.NODE_DEAD}


def test_some_batch_systems_take_up_to_a_day_to_tell() -> None:
    one = grid(Faults(slow_to_tell=1.0))
    attempt = on(one)
    broken(one, Trouble.DEAD)
    later(one, LOST_S)
    assert told(one)[attempt].phase is Phase.RUNNING
    later(one, 86400.0)
    assert told(one)[attempt].phase is Phase.LOST


def test_a_dead_node_takes_no_jobs_until_it_is_mended() -> None:
    one = grid()
    broken(one, Trouble.DEAD, 5000.0)
    job = submit(one, 1, node=one.nodes["NEAR"][0].host)[0]
    later(one, 4000.0)
    assert told(one)[job.attempt].phase is Phase.QUEUED
    assert reason(run(one, job)[0]) is None


def test_a_dead_node_is_no_choice_for_anybody() -> None:
    one = grid()
    for node in one.nodes["NEAR"][1:]:
        one.breakdowns.plan(node, Trouble.DEAD, 0.0)
    run(one, *submit(one, 1, 2, 3))
    assert {past.node for past in one.measure.attempts} == {one.nodes["NEAR"][0].host}


def test_an_attempt_cut_off_goes_on_after_it_was_called_lost_and_may_come_back_late() -> None:
    one = grid()
    attempt = on(one, limits=Limits(9999, 4000))
    broken(one, Trouble.CUT_OFF, 1e5)
    later(one, LOST_S + 200.0)
    assert one.measure.attempts[0].succeeded, "it has written its outputs"
    assert history(one, attempt) == [Phase.QUEUED, Phase.RUNNING, Phase.LOST]
    assert len(one.files.inside("davs://near.example/scratch/field")) == 1


def test_of_many_cut_off_nodes_some_bring_their_reports_home_and_some_forget_them() -> None:
    one = grid(near={"slots": 30})
    jobs = submit(one, *range(30))
    later(one, 60.0)
    for node in one.nodes["NEAR"]:
        one.breakdowns.plan(node, Trouble.CUT_OFF, 100.0, 5000.0)
    later(one, 10_000.0)
    ends = [history(one, job.attempt)[2:] for job in jobs]
    assert {tuple(end) for end in ends} == {(Phase.LOST,), (Phase.LOST, Phase.ENDED)}


def test_an_attempt_whose_node_is_back_in_time_is_not_lost() -> None:
    one = grid()
    attempt = on(one)
    broken(one, Trouble.CUT_OFF, LOST_S / 4)
    later(one, 3 * LOST_S)
    assert history(one, attempt) == [Phase.QUEUED, Phase.RUNNING, Phase.ENDED]


def test_an_attempt_cut_off_hears_that_it_is_cancelled_when_its_node_is_back() -> None:
    one = grid()
    attempt = on(one)
    broken(one, Trouble.CUT_OFF, 300.0)
    one.backend.cancel([attempt])
    later(one, 100.0)
    assert one.backend.running == 1
    later(one, 300.0)
    assert reason(told(one)[attempt]) == "stopped"


def test_a_held_job_says_why_and_some_are_let_go_by_themselves() -> None:
    one = grid(Faults(held=1.0), near={"slots": 1})
    jobs = submit(one, *range(30))
    later(one, 61.0)
    held = [job for job in jobs if told(one)[job.attempt].phase is Phase.HELD]
    assert len(held) >= 28, "but for one that started before it could be held"
    assert all(told(one)[job.attempt].detail for job in held)
    assert all(history(one, job.attempt)[-1] is not Phase.HELD for job in jobs if job not in held)
    later(one, 100_000.0)
    still = [job for job in held if told(one)[job.attempt].phase is Phase.HELD]
    assert 0 < len(still) < len(held)
    one.backend.cancel([job.attempt for job in still])
    assert {told(one)[job.attempt].phase for job in still} == {Phase.LOST}


def test_a_job_that_runs_is_not_held_any_more_and_one_that_is_cancelled_is_not_let_go() -> None:
    one = grid(Faults(held=1.0), near={"slots": 30})
    jobs = submit(one, *range(30))
    later(one, 61.0)
    running = [job.attempt for job in jobs if Phase.RUNNING in history(one, job.attempt)]
    assert len(running) > 3
    one.backend.cancel([job.attempt for job in jobs])
    later(one, 100_000.0)
    ends = {tuple(history(one, job.attempt)) for job in jobs if job.attempt not in running}
    assert ends == {(Phase.QUEUED, Phase.HELD, Phase.LOST)}
    assert {tuple(history(one, attempt)) for attempt in running} == {(Phase.QUEUED, Phase.RUNNING, Phase.ENDED)}


def test_a_report_may_be_lost_on_its_way() -> None:
    one = grid(Faults(report_lost=1.0))
    observation = run(one, *submit(one, 1))[0]
    assert (observation.phase, observation.report, observation.report_text) == (Phase.ENDED, None, "")
    assert one.measure.attempts[0].succeeded
    assert one.trace.faults[Cause.REPORT_LOST] == 1


def test_what_is_told_late_does_not_go_before_what_happened_later() -> None:
    one = grid(Faults(told_late=0.5, told_late_s=3000.0))
    jobs = submit(one, *range(40))
    later(one, 50_000.0)
    assert {observation.phase for observation in told(one).values()} == {Phase.ENDED}
    orders = {tuple(history(one, job.attempt)) for job in jobs}
    assert (Phase.QUEUED, Phase.ENDED, Phase.RUNNING) in orders, "the news themselves do come in that order"


def test_what_was_handed_over_is_known_at_once_however_late_the_rest_is_told() -> None:
    one = grid(Faults(told_late=1.0))
    jobs = submit(one, *range(5))
    assert {job.attempt: Phase.QUEUED for job in jobs} == {key: seen.phase for key, seen in told(one).items()}


def test_news_may_be_told_again_and_out_of_order_but_none_is_missed() -> None:
    one = grid(Faults(told_again=0.5, shuffled=0.5))
    jobs, cursor, heard = submit(one, *range(20)), "0", []
    for _ in range(60):
        one.backend.wait(1000.0)
        changes = one.backend.changes(cursor)
        cursor = changes.cursor
        heard += changes.observations
    keys = [(seen.attempt, seen.phase) for seen in heard]
    phases = (Phase.QUEUED, Phase.RUNNING, Phase.ENDED)
    assert {*keys} == {(job.attempt, phase) for job in jobs for phase in phases}
    assert len(keys) > len({*keys})
    assert one.trace.faults[Cause.TOLD_AGAIN] > 0


@pytest.mark.parametrize("fault", ["call_refused", "answer_lost", "call_cut_short"])
def test_a_call_that_fails_may_have_been_carried_out_in_part_or_whole(fault: str) -> None:
    one = grid(Faults(**{fault: 1.0}))
    with pytest.raises(BackendError, match="cannot submit jobs: backend service:"):
        one.backend.submit([spec(number) for number in range(50)])
    taken = one.backend.queued("NEAR")
    assert {"call_refused": taken == 0, "answer_lost": taken == 50, "call_cut_short": 0 < taken < 50}[fault]


def test_a_doubled_call_starts_nothing_twice() -> None:
    one = grid(Faults(call_doubled=1.0))
    run(one, *submit(one, 1, 2))
    assert sorted(past.attempt for past in one.measure.attempts) == ["abcd1234-1-1", "abcd1234-2-1"]


def test_a_slow_call_takes_virtual_time() -> None:
    one = grid(Faults(call_slow=1.0, call_slow_s=100.0))
    one.backend.changes(None)
    assert one.clock.elapsed_s > 0


def test_a_log_names_its_owner_and_tells_how_far_the_attempt_is(tmp_path: Path) -> None:
    one = grid()
    job = submit(one, 1)[0]
    later(one, 200.0)
    text = one.backend.fetch(job.attempt, tmp_path)[0].read_text()
    assert "owner: someone\n" in text
    assert "SIGTERM is safe" in text
    assert text.endswith("payload\n")
