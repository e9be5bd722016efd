"""The fleet: pilots are started where jobs wait, followed to their end, drained and stopped."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lofargrid.errors import BackendError
from lofargrid.model import Site
from lofargrid.pilots.fleet import SCRIPT
from lofargrid.tracker.records import PilotRecord
from tests.unit.factories import faults_of
from tests.unit.fleet.factories import LEIDEN, PILOTS, SECRET, Berth, joined


@pytest.fixture
def berth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berth:
    one = Berth(tmp_path)
    monkeypatch.setenv("PATH", f"{one.programs}:{os.environ['PATH']}")
    return one


def record(berth: Berth, pilot: str) -> PilotRecord:
    found = berth.world.tracker.pilot(pilot)
    assert found
    return found


def start(berth: Berth, number: int = 1) -> list[str]:
    return berth.fleet.start("Leiden", number)


# What a pilot asks for


def test_what_is_left_out_of_its_plan_is_what_one_job_may_take(berth: Berth) -> None:
    plan = berth.fleet.plan_of("Leiden")
    assert (plan.cores, plan.memory_mb, plan.walltime_min) == (4, 4000, 60)


def test_where_nobody_says_how_long_a_pilot_may_stay_its_token_is_good_for_two_days() -> None:
    plan = replace(LEIDEN, walltime_min=Site.walltime_min).pilot
    assert plan
    assert plan.walltime_min == 2880
    longer = replace(LEIDEN, pilots=replace(PILOTS, walltime_min=10_000)).pilot
    assert longer
    assert longer.walltime_min == 10_000


# Starting


def test_a_pilot_is_written_down_with_its_token_but_not_the_secret(berth: Berth) -> None:
    [pilot] = start(berth)
    found = record(berth, pilot)
    assert (found.site, found.through, found.batch_id, found.token) == ("Leiden", "fake", "1", "jti-1")
    assert found.token_expires == (berth.now + timedelta(hours=13)).isoformat(timespec="milliseconds")
    files = list(berth.folder.rglob("*.db*"))
    assert files
    assert not [one for one in files if SECRET.encode() in one.read_bytes()]


def test_nobody_else_can_read_what_holds_the_token(berth: Berth) -> None:
    [pilot] = start(berth)
    script = berth.means.root / pilot / SCRIPT
    assert stat.S_IMODE(script.stat().st_mode) == 0o700
    assert stat.S_IMODE(script.parent.stat().st_mode) == 0o700


def test_a_pilot_that_its_batch_system_does_not_take_leaves_a_reason_and_no_token(berth: Berth) -> None:
    berth.program("fakesub", "echo 'invalid account' >&2; exit 1")
    with pytest.raises(BackendError, match="fakesub: invalid account"):
        start(berth)
    [found] = berth.world.tracker.pilots_of("Leiden", 5)
    assert (found.reason, found.detail) == ("submit-failed", "fakesub: invalid account")
    assert not (berth.means.root / found.id / SCRIPT).exists()


def test_a_pilot_of_which_nobody_knows_whether_it_was_taken_is_written_down(berth: Berth) -> None:
    berth.program("fakesub", "echo")
    with pytest.raises(BackendError, match="fakesub gave no id"):
        start(berth)
    assert len(berth.world.tracker.pilots_of("Leiden", 5)) == 1


@pytest.mark.parametrize(
    ("through", "what"),
    [("script", "pilots of Leiden are not started from here"), ("pbs", "there is no batch system 'pbs'")],
)
def test_pilots_that_cannot_be_started_from_here_are_told(berth: Berth, through: str, what: str) -> None:
    berth.pilots(through=through)
    [fault] = faults_of(berth.fleet.start, "Leiden", 1)
    assert fault.what == what
    assert "script" in fault.remedy


def test_a_site_without_pilots_is_told(berth: Berth) -> None:
    berth.sites = {"Leiden": Site("Leiden")}
    [fault] = faults_of(berth.fleet.plan_of, "Leiden")
    assert fault.what == "Leiden has no pilots"


# Supplying


def test_as_many_are_started_as_what_waits_needs_and_the_site_may_have(berth: Berth) -> None:
    berth.queue(10)
    berth.pilots(at_most=8)
    assert berth.fleet.supply() == ["3 pilots of Leiden asked of fake"]
    assert berth.fleet.supply() == [], "those that come are enough"


@pytest.mark.parametrize("changes", [{"at_most": 0}, {"at_most": 5, "through": "script"}])
def test_none_is_started_by_itself_unless_the_site_says_how_many(berth: Berth, changes: dict[str, object]) -> None:
    berth.queue(10)
    berth.pilots(**changes)
    assert berth.fleet.supply() == []


def test_what_somebody_should_do_is_told(berth: Berth) -> None:
    berth.queue(1)
    assert berth.fleet.wishes() == ["jobs wait for pilots of Leiden: `pilots start --site Leiden --max N` starts them"]
    berth.pilots(through="script")
    assert berth.fleet.wishes() == [
        "jobs wait for pilots of Leiden: `pilots script --site Leiden` makes one to start there"
    ]
    berth.pilots(at_most=3)
    assert berth.fleet.wishes() == [], "they start by themselves"
    [pilot] = start(berth)
    berth.report(pilot, "node-unfit", "no /cvmfs")
    berth.fleet.refresh()
    assert berth.fleet.wishes() == ["jobs wait for pilots of Leiden; the last one: node-unfit: no /cvmfs"]
    berth.pool.offered = 4
    assert berth.fleet.wishes() == [], "others have come"


def test_nothing_is_wished_for_while_pilots_come_or_nothing_waits(berth: Berth) -> None:
    assert berth.fleet.wishes() == []
    berth.queue(1)
    start(berth)
    assert berth.fleet.wishes() == []


# Following


def test_a_pilot_that_the_pool_has_is_seen_with_its_node_and_its_jobs(berth: Berth) -> None:
    [pilot] = start(berth)
    berth.queue(1)
    berth.world.tracker.write("UPDATE attempts SET batch_id = '7.0', phase = 'running'")
    berth.pool.pilots = [joined(pilot, jobs=("7.0",), running=1)]
    [one] = berth.fleet.refresh()
    assert one.record
    assert (one.record.node, one.record.jobs, one.state) == ("wn1.leiden.example.org", 1, "1 job")


def test_a_pilot_ends_as_its_report_says(berth: Berth) -> None:
    [pilot] = start(berth)
    berth.report(pilot, None, "no job came for 600 s")
    assert berth.fleet.refresh() == []
    found = record(berth, pilot)
    assert (found.reason, found.detail, found.node) == (None, "no job came for 600 s", "wn7")
    assert not (berth.means.root / pilot / SCRIPT).exists()


def test_a_pilot_without_a_report_is_lost_when_its_batch_system_does_not_know_it_any_more(berth: Berth) -> None:
    [pilot] = start(berth)
    assert len(berth.fleet.refresh()) == 1
    berth.gone(1)
    berth.pool.pilots = [joined(pilot)]
    assert len(berth.fleet.refresh()) == 1, "the pool still hears of it"
    berth.pool.pilots = []
    assert berth.fleet.refresh() == []
    assert (record(berth, pilot).reason, record(berth, pilot).detail) == ("lost", "it ended without a word")


def test_a_pilot_whose_submission_nobody_finished_is_waited_for_a_while(berth: Berth) -> None:
    berth.world.tracker.enter_pilot("t-p1", "Leiden", "fake", "jti", "", berth.now.isoformat())
    assert len(berth.fleet.refresh()) == 1
    berth.now += timedelta(minutes=2)
    assert berth.fleet.refresh() == []


@pytest.mark.parametrize("content", ["hello", "lofargrid pilot report: {", "lofargrid pilot report: {}"])
def test_what_is_no_report_does_not_end_a_pilot(berth: Berth, content: str) -> None:
    [pilot] = start(berth)
    (berth.means.root / pilot / "pilot.out").write_text(content)
    assert len(berth.fleet.refresh()) == 1


def test_pilots_of_a_site_that_is_no_more_are_left_alone(berth: Berth) -> None:
    start(berth)
    berth.sites = {}
    assert len(berth.fleet.refresh()) == 1


def test_a_folder_that_nodes_can_write_takes_what_pilots_print(berth: Berth, tmp_path: Path) -> None:
    berth.pilots(logs=str(tmp_path))
    [pilot] = start(berth)
    assert berth.fleet.output_of(record(berth, pilot)) == tmp_path / f"{pilot}.out"


def test_those_that_others_started_for_our_sites_are_listed_too(berth: Berth) -> None:
    [pilot] = start(berth)
    berth.pool.pilots = [joined(pilot), joined("other-p1"), joined("strange-p1", site="Nikhef")]
    assert [(one.id, one.record is None) for one in berth.fleet.listing()] == [(pilot, False), ("other-p1", True)]


def test_a_pilot_is_known_by_any_name_of_it(berth: Berth) -> None:
    [pilot] = start(berth)
    for word in (pilot, "1"):
        assert [one.id for one in berth.fleet.known_as(word)] == [pilot]
    berth.pool.pilots = [joined(pilot), joined("other-p1", node="wn2.leiden.example.org", batch="pbs=8")]
    for word in ("12", "wn1", "wn1.leiden.example.org"):
        assert [one.id for one in berth.fleet.known_as(word)] == [pilot]
    assert [one.id for one in berth.fleet.known_as("8")] == ["other-p1"]
    assert berth.fleet.known_as("wn") == []


# Ending


def test_to_drain_is_asked_of_the_pool_and_what_still_waits_is_cancelled(berth: Berth) -> None:
    first, second = start(berth, 2)
    berth.pool.pilots = [joined(first)]
    berth.fleet.drain(berth.fleet.listing())
    assert berth.pool.drained == [first]
    assert berth.cancelled == [record(berth, second).batch_id]


def test_to_stop_is_asked_of_the_batch_system(berth: Berth) -> None:
    first, second = start(berth, 2)
    berth.fleet.stop(berth.fleet.listing())
    assert sorted(berth.cancelled) == sorted(record(berth, one).batch_id for one in (first, second))


def test_a_table_without_pilots_asks_no_batch_system(berth: Berth) -> None:
    (berth.programs / "fakels").unlink()
    assert berth.fleet.refresh() == []
