"""Errors carry what is wrong as data, and tell it in one line each."""

from __future__ import annotations

import pytest

from lofargrid.errors import BackendError, Fault, IllegalMoveError, InputError, LofarGridError, TrackerError


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("wrong"), "wrong"),
        (Fault("wrong", "Do this"), "wrong. Do this"),
        (Fault("wrong", "Do this", "a.yaml"), "a.yaml: wrong. Do this"),
        (Fault("wrong", "Do this", "a.yaml", 3, "inputs.x"), "a.yaml:3: inputs.x: wrong. Do this"),
        (Fault("wrong", "", "a.yaml", None, "inputs.x"), "a.yaml: inputs.x: wrong"),
    ],
)
def test_a_fault_tells_file_line_field_what_and_remedy(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_all_faults_are_told_a_line_each() -> None:
    error = InputError(Fault("one"), Fault("two"))
    assert str(error) == "one\ntwo"
    assert [fault.what for fault in error.faults] == ["one", "two"]


def test_the_users_mistakes_and_the_services_are_told_apart() -> None:
    assert (InputError.exit_code, TrackerError.exit_code, LofarGridError.exit_code) == (2, 2, 1)
    assert BackendError("down").transient
    assert not IllegalMoveError("bug").transient
