"""What a backend has to tell is told until somebody has heard it."""

from __future__ import annotations

from lofargrid.backends.base import Observation
from lofargrid.backends.ledger import Ledger
from lofargrid.states import Phase

RUNS, ENDED = Observation("a", Phase.RUNNING), Observation("a", Phase.ENDED)


def test_what_was_observed_is_told_until_a_cursor_behind_it_comes_back() -> None:
    ledger = Ledger()
    start = ledger.since().cursor
    ledger.add(RUNS)
    assert ledger.since().observations == (RUNS,)
    ledger.forget(start)
    assert ledger.since().observations == (RUNS,)
    ledger.forget(ledger.since().cursor)
    assert ledger.since().observations == ()


def test_an_old_cursor_forgets_nothing_more() -> None:
    ledger = Ledger()
    ledger.add(RUNS)
    old = ledger.since().cursor
    ledger.forget(old)
    ledger.add(ENDED)
    ledger.forget(old)
    assert (ledger.before(old), ledger.since().observations) == ([], (ENDED,))


def test_the_state_of_now_is_the_latest_of_each_and_a_cursor_behind_all() -> None:
    ledger = Ledger()
    for one in (RUNS, ENDED, Observation("b", Phase.RUNNING)):
        ledger.add(one)
    now = ledger.now(["a", "c"])
    assert now.observations == (ENDED, Observation("c", Phase.QUEUED))
    ledger.forget(now.cursor)
    assert ledger.since().observations == ()


def test_an_attempt_that_was_over_when_it_was_told_is_forgotten() -> None:
    ledger = Ledger()
    ledger.add(ENDED)
    ledger.forget(ledger.since().cursor)
    assert ledger.now(["a"]).observations == (Observation("a", Phase.QUEUED),)
