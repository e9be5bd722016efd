"""Why a job is where it is: the true cause first, then what to do.

facts.py gathers what is so. The rules, each a small function over those facts, stand in ended.py, unbegun.py, turn.py
and underway.py; they are asked in order, and the first that knows a cause tells it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from lofargrid.diagnosis.ended import failed, succeeded, superseded
from lofargrid.diagnosis.facts import Facts, Gatherer
from lofargrid.diagnosis.finding import Diagnosis, Finding
from lofargrid.diagnosis.turn import bounded, crowded_out, goes_next, no_room, not_taken, nowhere, outranked, shut
from lofargrid.diagnosis.unbegun import paused, recalling, tried_again, waits_for_needs
from lofargrid.diagnosis.underway import queued, running
from lofargrid.diagnosis.wording import RUN, one_line, since_text, time_text
from lofargrid.model import Job, Site
from lofargrid.states import JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import AttemptRecord

_SHOWN_FAILURES = 5


def diagnose(
    tracker: Tracker, job: Job, sites: Mapping[str, Site] = MappingProxyType({}), now: str = "",
    ticking: bool | None = None,
) -> Diagnosis:  # fmt: skip
    """Find the true cause of a job's state.

    Parameters
    ----------
    tracker
        The tracker.
    job
        A job of it.
    sites
        The sites that the engine has. Without them it is not told which site takes the job and which does not.
    now
        The time, ISO 8601 UTC. Without it nothing is said to take long.
    ticking
        Whether a process moves jobs; None if that is not known.
    """
    return judge(Gatherer(tracker, sites, now, ticking).of(job))


def judge(facts: Facts) -> Diagnosis:
    """Ask the rules; the first that knows a cause tells it."""
    job = facts.job
    if facts.root:
        facts = replace(facts, told=judge(facts.root))
    found = next(found for rule in _RULES if (found := rule(facts)))
    details = (*found.details, *_failures(facts))
    return Diagnosis(job.name, job.state, found.cause, found.remedy, found.root or job.name, found.since, details)


def _nobody_ticks(facts: Facts) -> Finding | None:
    if facts.ticking is not False or facts.job.state is JobState.RUNNING:
        return None
    beyond = judge(replace(facts, ticking=None))
    cause = "no `run` is going, and nothing moves without one"
    return Finding(cause, "start `run` again", facts.job.updated, details=(f"beyond that: {beyond.cause}",))


def _plain(facts: Facts) -> Finding | None:
    """No rule knows more than the state."""
    return Finding(f"{facts.job.state} {since_text(facts, facts.job.updated)}", RUN, facts.job.updated)


_RULES: tuple[Callable[[Facts], Finding | None], ...] = (
    superseded,
    failed,
    succeeded,
    paused,
    _nobody_ticks,
    recalling,
    waits_for_needs,
    tried_again,
    nowhere,
    shut,
    not_taken,
    bounded,
    no_room,
    crowded_out,
    outranked,
    goes_next,
    queued,
    running,
    _plain,
)


def _failures(facts: Facts) -> tuple[str, ...]:
    """The last attempts that failed, a line each."""
    return tuple(_attempt_line(one) for one in facts.failures[-_SHOWN_FAILURES:])


def _attempt_line(one: AttemptRecord) -> str:
    where = f" at {one.site}" + (f" on {one.node}" if one.node else "")
    when = f", {time_text(one.ended)}" if one.ended else ""
    blamed = " (the node was at fault)" if one.blamed else ""
    return f"attempt {one.number}{where}{when}: {one.reason}: {one_line(one.detail)}{blamed}".rstrip(": ")
