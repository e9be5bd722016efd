"""Rules for what has ended: superseded, failed, or succeeded without something."""

from collections.abc import Mapping
from dataclasses import replace

from lofargrid.diagnosis.facts import Facts
from lofargrid.diagnosis.finding import Finding
from lofargrid.diagnosis.wording import NOTHING, detail_text, grown_text, one_line, since_text, some_of, time_text
from lofargrid.states import JobState, Reason, explanation

_MORE: Mapping[Reason, str] = {
    Reason.OUT_OF_MEMORY: "memory",
    Reason.OUT_OF_TIME: "walltime",
}


def superseded(facts: Facts) -> Finding | None:
    """The plan holds another job in its place, or none."""
    if facts.wait.standing:
        return None
    last = facts.failures[-1].reason if facts.failures else None
    why = f", after {last}: {facts.remark}" if last and facts.remark else ""
    if not facts.successors:
        return Finding(f"superseded: the plan holds no such job any more{why}", NOTHING, facts.job.updated)
    others = ", ".join(facts.successors)
    how = "made in smaller parts instead" if facts.job.name not in facts.successors else "made anew"
    cause = f"superseded at {time_text(facts.job.updated)}, {how}: {others}{why}"
    return Finding(cause, f"`why {facts.successors[0]}`", facts.job.updated)


def failed(facts: Facts) -> Finding | None:
    """It failed, or was cancelled, or something that it needs did."""
    job, root = facts.job, facts.root
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        return None
    if root is None:
        return _ended(facts)
    found = _ended(root)
    word = "failed: " if root.job.state is JobState.FAILED else ""
    more = f", and {facts.alike} more alike" if facts.alike else ""
    tells_more = job.detail and job.reason not in (root.job.reason, Reason.NEED_FAILED)
    own = f" ({one_line(job.detail)})" if tells_more else ""
    return replace(found, cause=f"{root.job.name} {word}{found.cause}{more}{own}", root=root.job.name)


def _ended(facts: Facts) -> Finding:
    """What a job failed by, for itself."""
    job = facts.job
    if job.reason is None:
        return Finding(f"{job.state}: {job.state}", "`retry` it", job.updated)
    meaning, remedy = explanation(job.reason)
    cause = f"{job.reason}: {meaning}{detail_text(job)}"
    if facts.failures and facts.remark and facts.remark != "another try would end the same":
        cause += f"; {facts.remark}{_had(facts)}"
    if facts.remark.startswith("no site grants more"):
        remedy = f"name a site that grants more {_MORE[job.reason]}, or let a job hold less; then `run --replan`"
    return Finding(cause, remedy, job.updated)


def _had(facts: Facts) -> str:
    """What a job had grown to."""
    grown = grown_text(facts.job)
    return f", at last it had {grown}" if grown and facts.job.reason in _MORE else ""


def succeeded(facts: Facts) -> Finding | None:
    """It succeeded: without what, and whether more has come since."""
    job = facts.job
    if job.state is not JobState.SUCCEEDED:
        return None
    when = f"succeeded at {time_text(job.updated)}"
    trouble = facts.troubles.get("publish")
    if facts.unpublished and trouble:
        cause = f"{when}; its product cannot be stored {since_text(facts, trouble.since)}: {one_line(trouble.text)}"
        remedy = "see that the output can be written and has space; it is stored by itself then"
        return Finding(cause, remedy, trouble.since)
    without = f"{when}, without {some_of(facts.lacks)}{_lost(facts)}" if facts.lacks else when
    root = facts.root.job.name if facts.root else ""
    if job.stale:
        return Finding(f"{without}; stale: more has come since", f"`retry {job.production}`", job.updated, root)
    if facts.told:
        return Finding(without, facts.told.remedy, job.updated, root)
    if facts.unplaced:
        return Finding(without, explanation(Reason.FREQUENCY_UNKNOWN)[1], job.updated)
    return Finding(without, "bring the subbands, then `run --replan`" if facts.lacks else NOTHING, job.updated)


def _lost(facts: Facts) -> str:
    """Why a merge goes without something."""
    if facts.root:
        return f": {facts.root.job.name} failed: {_ended(facts.root).cause}"
    if facts.problems:
        return f": {one_line(next(iter(facts.problems.values())))}"
    return f": the frequency of {some_of(facts.unplaced)} is not known, so it has no group" if facts.unplaced else ""
