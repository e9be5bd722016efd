from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.simulation.clock import BIN_S, Clock
from lofargrid.simulation.network import Link, Network

CAPACITY, STREAM = 100.0, 30.0
SITES = ("A", "B", "C")
COPIES = st.lists(
    st.tuples(st.floats(0, 500), st.sampled_from(SITES), st.sampled_from(SITES), st.floats(0, 5000)), max_size=25
)


def network(clock: Clock, wide: float = CAPACITY, stream: float = STREAM) -> Network:
    return Network(
        clock,
        {name: Link(f"{name} local", 1000.0, 200.0) for name in SITES},
        {name: Link(name, wide, stream) for name in SITES},
    )


def run(copies: list[tuple[float, str, str, float]], pace: float = 1.0) -> tuple[Network, dict[int, float]]:
    """Begin copies of some MB at their times; tell when each was over."""
    clock, ended = Clock(), dict[int, float]()
    net = network(clock)
    for name in SITES:
        net.set_pace(name, pace)
    for number, (begin_s, source, target, size_mb) in enumerate(copies):
        size_bytes = round(size_mb * 1e6)

        def begin(source: str = source, target: str = target, size: int = size_bytes, number: int = number) -> None:
            net.copy(source, target, size, lambda: ended.setdefault(number, clock.elapsed_s))

        clock.at(begin_s, begin)
    clock.advance(1e9)
    return net, ended


def between(copies: list[tuple[float, str, str, float]], name: str) -> float:
    return sum(size for _, source, target, size in copies if source != target and name in (source, target))


@given(COPIES)
def test_every_copy_ends_and_each_link_carries_its_bytes_and_no_others(
    copies: list[tuple[float, str, str, float]],
) -> None:
    net, ended = run(copies)
    assert sorted(ended) == list(range(len(copies)))
    for name in SITES:
        assert sum(net.wide[name].moved_mb.values()) == pytest.approx(between(copies, name), rel=1e-6, abs=1e-3)
        within = sum(size for _, source, target, size in copies if source == target == name)
        assert sum(net.local[name].moved_mb.values()) == pytest.approx(within, rel=1e-6, abs=1e-3)


@given(COPIES)
def test_no_link_ever_carries_more_than_it_can(copies: list[tuple[float, str, str, float]]) -> None:
    net, _ = run(copies)
    for link in (*net.wide.values(), *net.local.values()):
        assert link.busiest_mb_s <= link.capacity_mb_s * (1 + 1e-9)


@given(COPIES)
def test_no_copy_is_faster_than_a_stream_may_be(copies: list[tuple[float, str, str, float]]) -> None:
    _, ended = run(copies)
    for number, (begin_s, source, target, size_mb) in enumerate(copies):
        least_s = size_mb / (200.0 if source == target else STREAM)
        assert ended[number] - begin_s >= least_s * (1 - 1e-6) - 1e-3


@given(st.lists(st.floats(1, 5000), min_size=1, max_size=20))
def test_copies_that_begin_together_end_in_the_order_of_their_size(sizes: list[float]) -> None:
    _, ended = run([(0.0, "A", "B", size) for size in sizes])
    times = [ended[number] for _, number in sorted((round(size * 1e6), number) for number, size in enumerate(sizes))]
    assert times == sorted(times)


@given(st.lists(st.floats(1, 5000), min_size=1, max_size=20))
def test_a_link_that_is_asked_for_more_than_it_can_is_never_idle(sizes: list[float]) -> None:
    """Copies in both directions share it; the last ones have a stream's rate and no more."""
    _, ended = run([(0.0, *(("A", "B") if number % 2 else ("B", "A")), size) for number, size in enumerate(sizes)])
    left, expected_s, done_mb = sorted(sizes), 0.0, 0.0
    for number, size in enumerate(left):
        rate = min(STREAM, CAPACITY / (len(left) - number))
        expected_s += (size - done_mb) / rate
        done_mb = size
    assert max(ended.values()) == pytest.approx(expected_s, rel=1e-6, abs=1e-3)


def test_a_copy_gets_the_smaller_share_of_the_two_links_it_crosses() -> None:
    crowd = [(0.0, "A", "B", 1000.0)] * 9
    _, ended = run([*crowd, (0.0, "C", "B", 100.0), (0.0, "C", "A", 100.0)])
    assert ended[9] == pytest.approx(10.0), "B serves ten, though C would give a stream's rate"
    assert ended[10] == pytest.approx(10.0)


def test_a_copy_alone_has_the_rate_of_a_stream() -> None:
    _, ended = run([(5.0, "A", "B", 300.0)])
    assert ended == {0: pytest.approx(15.0)}


def test_copies_within_a_site_leave_its_wide_area_link_alone() -> None:
    net, ended = run([(0.0, "A", "A", 2000.0)])
    assert (ended, net.wide["A"].busiest_mb_s) == ({0: pytest.approx(10.0)}, 0.0)


def test_what_is_carried_is_recorded_in_the_minute_in_which_it_was() -> None:
    net, _ = run([(BIN_S - 1.0, "A", "B", 3 * STREAM)])
    assert dict(net.wide["A"].moved_mb) == {0: pytest.approx(STREAM), 1: pytest.approx(2 * STREAM)}


def test_a_slow_site_slows_down_what_is_on_its_way() -> None:
    clock, ended = Clock(), list[float]()
    net = network(clock)
    net.copy("A", "B", 600_000_000, lambda: ended.append(clock.elapsed_s))
    clock.advance(10.0)
    net.set_pace("B", 0.1)
    clock.advance(30.0)
    net.set_pace("B", 1.0)
    clock.advance(100.0)
    assert ended == [pytest.approx(10.0 + 20.0 + (600.0 - 300.0 - 60.0) / STREAM)]


def test_a_broken_off_copy_never_ends_and_frees_its_share() -> None:
    clock, ended = Clock(), list[str]()
    net = network(clock, wide=40.0)
    doomed = net.copy("A", "B", 400_000_000, lambda: ended.append("doomed"))
    net.copy("A", "B", 400_000_000, lambda: ended.append(f"{clock.elapsed_s:.3f}"))
    clock.advance(5.0)
    for _ in range(2):
        doomed.route.cancel(doomed)
    clock.advance(math.inf)
    assert ended == [f"{5.0 + 300.0 / 30.0:.3f}"]
    assert sum(net.wide["A"].moved_mb.values()) == pytest.approx(500.0)
    assert net.wide["A"].copies == 0


def test_an_empty_file_takes_no_time() -> None:
    _, ended = run([(7.0, "A", "B", 0.0)])
    assert ended == {0: pytest.approx(7.0)}


def test_booked_bytes_take_no_time_and_are_recorded_apart() -> None:
    clock = Clock()
    clock.advance(130.0)
    net = network(clock)
    net.book("A", "B", 5_000_000)
    assert (dict(net.wide["A"].booked_mb), dict(net.wide["A"].moved_mb)) == ({2: 5.0}, {})
    assert dict(net.wide["B"].booked_mb) == {2: 5.0}
    assert clock.next_s == math.inf


def test_what_is_on_its_way_is_on_record_when_it_is_asked_for() -> None:
    clock = Clock()
    net = network(clock)
    net.copy("A", "B", 10**12, lambda: None)
    clock.advance(30.0)
    net.settle()
    assert dict(net.wide["A"].moved_mb) == {0: pytest.approx(30 * STREAM)}
    assert net.wide["A"].most_copies == 1
