"""What happens to attempts on nodes, told through the backend."""

from __future__ import annotations

from typing import Any

import pytest
from lofargrid_runner.contract import Check, Limits, OutputFile, Reason, Report, report_from_json

from lofargrid.frequency import absolute_subband
from lofargrid.simulation.faults import Cause, Faults, Flaw
from lofargrid.simulation.files import checksum
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.life import Fate, fate_of
from lofargrid.simulation.nodes import Trouble
from lofargrid.simulation.streams import Streams
from lofargrid.simulation.tape import Library
from lofargrid.simulation.work import StepCost, Work
from lofargrid.states import Phase
from tests.unit.simulation.grids import (
    PAYLOAD_S,
    SIZE_BYTES,
    add_input,
    grid,
    history,
    later,
    reason,
    run,
    spec,
    submit,
    told,
    url,
)

SCRATCH = "davs://near.example/scratch/field"


def report_of(one: Grid, *args: Any, **changes: Any) -> Report:
    observation = run(one, *submit(one, 7, **changes))[0]
    assert observation.report
    return observation.report


def cause(one: Grid, attempt: str = "abcd1234-7-1") -> Cause | None:
    return one.measure.causes().get(attempt)


def test_a_sound_attempt_goes_through_all_stages_and_reports_as_the_runner_does() -> None:
    one = grid()
    job = submit(one, 7)[0]
    observation = run(one, job)[0]
    report = observation.report
    assert report
    assert report_from_json(observation.report_text) == report
    assert history(one, job.attempt) == [Phase.QUEUED, Phase.RUNNING, Phase.ENDED]
    assert (report.attempt, report.job, report.stage, report.exit_code) == (job.attempt, job.job, "done", 0)
    assert list(report.seconds) == ["probe", "stage-in", "setup", "payload", "checks", "stage-out"]
    assert report.seconds["payload"] == PAYLOAD_S
    assert report.seconds["stage-in"] == pytest.approx(SIZE_BYTES / 1e6 / 200 + 1)
    assert (report.peak_memory_mb, report.cpu_s) == (2000.0, PAYLOAD_S)
    assert (report.node["host"], report.ids["batch"]) == (observation.node, observation.batch_id)
    assert one.measure.attempts[0].core_seconds == pytest.approx(sum(report.seconds.values()), abs=0.1)


def test_its_output_stands_on_scratch_as_reported() -> None:
    one = grid()
    report = report_of(one)
    stored = report.outputs[0]
    file = one.files.get(stored.url)
    assert file
    assert stored.url == f"{SCRATCH}/L1-SAP000-SB007-first.MS.abcd1234-7-1"
    assert (file.size_bytes, file.adler32, file.complete) == (stored.size_bytes, stored.adler32, True)
    assert stored.size_bytes == SIZE_BYTES // 2
    assert [(one.name, one.size_bytes, one.verified) for one in report.transfers] == [
        ("raw", SIZE_BYTES, True), ("ms", SIZE_BYTES // 2, False),
    ]  # fmt: skip


def test_a_job_over_a_subband_measures_where_it_lies() -> None:
    measured = report_of(grid()).measurements["look"]
    place = absolute_subband(measured["centre_frequency_hz"], measured["clock_mhz"])
    assert (place.zone, place.abn, measured["centre_frequency_hz"]) == (2, 7, place.frequency_hz)


def test_what_is_made_depends_on_the_job_and_on_what_it_read_and_on_nothing_else() -> None:
    def made(**changes: Any) -> str:
        one = grid(seed=changes.pop("seed", 1))
        inputs = [add_input(one, number) for number in changes.pop("numbers", (1, 2))]
        job = spec(7, inputs, **changes)
        one.backend.submit([job])
        report = run(one, job)[0].report
        assert report
        return report.outputs[0].adler32

    assert made() == made(attempt=5, seed=9, site="FAR", numbers=(2, 1)) == made(limits=Limits(9999, 8000))
    others = [made(numbers=(1,)), made(numbers=(1, 2, 2)), made(numbers=(1, 3)), made(job="L1-SAP000-SB008-first")]
    assert len({made(), *others}) == 5


def test_data_comes_over_the_wide_area_link_to_another_site() -> None:
    one = grid()
    report = report_of(one, site="FAR")
    assert report.seconds["stage-in"] == pytest.approx(SIZE_BYTES / 1e6 / 20 + 1)
    assert sum(one.network.wide["NEAR"].moved_mb.values()) == pytest.approx(1.5 * SIZE_BYTES / 1e6), "there and back"


@pytest.mark.parametrize(
    ("flaw", "expected"),
    [
        (Flaw.MISSING, Reason.INPUT_MISSING),
        (Flaw.CORRUPT, Reason.INPUT_CORRUPT),
        (Flaw.TRUNCATED, Reason.INPUT_CORRUPT),
        (Flaw.CHOKING, Reason.PAYLOAD_FAILED),
        (Flaw.CRASHING, Reason.PAYLOAD_CRASHED),
    ],
)
def test_a_bad_file_fails_the_job_that_reads_it_on_every_node(flaw: Flaw, expected: Reason) -> None:
    one = grid()
    first = submit(one, 7, flaw=flaw)[0]
    again = first._replace(attempt="abcd1234-7-2", avoid=(run(one, first)[0].node,))
    one.backend.submit([again])
    assert [reason(observation) for observation in run(one, first, again)] == [expected, expected]
    assert [past.cause for past in one.measure.attempts] == [Cause.BAD_FILE] * 2
    assert one.measure.attempts[0].node != one.measure.attempts[1].node
    assert one.files.inside(SCRATCH) == []


@pytest.mark.parametrize(("flaw", "expected"), [(Flaw.TRUNCATED, "input-truncated"), (Flaw.CORRUPT, "input-corrupt")])
def test_a_bad_file_of_which_nothing_is_promised_is_found_when_it_is_unpacked(flaw: Flaw, expected: str) -> None:
    one = grid()
    job = spec(7, [add_input(one, 7, flaw)._replace(size_bytes=None, adler32=None)])
    one.backend.submit([job])
    assert reason(run(one, job)[0]) == expected


def test_a_file_that_nobody_placed_is_missing_and_not_for_being_bad() -> None:
    one = grid()
    job = spec(7, [add_input(grid(), 7)])
    one.backend.submit([job])
    assert reason(run(one, job)[0]) == "input-missing"
    assert cause(one) is Cause.FILE_ABSENT


def test_a_file_that_goes_while_it_is_read_is_told() -> None:
    one = grid()
    job = submit(one, 7, site="FAR")[0]
    later(one, 60.0)
    one.storage.delete(url(7))
    assert reason(run(one, job)[0]) == "input-unreadable"


def test_a_file_on_tape_only_cannot_be_read() -> None:
    one = grid(libraries={"NEAR": Library()})
    job = spec(7, [add_input(one, 7, on_tape=True)])
    one.backend.submit([job])
    assert reason(run(one, job)[0]) == "input-nearline"
    assert cause(one) is Cause.NOT_ONLINE


def test_who_needs_more_memory_than_is_granted_is_stopped_on_the_way_and_tells_how_far_it_came() -> None:
    report = report_of(one := grid(), limits=Limits(3600, 1500))
    assert (report.reason, report.stage) == ("out-of-memory", "payload")
    assert 1500 <= report.peak_memory_mb <= 1575
    assert 0.3 * PAYLOAD_S <= report.seconds["payload"] <= 0.9 * PAYLOAD_S
    assert cause(one) is Cause.OUT_OF_MEMORY
    assert report_of(grid(), limits=Limits(3600, 2000)).succeeded


def test_who_needs_more_time_than_is_granted_is_stopped_at_its_end() -> None:
    report = report_of(one := grid(), limits=Limits(999, 4000))
    assert (report.reason, report.seconds["payload"]) == ("out-of-time", 999.0)
    assert cause(one) is Cause.OUT_OF_TIME
    assert report_of(grid(), limits=Limits(1000, 4000)).succeeded
    assert report_of(grid(), limits=Limits(800, 4000), overtime_s=200).succeeded
    assert report_of(grid(), limits=Limits(800, 4000), overtime_s=199).seconds["payload"] == 999.0


def test_a_job_takes_the_same_at_every_attempt_and_another_job_something_else() -> None:
    work = Work(other=StepCost(seconds=PAYLOAD_S, memory_mb=1000.0, spread=0.3))
    one = grid(work=work)
    jobs = submit(one, 7, 8)
    again = jobs[0]._replace(attempt="abcd1234-7-2")
    one.backend.submit([again])
    reports = [observation.report for observation in run(one, *jobs, again)]
    payloads = [(report.seconds["payload"], report.peak_memory_mb) for report in reports if report]
    assert payloads[0] == payloads[2] != payloads[1]
    assert payloads[0][0] != pytest.approx(PAYLOAD_S), "it is spread"


def test_a_step_that_has_costs_of_its_own_takes_those() -> None:
    work = Work({"first": StepCost(10.0, 100.0, 500.0, 50.0, 2.0, 0.0)}, StepCost(9999.0))
    report = report_of(grid(work=work))
    assert (report.seconds["payload"], report.peak_memory_mb) == (pytest.approx(210.0), pytest.approx(600.0))
    assert report.outputs[0].size_bytes == 2 * SIZE_BYTES


def test_checks_take_their_time_and_several_outputs_share_what_is_written() -> None:
    outputs = (OutputFile("a", "a", "a.MS"), OutputFile("b", "b", "b.MS"))
    report = report_of(grid(), checks=(Check("look", ("inspect",)),), outputs=outputs)
    assert report.seconds["checks"] == 10.0
    assert [one.size_bytes for one in report.outputs] == [SIZE_BYTES // 4] * 2
    assert report.outputs[0].adler32 != report.outputs[1].adler32


def test_a_failed_attempt_keeps_its_slot_until_it_has_lingered() -> None:
    one = grid()
    host = one.nodes["NEAR"][0].host
    jobs = submit(one, 1, 2, node=host, flaw=Flaw.MISSING, linger_s=600)
    later(one, 400.0)
    assert [told(one)[job.attempt].phase for job in jobs] == [Phase.RUNNING, Phase.QUEUED]
    run(one, *jobs)
    first, second = one.measure.attempts
    assert first.core_seconds == pytest.approx(600.0)
    assert second.started_s >= first.ended_s


def test_a_failure_later_than_that_and_a_success_do_not_linger() -> None:
    one = grid()
    jobs = submit(one, 1, linger_s=900) + submit(one, 2, limits=Limits(999, 4000), linger_s=900)
    run(one, *jobs)
    assert all(past.core_seconds < PAYLOAD_S + 60 for past in one.measure.attempts)


def test_who_lingers_can_be_stopped_and_says_why_it_failed() -> None:
    one = grid()
    job = submit(one, 1, flaw=Flaw.MISSING, linger_s=6000)[0]
    later(one, 100.0)
    one.backend.cancel([job.attempt])
    later(one, 10.0)
    assert reason(told(one)[job.attempt]) == "input-missing"


def test_who_is_stopped_does_not_linger() -> None:
    one = grid()
    job = submit(one, 1, linger_s=6000)[0]
    later(one, 100.0)
    one.backend.cancel([job.attempt])
    later(one, 10.0)
    assert reason(told(one)[job.attempt]) == "stopped"


@pytest.mark.parametrize("hole", [Reason.PAYLOAD_FAILED, Reason.SOFTWARE_UNREACHABLE, Reason.NODE_UNFIT,
                                  Reason.SCRATCH_FULL, Reason.PAYLOAD_CRASHED])  # fmt: skip
def test_a_black_hole_fails_everything_fast_in_its_own_way(hole: Reason) -> None:
    one = grid()
    node = one.nodes["NEAR"][1]
    one.breakdowns.plan(node, Trouble.BLACK_HOLE, 0.0, None, hole)
    jobs = submit(one, 1, 2, node=node.host)
    assert [reason(observation) for observation in run(one, *jobs)] == [hole, hole]
    assert all(past.core_seconds < 20 for past in one.measure.attempts)
    assert [past.cause for past in one.measure.attempts] == [Cause.BLACK_HOLE] * 2


def test_the_worst_black_hole_does_not_even_report() -> None:
    one = grid()
    node = one.nodes["NEAR"][1]
    one.breakdowns.plan(node, Trouble.BLACK_HOLE, 0.0)
    observation = run(one, *submit(one, 1, node=node.host, linger_s=600))[0]
    assert (observation.phase, observation.report, observation.node) == (Phase.ENDED, None, node.host)
    assert one.measure.attempts[0].core_seconds < 20, "what does not start does not linger"


@pytest.mark.parametrize("hole", [Reason.PAYLOAD_FAILED, Reason.NODE_UNFIT, None])
def test_a_probe_fails_on_a_broken_node_and_succeeds_when_it_is_mended(hole: Reason | None) -> None:
    one = grid()
    node = one.nodes["NEAR"][1]
    one.breakdowns.plan(node, Trouble.BLACK_HOLE, 0.0, 3600.0, hole)
    probe = spec(0, step="probe", commands=(), outputs=(), node=node.host, production="", destination="")
    one.backend.submit([probe])
    report = run(one, probe)[0].report
    assert not report if hole is None else report and report.reason == "node-unfit"
    later(one, 3600.0)
    again = probe._replace(attempt="abcd1234-probe-2")
    one.backend.submit([again])
    report = run(one, again)[0].report
    assert report
    assert (report.succeeded, report.seconds["payload"]) == (True, 0.0)


def test_a_node_whose_scratch_is_full_takes_no_data() -> None:
    one = grid()
    node = one.nodes["NEAR"][1]
    one.breakdowns.plan(node, Trouble.SCRATCH_FULL, 0.0)
    assert reason(run(one, *submit(one, 1, node=node.host))[0]) == "scratch-full"


def test_a_node_with_less_scratch_than_is_asked_for_is_unfit() -> None:
    one = grid(near={"scratch_mb": 5000})
    assert reason(run(one, *submit(one, 1, limits=Limits(3600, 4000, 6000)))[0]) == "node-unfit"


@pytest.mark.parametrize(
    ("trouble", "place", "expected"),
    [
        (Cause.SOFTWARE_DOWN, "NEAR", "software-unreachable"),
        (Cause.STORAGE_DOWN, "NEAR", "storage-unavailable"),
        (Cause.STORAGE_FULL, "NEAR", "storage-full"),
        (Cause.CREDENTIAL_EXPIRED, "*", "credential-expired"),
        (Cause.CREDENTIAL_REFUSED, "NEAR", "credential-refused"),
    ],
)
def test_a_trouble_of_the_site_fails_what_meets_it_and_nothing_after_it(
    trouble: Cause, place: str, expected: str
) -> None:
    one = grid()
    one.weather.add(trouble, place, 0.0, 4000.0)
    job = submit(one, 1)[0]
    assert reason(run(one, job)[0]) == expected
    assert cause(one, job.attempt) is trouble
    assert one.trace.faults[trouble] == 1
    later(one, 4000.0)
    assert reason(run(one, *submit(one, 2))[0]) is None


def test_a_trouble_elsewhere_harms_nobody_here() -> None:
    one = grid()
    for trouble in (Cause.SOFTWARE_DOWN, Cause.STORAGE_DOWN, Cause.STORAGE_FULL):
        one.weather.add(trouble, "FAR", 0.0, 9000.0)
    assert reason(run(one, *submit(one, 1))[0]) is None


def test_a_fault_at_every_attempt_is_written_down_with_its_cause() -> None:
    for fault, expected in (("evicted", "evicted"), ("payload_crashed", "payload-crashed"), ("runner_killed", None)):
        one = grid(Faults(**{fault: 1.0}))
        observations = run(one, *submit(one, *range(12)))
        failed = [one for one in observations if not (one.report and one.report.succeeded)]
        assert len(failed) >= 8
        assert {one.report and one.report.reason for one in failed} == {expected}
        causes = set(one.measure.causes().values())
        assert len(causes) == 1
        assert one.trace.faults[next(iter(causes))] == len(failed)


def test_a_runner_killed_while_it_stores_leaves_half_a_file_under_the_name_of_its_attempt() -> None:
    one = grid(Faults(runner_killed=1.0))
    run(one, *submit(one, *range(40)))
    left = [one.files.get(place) for place in one.files.inside(SCRATCH)]
    assert left
    assert not any(file.complete for file in left if file)


@pytest.mark.parametrize("fault", ["evicted", "payload_crashed"])
def test_a_runner_that_can_report_leaves_nothing_behind(fault: str) -> None:
    one = grid(Faults(**{fault: 1.0}))
    outputs = (OutputFile("a", "a", "a.MS"), OutputFile("b", "b", "b.MS"))
    observations = run(one, *submit(one, *range(40), outputs=outputs))
    assert all(len(seen.report.outputs) == 2 * seen.report.succeeded for seen in observations if seen.report)
    stored = [file.url for seen in observations if seen.report for file in seen.report.outputs]
    assert one.files.inside(SCRATCH) == sorted(stored)


def test_who_is_stopped_while_it_stores_takes_back_what_it_stored() -> None:
    one = grid()
    job = submit(one, 1, site="FAR")[0]  # 100 s to bring it, 1000 s to work, 50 s to store
    while not one.files.inside(SCRATCH):
        later(one, 1.0)
    one.backend.cancel([job.attempt])
    assert reason(run(one, job)[0]) == "stopped"
    assert one.files.inside(SCRATCH) == []


@pytest.mark.parametrize("trouble", [Cause.STORAGE_DOWN, Cause.CREDENTIAL_REFUSED])
def test_who_cannot_reach_the_storage_cannot_take_back_what_it_stored(trouble: Cause) -> None:
    one = grid()
    job = submit(one, 1, site="FAR")[0]
    while not one.files.inside(SCRATCH):
        later(one, 1.0)
    one.weather.add(trouble, "NEAR", one.clock.elapsed_s, 1e6)
    one.backend.cancel([job.attempt])
    assert reason(run(one, job)[0]) == "stopped"
    assert len(one.files.inside(SCRATCH)) == 1


@pytest.mark.parametrize("fault", ["hungry_jobs", "long_jobs"])
def test_a_greedy_job_needs_up_to_twice_what_it_was_granted_first(fault: str) -> None:
    one = grid(Faults(**{fault: 1.0}))
    jobs = [*submit(one, 1, limits=Limits(2000, 3000)), *submit(one, 2, limits=Limits(2000, 3000))]
    expected = "out-of-memory" if fault == "hungry_jobs" else "out-of-time"
    assert [reason(observation) for observation in run(one, *jobs)] == [expected] * 2
    again = [job._replace(attempt=f"{job.attempt[:-1]}2", limits=Limits(4000, 6000)) for job in jobs]
    one.backend.submit(again)
    assert [reason(observation) for observation in run(one, *again)] == [None, None]
    assert sum(one.trace.faults.values()) == 2


@pytest.mark.parametrize(("overtime_s", "idle_s"), [(0, 0), (800, 200), (7200, 600)])
def test_a_payload_that_hangs_is_ended_soon_after_its_walltime(overtime_s: int, idle_s: int) -> None:
    one = grid(Faults(payload_hangs=1.0))
    report = report_of(one, limits=Limits(2000, 3000), overtime_s=overtime_s)
    assert (report.reason, cause(one)) == ("out-of-time", Cause.PAYLOAD_HANGS)
    assert report.seconds["payload"] == 2000 + idle_s


def test_a_faster_node_takes_less_time() -> None:
    one = grid()
    for node in one.nodes["NEAR"]:
        node.speed = 2.0
    assert report_of(one).seconds["payload"] == PAYLOAD_S / 2


def test_fates_come_as_often_as_they_should() -> None:
    stream = Streams(1).stream("fates")
    fates = [fate_of(Faults(evicted=0.2, runner_killed=0.1, payload_crashed=0.05), stream) for _ in range(4000)]
    counts = {kind: sum(fate is not None and fate.cause is kind for fate in fates) for kind in Cause}
    assert counts[Cause.EVICTED] == pytest.approx(800, rel=0.15)
    assert counts[Cause.RUNNER_KILLED] == pytest.approx(400, rel=0.2)
    assert counts[Cause.PAYLOAD_CRASHED] == pytest.approx(200, rel=0.3)
    assert {fate.stage for fate in fates if isinstance(fate, Fate) and fate.cause is Cause.PAYLOAD_CRASHED} == {
        "payload"
    }


def test_a_checksum_is_like_those_of_the_runner() -> None:
    assert checksum("x") == checksum("x") != checksum("y")
    assert len(checksum("x")) == 8
