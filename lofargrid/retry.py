"""Pure: an attempt failed for a reason; is the job tried again, and when? Rules are data."""

from dataclasses import dataclass

from lofargrid.states import Reason


@dataclass(frozen=True)
class Rule:
    """What to do for one reason.

    ``tries`` is the most attempts that may end so in a row; None takes the step's own ``retry.tries``.
    ``burns`` says whether the attempt counts as one of the payload's tries. ``wait_s`` grows with each try.
    """

    tries: int | None
    burns: bool = True
    wait_s: float = 0.0


_NEVER = Rule(tries=1)
_PAYLOAD = Rule(tries=None)
_NODE = Rule(tries=10, burns=False, wait_s=1.0)

RULES: dict[Reason, Rule] = {
    # The node or the service is at fault: the payload keeps its tries.
    Reason.LOST: _NODE,
    Reason.STOPPED: _NODE,
    Reason.NODE_UNFIT: Rule(tries=3, burns=False, wait_s=5.0),
    Reason.SCRATCH_FULL: Rule(tries=3, burns=False, wait_s=5.0),
    Reason.STAGE_OUT_FAILED: Rule(tries=3, burns=False, wait_s=2.0),
    Reason.PAYLOAD_KILLED: Rule(tries=3, wait_s=1.0),
    # The payload may succeed the next time.
    Reason.PAYLOAD_FAILED: _PAYLOAD,
    Reason.CHECK_FAILED: _PAYLOAD,
    Reason.CHECK_BROKEN: _PAYLOAD,
    Reason.OUTPUT_MISSING: _PAYLOAD,
    Reason.RUNNER_ERROR: _PAYLOAD,
    # An intermediate may be read wrongly once; a bad source file stays bad.
    Reason.INPUT_CORRUPT: Rule(tries=2),
    Reason.INPUT_UNREADABLE: Rule(tries=2, wait_s=1.0),
}


@dataclass(frozen=True)
class Decision:
    """Try again after ``wait_s`` seconds, or not. ``tries`` is the job's new count of burnt tries."""

    again: bool
    tries: int
    wait_s: float = 0.0


def decide(reason: Reason, tries: int, same_before: int, step_tries: int) -> Decision:
    """Decide after an attempt that failed.

    Parameters
    ----------
    reason
        Why it failed.
    tries
        Tries that the payload has burnt before.
    same_before
        How many attempts of this job failed for the same reason before.
    step_tries
        What the step grants the payload.
    """
    rule = RULES.get(reason, _NEVER)
    burnt = tries + rule.burns
    most = step_tries if rule.tries is None else rule.tries
    left = same_before + 1 < most and (burnt < step_tries or not rule.burns)
    return Decision(left, burnt, rule.wait_s * (same_before + 1))
