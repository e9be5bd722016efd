"""How many pilots to start: for what waits, never more than allowed, and few where they are of no use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.supply import FIRST_PAUSE, LONGEST_PAUSE, MOST_AT_ONCE, Seen, resting_until, wanted

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
COMING, JOINED = Seen(joined=False), Seen(joined=True)


def useless(minutes_ago: float) -> Seen:
    return Seen(joined=False, ended=NOW - timedelta(minutes=minutes_ago), useless=True)


def useful(minutes_ago: float) -> Seen:
    return Seen(joined=True, ended=NOW - timedelta(minutes=minutes_ago))


def test_none_is_started_where_nothing_waits() -> None:
    assert wanted(0, 4, [], 10, NOW) == 0
    assert wanted(0, 4, [JOINED], 10, NOW) == 0


@pytest.mark.parametrize(("queued", "number"), [(1, 1), (4, 1), (5, 2), (400, MOST_AT_ONCE)])
def test_what_waits_is_counted_in_pilots(queued: int, number: int) -> None:
    assert wanted(queued, 4, [], 1000, NOW) == number


def test_those_that_come_are_counted_and_those_that_are_there_are_busy() -> None:
    assert wanted(8, 4, [COMING], 10, NOW) == 1
    assert wanted(8, 4, [COMING, COMING, COMING], 10, NOW) == 0
    assert wanted(8, 4, [JOINED, JOINED], 10, NOW) == 2


def test_no_more_are_there_than_the_site_allows() -> None:
    assert wanted(100, 1, [JOINED, COMING], 3, NOW) == 1
    assert wanted(100, 1, [JOINED, JOINED, useful(5)], 2, NOW) == 0


def test_after_one_of_no_use_there_is_a_pause_that_grows() -> None:
    assert wanted(8, 4, [useless(1)], 10, NOW) == 0
    assert wanted(8, 4, [useless(2)], 10, NOW) == 2
    assert wanted(8, 4, [useless(4), useless(3)], 10, NOW) == 0
    assert resting_until([useless(0)] * 3, NOW) == NOW + 4 * FIRST_PAUSE
    assert resting_until([useless(0)] * 50, NOW) == NOW + LONGEST_PAUSE


def test_one_that_was_of_use_ends_the_pause() -> None:
    assert wanted(8, 4, [useless(2), useless(1.5), useful(1)], 10, NOW) == 2
    assert resting_until([useful(3), useless(0)], NOW) == NOW + FIRST_PAUSE


seen = st.builds(
    lambda joined, ago, useless: Seen(joined, None if ago is None else NOW - timedelta(minutes=ago), useless),
    st.booleans(), st.none() | st.floats(0, 500), st.booleans(),
)  # fmt: skip


@given(st.integers(0, 10_000), st.integers(1, 64), st.lists(seen, max_size=40), st.integers(0, 50))
def test_whatever_was_seen_no_more_live_than_are_allowed_and_needed(
    queued: int, cores: int, pilots: list[Seen], at_most: int
) -> None:
    number = wanted(queued, cores, pilots, at_most, NOW)
    living = sum(one.ended is None for one in pilots)
    assert number >= 0
    assert not number or living + number <= at_most
    assert (number - 1) * cores < max(queued, 1)
