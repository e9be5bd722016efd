"""Whose jobs go first: priority, then who has least; no place is left free that somebody could use."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.sharing import Claim, share

CLAIMS = st.lists(
    st.builds(
        Claim,
        production_id=st.just(0),
        waiting=st.integers(0, 30),
        in_flight=st.integers(0, 30),
        priority=st.integers(0, 2),
        max_running=st.none() | st.integers(0, 30),
    ),
    max_size=6,
).map(lambda claims: [replace(claim, production_id=number) for number, claim in enumerate(claims)])
ROOMS = st.integers(0, 100)


def test_room_is_halved_between_two_that_want_it_all() -> None:
    assert share(10, [Claim(1, 100, 0), Claim(2, 100, 0)]) == {1: 5, 2: 5}


def test_who_has_least_gets_next() -> None:
    assert share(10, [Claim(1, 100, 20), Claim(2, 100, 14)]) == {2: 8, 1: 2}
    assert share(6, [Claim(1, 100, 20), Claim(2, 100, 14)]) == {2: 6}


def test_who_wants_little_leaves_the_rest_to_others() -> None:
    assert share(10, [Claim(1, 2, 0), Claim(2, 100, 0)]) == {1: 2, 2: 8}


def test_a_higher_priority_goes_first_however_much_it_has() -> None:
    assert share(10, [Claim(1, 100, 0), Claim(2, 7, 50, priority=1)]) == {2: 7, 1: 3}


def test_nobody_runs_more_than_it_may() -> None:
    assert share(10, [Claim(1, 100, 4, max_running=6), Claim(2, 100, 3, max_running=2)]) == {1: 2}


def test_what_does_not_divide_goes_round_one_each() -> None:
    assert share(5, [Claim(1, 9, 0), Claim(2, 9, 0), Claim(3, 9, 0)]) == {1: 2, 2: 2, 3: 1}


def test_those_who_are_served_first_stand_first() -> None:
    claims = [Claim(1, 9, 5), Claim(2, 9, 1), Claim(3, 9, 0, priority=1)]
    assert list(share(20, claims)) == [3, 2, 1]


def test_there_is_nothing_to_divide_without_room_or_claims() -> None:
    assert share(0, [Claim(1, 9, 0)]) == {}
    assert share(9, []) == {}
    assert share(9, [Claim(1, 0, 0)]) == {}


@given(ROOMS, CLAIMS)
def test_all_the_room_is_given_that_can_be_used_and_no_more(room: int, claims: list[Claim]) -> None:
    assert sum(share(room, claims).values()) == min(room, sum(claim.most for claim in claims))


@given(ROOMS, CLAIMS)
def test_nobody_gets_more_than_it_can_use_and_nobody_is_named_in_vain(room: int, claims: list[Claim]) -> None:
    shares = share(room, claims)
    assert all(1 <= given <= claims[number].most for number, given in shares.items())


@given(ROOMS, CLAIMS)
def test_a_lower_priority_gets_something_only_when_all_above_have_enough(room: int, claims: list[Claim]) -> None:
    shares = share(room, claims)
    served = min((claims[number].priority for number in shares), default=9)
    above = [claim for claim in claims if claim.priority > served]
    assert all(shares.get(claim.production_id, 0) == claim.most for claim in above)


@given(ROOMS, CLAIMS)
def test_equals_are_brought_to_one_level(room: int, claims: list[Claim]) -> None:
    shares = share(room, claims)
    after = {claim.production_id: claim.in_flight + shares.get(claim.production_id, 0) for claim in claims}
    for hungry in (claim for claim in claims if shares.get(claim.production_id, 0) < claim.most):
        for other in claims:
            if other.priority == hungry.priority and other.production_id in shares:
                assert after[other.production_id] <= after[hungry.production_id] + 1


@given(ROOMS, CLAIMS)
def test_the_order_of_the_claims_changes_nothing(room: int, claims: list[Claim]) -> None:
    assert share(room, claims[::-1]) == share(room, claims)
