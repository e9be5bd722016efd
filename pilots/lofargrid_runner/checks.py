"""The step's checks: science tools end with exit code 0 on bad data, so their products are measured."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .contract import Check, Expectation, JobSpec, Reason
from .environment import Place
from .failure import Failure
from .log import Log
from .payload import Tail, describe, program_for, telling
from .stop import Stop, stopped
from .watch import Bounds, execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHECK_WALLTIME_S = 600.0
OUTPUT_BYTES = 1 << 20


class Verdict(NamedTuple):
    """What a check measured, and what is wrong with it; ``reason`` is None where nothing is."""

    measured: Mapping[str, Any]
    reason: Reason | None = None
    detail: str = ""


def run_check(check: Check, spec: JobSpec, place: Place, bounds: Bounds, stop: Stop, log: Log) -> Verdict:
    """Run one check in the payload's environment and judge what it measured.

    Raises
    ------
    Failure
        Only ``STOPPED``: everything else is a verdict, so that the other checks still measure.
    """
    stop.check()
    log.line(f"check {check.name}: {' '.join(check.command)}")
    output, errors = Tail(OUTPUT_BYTES), Tail()

    def complain(data: bytes) -> None:
        log.write(data)
        errors.add(data)

    try:
        program = program_for(check.command, place, spec)
    except Failure as failure:
        return _broken(check, failure.detail)
    ending = execute(program, bounds, stop, output.add, complain)
    if ending.breach is Reason.STOPPED:
        raise stopped(stop.signal or 0)
    if ending.breach is not None:
        return _broken(check, f"ended by the runner: {ending.breach.value}")
    if ending.exit_code != 0:
        return _broken(check, f"{describe(ending)}: {telling(errors.read())}")
    return _judged(check, output.read())


def check_deadline() -> float:
    """Give the time until which a check that starts now may run."""
    return time.monotonic() + CHECK_WALLTIME_S


def _judged(check: Check, output: bytes) -> Verdict:
    measured = last_object(output.decode("utf-8", "replace"))
    if measured is None:
        return _broken(check, "printed no JSON object")
    complaints = judge(check.expect, measured)
    if complaints:
        return Verdict(measured, Reason.CHECK_FAILED, f"check {check.name}: {'; '.join(complaints)}")
    return Verdict(measured)


def _broken(check: Check, why: str) -> Verdict:
    return Verdict({}, Reason.CHECK_BROKEN, f"check {check.name} is broken: {why}")


def last_object(text: str) -> dict[str, Any] | None:
    """Find the measurements: the whole output, or else its last line that is a JSON object."""
    for candidate in (text, *reversed(text.splitlines())):
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def judge(expect: Mapping[str, Expectation], measured: Mapping[str, Any]) -> list[str]:
    """Compare measurements with expectations; return a sentence for each that does not hold."""
    complaints = []
    for key, expectation in expect.items():
        if key not in measured:
            complaints.append(f"{key} was not measured, expected {wanted(expectation)}")
        elif not holds(expectation, measured[key]):
            complaints.append(f"{key} is {_short(measured[key])}, expected {wanted(expectation)}")
    return complaints


def holds(expectation: Expectation, value: Any) -> bool:
    """Whether a measured value is what it must be. NaN never is."""
    if _has_nan(value):
        return False
    if expectation.equals is not None and not _equal(value, expectation.equals, expectation.within):
        return False
    if expectation.minimum is None and expectation.maximum is None:
        return True
    if not _is_number(value):
        return False
    above = expectation.minimum is None or value >= expectation.minimum
    return above and (expectation.maximum is None or value <= expectation.maximum)


def wanted(expectation: Expectation) -> str:
    """Say for humans what a value must be."""
    words = []
    if expectation.equals is not None:
        words.append(_short(expectation.equals) + (f" within {expectation.within}" if expectation.within else ""))
    if expectation.minimum is not None:
        words.append(f"at least {expectation.minimum}")
    if expectation.maximum is not None:
        words.append(f"at most {expectation.maximum}")
    return " and ".join(words) or "any value but NaN"


def _equal(value: Any, wanted: Any, within: float) -> bool:
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(value, list) or len(value) != len(wanted):
            return False
        return all(_equal(one, other, within) for one, other in zip(value, wanted))
    if _is_number(value) and _is_number(wanted):
        return bool(value == wanted or abs(value - wanted) <= within)
    return type(value) is type(wanted) and bool(value == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _has_nan(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_nan(element) for element in value)
    return bool(value != value)


def _short(value: Any) -> str:
    text = json.dumps(value, default=list)
    return text if len(text) <= 120 else f"{text[:117]}..."
