from __future__ import annotations

import math
import tracemalloc
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lofargrid.simulation.clock import Clock

DELAYS = st.lists(st.floats(0, 1e6), max_size=60)


@given(DELAYS)
def test_events_happen_at_their_time_and_in_its_order(delays: list[float]) -> None:
    clock, happened = Clock(), list[tuple[float, int]]()
    for number, delay in enumerate(delays):
        clock.at(delay, lambda number=number: happened.append((clock.elapsed_s, number)))
    clock.advance(1e6)
    assert happened == sorted((delay, number) for number, delay in enumerate(delays))


@given(DELAYS, st.sets(st.integers(0, 59)), st.floats(0, 1e6))
def test_a_cancelled_event_never_happens_and_all_others_do(delays: list[float], out: set[int], at_s: float) -> None:
    clock, happened = Clock(), list[int]()
    events = [clock.at(delay, lambda number=number: happened.append(number)) for number, delay in enumerate(delays)]
    clock.advance(at_s)
    before = list(happened)
    for number in out & set(range(len(delays))):
        clock.cancel(events[number])
        clock.cancel(events[number])
    clock.advance(1e6)
    assert sorted(happened) == sorted({*before, *(set(range(len(delays))) - out)})


def test_many_cancelled_events_cost_no_memory() -> None:
    clock, happened = Clock(), list[int]()
    clock.at(5.0, lambda: happened.append(2))
    tracemalloc.start()
    for _ in range(20_000):
        clock.cancel(clock.at(1e9, lambda: happened.append(1)))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200_000
    clock.advance(1e10)
    assert happened == [2]


def test_at_the_end_of_time_it_is_as_late_as_the_last_event() -> None:
    clock = Clock()
    clock.at(5.0, lambda: None)
    clock.advance(math.inf)
    assert (clock.elapsed_s, clock.next_s) == (5.0, math.inf)


def test_an_event_may_make_and_cancel_others() -> None:
    clock, happened = Clock(), list[str]()
    doomed = clock.at(3.0, lambda: happened.append("doomed"))

    def first() -> None:
        happened.append("first")
        clock.cancel(doomed)
        clock.at(0.0, lambda: happened.append("at once"))
        clock.at(1.0, lambda: happened.append("later"))

    clock.at(2.0, first)
    clock.advance(2.5)
    assert happened == ["first", "at once"]
    clock.advance(4.0)
    assert happened == ["first", "at once", "later"]


def test_a_delay_below_zero_is_none() -> None:
    clock = Clock()
    clock.advance(10.0)
    clock.at(-5.0, lambda: None)
    assert clock.next_s == 10.0


def test_the_time_is_aware_and_never_goes_back() -> None:
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock = Clock(start)
    assert clock.now() == start
    clock.advance(90.5)
    clock.advance(10.0)
    assert clock.now() == start + timedelta(seconds=90.5)
    assert clock.moment(30.0) == start + timedelta(seconds=30)


def test_a_step_tells_whether_something_happened_by_then() -> None:
    clock, happened = Clock(), list[float]()
    for delay in (1.0, 2.0):
        clock.at(delay, lambda: happened.append(clock.elapsed_s))
    assert clock.step(5.0)
    assert (happened, clock.elapsed_s) == ([1.0], 1.0)
    assert not clock.step(1.5)
    assert (happened, clock.elapsed_s) == ([1.0], 1.5)
    assert clock.step(2.0)
    assert not clock.step(9.0)
    assert clock.elapsed_s == 9.0
