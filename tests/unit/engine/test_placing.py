"""Which jobs become ready, whose go first, and where: shares, priorities, sites and links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lofargrid.errors import ExpiredError
from lofargrid.model import Site, Subband
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState, Phase, Reason
from lofargrid.tracker.records import QuarantineRecord
from tests.unit.engine_factories import ALONE, FIRST, World, name, recipe, subband

GB = 10**9
SECOND = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}


def site(label: str, slots: int = 10, **changes: Any) -> Site:
    given = {"tier": 1, "prefixes": (f"davs://{label}.example/raw",), "guarded": False, **changes}
    return Site(label, slots=slots, **given)


def grid(folder: Path, *sites: Site) -> World:
    return World(folder, sites={one.name: one for one in sites})


def lying_at(label: str, numbers: Sequence[int], size_bytes: int = 10 * GB) -> list[Subband]:
    return [subband(n, url=f"davs://{label}.example/raw/L1_SB{n}.MS", size_bytes=size_bytes) for n in numbers]


def enter(world: World, production: str, subbands: Sequence[Subband], steps: Any = ALONE, **changes: Any) -> int:
    """Enter a production; its priority and how much it may run are no part of its recipe."""
    order = {key: changes.pop(key) for key in ("priority", "max_running") if key in changes}
    entered = world.enter(recipe(subbands, steps, production=production, **changes))
    for key, value in order.items():
        world.tracker.write(f"UPDATE productions SET {key} = ? WHERE id = ?", value, entered.production_id)
    return entered.production_id


def where(world: World, production: str = "") -> dict[str, int]:
    """How many attempts each site has been given."""
    specs = [one for one in world.backend.specs.values() if production in ("", one.production)]
    return dict(Counter(one.site for one in specs))


def states(world: World, production_id: int) -> dict[JobState, int]:
    return dict(Counter(job.state for job in world.tracker.jobs(production_id)))


def close(world: World, label: str) -> None:
    world.tracker.put_in_quarantine(QuarantineRecord(label, "", "quarantined", world.now, "9999", 1, "on fire", ""))


# Ready


def test_no_more_jobs_are_ready_than_may_soon_be_handed_over(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 4))
    production = enter(world, "field", lying_at("SURF", range(100)))
    world.tick(3)
    assert states(world, production) == {JobState.SUBMITTED: 4, JobState.READY: 8, JobState.WAITING: 88}


def test_what_is_further_along_goes_first(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 2, prefixes=("davs://", "file:///")))
    enter(world, "field", lying_at("SURF", range(100, 110)), {"first": FIRST, "second": SECOND})
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(101))
    world.tick()
    assert world.backend.started[-2:] == [name(100, "second"), name(101, "second")]


def test_more_jobs_than_fit_into_one_transaction_are_all_started_in_a_tick(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 300))
    production = enter(world, "field", lying_at("SURF", range(700)))
    world.tick()
    assert states(world, production) == {JobState.SUBMITTED: 300, JobState.READY: 300, JobState.WAITING: 100}


@pytest.mark.parametrize("how", ["paused", "shut out", "held to one"])
def test_ready_jobs_that_cannot_go_keep_no_other_production_from_being_started(tmp_path: Path, how: str) -> None:
    world = grid(tmp_path, site("SURF", 4), site("Juelich", 1))
    first = enter(world, "first", lying_at("SURF", range(100)), sites=["SURF"])
    world.tick(2)
    if how == "paused":
        world.tracker.pause(first, True, world.now)
    elif how == "held to one":
        world.tracker.write("UPDATE productions SET max_running = 1 WHERE id = ?", first)
    else:
        close(world, "SURF")
    ready = states(world, first)[JobState.READY]
    assert ready >= 8
    enter(world, "second", lying_at("Juelich", range(100, 110)), sites=["Juelich"])
    world.tick(3)
    assert where(world, "second") == {"Juelich": 1}
    world.tick(10, later_s=60)
    assert states(world, first)[JobState.READY] <= 2 * ready, "and they do not pile up"


def test_a_production_held_to_a_few_has_no_more_than_these_ready(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 50))
    production = enter(world, "field", lying_at("SURF", range(30)), max_running=3)
    world.tick(3)
    assert states(world, production) == {JobState.SUBMITTED: 3, JobState.WAITING: 27}
    world.backend.succeed(world.backend.started[0])
    world.tick()
    assert states(world, production)[JobState.SUBMITTED] == 3


# Whose


def test_two_productions_share_the_slots_alike(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 10))
    for production in ("one", "other"):
        enter(world, production, lying_at("SURF", range(100)))
    world.tick()
    assert Counter(one.production for one in world.backend.specs.values()) == {"one": 5, "other": 5}


def test_who_comes_late_gets_what_becomes_free_until_both_have_as_much(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 6))
    enter(world, "early", lying_at("SURF", range(100)))
    world.tick()
    enter(world, "late", lying_at("SURF", range(100)))
    world.tick()
    for _ in range(4):
        first = next(one for one in world.backend.waiting() if one.production == "early")
        world.backend.succeed(first.job, attempt=first.attempt)
        world.tick()
    assert Counter(one.production for one in world.backend.waiting()) == {"early": 3, "late": 3}


def test_a_higher_priority_gets_all_it_wants_first(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 10))
    enter(world, "usual", lying_at("SURF", range(100)))
    enter(world, "urgent", lying_at("SURF", range(7)), priority=5)
    world.tick()
    assert Counter(one.production for one in world.backend.specs.values()) == {"urgent": 7, "usual": 3}


def test_an_urgent_production_that_can_run_nowhere_keeps_nobody_waiting(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 10), site("Juelich", 10))
    close(world, "SURF")
    enter(world, "urgent", lying_at("SURF", range(100)), priority=5, sites=["SURF"])
    enter(world, "usual", lying_at("Juelich", range(100)))
    world.tick(2)  # the first one finds it out
    assert where(world) == {"Juelich": 10}
    huge = ALONE["first"] | {"resources": {"memory_mb": 10**9}}
    enter(world, "huge", lying_at("Juelich", range(100)), {"first": huge}, priority=9)
    for _ in range(3):
        world.backend.succeed(world.backend.waiting()[0].job)
        world.tick()
    assert len(world.backend.waiting()) == 10


def test_slots_that_one_production_cannot_use_go_to_the_other_in_the_same_tick(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 4), site("Juelich", 36))
    enter(world, "bound", lying_at("SURF", range(100)), sites=["SURF"])
    enter(world, "free", lying_at("Juelich", range(100)), sites=["Juelich"])
    world.tick()
    assert (where(world, "bound"), where(world, "free")) == ({"SURF": 4}, {"Juelich": 36})


# Where


def test_jobs_go_to_their_data_and_what_finds_no_slot_there_goes_elsewhere(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 4), site("Juelich", 4))
    enter(world, "field", lying_at("SURF", range(100)))
    world.tick()
    assert where(world) == {"SURF": 4, "Juelich": 4}, "to the last one"
    copies = {one.site: one.copy_s > 0 for one in world.tracker.unfinished_attempts()}
    assert copies == {"SURF": False, "Juelich": True}
    assert {one.remote_from for one in world.tracker.unfinished_attempts()} == {"", "SURF"}


def test_copies_under_way_leave_the_links_less_room(tmp_path: Path) -> None:
    """Two copies of 50 MB/s fit into the share of the link; each takes 200 s."""
    world = grid(tmp_path, site("SURF", 0, bandwidth_mb_s=150.0), site("Juelich", 10))
    enter(world, "field", lying_at("SURF", range(100)))
    world.tick()
    assert where(world) == {"Juelich": 2}
    world.tick(later_s=3600)
    assert where(world) == {"Juelich": 2}, "they have not started yet"
    for spec in world.backend.waiting():
        world.backend.run(spec.job)
    world.tick(2)
    assert where(world) == {"Juelich": 2}
    world.tick(later_s=3600)
    assert where(world) == {"Juelich": 4}, "by now they have been copied"


def test_a_job_reads_first_what_it_copies_so_that_it_holds_the_links_no_longer_than_that_takes(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 4), site("Juelich", 0))
    merge = FIRST | {"split": "all", "inputs": {"ms": {"from": "target", "path": "in/{key}.MS"}}}
    enter(world, "field", lying_at("SURF", range(100, 103)) + lying_at("Juelich", range(103, 105)), {"merge": merge})
    world.tick()
    (spec,) = world.backend.waiting()
    assert [one.key[-3:] for one in spec.inputs] == ["103", "104", "100", "101", "102"]


def test_only_sites_that_the_production_names_are_taken(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 4), site("Juelich", 4))
    enter(world, "field", lying_at("SURF", range(100)), sites=["Juelich"])
    world.tick()
    assert where(world) == {"Juelich": 4}


def test_intermediates_draw_the_next_step_to_where_they_were_made(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 1), site("Juelich", 1, prefixes=("davs://juelich.example/raw", "file:///")))
    small = {"first": FIRST, "second": SECOND}
    enter(world, "field", lying_at("SURF", [100], size_bytes=1), small)
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    assert [one.site for one in world.backend.specs.values()] == ["SURF", "Juelich"]


def test_a_job_that_no_site_can_run_is_told_with_every_sites_reason(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", memory_mb=4000), site("Poznan", 0))
    huge = FIRST | {"resources": {"memory_mb": 8000}}
    enter(world, "field", lying_at("SURF", range(100, 103)), {"first": huge})
    [trouble] = world.tick().troubles
    assert trouble == (
        f"no site can run {name(100)}: Poznan: storage without compute; SURF: the job asks for 8000 MB of memory, a"
        " job there gets 4000 at most"
    )


def test_productions_that_can_run_nowhere_for_one_reason_are_told_in_one_line(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", memory_mb=4000))
    huge = FIRST | {"resources": {"memory_mb": 8000}}
    for number in range(5):
        enter(world, f"field{number}", lying_at("SURF", [100]), {"first": huge})
    [trouble] = world.tick().troubles
    assert trouble.startswith(f"no site can run {name(100)} and 4 like it: SURF: ")


def test_that_jobs_can_run_nowhere_is_told_also_when_another_site_is_in_quarantine(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", memory_mb=4000), site("Juelich"))
    close(world, "Juelich")
    huge = FIRST | {"resources": {"memory_mb": 8000}}
    enter(world, "field", lying_at("SURF", [100]), {"first": huge}, sites=["SURF"])
    [trouble] = world.tick().troubles
    assert "Juelich: the production does not name it" in trouble


def test_jobs_that_wait_for_a_site_to_come_back_are_no_trouble(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF"), site("Juelich", memory_mb=10))
    close(world, "SURF")
    production = enter(world, "field", lying_at("SURF", [100]))
    assert world.tick(2).troubles == ()
    assert states(world, production) == {JobState.READY: 1}


def test_without_a_site_that_computes_nothing_is_silent(tmp_path: Path) -> None:
    world = grid(tmp_path, site("Poznan", 0))
    assert world.tick().troubles == ()
    enter(world, "field", lying_at("Poznan", [100]))
    assert world.tick().troubles == ("no site can run anything: Poznan; give one slots",)


def test_how_long_jobs_take_is_learnt_from_those_that_have_ended(tmp_path: Path) -> None:
    """A copy takes 200 s. Jobs that may take an hour are sent away, jobs that take seconds wait for their data."""
    world = grid(tmp_path, site("SURF", 10), site("Juelich", 10))
    enter(world, "field", lying_at("SURF", range(100)))
    world.tick()
    assert where(world) == {"SURF": 10, "Juelich": 10}
    for spec in world.backend.waiting():
        world.backend.run(spec.job)
    world.tick()
    world.tick(later_s=10)
    for spec in world.backend.waiting():
        world.backend.succeed(spec.job)
    world.tick()
    assert where(world) == {"SURF": 20, "Juelich": 10}


def test_jobs_ask_from_the_start_for_what_the_first_of_their_step_had_to_grow_to(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", 3))
    enter(world, "field", lying_at("SURF", range(100, 112)), {"first": FIRST | {"resources": {"memory_mb": 1000}}})
    world.tick()
    for number in (100, 101, 102):
        world.backend.run(name(number))
        world.backend.fail(name(number), Reason.OUT_OF_MEMORY)
    world.tick(6, later_s=60)
    grown = world.backend.spec(name(100)).limits.memory_mb
    assert grown > 1000
    for _ in range(3):
        for spec in world.backend.waiting():
            world.backend.succeed(spec.job)
        world.tick()
    assert world.backend.spec(name(111)).limits.memory_mb == grown


def test_an_attempt_whose_site_is_gone_from_the_list_of_sites_is_lost_and_tried_elsewhere(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF"), site("Juelich"))
    enter(world, "field", lying_at("SURF", [100]))
    world.backend.accepts = 0
    world.tick()
    del world.sites["SURF"]
    world.restart()
    assert world.tick().troubles == ()
    world.tick(later_s=60)
    assert where(world) == {"Juelich": 1}
    first, _ = world.tracker.attempts(world.job(name(100)).id)
    assert (first.phase, first.reason) == (Phase.LOST, Reason.LOST)


def test_a_job_takes_along_the_tools_of_its_site(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", tools=("xrdcp", "https")))
    enter(world, "a", lying_at("SURF", [100]))
    world.tick()
    assert {spec.tools for spec in world.backend.specs.values()} == {("xrdcp", "https")}


def test_at_a_guarded_site_a_runner_that_fails_at_once_keeps_its_slot_for_a_while(tmp_path: Path) -> None:
    world = grid(tmp_path, site("SURF", guarded=True), site("Juelich"))
    enter(world, "a", lying_at("SURF", [100]))
    enter(world, "b", lying_at("Juelich", [101]))
    world.tick()
    assert {one.site: one.linger_s for one in world.backend.specs.values()} == {"SURF": 60.0, "Juelich": 0}


def test_many_kinds_that_cannot_use_a_slot_let_those_behind_them_have_a_look(tmp_path: Path) -> None:
    """More than a tick asks; the last in the line could use the one slot that is free."""
    world = grid(tmp_path, site("SURF", 1), site("Juelich", 1))
    close(world, "SURF")
    huge = {"first": FIRST | {"resources": {"memory_mb": 10**9}}}
    with world.tracker.transaction():
        for number in range(300):
            enter(world, f"huge{number}", lying_at("SURF", [100]), huge, priority=1)
    sites = replace(world.sites["Juelich"], slots=400)
    world.sites["Juelich"] = sites
    world.engine = world.new_engine(world.tracker)
    enter(world, "small", lying_at("Juelich", [100]))
    world.tick(4)
    assert where(world) == {"Juelich": 1}


# Proxies


def test_jobs_that_would_outlive_the_proxy_wait_for_a_new_one_and_keep_no_others_waiting(tmp_path: Path) -> None:
    world = grid(tmp_path, site("t1"))
    good_for_min = 60.0

    def require(given: Recipe, minutes: float) -> None:
        if given.production == "guarded" and minutes > good_for_min:
            raise ExpiredError("the proxy is good for 60 min more")

    world.require = require
    long, short = ({"resources": {"walltime_min": minutes}} for minutes in (55, 45))
    enter(world, "guarded", [subband(100)], {"first": FIRST | long, "beside": FIRST | short})
    enter(world, "open", [subband(101)], {"first": FIRST | long})
    tick = world.tick(2)
    assert tick.held
    assert tick.troubles == ("the proxy is good for 60 min more",), "it is said once"
    assert where(world, "open") == {"t1": 1}
    assert [one.step for one in world.backend.specs.values() if one.production == "guarded"] == ["beside"]
    good_for_min = 65.0
    tick = world.tick()
    assert (tick.held, tick.troubles) == (False, ())
    assert where(world, "guarded") == {"t1": 2}
