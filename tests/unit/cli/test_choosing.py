"""Which job a word means."""

from __future__ import annotations

import pytest

from tests.unit.cli.seat import Seat

JOB = "L654321-SAP000-SB000-one"


@pytest.fixture
def two(seat: Seat) -> Seat:
    """Two productions over the same subbands."""
    for name in ("field", "other"):
        seat("submit", seat.write(production=name))
    return seat


@pytest.mark.parametrize("verb", ["why", "cancel", "retry", "logs"])
def test_a_job_of_several_productions_is_not_guessed(two: Seat, verb: str) -> None:
    said = two(verb, JOB, code=2)
    assert said.err == f"'{JOB}' is a job of several productions: field, other. Say which, such as field/{JOB}\n"


def test_a_job_is_named_with_its_production(two: Seat) -> None:
    assert two("cancel", f"other/{JOB}").err.startswith("1 job cancelled")
    assert "cancelled" in two("why", f"other/{JOB}").out
    assert "cancelled" not in two("why", f"field/{JOB}").out


def test_a_production_without_that_job_is_told_with_the_nearest(two: Seat) -> None:
    said = two("why", f"field/{JOB}s", code=2)
    assert said.err == f"field has no job '{JOB}s'. Did you mean '{JOB}'?\n"


def test_an_unknown_word_is_told(two: Seat) -> None:
    assert two("why", "nothing-like-it", code=2).err.startswith("there is no campaign, production, job or attempt")
