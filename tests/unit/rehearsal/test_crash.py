"""The process dies where it should: before a statement, before a call, or after it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from lofargrid.rehearsal.crash import Crash, Executioner, MortalConnection, MortalPort


class Scripted(random.Random):
    """Says after how many steps the next crash comes."""

    def __init__(self, *steps: int) -> None:
        super().__init__(0)
        self._steps: Iterator[int] = iter(steps)

    def expovariate(self, lambd: float = 1.0) -> float:
        return next(self._steps, 1_000_000) - 1


def executioner(*steps: int) -> Executioner:
    one = Executioner(0.5, Scripted(*steps))
    one.armed = True
    return one


def died_at(one: Executioner, steps: int) -> list[int]:
    died = []
    for step in range(1, steps + 1):
        try:
            one.step()
        except Crash:
            died.append(step)
    return died


def test_it_dies_at_the_step_that_was_drawn_and_draws_anew() -> None:
    one = executioner(3, 2)
    assert died_at(one, 10) == [3, 5]
    assert one.crashes == 2


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_who_is_not_armed_or_has_no_chance_lives(chance: float) -> None:
    one = Executioner(chance, random.Random(1))
    one.armed = chance == 0.0
    assert died_at(one, 1000) == []


def test_the_mean_number_of_crashes_a_step_is_the_chance() -> None:
    one = Executioner(0.05, random.Random(1))
    one.armed = True
    assert len(died_at(one, 20_000)) == pytest.approx(1000, rel=0.1)


def test_nothing_that_catches_errors_catches_a_crash() -> None:
    assert not issubclass(Crash, Exception)


def test_before_a_statement_that_is_not_run_the_process_dies() -> None:
    with sqlite3.connect(":memory:") as true:
        connection: Any = MortalConnection(true, executioner(4))
        connection.execute("CREATE TABLE one (x)")
        connection.execute("INSERT INTO one VALUES (?)", [1])
        connection.executemany("INSERT INTO one VALUES (?)", [(2,), (3,)])
        with pytest.raises(Crash):
            connection.execute("INSERT INTO one VALUES (4)")
        assert [row[0] for row in connection.execute("SELECT x FROM one ORDER BY x")] == [1, 2, 3]
        assert connection.in_transaction
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM one").fetchone() == (0,)
    true.close()


def test_many_rows_are_one_statement() -> None:
    with sqlite3.connect(":memory:") as true:
        true.execute("CREATE TABLE one (x)")
        with pytest.raises(Crash):
            MortalConnection(true, executioner(1)).executemany("INSERT INTO one VALUES (?)", [(1,)])
        assert true.total_changes == 0
    true.close()


class Port:
    """Counts how often it was called."""

    name = "simulated"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def submit(self, *words: Any, **named: Any) -> str:
        self.calls.append((*words, named))
        return "answer"


@pytest.mark.parametrize(("step", "calls"), [(1, 0), (2, 1)])
def test_the_caller_dies_before_a_call_or_after_it_without_its_answer(step: int, calls: int) -> None:
    port = Port()
    with pytest.raises(Crash):
        MortalPort(port, executioner(step)).submit("a")
    assert len(port.calls) == calls


def test_who_lives_gets_the_answer_and_attributes_cost_no_step() -> None:
    port = Port()
    mortal = MortalPort(port, executioner(3))
    assert [mortal.name for _ in range(5)] == ["simulated"] * 5
    assert mortal.submit("a", b=1) == "answer"
    assert port.calls == [("a", {"b": 1})]
