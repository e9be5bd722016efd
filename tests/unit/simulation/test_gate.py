from __future__ import annotations

from collections.abc import Sequence

import pytest

from lofargrid.errors import BackendError
from lofargrid.simulation.clock import Clock
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.gate import Gate
from lofargrid.simulation.streams import Streams
from lofargrid.simulation.trace import Trace
from lofargrid.simulation.weather import Weather


def gate(**rates: float) -> tuple[Gate, Clock, Trace, Weather]:
    clock, faults = Clock(), Faults(**rates)
    trace = Trace(lambda: clock.elapsed_s)
    weather = Weather(clock, faults, [], Streams(1), trace)
    return Gate("storage", clock, weather, trace, faults, Streams(1).stream("gate")), clock, trace, weather


def acts(one: Gate, calls: int = 1) -> tuple[int, int]:
    """How often it was acted, and how many calls failed."""
    done, failed = list[int](), 0
    for number in range(calls):
        try:
            one.call("do something", lambda number=number: done.append(number))
        except BackendError:
            failed += 1
    return len(done), failed


def test_a_sound_service_does_what_it_is_asked_once() -> None:
    assert acts(gate()[0], 50) == (50, 0)


@pytest.mark.parametrize(
    ("rate", "done", "failed"), [("call_refused", 0, 1), ("answer_lost", 1, 1), ("call_doubled", 2, 0)]
)
def test_each_fault_does_what_it_says(rate: str, done: int, failed: int) -> None:
    one, _, trace, _ = gate(**{rate: 1.0})
    assert acts(one) == (done, failed)
    assert sum(trace.faults.values()) == 1


def test_faults_come_as_often_as_asked() -> None:
    one, _, trace, _ = gate(call_refused=0.2)
    done, failed = acts(one, 2000)
    assert done + failed == 2000
    assert trace.faults[Cause.CALL_REFUSED] == failed == pytest.approx(400, rel=0.15)


def test_what_is_cut_short_was_done_to_the_first_ones() -> None:
    one, *_ = gate(call_cut_short=1.0)
    seen: list[Sequence[int]] = []
    for _ in range(20):
        with pytest.raises(BackendError, match="cannot do: storage service: connection reset"):
            one.call_each("do", range(5), seen.append)
    assert {len(part) for part in seen} == {0, 1, 2, 3, 4}
    assert all([*part] == [*range(len(part))] for part in seen)
    assert one.call_each("do", [7], len) == 1, "of one thing nothing can be cut"


def test_a_service_that_is_down_does_nothing_until_it_is_back() -> None:
    one, clock, _, weather = gate()
    weather.add(Cause.SERVICE_DOWN, "storage", 10.0, 20.0)
    weather.add(Cause.SERVICE_DOWN, "backend", 0.0, 99.0)
    assert acts(one) == (1, 0)
    clock.advance(15.0)
    with pytest.raises(BackendError, match="storage service: does not answer"):
        one.call("do", lambda: None)
    clock.advance(20.0)
    assert acts(one) == (1, 0)


def test_things_happen_while_a_slow_call_waits() -> None:
    one, clock, _, _ = gate(call_slow=1.0, call_slow_s=100.0)
    happened: list[str] = []
    clock.at(0.001, lambda: happened.append("meanwhile"))
    one.call("do", lambda: happened.append("done"))
    assert happened == ["meanwhile", "done"]
