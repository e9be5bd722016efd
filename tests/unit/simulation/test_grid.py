"""The whole of it: the same seed makes the same trace to the byte, and faults change nothing that is made."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from lofargrid.errors import BackendError
from lofargrid.model import Site
from lofargrid.simulation.breakdowns import HOLES
from lofargrid.simulation.faults import Cause, Faults, Flaw
from lofargrid.simulation.grid import HEADROOM, Grid
from lofargrid.simulation.nodes import Trouble
from lofargrid.states import Phase
from tests.unit.simulation.grids import SIZE_BYTES, add_input, grid, later, reason, run, spec, submit, told, url

ROOT = Path(__file__).parents[3]


def campaign(seed: int, faults: Faults, jobs: int = 60, tracker: str = "abcd1234") -> Grid:
    """A blind driver: hands everything over until it is known, and looks for some days."""
    one = grid(faults, seed=seed, near={"slots": 20})
    one.trace.hide(tracker)
    specs = [
        spec(number, [add_input(one, number)], ("NEAR", "FAR")[number % 2])._replace(attempt=f"{tracker}-{number}-1")
        for number in range(jobs)
    ]
    cursor: str | None = None
    for _ in range(300):
        try:
            one.backend.submit(specs)
            one.backend.avoid({"NEAR": {one.nodes["NEAR"][3].host, one.nodes["NEAR"][4].host}})
            cursor = one.backend.changes(cursor).cursor
            one.storage.list("davs://near.example/scratch/field")
        except BackendError:
            pass
        one.backend.wait(600.0)
    return one


def test_the_same_seed_makes_the_same_trace_and_another_one_another() -> None:
    faults = Faults.everything(random.Random(1))
    first, second, other = campaign(1, faults), campaign(1, faults, tracker="99887766"), campaign(2, faults)
    assert first.trace.lines == second.trace.lines
    assert first.trace.sha256 == second.trace.sha256 != other.trace.sha256
    assert len(first.trace.faults) > 5


def test_another_process_makes_the_same_trace() -> None:
    """Whatever order its sets of texts have."""
    script = (
        "import random; from tests.unit.simulation.test_grid import campaign, Faults;"
        "print(campaign(3, Faults.everything(random.Random(3)), 20).trace.sha256)"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'pilots'}"},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(traces) == 1


def test_an_attempt_that_succeeds_among_faults_makes_what_it_makes_without() -> None:
    nasty, calm = campaign(4, Faults.everything(random.Random(4))), campaign(4, Faults.none())

    def made(one: Grid) -> dict[str, str]:
        return {file.url: file.content for file in one.files.all() if file.complete and not file.placed}

    everything, some = made(calm), made(nasty)
    assert len(everything) == 60
    assert 0 < len(some) < 60
    assert some.items() <= everything.items()


def test_every_attempt_that_failed_on_a_node_has_a_true_cause() -> None:
    for seed in range(10):
        one = campaign(seed, Faults.everything(random.Random(seed)))
        for past in one.measure.attempts:
            assert (past.cause is None) is past.succeeded, past
            assert past.reported or past.cause in (Cause.RUNNER_KILLED, Cause.NODE_DEAD, Cause.BLACK_HOLE), past
        assert one.measure.wasted_core_s_in_all <= one.measure.used_core_s


def test_no_fault_happens_where_none_is_asked_for() -> None:
    one = campaign(1, Faults.none())
    assert not one.trace.faults
    assert all(past.succeeded for past in one.measure.attempts)
    assert {seen.phase for seen in told(one).values()} == {Phase.ENDED}


def test_a_nasty_mix_has_most_faults_and_never_all_of_them_always() -> None:
    mixes = [Faults.everything(random.Random(seed)) for seed in range(50)]
    # To the engine a payload that hangs is one that takes too long.
    rates = [field.name for field in fields(Faults) if field.default == 0.0 and field.name != "payload_hangs"]
    for rate in rates:
        drawn = [getattr(mix, rate) for mix in mixes]
        assert any(drawn), rate
        assert not all(drawn), rate
    assert mixes[0] == Faults.everything(random.Random(0)) != mixes[1]


def test_a_link_can_carry_more_than_we_may_use_of_it() -> None:
    one = grid(near={"bandwidth_mb_s": 50.0})
    assert one.network.wide["NEAR"].capacity_mb_s == HEADROOM * 50.0
    run(one, *submit(one, *range(8), site="FAR"))
    assert one.network.wide["NEAR"].busiest_mb_s == pytest.approx(2 * 20.0, rel=0.2), "two slots, 20 MB/s each"


def test_a_slow_storage_slows_down_what_is_copied() -> None:
    def took_s(faults: Faults) -> float:
        one = grid(faults)
        run(one, *submit(one, 1, site="FAR"), most_s=1e6)
        return one.clock.elapsed_s

    slow = Faults(storage_slow_a_day=1000.0, trouble_s=1e9, horizon_s=1000.0)
    assert took_s(slow) > took_s(Faults.none()) + 10 * SIZE_BYTES / 1e6 / 20.0


def test_bad_files_are_the_same_ones_for_everybody() -> None:
    flawed = []
    for seed in (1, 1, 2):
        one = grid(Faults(bad_files=0.3), seed=seed)
        for number in range(100):
            add_input(one, number)
        flawed.append(one.files.flaws)
        assert one.trace.faults[Cause.BAD_FILE] == len(one.files.flaws)
    assert flawed[0] == flawed[1] != flawed[2]
    assert 15 < len(flawed[0]) < 45
    assert {*flawed[0].values()} == {*Flaw}


def test_a_list_promises_what_a_sound_file_has() -> None:
    one = grid()
    for number, flaw in enumerate((None, Flaw.CORRUPT, Flaw.TRUNCATED, Flaw.CHOKING)):
        promised, file = add_input(one, number, flaw), one.files.get(url(number))
        assert file
        kept = (promised.size_bytes, promised.adler32) == (file.size_bytes, file.adler32)
        assert kept is (flaw in (None, Flaw.CHOKING))


def test_nodes_break_as_often_as_asked_and_a_third_at_most_for_ever() -> None:
    faults = Faults(black_holes=0.3, full_nodes=0.2, dying_nodes=0.2, cut_off_nodes=0.2, beyond_repair=0.9,
                    repair_s=3600.0, horizon_s=86400.0)  # fmt: skip
    one = grid(faults, near={"slots": 600})
    one.clock.advance(86400.0)
    counts = one.trace.faults
    assert counts["black-hole"] == pytest.approx(180, rel=0.2)
    assert counts["node-dead"] == pytest.approx(120, rel=0.25)
    assert counts["node-cut-off"] == pytest.approx(120, rel=0.25)
    assert counts["node-scratch-full"] == pytest.approx(120, rel=0.25)
    holes = {node.reason for node in one.nodes["NEAR"] if node.trouble is Trouble.BLACK_HOLE}
    assert holes <= {*HOLES}
    assert len(holes) > 3
    later(one, 1e6)
    assert [node.trouble for node in one.nodes["NEAR"]].count(None) == 400


def test_nodes_differ_in_speed_where_that_is_asked_for() -> None:
    speeds = [node.speed for node in grid(speed_spread=0.3, near={"slots": 200}).nodes["NEAR"]]
    assert len({*speeds}) == 200
    assert 0.8 < sum(speeds) / 200 < 1.3
    assert {node.speed for node in grid().nodes["NEAR"]} == {1.0}


def test_a_node_is_found_by_its_name() -> None:
    one = grid()
    assert one.node("wn0001.near.example") is one.nodes["NEAR"][1]


def test_urls_belong_to_the_sites_that_lofargrid_says() -> None:
    sites = {"A": Site("A", prefixes=("srm://a.example:8443/pnfs/data",), scratch="davs://a.example/scratch")}
    one = Grid(sites)
    places = {
        "srm://a.example/pnfs/data/L1/1.tar": "A",
        "srm://a.example:8443/srm/managerv2?SFN=/pnfs/data/L1/1.tar": "A",
        "davs://a.example/scratch/field/x": "A",
        "davs://a.example/scratch2/x": "",
        "file:///data/x": "",
    }
    assert {place: one.files.holder(place) for place in places} == places


def test_outcomes_are_counted_by_node_and_reason() -> None:
    one = grid()
    good, bad = submit(one, 1, 2), submit(one, 3, flaw=Flaw.MISSING)
    run(one, *good, *bad)
    one.breakdowns.plan(one.nodes["FAR"][0], Trouble.BLACK_HOLE, one.clock.elapsed_s)
    run(one, *submit(one, 4, site="FAR", node=one.nodes["FAR"][0].host))
    counted = one.measure.outcomes()
    assert sum(counted.values()) == 4
    assert counted["FAR", one.nodes["FAR"][0].host, "none"] == 1
    assert sum(count for (_, _, how), count in counted.items() if how == "succeeded") == 2
    assert sum(count for (_, _, how), count in counted.items() if how == "input-missing") == 1
    assert dict(one.measure.wasted_core_s).keys() == {"bad-file", "black-hole"}
    assert reason(told(one)["abcd1234-3-1"]) == "input-missing"
