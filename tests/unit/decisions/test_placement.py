"""Where jobs go: to the data, or the data to where it is sooner; and no site is left out without a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.placement import LINK_SHARE, Candidate, Line, Ranking, Spread, Standing, rank, shortage, spread
from lofargrid.model import Demand, Site

GB = 10**9
HOUR_S = 3600.0
JOB = Demand(cores=2, memory_mb=8000, walltime_min=120, scratch_mb=20_000, bytes_at={"SURF": 10 * GB})


def standing(name: str, slots: int = 10, in_flight: int = 0, copies: int = 0, **site: Any) -> Standing:
    given = {"tier": 1, "cores": 4, "bandwidth_mb_s": 1000.0, "stream_mb_s": 50.0, **site}
    return Standing(Site(name, slots=slots, **given), in_flight, copies)


def sites(*standings: Standing) -> dict[str, Standing]:
    return {one.site.name: one for one in standings}


TWO = sites(standing("SURF"), standing("Leiden", tier=2))


def ranked(standings: Mapping[str, Standing], demand: Demand = JOB, shunned: tuple[str, ...] = ()) -> Ranking:
    return rank(demand, standings, list(standings), shunned)


def names(ranking: Ranking) -> list[str]:
    return [one.site for one in ranking.candidates]


def sent(
    standings: Mapping[str, Standing], ready: int | Line, job_s: float = HOUR_S, demand: Demand = JOB
) -> Spread:  # fmt: skip
    line = Line(ready, ready) if isinstance(ready, int) else ready
    return spread(demand, line, ranked(standings, demand), standings, job_s)


# Which sites, in which order


def test_the_site_that_holds_the_inputs_comes_first() -> None:
    assert ranked(TWO).candidates == (Candidate("SURF", 0.0, True), Candidate("Leiden", 200.0, False))


def test_the_copy_takes_as_long_as_the_slower_end_lets_it() -> None:
    slow = sites(standing("SURF", stream_mb_s=10.0), standing("Leiden", stream_mb_s=100.0))
    assert ranked(slow).candidates[1].copy_s == 1000.0


def test_inputs_at_several_sites_are_copied_one_after_the_other() -> None:
    demand = replace(JOB, bytes_at={"SURF": 10 * GB, "Juelich": 5 * GB, "": 1 * GB})
    found = ranked(sites(standing("SURF"), standing("Juelich")), demand).candidates
    assert found == (Candidate("SURF", 120.0, False), Candidate("Juelich", 220.0, False))


def test_what_is_of_no_size_is_not_copied() -> None:
    assert ranked(TWO, replace(JOB, bytes_at={"SURF": 0})).candidates[0].local


def test_among_sites_to_which_the_copy_takes_as_long_the_lower_tier_comes_first() -> None:
    far = replace(JOB, bytes_at={"": GB})
    assert names(ranked(sites(standing("A", tier=2), standing("C"), standing("B")), far)) == ["B", "C", "A"]


# Which not, and why


@pytest.mark.parametrize(
    ("site", "why"),
    [
        ({"slots": 0}, "storage without compute"),
        ({"cores": 1}, "the job asks for 2 of cores, a job there gets 1 at most"),
        ({"memory_mb": 4000}, "the job asks for 8000 MB of memory, a job there gets 4000 at most"),
        ({"walltime_min": 60}, "the job asks for 120 min of walltime, a job there gets 60 at most"),
        ({"scratch_mb": 1234567}, ""),
        ({"scratch_mb": 10}, "the job asks for 20000 MB of scratch, a job there gets 10 at most"),
    ],
)
def test_a_site_that_cannot_run_it_is_refused_with_the_reason(site: dict[str, Any], why: str) -> None:
    ranking = ranked(sites(standing("SURF", **site)))
    assert (ranking.refused, names(ranking)) == (({"SURF": why}, []) if why else ({}, ["SURF"]))
    assert ranking.nowhere == (f"SURF: {why}" if why else "")


def test_large_figures_are_told_in_full() -> None:
    assert shortage(replace(JOB, scratch_mb=1234567), Site("x", cores=9, scratch_mb=1234566)).endswith(
        "1234567 MB of scratch, a job there gets 1234566 at most"
    )


def test_only_sites_that_the_production_names_are_taken() -> None:
    ranking = rank(JOB, TWO, ["Leiden"])
    assert (names(ranking), ranking.refused) == (["Leiden"], {"SURF": "the production does not name it"})


def test_a_site_in_quarantine_gets_nothing_and_says_why() -> None:
    ranking = ranked(TWO | {"SURF": replace(TWO["SURF"], closed="quarantined")})
    assert (names(ranking), ranking.refused, ranking.shut) == (["Leiden"], {"SURF": "quarantined"}, ("SURF",))


def test_when_all_that_could_run_it_are_shut_it_waits_and_it_is_not_hopeless() -> None:
    shut = sites(replace(standing("SURF"), closed="quarantined"), standing("Small", cores=1))
    assert (ranked(shut).candidates, ranked(shut).nowhere) == ((), "")
    unfit = sites(replace(standing("Small", cores=1), closed="quarantined"))
    assert ranked(unfit).nowhere.startswith("Small: the job asks for 2 of cores")


def test_without_any_site_that_is_said_too() -> None:
    assert ranked({}).nowhere == "there are no sites"


def test_a_job_keeps_away_from_where_it_failed_as_long_as_there_are_others() -> None:
    ranking = ranked(TWO, shunned=("SURF",))
    assert (names(ranking), ranking.refused) == (["Leiden"], {"SURF": "the job failed there"})
    assert names(ranked(TWO, shunned=("SURF", "Leiden"))) == ["SURF", "Leiden"]
    shut = TWO | {"Leiden": replace(TWO["Leiden"], closed="quarantined")}
    assert names(ranked(shut, shunned=("SURF",))) == ["SURF"]


# Room


def test_a_site_takes_as_many_as_it_has_slots_or_as_it_is_limited_to() -> None:
    assert standing("SURF", 10, in_flight=4).free == 6
    assert replace(standing("SURF", 10, in_flight=2), limit=3).free == 1
    assert replace(standing("SURF", 10, in_flight=20), limit=3).free == 0
    assert replace(standing("SURF", 10), closed="quarantined").free == 0


def test_a_link_takes_copies_up_to_their_number_or_to_its_share_of_the_bandwidth() -> None:
    assert standing("SURF", bandwidth_mb_s=1000.0, stream_mb_s=50.0).free_copies == int(LINK_SHARE * 20)
    assert standing("SURF", transfers=5, copies=2).free_copies == 3
    assert standing("SURF", transfers=5, copies=9).free_copies == 0


def test_a_link_that_one_copy_fills_takes_one() -> None:
    thin = standing("SURF", bandwidth_mb_s=40.0, stream_mb_s=50.0)
    assert (thin.free_copies, thin.with_more(1, 1).free_copies) == (1, 0)


# How many go where


def test_jobs_go_to_their_data_while_slots_are_free_there() -> None:
    assert sent(TWO, 10).sent == {"SURF": 10}


def test_what_finds_no_slot_there_goes_where_a_copy_is_sooner_than_the_wait() -> None:
    assert sent(TWO, 15, job_s=10 * HOUR_S).sent == {"SURF": 10, "Leiden": 5}


def test_jobs_wait_for_their_own_site_when_the_copy_would_take_longer() -> None:
    """A slot there is free every 360 s / 10; the copy takes 200 s: five are better off waiting."""
    found = sent(TWO, 17, job_s=360.0)
    assert (found.sent, found.waiting) == ({"SURF": 10, "Leiden": 2}, "SURF: all 10 slots are taken")
    full = TWO | {"SURF": standing("SURF", 10, in_flight=10)}
    assert sent(full, 5, job_s=360.0) == Spread({}, full, "SURF: all 10 slots are taken")


def test_nobody_waits_for_a_site_on_probation_as_if_it_had_all_its_slots() -> None:
    limited = TWO | {"SURF": replace(standing("SURF", in_flight=3), limit=3)}
    assert sent(limited, 10, job_s=360.0).sent == {"Leiden": 9}


def test_copies_fill_no_link_beyond_its_share_at_either_end() -> None:
    thin = sites(standing("SURF", 0, bandwidth_mb_s=250.0), standing("Leiden", 100))
    found = sent(thin, 50)
    assert found.sent == {"Leiden": 4}
    assert found.standings["SURF"].free_copies == 0
    assert found.waiting == "Leiden: as many copies cross the links as may"
    assert sent(found.standings, 50).sent == {}
    narrow = sites(standing("SURF", 0), standing("Leiden", 100, transfers=3))
    assert sent(narrow, 50).sent == {"Leiden": 3}


def test_local_jobs_take_nothing_of_the_links() -> None:
    busy = sites(standing("SURF", transfers=1, copies=1))
    found = sent(busy, 5)
    assert (found.sent, found.standings["SURF"].copies, found.standings["SURF"].in_flight) == ({"SURF": 5}, 1, 5)


def test_data_that_no_site_holds_is_copied_over_the_link_of_the_site_that_gets_it() -> None:
    found = sent(sites(standing("SURF", 100, transfers=7)), 50, demand=replace(JOB, bytes_at={"": GB}))
    assert (found.sent, found.standings["SURF"].copies) == ({"SURF": 7}, 7)


def test_jobs_without_inputs_go_anywhere() -> None:
    assert sent(TWO, 15, demand=replace(JOB, bytes_at={})).sent == {"SURF": 10, "Leiden": 5}


def test_what_waits_for_a_site_to_open_is_told() -> None:
    shut = sites(replace(standing("SURF"), closed="quarantined"))
    assert sent(shut, 3) == Spread({}, shut, "SURF: quarantined")


def test_a_job_of_no_length_is_not_kept_waiting() -> None:
    assert sent(TWO, 15, job_s=0.0).sent == {"SURF": 10, "Leiden": 5}


def test_no_more_go_than_may_and_all_that_wait_count_in_the_line() -> None:
    """Of seventeen five are better off waiting for their own site; of the four that may go now none is."""
    assert sent(TWO, Line(17, 4), job_s=360.0).sent == {"SURF": 4}
    full = TWO | {"SURF": standing("SURF", 10, in_flight=10)}
    assert sent(full, Line(17, 4), job_s=360.0).sent == {"Leiden": 4}
    assert sent(full, Line(7, 4), job_s=360.0).sent == {"Leiden": 2}
    assert sent(full, Line(5, 4), job_s=360.0).sent == {}


def test_jobs_that_may_go_only_home_go_to_their_data_or_wait() -> None:
    assert sent(TWO, Line(15, 15, at_home=True)).sent == {"SURF": 10}
    full = TWO | {"SURF": standing("SURF", 10, in_flight=10)}
    assert sent(full, Line(15, 15, at_home=True)).sent == {}


def test_where_the_data_has_no_slots_of_its_own_home_is_where_it_is_copied_soonest() -> None:
    slow = standing("slow", stream_mb_s=10.0)
    three = sites(standing("SURF", 0), standing("Leiden"), slow, standing("Delft", tier=2))
    assert sent(three, Line(25, 25, at_home=True)).sent == {"Leiden": 10, "Delft": 6}, "as many as the link takes"


def test_nobody_is_copied_far_who_could_be_copied_near_while_waiting_less() -> None:
    """Both ways are copies; a slot at the nearer site is free every 36 s, and the farther copy takes 800 s longer."""
    full, far = standing("Leiden", in_flight=10), standing("far", stream_mb_s=10.0)
    three = sites(standing("SURF", 0, transfers=99), full, far)
    assert sent(three, 22, job_s=360.0).sent == {}
    assert sent(three, 25, job_s=360.0).sent == {"far": 3}


# Whatever comes

NAMES = ["A", "B", "C", "D"]
STANDINGS = st.lists(
    st.builds(
        Standing,
        site=st.builds(
            Site, st.just(""), tier=st.sampled_from([1, 2]), slots=st.integers(0, 20), cores=st.sampled_from([1, 8]),
            transfers=st.integers(1, 10), bandwidth_mb_s=st.sampled_from([10.0, 100.0, 1000.0]),
            stream_mb_s=st.sampled_from([10.0, 50.0]),
        ),
        in_flight=st.integers(0, 25), copies=st.integers(0, 12), closed=st.sampled_from(["", "", "shut"]),
        limit=st.none() | st.integers(0, 5),
    ),
    min_size=1, max_size=4,
).map(lambda found: {name: replace(one, site=replace(one.site, name=name))
                     for name, one in zip(NAMES, found, strict=False)})  # fmt: skip
DEMANDS = st.builds(
    lambda cores, bytes_at: Demand(cores, 1000, 60, 1000, bytes_at),
    st.sampled_from([1, 4]), st.dictionaries(st.sampled_from([*NAMES, ""]), st.integers(0, 20 * GB), max_size=3),
)  # fmt: skip
READY, JOB_S = st.integers(0, 60), st.floats(0, 10**5)


@given(STANDINGS, DEMANDS, READY, JOB_S)
def test_no_slot_and_no_link_is_filled_beyond_its_measure(
    before: dict[str, Standing], demand: Demand, ready: int, job_s: float
) -> None:
    found = sent(before, ready, job_s, demand)
    assert sum(found.sent.values()) <= ready
    for name, count in found.sent.items():
        assert 1 <= count <= before[name].free
        assert not before[name].closed
        assert not shortage(demand, before[name].site)
        assert found.standings[name].in_flight == before[name].in_flight + count
    for name, one in found.standings.items():
        more = one.copies - before[name].copies
        assert 0 <= more <= before[name].free_copies
        reads = demand.bytes_at.get(name, 0)
        away = sum(count for other, count in found.sent.items() if other != name) if reads else 0
        here = sum(size for other, size in demand.bytes_at.items() if other != name)
        assert more == away + (found.sent.get(name, 0) if here else 0), "each copy counts at both its ends"


@given(STANDINGS, DEMANDS, READY, JOB_S)
def test_data_is_copied_only_when_no_slot_is_free_beside_it(
    before: dict[str, Standing], demand: Demand, ready: int, job_s: float
) -> None:
    ranking = ranked(before, demand)
    found = spread(demand, Line(ready, ready), ranking, before, job_s)
    local = [one.site for one in ranking.candidates if one.local]
    if any(one.site in found.sent for one in ranking.candidates if not one.local):
        assert all(found.standings[name].free == 0 for name in local)


def test_jobs_that_take_next_to_no_time_wait_for_their_data() -> None:
    before = sites(standing("A", slots=1), standing("B", slots=1))
    demand = Demand(1, 1000, 60, 1000, {"A": 1})
    found = spread(demand, Line(2, 2), ranked(before, demand), before, job_s=5e-324)
    assert found.sent == {"A": 1}


@given(STANDINGS, DEMANDS, READY, JOB_S)
def test_jobs_that_wait_know_why(before: dict[str, Standing], demand: Demand, ready: int, job_s: float) -> None:
    ranking = ranked(before, demand)
    found = spread(demand, Line(ready, ready), ranking, before, job_s)
    waits = sum(found.sent.values()) < ready
    assert bool(found.waiting or (ranking.nowhere and ready)) == waits


@given(STANDINGS, DEMANDS, st.lists(st.sampled_from(NAMES)), st.lists(st.sampled_from(NAMES)))
def test_every_site_is_a_candidate_or_is_refused_with_a_reason(
    before: dict[str, Standing], demand: Demand, allowed: list[str], shunned: list[str]
) -> None:
    ranking = rank(demand, before, allowed, shunned)
    assert sorted([*names(ranking), *ranking.refused]) == sorted(before)
    assert all(ranking.refused.values())
    assert set(names(ranking)) <= set(allowed)
    assert bool(ranking.nowhere) == (not ranking.candidates and not ranking.shut)


def test_a_site_without_a_node_that_is_known_to_work_comes_last_though_it_holds_the_data() -> None:
    there = sites(replace(standing("here"), doubtful=True), standing("far", tier=2))
    assert names(ranked(there)) == ["far", "here"]


def test_nobody_waits_for_a_site_without_a_node_that_is_known_to_work() -> None:
    there = sites(replace(standing("here"), doubtful=True), standing("far"))
    assert sent(there, 10, job_s=1.0).sent == {"far": 10}
