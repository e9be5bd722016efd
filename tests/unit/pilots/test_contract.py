"""The wire contract: what is written is what is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lofargrid_runner.contract import (
    CONTRACT_VERSION,
    Check,
    Expectation,
    InputFile,
    JobSpec,
    Limits,
    OutputFile,
    Report,
    StoredFile,
    Transfer,
    job_from_json,
    report_from_json,
    to_json,
)

text = st.text(max_size=8)
number = st.one_of(st.integers(), st.floats(allow_nan=False))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), number, text),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)
expectations = st.builds(Expectation, values, number, st.none() | number, st.none() | number)
checks = st.builds(Check, text, st.lists(text, max_size=2).map(tuple), st.dictionaries(text, expectations, max_size=2))
jobs = st.builds(
    JobSpec,
    attempt=text,
    job=text,
    production=text,
    step=text,
    owner=text,
    contact=text,
    site=text,
    sandbox=text,
    commands=st.lists(st.lists(text, max_size=2).map(tuple), max_size=2).map(tuple),
    limits=st.builds(Limits, number, st.integers()),
    destination=text,
    inputs=st.lists(st.builds(InputFile, text, text, text, text, st.booleans()), max_size=2).map(tuple),
    checks=st.lists(checks, max_size=2).map(tuple),
    outputs=st.lists(st.builds(OutputFile, text, text, text), max_size=2).map(tuple),
    environment=st.dictionaries(text, text, max_size=2),
    path=st.lists(text, max_size=2).map(tuple),
    aliases=st.dictionaries(text, text, max_size=2),
    software=st.dictionaries(text, text, max_size=2),
    node=text,
    avoid=st.lists(text, max_size=2).map(tuple),
    linger_s=number,
    patience_s=number,
    overtime_s=number,
    contract=st.just(CONTRACT_VERSION),
)
reports = st.builds(
    Report,
    detail=text,
    seconds=st.dictionaries(text, number),
    peak_memory_mb=number,
    cpu_s=number,
    node=st.just({"cpus": 2}),
    measurements=st.just({"check": {"rows": 1, "channels": [1.0, 2.0]}}),
    transfers=st.just((Transfer("n", "u", 1, 0.5, "00000001", True),)),
    outputs=st.just((StoredFile("n", "f", "u", 1, "00000001"),)),
    contract=st.just(CONTRACT_VERSION),
)


@given(jobs)
def test_a_job_survives_the_wire(job: JobSpec) -> None:
    assert job_from_json(to_json(job)) == job


@given(reports)
def test_a_report_survives_the_wire(report: Report) -> None:
    assert report_from_json(to_json(report)) == report


@pytest.mark.parametrize(
    "change",
    [
        lambda job: [],
        lambda job: {**job, "contract": CONTRACT_VERSION + 1},
        lambda job: {key: value for key, value in job.items() if key != "limits"},
        lambda job: {key: value for key, value in job.items() if key != "owner"},
        lambda job: {**job, "unknown": 1},
        lambda job: {**job, "checks": [{"name": "c", "command": [], "expect": []}]},
    ],
)
def test_what_is_no_job_of_this_contract_is_a_value_error(change: Any) -> None:
    job = JobSpec("a", "j", "p", "s", "o", "c", "h", "", (), Limits(1, 1), "file:///x")
    with pytest.raises(ValueError, match=r"contract"):
        job_from_json(json.dumps(change(json.loads(to_json(job)))))


def test_a_report_that_lacks_a_field_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a report"):
        report_from_json(json.dumps({"contract": CONTRACT_VERSION}))
