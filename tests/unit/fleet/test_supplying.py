"""While a run goes on the fleet is looked after, every so often."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lofargrid.errors import BackendError, Fault, InputError
from lofargrid.pilots import supplying
from lofargrid.pilots.supplying import PAUSE_S, Supplying


class FakeFleet:
    def __init__(self) -> None:
        self.looks = 0
        self.fault: Exception | None = None
        self.wished = ["jobs wait"]

    def supply(self) -> list[str]:
        self.looks += 1
        if self.fault:
            raise self.fault
        return [f"started {self.looks}"]

    def wishes(self) -> list[str]:
        return self.wished


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [0.0]
    monkeypatch.setattr(supplying.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def test_it_looks_at_once_and_then_every_so_often(clock: Callable[[float], None]) -> None:
    fleet, said = FakeFleet(), list[str]()
    one = Supplying(fleet, said.append)  # type: ignore[arg-type]
    one.look()
    one.look()
    clock(PAUSE_S)
    one.look()
    assert said == ["started 1", "jobs wait", "started 2"], "a wish is told once"


@pytest.mark.parametrize("fault", [BackendError("no answer"), InputError(Fault("no such batch system", "Name one"))])
def test_what_cannot_be_done_is_told_once_and_tried_again(clock: Callable[[float], None], fault: Exception) -> None:
    fleet, said = FakeFleet(), list[str]()
    fleet.fault = fault
    one = Supplying(fleet, said.append)  # type: ignore[arg-type]
    for _ in range(3):
        one.look()
        clock(PAUSE_S)
    assert (fleet.looks, said) == (3, [f"no pilots now: {fault}"])


def test_without_a_fleet_nothing_is_looked_after() -> None:
    Supplying(None, pytest.fail).look()
