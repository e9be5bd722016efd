"""A check that cannot fail is none: each kind of damage, made by hand, is found and told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lofargrid.names import job_name
from lofargrid.rehearsal.invariants import BrokenInvariantError, Watch, check_end, describe, problems
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.states import MOVES, JobState, Reason
from tests.unit.rehearsal.rehearsals import BANDS, NAME, ended

OUTPUT = "davs://archive.example/products/L654001"
BAND = f"{OUTPUT}/{BANDS[0]}.MS"
IMAGE = f"{OUTPUT}/{NAME}-image.fits"
SCRATCH = "davs://t1-1.example:2880/scratch/lofargrid/l654001-field"

Damage = Callable[[Rehearsal], object]


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Rehearsal]:
    one = ended(tmp_path)
    yield one
    one.close()


def found(done: Rehearsal) -> list[str]:
    return list(problems(done.tracker, done.grid))


def sql(statement: str, *values: object) -> Damage:
    return lambda done: done.tracker.write(statement, *values)


def put(url: str, complete: bool = True) -> Damage:
    return lambda done: done.grid.files.put(url, 7, "00000007", "x", complete)


def remove(url: str) -> Damage:
    return lambda done: done.grid.files.remove(url)


def half(url: str) -> Damage:
    return lambda done: setattr(done.grid.files.get(url), "complete", False)


def rewrite(url: str) -> Damage:
    return lambda done: setattr(done.grid.files.get(url), "content", "of something else")


def test_what_ended_well_has_no_problem(done: Rehearsal) -> None:
    assert found(done) == []
    check_end(done.tracker, done.grid)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(remove(IMAGE), f"the product {IMAGE} is missing", id="missing product"),
        pytest.param(half(IMAGE), f"the product {IMAGE} is half", id="half product"),
        pytest.param(rewrite(BAND), f"the product {BANDS[0]}.MS is not made of what it says", id="wrong content"),
        pytest.param(remove(f"{BAND}.json"), f"the product {BAND} has no provenance", id="no provenance"),
        pytest.param(put(f"{BAND}.t-5-2"), f"left over: {BAND}.t-5-2 (7 bytes)", id="doubled product"),
        pytest.param(
            put(f"{OUTPUT}/{NAME}-G0308-band.MS"),
            f"left over: {OUTPUT}/{NAME}-G0308-band.MS (7 bytes)",
            id="no job's product",
        ),
        pytest.param(put(f"{SCRATCH}/a.MS"), f"left over: {SCRATCH}/a.MS (7 bytes)", id="left-over intermediate"),
        pytest.param(
            put(f"{SCRATCH}/a.MS", complete=False), f"left over: {SCRATCH}/a.MS (7 bytes, half)", id="left-over half"
        ),
        pytest.param(
            sql("UPDATE jobs SET state = 'waiting' WHERE name = ?", f"{NAME}-SB100-average"),
            f"{NAME}-SB100-average has not ended: waiting",
            id="job not ended",
        ),
        pytest.param(
            sql("UPDATE jobs SET state = 'failed' WHERE name = ?", f"{NAME}-SB100-average"),
            f"{NAME}-SB100-average failed and says not what to do",
            id="failure without a reason",
        ),
        pytest.param(
            sql("UPDATE attempts SET reason = 'lost' WHERE job_id = 1"),
            f"{NAME}-SB100-average succeeded by an attempt that did not",
            id="success of a failed attempt",
        ),
        pytest.param(
            sql("UPDATE jobs SET attempt = NULL WHERE id = 1"),
            f"{NAME}-SB100-average succeeded by an attempt that did not",
            id="success of no attempt",
        ),
        pytest.param(
            sql(
                "UPDATE jobs SET subbands = json_insert(subbands, '$[#]', ?) WHERE name = ?", f"{NAME}-SB100", BANDS[1]
            ),
            f"l654001-field: {NAME}-SB100 in two groups of band",
            id="merged twice",
        ),
        pytest.param(
            sql("UPDATE jobs SET subbands = json_remove(subbands, '$[0]') WHERE name = ?", BANDS[0]),
            f"l654001-field: {NAME}-SB100 in no group of band",
            id="dropped in silence",
        ),
    ],
)
def test_each_damage_is_found_and_told(done: Rehearsal, damage: Damage, problem: str) -> None:
    damage(done)
    assert problem in found(done)
    with pytest.raises(BrokenInvariantError):
        check_end(done.tracker, done.grid)


def test_a_merge_that_did_not_take_an_input_it_claims_is_found_in_all_that_rests_on_it(done: Rehearsal) -> None:
    done.tracker.write(
        "DELETE FROM needs WHERE need_id = 1 AND job_id = (SELECT id FROM jobs WHERE name = ?)", BANDS[0]
    )
    assert found(done) == [
        f"the product {NAME}-image.fits is not made of what it says",
        f"the product {BANDS[0]}.MS is not made of what it says",
    ]


def test_what_a_late_success_made_stale_is_not_judged_by_what_is_there_now(done: Rehearsal) -> None:
    rewrite(BAND)(done)
    rewrite(IMAGE)(done)
    done.tracker.write("UPDATE jobs SET stale = 1 WHERE name = ?", BANDS[0])
    assert found(done) == []


def test_an_intermediate_that_a_retry_would_read_may_stay(done: Rehearsal) -> None:
    done.tracker.write("UPDATE files SET state = 'made' WHERE job_id = 1")
    url = done.tracker.value("SELECT url FROM files WHERE job_id = 1")
    put(url)(done)
    assert found(done) == [f"left over: {url} (7 bytes)"]
    done.tracker.write("UPDATE jobs SET state = 'failed', reason = 'payload-failed' WHERE name = ?", BANDS[0])
    assert f"left over: {url} (7 bytes)" not in found(done)


def test_a_job_that_failed_for_a_told_reason_has_ended_but_its_product_is_left_over(done: Rehearsal) -> None:
    done.tracker.write(
        "UPDATE jobs SET state = 'failed', reason = ? WHERE name = ?", str(Reason.PAYLOAD_FAILED), f"{NAME}-image"
    )
    assert [one.split(" (")[0] for one in found(done)] == [f"left over: {IMAGE}", f"left over: {IMAGE}.json"]


# At every tick


def watched(done: Rehearsal) -> Watch:
    watch = Watch(done.grid, [OUTPUT])
    watch(done.tracker)
    return watch


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(half(IMAGE), f"half a file stands under the final name {IMAGE}", id="half product"),
        pytest.param(
            put(f"{OUTPUT}/other", complete=False),
            f"half a file stands under the final name {OUTPUT}/other",
            id="any half",
        ),
        pytest.param(
            sql("UPDATE tallies SET n = n + 1 WHERE step = 'band' AND state = 'succeeded'"),
            r"the tally of \(1, 'band', 'succeeded', 3\) is not the count",
            id="wrong tally",
        ),
        pytest.param(
            sql("UPDATE jobs SET state = 'running' WHERE id = 1"),
            f"{NAME}-SB100-average is running and nothing runs for it",
            id="its attempt has ended",
        ),
        pytest.param(
            sql("UPDATE jobs SET state = 'submitted', attempt = NULL WHERE id = 1"),
            f"{NAME}-SB100-average is submitted and nothing runs for it",
            id="it has no attempt",
        ),
        pytest.param(
            sql("UPDATE jobs SET unmet = 3 WHERE name = ?", BANDS[0]),
            f"{BANDS[0]} counts 3 open needs, and that is wrong",
            id="wrong count of needs",
        ),
    ],
)
def test_each_damage_is_found_at_the_next_tick(done: Rehearsal, damage: Damage, problem: str) -> None:
    watch = watched(done)
    damage(done)
    with pytest.raises(BrokenInvariantError, match=problem):
        watch(done.tracker)


def test_every_illegal_move_is_found_and_no_legal_one(done: Rehearsal) -> None:
    watch = watched(done)
    illegal = []
    moves = [(old, new) for old in JobState for new in JobState if old is not new]
    for old, new in moves:
        done.tracker.event(done.now, 1, 1, None, old, new)
        try:
            watch(done.tracker)
        except BrokenInvariantError as error:
            assert str(error) == f"job 1: {old} -> {new}"
            illegal.append((old, new))
    assert illegal == [(old, new) for old, new in moves if new not in MOVES[old]]
    assert (JobState.SUCCEEDED, JobState.RUNNING) in illegal


def test_an_event_is_judged_once_and_words_alone_are_no_move(done: Rehearsal) -> None:
    watch = watched(done)
    done.tracker.event(done.now, 1, 1, None, JobState.SUCCEEDED, JobState.RUNNING)
    with pytest.raises(BrokenInvariantError):
        watch(done.tracker)
    done.tracker.event(done.now, 1, text="generation 2")
    watch(done.tracker)


def test_a_half_file_elsewhere_is_no_product(done: Rehearsal) -> None:
    watch = watched(done)
    put(f"{SCRATCH}/a.MS", complete=False)(done)
    watch(done.tracker)


def test_the_states_of_all_jobs_are_described(done: Rehearsal) -> None:
    told = json.loads(describe(done.tracker))
    assert {one["name"] for one in told} == {
        *(job_name(f"{NAME}-SB{number}", "average") for number in range(100, 104)), *BANDS, f"{NAME}-image",
    }  # fmt: skip
    assert {one["state"] for one in told} == {"succeeded"}
