"""Checks: products are judged by what was measured, never by an exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lofargrid_runner import checks
from lofargrid_runner.checks import holds, judge, last_object
from lofargrid_runner.contract import Check, Expectation, OutputFile, Reason

from tests.unit.pilots.attempts import Attempt, printing, shell

NAN, INF = float("nan"), float("inf")
E = Expectation

HOLDING: list[tuple[Any, Expectation]] = [
    (480, E(equals=480)),
    (480.0, E(equals=480)),
    ("XX", E(equals="XX")),
    (True, E(equals=True)),
    (1.05, E(equals=1, within=0.1)),
    ([1.0, 2.1], E(equals=(1, 2), within=0.2)),
    ([[1], "a"], E(equals=((1,), "a"))),
    (0.5, E(minimum=0.5)),
    (0.5, E(maximum=0.5)),
    (0.5, E(minimum=0, maximum=1)),
    (INF, E(minimum=0)),
    ("anything", E()),
    (None, E()),
]
FAILING: list[tuple[Any, Expectation]] = [
    (479, E(equals=480)),
    ("480", E(equals=480)),
    (1, E(equals=True)),
    (True, E(equals=1)),
    (1.2, E(equals=1, within=0.1)),
    ([1, 2], E(equals=(1, 2, 3))),
    ([1, 3], E(equals=(1, 2), within=0.5)),
    (1, E(equals=(1,))),
    ("ab", E(equals=("a", "b"))),
    (0.4, E(minimum=0.5)),
    (0.6, E(maximum=0.5)),
    (True, E(minimum=0)),
    ("1", E(maximum=2)),
    (None, E(minimum=0)),
    (NAN, E()),
    (NAN, E(minimum=0)),
    (NAN, E(equals=1, within=INF)),
    ([1, NAN], E(equals=(1, 2), within=INF)),
    ([[NAN]], E()),
    (INF, E(equals=1, within=5)),
]


@pytest.mark.parametrize(("value", "expectation"), HOLDING)
def test_what_holds(value: Any, expectation: Expectation) -> None:
    assert holds(expectation, value)


@pytest.mark.parametrize(("value", "expectation"), FAILING)
def test_what_does_not_hold(value: Any, expectation: Expectation) -> None:
    assert not holds(expectation, value)


@pytest.mark.parametrize(
    ("expectation", "sentence"),
    [
        (E(equals=480), "rows is 479, expected 480"),
        (E(equals=490, within=5), "rows is 479, expected 490 within 5"),
        (E(equals=(1, 2)), "rows is 479, expected [1, 2]"),
        (E(minimum=480), "rows is 479, expected at least 480"),
        (E(minimum=1, maximum=2), "rows is 479, expected at least 1 and at most 2"),
    ],
)
def test_the_sentence_names_key_measured_and_expected(expectation: Expectation, sentence: str) -> None:
    assert judge({"rows": expectation}, {"rows": 479}) == [sentence]


def test_a_missing_key_and_a_nan_have_their_sentences() -> None:
    assert judge({"rows": E()}, {}) == ["rows was not measured, expected any value but NaN"]
    assert judge({"rows": E()}, {"rows": NAN}) == ["rows is NaN, expected any value but NaN"]


def test_a_long_value_is_shortened() -> None:
    (sentence,) = judge({"frequencies": E(equals=())}, {"frequencies": list(range(1000))})
    assert len(sentence) < 200


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{\n "a": 1\n}\n', {"a": 1}),
        ('warning\n{"a": 1}\n{"a": 2}\nbye\n', {"a": 2}),
        ("[1]\n2\n", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_the_measurements_are_the_last_object_printed(text: str, found: Any) -> None:
    assert last_object(text) == found


def test_a_check_that_holds_lets_the_outputs_out_and_is_reported(attempt: Attempt) -> None:
    check = printing('{"rows": 480}', rows=E(equals=480))
    report = attempt.run(checks=(check,), files={"o": "x"}, outputs=(OutputFile("o", "o", "o"),))
    assert report.succeeded
    assert report.measurements == {"shape": {"rows": 480}}
    assert attempt.stored == ["o.t1-7"]


def test_a_failed_check_keeps_the_outputs_in_and_all_measure(attempt: Attempt) -> None:
    first = printing('{"rows": 479}', rows=E(equals=480))
    second = printing('{"flagged": NaN}', "flags", flagged=E(maximum=0.9))
    report = attempt.run(checks=(first, second), files={"o": "x"}, outputs=(OutputFile("o", "o", "o"),))
    assert (report.reason, report.stage) == (Reason.CHECK_FAILED, "checks")
    assert "check shape: rows is 479, expected 480" in report.detail
    assert "check flags: flagged is NaN" in report.detail
    assert report.measurements == {"shape": {"rows": 479}, "flags": {"flagged": "nan"}}
    assert attempt.stored == []
    json.loads((attempt.folder / "report.json").read_text(), parse_constant=pytest.fail)


def test_a_check_runs_in_the_payloads_environment(attempt: Attempt) -> None:
    (attempt.base / "sandbox" / "check.sh").write_text('echo "{\\"where\\": \\"$SITE $PWD\\"}"\n')
    check = Check("env", ("sh", "sandbox/check.sh"), {"where": E(equals=f"here {attempt.work}")})
    assert attempt.run(checks=(check,), environment={"SITE": "here"}).succeeded


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo {}; echo oh no >&2; exit 3", "oh no"),
        ("echo no json", "no JSON"),
        ("kill -9 $$", "SIGKILL"),
        (":", "no JSON"),
    ],
)
def test_a_check_that_cannot_measure_is_broken(attempt: Attempt, script: str, why: str) -> None:
    report = attempt.run(checks=(Check("c", shell(script)),))
    assert report.reason == Reason.CHECK_BROKEN
    assert why in report.detail


def test_a_check_that_takes_too_long_is_broken(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHECK_WALLTIME_S", 0.05)
    report = attempt.run(checks=(Check("c", ("sleep", "60")),))
    assert report.reason == Reason.CHECK_BROKEN
    assert "out-of-time" in report.detail


def test_a_check_whose_program_the_payload_removed_is_broken(attempt: Attempt) -> None:
    make = shell("rm made-later")
    files = {"made-later": "#!/bin/sh\n"}
    report = attempt.run(commands=(make,), files=files, checks=(Check("c", ("./made-later",)),))
    assert report.reason == Reason.CHECK_BROKEN
    assert "made-later not found" in report.detail


def test_what_a_check_says_on_stderr_is_in_the_log(attempt: Attempt) -> None:
    attempt.run(checks=(Check("c", shell("echo careful >&2; echo {}")),))
    assert "careful" in attempt.log
