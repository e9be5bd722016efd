"""Rules for what has not begun: it is paused, recalled from tape, needs others, or is tried again later."""

from collections.abc import Mapping

from lofargrid.diagnosis.facts import Facts
from lofargrid.diagnosis.finding import Finding
from lofargrid.diagnosis.wording import (
    BY_ITSELF,
    RUN,
    detail_text,
    length_text,
    said_of,
    seconds_between,
    since_text,
    time_text,
)
from lofargrid.states import JobState, Reason, explanation

_HELPS_NOW: Mapping[Reason, str] = {
    Reason.CREDENTIAL_EXPIRED: "make a new proxy; then it is tried again by itself",
    Reason.STORAGE_FULL: "free space there or ask for more; then it is tried again by itself",
    Reason.SCRATCH_FULL: "free space there or name a larger scratch disk; it is tried again by itself",
    Reason.STAGE_OUT_FAILED: "see that the output and scratch folders can be written; it is tried again by itself",
    Reason.STORAGE_UNAVAILABLE: "nothing to do: it is tried again by itself; if it lasts, ask the storage's site",
    Reason.HELD: "nothing to do: it is tried again by itself; if it comes back, show the detail to the site",
}


def paused(facts: Facts) -> Finding | None:
    """Its production is paused."""
    if facts.paused_since is None or facts.job.state in (JobState.SUBMITTED, JobState.RUNNING):
        return None
    name = facts.job.production
    since = facts.paused_since or facts.job.updated
    return Finding(f"its production {name} is paused {since_text(facts, since)}", f"`resume {name}`", since)


def recalling(facts: Facts) -> Finding | None:
    """Its inputs are on tape."""
    job = facts.job
    if job.state is not JobState.RECALLING:
        return None
    return Finding(f"its inputs are being recalled from tape {since_text(facts, job.updated)}{detail_text(job)}",
                   "nothing to do: tape takes hours", job.updated)  # fmt: skip


def waits_for_needs(facts: Facts) -> Finding | None:
    """What it needs is not final."""
    awaited, job = facts.awaited, facts.job
    if awaited is None:
        return None
    if awaited.shown:
        shown = ", ".join(f"{name} ({state})" for name, state in awaited.shown)
        more = sum(awaited.counts.values()) - len(awaited.shown)
        said = ", ".join(f"{count} {state}" for state, count in awaited.counts.items())
        cause = f"waits for {shown}" + (f" and {more} more ({said})" if more else "")
    elif awaited.silent:
        count = "1 subband is" if awaited.silent == 1 else f"{awaited.silent} subbands are"
        cause = (
            f"waits until the frequencies of all subbands are known, which makes the groups of"
            f" {', '.join(awaited.steps)}: {count} yet to tell"
        )
    else:
        cause = f"waits for the groups of {', '.join(awaited.steps)}, which the next tick makes"
    root = facts.told
    if root is None:
        return Finding(cause, RUN, job.updated)
    return Finding(f"{cause}; {said_of(root)}", root.remedy, root.since, root.root, root.details)


def tried_again(facts: Facts) -> Finding | None:
    """Its last attempt failed, and the next one has to wait."""
    job, wait = facts.job, facts.wait
    if job.state is not JobState.WAITING or job.reason is None or wait.not_before is None:
        return None
    when = f"at {time_text(wait.not_before)}"
    if facts.now:
        left = seconds_between(facts.now, wait.not_before)
        when += f", in {length_text(left)}" if left > 0 else ", which is now"
    cause = f"waits to be tried again{_changed(facts)} {when}, after {after_text(facts)}"
    return Finding(cause, _HELPS_NOW.get(job.reason, BY_ITSELF), job.updated)


def _changed(facts: Facts) -> str:
    """What the next attempt has that the last one had not."""
    how = facts.remark.removeprefix("tried again") if facts.remark.startswith("tried again") else ""
    return f"{how}," if how else ""


def after_text(facts: Facts) -> str:
    """What its last attempt ended by."""
    job = facts.job
    assert job.reason, "it failed"
    meaning, _ = explanation(job.reason)
    return f"{job.reason}: {meaning}{detail_text(job)}{_tries(facts)}"


def _tries(facts: Facts) -> str:
    if facts.rule is None or not facts.failures:
        return ""
    most = facts.step_tries if facts.rule.tries is None else facts.rule.tries
    alike = sum(one.reason is facts.job.reason and not one.blamed for one in facts.failures)
    return f" ({alike} of at most {most} attempts ended so)" if alike else " (its node was at fault)"
