"""Pure: an attempt failed; what next? Rules are data, a reason each; a step may override them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lofargrid.documents.pipelines import Retry
from lofargrid.model import Demand
from lofargrid.states import Reason

Grown = Literal["", "memory", "walltime", "scratch"]
Elsewhere = Literal["", "node", "site"]

MOST_BLAMED = 10
"""How often a node may be at fault before the job is looked at: it may be what brings nodes down."""
_MOST_DOUBLINGS = 30


@dataclass(frozen=True)
class Rule:
    """What to do for one reason.

    ``tries`` is the most attempts that may end so; None takes the step's own ``retry.tries``. ``burns`` says
    whether the attempt counts as one of the payload's tries. ``wait_s`` doubles with each repetition up to
    ``longest_wait_s``. ``elsewhere`` keeps the next attempt off this node or site, ``grow`` gives it more of
    something. Failing alike on ``nodes`` different healthy nodes ends it early: the fault lies in the job.
    """

    tries: int | None = None
    burns: bool = True
    wait_s: float = 0.0
    longest_wait_s: float = 3600.0
    elsewhere: Elsewhere = ""
    grow: Grown = ""
    nodes: int | None = None


_NEVER = Rule(tries=1)
_PAYLOAD = Rule(elsewhere="node", nodes=2)
_NODE = Rule(tries=10, burns=False, wait_s=1.0, longest_wait_s=600.0, elsewhere="node")
_GROWS = Rule(tries=3, burns=False)

RULES: Mapping[Reason, Rule] = {
    # The node or the batch system is at fault: the payload keeps its tries.
    Reason.LOST: _NODE,
    Reason.STOPPED: replace(_NODE, elsewhere=""),
    Reason.EVICTED: replace(_NODE, tries=20, elsewhere=""),
    Reason.HELD: replace(_NODE, tries=3, wait_s=60.0, elsewhere="site"),
    Reason.NOT_STARTED: replace(_NODE, tries=50, elsewhere="site"),
    Reason.NODE_UNFIT: replace(_NODE, tries=5, wait_s=5.0),
    Reason.SCRATCH_FULL: replace(_NODE, tries=5, wait_s=5.0),
    Reason.SOFTWARE_UNREACHABLE: replace(_NODE, tries=5, wait_s=5.0),
    Reason.PAYLOAD_KILLED: replace(_NODE, tries=4),
    # A service is at fault: wait for it.
    Reason.STORAGE_UNAVAILABLE: Rule(tries=15, burns=False, wait_s=120.0, longest_wait_s=1800.0),
    Reason.STORAGE_FULL: Rule(tries=10, burns=False, wait_s=300.0),
    Reason.STAGE_OUT_FAILED: Rule(tries=3, burns=False, wait_s=2.0),
    Reason.CREDENTIAL_EXPIRED: Rule(tries=50, burns=False, wait_s=60.0, longest_wait_s=1800.0),
    Reason.INPUT_NEARLINE: Rule(tries=10, burns=False, wait_s=60.0),
    Reason.SUBMIT_FAILED: _NEVER,
    # The job asked for too little.
    Reason.OUT_OF_MEMORY: replace(_GROWS, grow="memory"),
    Reason.OUT_OF_TIME: replace(_GROWS, tries=2, grow="walltime"),  # each may go on to three times what it asked for
    # The payload may succeed the next time; on another node, if it was this one's fault.
    Reason.PAYLOAD_FAILED: _PAYLOAD,
    Reason.PAYLOAD_CRASHED: _PAYLOAD,
    Reason.CHECK_FAILED: _PAYLOAD,
    Reason.CHECK_BROKEN: _PAYLOAD,
    Reason.OUTPUT_MISSING: _PAYLOAD,
    Reason.RUNNER_ERROR: _PAYLOAD,
    # An intermediate may be read wrongly once; a bad source file stays bad.
    Reason.INPUT_CORRUPT: Rule(tries=2, elsewhere="node"),
    Reason.INPUT_UNREADABLE: Rule(tries=2, wait_s=1.0, elsewhere="node"),
}


@dataclass(frozen=True)
class Past:
    """An attempt that failed. ``blamed`` says that its node turned out to be at fault."""

    reason: Reason
    site: str = ""
    node: str = ""
    peak_memory_mb: float = 0.0
    blamed: bool = False


@dataclass(frozen=True)
class Decision:
    """What next. ``tries`` is the job's count of burnt tries; ``why`` tells a reader of the history.

    With ``again`` the job is tried after ``wait_s`` seconds, with ``demand``; without, it has failed, unless
    ``split`` asks to make it from finer groups.
    """

    again: bool
    tries: int
    why: str
    wait_s: float = 0.0
    demand: Demand | None = None
    split: bool = False


def rule_of(reason: Reason, rules: Mapping[Reason, Rule] = RULES) -> Rule:
    """The rule of a reason; one that no rule names is never tried again."""
    return rules.get(reason, _NEVER)


def with_own(rules: Mapping[Reason, Rule], own: Retry) -> Mapping[Reason, Rule]:
    """The rules with a step's own on top of them."""
    changes = {reason: change.model_dump(exclude_none=True) for reason, change in own.rules.items()}
    return {**rules, **{reason: replace(rule_of(reason, rules), **change) for reason, change in changes.items()}}


def decide(
    past: Sequence[Past], step_tries: int, asked: Demand, most: Demand,
    splittable: bool = False, rules: Mapping[Reason, Rule] = RULES,
) -> Decision:  # fmt: skip
    """Decide after an attempt that failed.

    Parameters
    ----------
    past
        The job's attempts that failed since the operator's last retry, the one that just ended last.
    step_tries
        What the step grants the payload.
    asked, most
        What the attempt asked for, and the most that any site grants.
    splittable
        Whether the job can be made from finer groups.
    rules
        The rules, with the step's own in them.
    """
    reason = past[-1].reason
    rule = rule_of(reason, rules)
    counted = [one for one in past if not one.blamed]
    blamed = len(past) - len(counted)
    burnt = sum(rule_of(one.reason, rules).burns for one in counted)
    alike = [one for one in counted if one.reason is reason]
    tries = step_tries if rule.tries is None else rule.tries
    if rule.burns and burnt >= step_tries:
        return Decision(False, burnt, f"all {step_tries} tries are used")
    if blamed >= MOST_BLAMED:
        return Decision(False, burnt, f"{blamed} nodes failed under it: it may be the job")
    # With more of something the next one is not like the last.
    if rule.nodes and not rule.grow and len({(one.site, one.node) for one in alike if one.node}) >= rule.nodes:
        return Decision(False, burnt, f"failed alike on {rule.nodes} healthy nodes: it is not the node")
    if len(alike) >= tries:
        if rule.grow and splittable:
            return Decision(False, burnt, "it has grown enough: smaller groups", split=True)
        return Decision(False, burnt, f"ended so {len(alike)} times" if tries > 1 else "another try would end the same")
    wait_s = min(rule.wait_s * 2 ** min(max(len(alike) - 1, 0), _MOST_DOUBLINGS), rule.longest_wait_s)
    if not rule.grow:
        return Decision(True, burnt, f"tried again{_where(rule)}", wait_s)
    grown = grow(rule.grow, past[-1], asked, most)
    if grown is None:
        why = f"no site grants more {rule.grow}"
        return Decision(False, burnt, why, split=splittable)
    return Decision(True, burnt, f"tried again with {_growth(rule.grow, grown)}", wait_s, grown)


def avoided(past: Sequence[Past], site: str, rules: Mapping[Reason, Rule] = RULES) -> tuple[str, ...]:
    """The nodes of a site that a job keeps away from; none that has left it without a node before."""
    waits = [index for index, one in enumerate(past) if one.reason is Reason.NOT_STARTED]
    there = [one for one in past[max(waits, default=-1) + 1 :] if one.site == site and one.node]
    return tuple(sorted({one.node for one in there if rule_of(one.reason, rules).elsewhere == "node"}))


def grow(what: Grown, last: Past, asked: Demand, most: Demand) -> Demand | None:
    """Two and a half times the memory, or half more than was seen if that is more; None if there is no more.

    Three times the walltime: what the job would have needed was not seen, and one more failure costs it all again.
    """
    if what == "memory":
        wanted = min(max(round(2.5 * asked.memory_mb), round(1.5 * last.peak_memory_mb)), most.memory_mb)
        return replace(asked, memory_mb=wanted) if wanted > asked.memory_mb else None
    if what == "walltime":
        minutes = min(3 * asked.walltime_min, most.walltime_min)
        return replace(asked, walltime_min=minutes) if minutes > asked.walltime_min else None
    scratch = min(2 * asked.scratch_mb, most.scratch_mb)
    return replace(asked, scratch_mb=scratch) if scratch > asked.scratch_mb else None


def overtime_min(asked: Demand, most: Demand, rules: Mapping[Reason, Rule] = RULES) -> float:
    """How many minutes a payload may go on beyond what it asked for, as long as it works.

    So many as the next attempt would get: to end this one and begin again could only cost more. None where the rules
    say that it would get no more.
    """
    rule = rule_of(Reason.OUT_OF_TIME, rules)
    if rule.grow != "walltime" or rule.tries == 1:
        return 0.0
    grown = grow("walltime", Past(Reason.OUT_OF_TIME), asked, most)
    return grown.walltime_min - asked.walltime_min if grown else 0.0


def _growth(what: Grown, grown: Demand) -> str:
    if what == "memory":
        return f"{grown.memory_mb} MB of memory"
    return f"{grown.walltime_min:g} min of walltime" if what == "walltime" else f"{grown.scratch_mb} MB of scratch"


def _where(rule: Rule) -> str:
    return f" on another {rule.elsewhere}" if rule.elsewhere else ""
