"""Calls to storages: near ones are made at once, far ones beside the ticks, and again when they have failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest

from lofargrid.engine import carrying
from lofargrid.engine.carrying import Carrying
from lofargrid.errors import BackendError, ExpiredError
from lofargrid.storage.local import LocalStorage
from tests.unit.engine_factories import START

FAR = ("davs://host/a",)


class Elsewhere(LocalStorage):
    def is_near(self, *urls: str) -> bool:
        return not any(url.startswith("davs:") for url in urls)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def later(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def calls(clock: Clock) -> Carrying:
    return Carrying(Elsewhere(), clock)


def settle() -> None:
    """Return when no call goes on."""
    for thread in threading.enumerate():
        if thread.name == "storage":
            thread.join(10)


def asked(calls: Carrying, call: Callable[[], None], key: str = "a") -> bool:
    return calls.done(key, FAR, partial(partial, call))


def failing() -> None:
    raise BackendError("the door does not answer")


def test_what_is_near_is_done_at_once(calls: Carrying) -> None:
    made: list[int] = []
    assert calls.done("a", ("file:///a",), partial(partial, made.append, 1))
    assert made == [1]
    assert calls.under_way == 0


def test_what_is_far_goes_on_and_is_done_once(calls: Carrying) -> None:
    made: list[int] = []
    go_on = threading.Event()

    def call() -> None:
        go_on.wait(10)
        made.append(1)

    assert not asked(calls, call)
    assert not asked(calls, call)
    assert calls.under_way == 1
    go_on.set()
    settle()
    assert asked(calls, call)
    assert made == [1]
    assert calls.under_way == 0


def test_only_a_few_calls_go_on_at_once(calls: Carrying) -> None:
    go_on = threading.Event()
    keys = [str(number) for number in range(carrying.MOST + 2)]
    for key in keys:
        asked(calls, partial(go_on.wait, 10), key)
    assert calls.under_way == carrying.MOST
    go_on.set()
    settle()
    assert [asked(calls, partial(go_on.wait, 10), key) for key in keys] == [True] * carrying.MOST + [False] * 2
    settle()


def test_what_failed_says_so_until_it_is_tried_again_and_then_less_and_less_often(
    calls: Carrying, clock: Clock
) -> None:
    for pause_s in (carrying.PAUSE_S, 2 * carrying.PAUSE_S):
        assert not asked(calls, failing)
        settle()
        for later_s in (0, pause_s - 1):
            clock.later(later_s)
            with pytest.raises(BackendError, match="does not answer"):
                asked(calls, failing)
        clock.later(1)
    assert calls.under_way == 1, "it is waited for"
    made: list[int] = []
    assert not asked(calls, partial(made.append, 1))
    settle()
    assert asked(calls, partial(made.append, 1))
    assert made == [1]
    assert calls.under_way == 0


def test_what_has_failed_for_long_is_not_waited_for(calls: Carrying, clock: Clock) -> None:
    for _ in range(6):
        asked(calls, failing)
        settle()
        with pytest.raises(BackendError):
            asked(calls, failing)
        clock.later(carrying.LONGEST_PAUSE_S)
    assert calls.under_way == 0


def test_without_leave_nothing_far_is_begun_and_with_it_it_is_at_once(clock: Clock) -> None:
    made: list[int] = []
    ended = [True]

    def leave(*urls: str) -> None:
        if ended:
            raise ExpiredError("the proxy has ended")

    calls = Carrying(Elsewhere(), clock, leave)
    with pytest.raises(ExpiredError):
        asked(calls, partial(made.append, 1))
    assert calls.done("here", ("file:///a",), partial(partial, made.append, 0)), "a disk asks for none"
    ended.clear()
    assert not asked(calls, partial(made.append, 1))
    settle()
    assert asked(calls, partial(made.append, 1))
    assert made == [0, 1]


def test_what_nobody_asks_for_any_more_is_neither_waited_for_nor_taken_for_done_later(calls: Carrying) -> None:
    made: list[int] = []
    for key in map(str, range(carrying.MOST)):
        assert not asked(calls, partial(made.append, 1), key)
    assert not asked(calls, failing, "b")
    settle()
    for _ in range(2):
        calls.begin()
    assert calls.under_way == 0
    assert not asked(calls, partial(made.append, 2), "0"), "it is begun anew"
    settle()
    assert asked(calls, partial(made.append, 2), "0")
    assert made == [1] * carrying.MOST + [2]
