"""The form of the labelled failures in tests/data/failures. Nothing here classifies."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from lofargrid_runner.contract import Reason

FOLDER = Path(__file__).parents[1] / "data" / "failures"
FIELDS = {
    "id", "tool", "origin", "how", "stage", "exit_code", "signal", "text", "reason", "transient", "held_out",
}  # fmt: skip
STAGES = {"probe", "stage-in", "setup", "payload", "stage-out", "batch"}
TOOLS = {
    "apptainer", "curl", "cvmfs", "dirac", "dp3", "gfal", "htcondor", "kernel/system", "losoto", "python", "shell",
    "slurm/pbs", "tar", "wsclean", "xrdcp",
}  # fmt: skip
MAX_LINES = 40
MIN_CASES = 200
MIN_BATCH_CASES = 25


# As safe as the one in Python and ten times as fast; only PyYAML's wheels are sure to have it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FILES = {file.name: yaml.load(file.read_text("utf-8"), LOADER) for file in sorted(FOLDER.glob("*.yaml"))}
CASES: list[dict[str, Any]] = [case for cases in FILES.values() for case in cases]


def is_held_out(case_id: str) -> bool:
    return hashlib.sha256(case_id.encode()).digest()[-1] % 2 == 1


def ids_where(is_wrong: Callable[[dict[str, Any]], bool]) -> list[str]:
    return [case["id"] for case in CASES if is_wrong(case)]


def test_every_case_has_exactly_the_known_fields() -> None:
    assert ids_where(lambda case: set(case) != FIELDS) == []


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("tool", TOOLS),
        ("origin", {"ran", "documented"}),
        ("stage", STAGES),
        ("reason", {reason.value for reason in Reason}),
    ],
)
def test_every_case_names_known_values(field: str, known: set[str]) -> None:
    assert ids_where(lambda case: case[field] not in known) == []


@pytest.mark.parametrize(
    ("field", "types"),
    [
        ("how", {str}),
        ("text", {str}),
        ("transient", {bool}),
        ("exit_code", {int, type(None)}),
        ("signal", {int, type(None)}),
    ],
)
def test_every_case_has_values_of_the_right_type(field: str, types: set[type]) -> None:
    assert ids_where(lambda case: type(case[field]) not in types) == []


def test_every_case_says_how_it_was_got() -> None:
    assert ids_where(lambda case: not case["how"].strip()) == []


def test_every_case_is_a_failure_that_left_a_trace() -> None:
    assert ids_where(lambda case: case["exit_code"] == 0) == []
    assert ids_where(lambda case: not (case["text"].strip() or case["exit_code"] or case["signal"])) == []


def test_every_text_holds_the_last_lines_only() -> None:
    assert ids_where(lambda case: len(case["text"].splitlines()) > MAX_LINES) == []


def test_the_held_out_half_follows_from_the_ids() -> None:
    assert ids_where(lambda case: case["held_out"] is not is_held_out(case["id"])) == []


def test_no_id_is_used_twice() -> None:
    assert [name for name, count in Counter(case["id"] for case in CASES).items() if count > 1] == []


def test_there_are_enough_cases_of_both_origins_and_of_batch_systems() -> None:
    assert len(CASES) >= MIN_CASES
    origins = Counter(case["origin"] for case in CASES)
    assert origins["documented"] > 0
    assert origins["ran"] >= len(CASES) / 2
    assert sum(case["stage"] == "batch" for case in CASES) >= MIN_BATCH_CASES


def test_a_file_holds_the_cases_of_one_tool() -> None:
    for name, cases in FILES.items():
        assert len({case["tool"] for case in cases}) == 1, name


def test_the_readme_tells_how_many_cases_there_are() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    origins = Counter(case["origin"] for case in CASES)
    uncompared = sum("not compared" in case["how"] for case in CASES)
    assert f"{len(CASES)} cases: {origins['ran']} `ran`" in text
    assert f"{origins['documented']} `documented` ({uncompared} of these" in text
