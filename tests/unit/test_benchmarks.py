"""The benchmarks hold together: figures of so small a run say nothing, and are not judged."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.service
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_trackers_benchmark_prints_its_table_and_judges_the_worst_line() -> None:
    words = [sys.executable, str(BENCHMARKS / "tracker.py"), "--jobs", "600", "--beside", "400", "--rounds", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.stderr == ""
    found = re.findall(r"^(\S.*?)  .* (\d+\.\d\d) +(\d+\.\d\d)(  MISSED)?$", done.stdout, re.M)
    assert {"idle tick", "tick with 100 changes", "status", "why JOB"} <= {what for what, *_ in found}
    worst = max(float(ratio) / float(target) for _, ratio, target, _ in found)
    ratio, target = map(float, done.stdout.splitlines()[-1].split())
    assert ratio / target == pytest.approx(worst, abs=0.01)
    assert done.returncode == int(any(missed for *_, missed in found))
