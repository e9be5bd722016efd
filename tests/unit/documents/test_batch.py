"""jdl/batch.yaml: what is wrong in it is told by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.documents.batch import read_batches
from tests.unit.factories import CONTENT, faults_of


def test_the_shipped_file_knows_slurm_and_htcondor() -> None:
    assert list(read_batches(CONTENT / "jdl" / "batch.yaml")) == ["slurm", "htcondor"]


def test_another_batch_system_is_another_entry(tmp_path: Path) -> None:
    path = tmp_path / "batch.yaml"
    path.write_text("systems:\n  pbs: {submit: [qsub], living: [qselect], cancel: [qdel]}\n")
    [(name, one)] = read_batches(path).items()
    assert (name, one.submit, one.template) == ("pbs", ["qsub"], "")


@pytest.mark.parametrize(
    ("content", "line", "field"),
    [
        ("systems:\n  pbs:\n    submit: qsub\n    living: []\n    cancel: []\n", 3, "systems.pbs.submit"),
        ("systems:\n  pbs:\n    submit: []\n    living: []\n", 2, "systems.pbs.cancel"),
        ("systems:\n  pbs:\n    submti: []\n    submit: []\n    living: []\n    cancel: []\n", 3, "systems.pbs.submti"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(tmp_path: Path, content: str, line: int, field: str) -> None:
    path = tmp_path / "batch.yaml"
    path.write_text(content)
    [fault] = faults_of(read_batches, path)
    assert (fault.file, fault.line, fault.field) == (str(path), line, field)
