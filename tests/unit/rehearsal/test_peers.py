"""What others do, to compare with: they look neither at causes nor at data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lofargrid.decisions.placement import Line, Ranking, Spread, Standing
from lofargrid.decisions.retry import rule_of
from lofargrid.model import Demand, Site
from lofargrid.rehearsal.peers import BLIND_RULES, BLIND_TO_DATA
from lofargrid.states import Reason

JOB = Demand(cores=1, memory_mb=1000, walltime_min=60, scratch_mb=0, bytes_at={"A": 10**10})


def standings(**free: int) -> dict[str, Standing]:
    return {name: Standing(Site(name, 1, slots=slots, bandwidth_mb_s=1.0), 0, 0) for name, slots in free.items()}


def ranked(sites: dict[str, Standing], **changes: Any) -> Ranking:
    return BLIND_TO_DATA.rank(replace(JOB, **changes), sites, list(sites), ())


def sent(sites: dict[str, Standing], line: Line) -> Spread:
    return BLIND_TO_DATA.spread(JOB, line, ranked(sites), sites, 3600.0)


def test_every_reason_has_one_try_and_three_more_at_once_and_anywhere() -> None:
    assert set(BLIND_RULES) == set(Reason)
    for reason in Reason:
        rule = rule_of(reason, BLIND_RULES)
        assert (rule.tries, rule.wait_s, rule.elsewhere, rule.grow) == (4, 0, "", "")


def test_the_site_with_most_free_slots_comes_first_wherever_the_data_lie() -> None:
    assert [one.site for one in ranked(standings(A=1, B=9, C=5)).candidates] == ["B", "C", "A"]


def test_a_site_that_cannot_run_it_is_left_out() -> None:
    found = ranked(standings(A=0, B=1), memory_mb=500)
    assert [one.site for one in found.candidates] == ["B"]
    assert set(found.refused) == {"A"}


def test_jobs_go_to_each_site_in_turn_whatever_its_link_bears() -> None:
    found = sent(standings(A=2, B=3), Line(4, 4))
    assert found.sent == {"A": 2, "B": 2}
    assert (found.standings["A"].free, found.standings["B"].free) == (0, 1)
    assert found.waiting == ""


def test_what_finds_no_slot_waits_and_says_so() -> None:
    found = sent(standings(A=1, B=1), Line(5, 5))
    assert found.sent == {"A": 1, "B": 1}
    assert found.waiting == "all slots are taken"


def test_a_job_that_keeps_its_place_at_home_is_not_sent_elsewhere() -> None:
    assert sent(standings(A=1, B=1), Line(2, 2, at_home=True)).sent == {}
