"""Causes are told from words: measured over the labelled failures in tests/data/failures.

`pytest -s` on this file prints the figures. The half that is held out is there to measure, not to learn from:
nothing here names a case of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from lofargrid_runner.causes import cause_of

from lofargrid.retry import RULES, rule_of
from lofargrid.states import Reason

FOLDER = Path(__file__).parents[2] / "data" / "failures"
RIGHT_AT_LEAST = 0.95
TOLD_BY_MEMORY = frozenset({"kernel-oom-dp3-quiet", "kernel-oom-dp3-shell"})
"""The words of these are those of a kill by hand: the payload's judge tells them apart by the peak of memory."""

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
    cases = [case for file in sorted(FOLDER.glob("*.yaml")) for case in yaml.safe_load(file.read_text("utf-8"))]
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
