"""Causes are told from words: measured over the labelled failures in tests/data/failures.

`pytest -s` on this file prints the figures. The half that is held out is there to measure, not to learn from:
nothing here names a case of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from lofargrid_runner.causes import BATCH, ENDINGS, SIGNALS, UNKNOWN, cause_of
from lofargrid_runner.contract import Stage

from lofargrid.decisions.retry import RULES, rule_of
from lofargrid.states import Reason

FOLDER = Path(__file__).parents[2] / "data" / "failures"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
RIGHT_AT_LEAST = 0.95
TOLD_BY_MEMORY = frozenset({"kernel-oom-dp3-quiet"})
"""It has no words, as a kill by hand has none: the payload's judge tells them apart by the peak of memory."""

TRIED_AGAIN_UNCHANGED = frozenset(
    reason for reason in RULES if not (rule := rule_of(reason)).burns and not rule.grow and rule.tries != 1
)
"""Wait, another node, another site: what these cost is tried again as it is, and none of the payload's tries."""


@dataclass(frozen=True)
class Verdict:
    """What was told of one case."""

    id: str
    held_out: bool
    fatal: bool
    label: Reason
    told: Reason

    @property
    def right(self) -> bool:
        return self.told is self.label

    @property
    def fatal_called_transient(self) -> bool:
        """It must fail again, the cause is wrong, and the wrong cause would have it tried again unchanged."""
        return self.fatal and not self.right and self.told in TRIED_AGAIN_UNCHANGED


def verdicts() -> list[Verdict]:
    cases = [case for file in sorted(FOLDER.glob("*.yaml")) for case in yaml.load(file.read_text("utf-8"), LOADER)]
    return [
        Verdict(
            case["id"],
            case["held_out"],
            not case["transient"],
            Reason(case["reason"]),
            cause_of(case["stage"], case["text"], case["exit_code"], case["signal"]),
        )
        for case in cases
    ]


def share_right(some: Sequence[Verdict]) -> float:
    return sum(one.right for one in some) / len(some)


@pytest.fixture(scope="module")
def corpus() -> list[Verdict]:
    return verdicts()


def test_at_least_95_percent_of_the_corpus_is_told_right_in_both_halves(corpus: list[Verdict]) -> None:
    halves = {
        "all": corpus,
        "known": [one for one in corpus if not one.held_out],
        "held out": [one for one in corpus if one.held_out],
    }
    for name, some in halves.items():
        wrong = sum(one.fatal_called_transient for one in some)
        print(f"{name}: {share_right(some):.3f} of {len(some)} right, {wrong} fatal called transient")
    assert share_right(corpus) >= RIGHT_AT_LEAST


def test_nothing_fatal_is_called_transient_but_what_only_memory_can_tell(corpus: list[Verdict]) -> None:
    assert {one.id for one in corpus if one.fatal_called_transient} <= TOLD_BY_MEMORY


# --- how a text is read ------------------------------------------------------------------------------

TRACEBACK = 'Traceback (most recent call last):\n  File "step.py", line 1, in <module>\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # What comes last counts, and an error that no rule knows hides what was said before it.
        ("Connection refused, trying again\n" + TRACEBACK + "MemoryError\n", Reason.OUT_OF_MEMORY),
        ("Connection refused, trying again\n" + TRACEBACK + "ValueError: odd\n", Reason.PAYLOAD_FAILED),
        ("cp: error writing 'x': No space left on device\nRuntimeError: the command returned an error\n",
         Reason.SCRATCH_FULL),
        # A warning is not what ended it, whatever words are in it.
        ("WARNING: Connection refused\n", Reason.PAYLOAD_FAILED),
        ("2026-11-22 - INFO - Read-only file system\n", Reason.PAYLOAD_FAILED),
        # Colours and carriage returns are no words.
        ("\x1b[31mMissing\x1b[0m h5parm file.", Reason.INPUT_MISSING),
        ("10 %\r20 %\rread: Connection reset by peer\r", Reason.STORAGE_UNAVAILABLE),
        ("no space left on device\n" + "solving\n" * 400, Reason.PAYLOAD_FAILED),
        ("", Reason.PAYLOAD_FAILED),
    ],
)  # fmt: skip
def test_the_last_line_that_tells_decides(text: str, reason: Reason) -> None:
    assert cause_of("payload", text, 1) is reason


@pytest.mark.parametrize(
    ("text", "exit_code", "signal", "reason"),
    [
        # A signal: only memory, time, space and the node may lie behind it.
        ("x.txt: No such file or directory", None, 11, Reason.PAYLOAD_CRASHED),
        ("cp: cannot stat 'x': No such file or directory", 1, None, Reason.INPUT_MISSING),
        ("mv: cannot stat 'x': No such file or directory", 1, None, Reason.OUTPUT_MISSING),
        ("std::bad_alloc", None, 11, Reason.OUT_OF_MEMORY),
        ("write: No space left on device", None, 7, Reason.SCRATCH_FULL),
        # An abort: any error of C++.
        ("  what():  Table x.MS does not exist", None, 6, Reason.INPUT_MISSING),
        ("  what():  odd", None, 6, Reason.PAYLOAD_CRASHED),
        ("", None, 40, Reason.PAYLOAD_KILLED),
        # The same, told by a shell or by PBS.
        ("", 139, None, Reason.PAYLOAD_CRASHED),
        ("", 143, None, Reason.PAYLOAD_KILLED),
        ("", 132, None, Reason.NODE_UNFIT),
        ("", 152, None, Reason.OUT_OF_TIME),
        ("", 256 + 11, None, Reason.PAYLOAD_CRASHED),
        ("", 255, None, Reason.PAYLOAD_FAILED),
        # A shell that outlives its killed child.
        ("Killed", 137, None, Reason.OUT_OF_MEMORY),
        # A program that could not be started.
        ("bash: ./x: Permission denied", 126, None, Reason.SOFTWARE_MISSING),
        ("bash: ./x: cannot execute binary file: Exec format error", 126, None, Reason.NODE_UNFIT),
        ("", 127, None, Reason.SOFTWARE_MISSING),
        ("", 124, None, Reason.OUT_OF_TIME),
    ],
)
def test_the_ending_says_what_words_may_mean(
    text: str, exit_code: int | None, signal: int | None, reason: Reason
) -> None:
    assert cause_of("payload", text, exit_code, signal) is reason


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("stage-in", Reason.SCRATCH_FULL),
        ("payload", Reason.SCRATCH_FULL),
        ("stage-out", Reason.STORAGE_FULL),
    ],
)
def test_where_it_happened_says_whose_disk_is_full(stage: str, reason: Reason) -> None:
    assert cause_of(stage, "gfal2.GError: No space left on device", 1) is reason


def test_every_stage_has_its_answer_to_the_unknown() -> None:
    assert set(UNKNOWN) == {BATCH, *(stage.value for stage in Stage if stage is not Stage.DONE)}
    assert [cause_of(stage, "no rule knows this") for stage in UNKNOWN] == list(UNKNOWN.values())


def test_nothing_unknown_burns_tries_in_silence() -> None:
    # The node that fails its own probe and a storage that takes no output may be tried again; all else is the job's.
    again = {stage for stage, reason in UNKNOWN.items() if reason in TRIED_AGAIN_UNCHANGED}
    assert again == {"probe", "stage-out"}


def test_every_table_names_stages_that_there_are() -> None:
    assert set(ENDINGS) <= set(UNKNOWN)
    assert all(0 < number < 64 for number in SIGNALS)


@pytest.mark.parametrize("stage", list(UNKNOWN))
def test_a_hostile_text_is_read_in_no_time(stage: str) -> None:
    long = "a" * 60_000
    began = time.process_time()
    for text in (long, long + "\n" + "error " * 10_000, "/cvmfs " * 9_000, "proxy:" * 10_000):
        cause_of(stage, text, 1)
    assert time.process_time() - began < 2
