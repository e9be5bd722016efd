"""Free places are offered until they are taken or nobody can use them, and fairly."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.sharing import Claim
from lofargrid.engine.turns import Turns, key_of
from lofargrid.tracker.records import Kind


def kind(production_id: int, count: int, step: str = "first") -> Kind:
    return Kind(production_id, step, "SURF", None, None, count, 1)


def claim(production_id: int, in_flight: int = 0, priority: int = 0, max_running: int | None = None) -> Claim:
    return Claim(production_id, 0, in_flight, priority, max_running)


def served(turns: Turns, room: int, able: Mapping[tuple[int, str], int], most_rounds: int = 30) -> dict[int, int]:
    """Serve until nothing is offered; each kind can use so many places."""
    able, got = dict(able), {}
    for _ in range(most_rounds):
        offers = turns.offer(room)
        if not offers:
            return got
        for one, offered in offers:
            taken = min(offered, able[one.production_id, one.step], room)
            able[one.production_id, one.step] -= taken
            room -= taken
            got[one.production_id] = got.get(one.production_id, 0) + taken
            turns.took(one, offered, taken)
    raise AssertionError("it goes on for ever")


def test_places_are_shared_when_all_can_use_them() -> None:
    turns = Turns([kind(1, 9), kind(2, 9)], {1: claim(1), 2: claim(2)})
    assert served(turns, 6, {(1, "first"): 9, (2, "first"): 9}) == {1: 3, 2: 3}
    assert turns.stuck == set()


def test_what_one_cannot_use_goes_to_the_others() -> None:
    turns = Turns([kind(1, 100), kind(2, 100), kind(3, 100)], {one: claim(one) for one in (1, 2, 3)})
    assert served(turns, 90, {(1, "first"): 10, (2, "first"): 100, (3, "first"): 100}) == {1: 10, 2: 40, 3: 40}
    assert turns.stuck == {key_of(kind(1, 0))}


def test_a_high_priority_that_can_run_nowhere_keeps_nobody_waiting() -> None:
    turns = Turns([kind(1, 100), kind(2, 100)], {1: claim(1, priority=9), 2: claim(2)})
    assert served(turns, 50, {(1, "first"): 0, (2, "first"): 100}) == {1: 0, 2: 50}


def test_the_kinds_of_a_production_are_served_in_its_order() -> None:
    turns = Turns([kind(1, 2, "last"), kind(1, 9)], {1: claim(1)})
    assert [(one.step, count) for one, count in turns.offer(5)] == [("last", 2), ("first", 3)]


def test_a_kind_that_is_stuck_does_not_hold_up_the_next_of_its_production() -> None:
    turns = Turns([kind(1, 9, "last"), kind(1, 9)], {1: claim(1)})
    assert served(turns, 5, {(1, "last"): 0, (1, "first"): 9}) == {1: 5}


def test_no_production_gets_more_than_it_may_run_whatever_the_round() -> None:
    turns = Turns([kind(1, 9), kind(2, 9)], {1: claim(1, in_flight=2, max_running=4), 2: claim(2)})
    assert served(turns, 20, {(1, "first"): 9, (2, "first"): 0}) == {1: 2, 2: 0}


def test_who_was_passed_over_is_offered_nothing() -> None:
    turns = Turns([kind(1, 9), kind(2, 9)], {1: claim(1), 2: claim(2)}, {key_of(kind(1, 0))})
    assert [(one.production_id, count) for one, count in turns.offer(5)] == [(2, 5)]


def test_many_that_cannot_use_a_place_are_asked_in_few_rounds() -> None:
    kinds = [kind(number, 1) for number in range(1000)]
    turns = Turns(kinds, {number: claim(number) for number in range(1000)})
    able = {(number, "first"): int(number == 999) for number in range(1000)}
    assert served(turns, 1, able, most_rounds=12)[999] == 1


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 2)), max_size=6), st.integers(0, 60))
def test_no_place_stays_free_that_somebody_could_use(kinds: list[tuple[int, int, int]], room: int) -> None:
    ready = [kind(number, count) for number, (count, _, _) in enumerate(kinds)]
    claims = {number: claim(number, priority=priority) for number, (_, _, priority) in enumerate(kinds)}
    able = {(number, "first"): usable for number, (_, usable, _) in enumerate(kinds)}
    got = served(Turns(ready, claims), room, able, most_rounds=100)
    assert sum(got.values()) == min(room, sum(min(count, usable) for count, usable, _ in kinds))
