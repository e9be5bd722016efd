"""production.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.documents.production import Policy, read_production
from tests.unit.factories import faults_of

GOOD = """\
production: l654321-field
pipeline: calibrate-image
inputs:
  calibrator: cal.surls
  target: [a.tar, b.tar]
output: file:///data/out
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "production.yaml"


def test_what_is_left_out_has_its_documented_default(file: Path) -> None:
    file.write_text(GOOD)
    read = read_production(file)
    assert read.inputs == {"calibrator": "cal.surls", "target": ["a.tar", "b.tar"]}
    assert (read.software, read.backend, read.sites, read.parameters) == ("local", "local", "all", {})
    assert read.policy == Policy(minimum_subbands=0.95, gaps="flag", keep_intermediates=False)


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "what"),
    [
        ("production: l654321-field", "production: a/b", 1, "production", "'a/b' may hold letters, digits, - and _"),
        ("pipeline: calibrate-image", "pipeline: ../x", 2, "pipeline", "'../x' may hold letters, digits, - and _"),
        ("file:///data/out", "srm://host/out", 6, "output", "'srm://host/out' is not a place to write to"),
        ("file:///data/out", '""', 6, "output", "'' is no name of a folder"),
        ("file:///data/out", '"a\\0b"', 6, "output", "'a\\x00b' is no name of a folder"),
        ("file:///data/out", '"a\\nb"', 6, "output", "'a\\nb' is no name of a folder"),
        ("file:///data/out", "file:///a%0Ab", 6, "output", "'file:///a%0Ab' is no name of a folder"),
        ("file:///data/out", "davs://me:secret@h/out", 6, "output", "it is no plain URL of a folder, such as davs://"),
        ("file:///data/out", "root://h//out?authz=secret", 6, "output", "it is no plain URL of a folder, such as "),
        ("file:///data/out", "davs://h/a%20b", 6, "output", "it is no plain URL of a folder, such as davs://"),
        ("file:///data/out", "file://data/out", 6, "output", "'file://data/out' has no absolute path"),
        ("file:///data/out", "x\nbackend: slurm", 7, "backend", "should be 'local', 'htcondor' or 'dirac'"),
        ("file:///data/out", "x\npolicy: {gaps: fil}", 7, "policy.gaps", "should be 'flag', 'skip' or 'fail'"),
        ("file:///data/out", "x\npolicy:\n  minimum_subbands: 95", 8, "policy.minimum_subbands", "should be less than"),
        ("file:///data/out", "x\npolicy:\n  minimum_subbands: .nan", 8, "policy.minimum_subbands", "should be"),
        ("  calibrator: cal.surls", "  calibrator: 5", 4, "inputs.calibrator", "should be a text or be a"),
        ("[a.tar, b.tar]", "\n    - a.tar\n    - 7", 7, "inputs.target.1", "should be a text, found 7"),
        ("inputs:", "input:", 3, "input", "unknown key"),
        ("output: file:///data/out", "", 1, "output", "this key is missing"),
        ("  target:", "  calibrator:", 5, "calibrator", "this key stands already in line 4"),
    ],
)
def test_bad_input_is_told_with_line_and_field(
    file: Path, old: str, new: str, line: int, field: str, what: str
) -> None:
    file.write_text(GOOD.replace(old, new))
    fault = {fault.field: fault for fault in faults_of(read_production, file)}[field]
    assert (fault.file, fault.line) == (str(file), line)
    assert fault.what.startswith(what)


def test_a_key_whose_lines_are_all_commented_out_sets_nothing(file: Path) -> None:
    file.write_text(f"{GOOD}parameters:\n  # strength: 1\npolicy:\n")
    read = read_production(file)
    assert (read.parameters, read.policy) == ({}, Policy())


@pytest.mark.parametrize(
    "output", ["out", "/data/out", "../x", "file://localhost/x", "davs://h/x", "root://h//x", "gsiftp://h/x"]
)
def test_output_may_be_a_path_or_a_url_that_can_be_written(file: Path, output: str) -> None:
    file.write_text(GOOD.replace("file:///data/out", output))
    assert read_production(file).output == output


@pytest.mark.parametrize("text", ["1", "1.0", "0", "0.5", "5e-1"])
def test_a_fraction_may_be_written_as_people_do(file: Path, text: str) -> None:
    file.write_text(f"{GOOD}policy: {{minimum_subbands: {text}}}\n")
    assert read_production(file).policy.minimum_subbands == float(text)
