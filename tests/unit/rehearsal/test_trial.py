"""A trial of a seed: what it tells when all holds, and when not."""

from __future__ import annotations

import pytest

from lofargrid.rehearsal import trial
from lofargrid.rehearsal.invariants import BrokenInvariantError
from lofargrid.rehearsal.scenario import scenario
from lofargrid.rehearsal.trial import main, run_trial

pytestmark = pytest.mark.service


@pytest.mark.parametrize("seed", range(4))
def test_every_invariant_holds(seed: int) -> None:
    one, lines = run_trial(seed)
    assert one.problem == ""
    assert one.attempts > 0
    assert lines == []
    assert (one.crashes > 0) == (scenario(seed).crash_chance > 1e-4)


def test_one_seed_is_one_trace_and_a_calm_one_is_quieter() -> None:
    (one, first), (other, second) = run_trial(3, keep_trace=True), run_trial(3, keep_trace=True)
    assert (one, first) == (other, second)
    assert first
    calm, _ = run_trial(3, calm=True)
    assert (calm.problem, calm.crashes) == ("", 0)
    assert calm.attempts <= one.attempts
    assert calm.digest != one.digest


def broken(*_: object) -> None:
    raise BrokenInvariantError("left over: davs://x (1 bytes)")


def test_what_is_broken_is_told_with_the_states_of_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "check_end", broken)
    short, _ = run_trial(3, calm=True)
    assert short.problem.startswith("BrokenInvariantError: left over: davs://x (1 bytes)\nTraceback")
    long, _ = run_trial(3, calm=True, keep_trace=True)
    assert '"state": "succeeded"' in long.problem


def test_a_trial_that_comes_to_no_end_is_broken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MOST", trial.timedelta(minutes=3))
    assert run_trial(3, calm=True)[0].problem.startswith("not at an end after 0 days")


def test_a_seed_is_replayed_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["3"]) == 0
    said = capsys.readouterr()
    assert said.out == "".join(run_trial(3, keep_trace=True)[1])
    assert "\n\n" not in said.out
    assert said.err == "seed 3: every invariant held\n"


def test_a_broken_seed_is_told_with_the_command_that_replays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trial, "check_end", broken)
    assert main(["3"]) == 1
    assert "left over" in capsys.readouterr().err
    assert main(["--seeds", "3:5", "--jobs", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "seed 3: BrokenInvariantError: left over: davs://x (1 bytes)",
        "  replay: python -m lofargrid.rehearsal.trial 3",
    ]
    assert lines[-1].startswith("2 seeds, ")
    assert lines[-1].endswith(": 2 broke an invariant")


def test_many_seeds_are_counted_by_several_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3:5"]) == 0
    said = capsys.readouterr().out
    one, other = run_trial(3)[0], run_trial(4)[0]
    attempts, crashes = one.attempts + other.attempts, one.crashes + other.crashes
    assert said == f"2 seeds, {attempts} attempts, {crashes} crashes of the engine: 0 broke an invariant\n"
