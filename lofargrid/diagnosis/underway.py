"""Rules for what is under way: it waits for a node, or runs."""

from lofargrid.diagnosis.facts import Facts
from lofargrid.diagnosis.finding import Finding
from lofargrid.diagnosis.wording import (
    NOTHING,
    grown_text,
    length_text,
    no_answer,
    one_line,
    quarantine_text,
    seconds_between,
    since_text,
    some_of,
)
from lofargrid.engine.following import FIRST_PATIENCE_S, PATIENCE_S
from lofargrid.states import JobState, Phase
from lofargrid.tracker.records import AttemptRecord

_LONG_QUEUE_S = 3600.0


_GRACE_S = 600.0


def queued(facts: Facts) -> Finding | None:
    """It waits for a node at its site."""
    job, attempt, flight = facts.job, facts.attempt, facts.flight
    if job.state is not JobState.SUBMITTED or attempt is None or flight is None:
        return None
    trouble = facts.troubles.get("follow") or facts.troubles.get("submit")
    if attempt.phase is Phase.INTENDED and trouble:
        return no_answer(facts, trouble, f"is to be submitted to {attempt.site}, but that fails")
    what = "node" if flight.guarded else "free slot"
    waited = seconds_between(attempt.intended, facts.now) if facts.now else 0.0
    usual = flight.usual_queue_s
    long = waited > max(_LONG_QUEUE_S, 3 * (usual or 0.0))
    cause = f"submitted to {attempt.site} {since_text(facts, attempt.intended)}, waits there for a {what}"
    cause += ", which is long" if long else ""
    cause += f" (usually {length_text(usual)})" if usual is not None else ""
    cause += _again(facts)
    if flight.site and flight.site.state == "quarantined":
        cause += f"; the site is {quarantine_text(facts, flight.site)}"
    if flight.avoided:
        cause += f"; it keeps away from {some_of(flight.avoided)}, where it failed"
    if flight.shut:
        cause += f"; quarantined there: {some_of([one.node for one in flight.shut])}"
    cause += _silence(facts)
    patience_s = FIRST_PATIENCE_S if attempt.number == 1 else PATIENCE_S
    elsewhere = f": what no node has taken after {patience_s / 3600:g} h is tried elsewhere"
    remedy = NOTHING + (elsewhere if flight.guarded else ": it starts when those before it have ended")
    if long and attempt.batch_id:
        remedy += f"; the site knows it as {attempt.batch_id}"
    return Finding(cause, remedy, attempt.intended, details=(_ids(attempt),))


def running(facts: Facts) -> Finding | None:
    """It runs, longer than usual or not."""
    job, attempt, flight = facts.job, facts.attempt, facts.flight
    if job.state is not JobState.RUNNING or attempt is None or flight is None:
        return None
    started = attempt.started or attempt.intended
    where = f" on {attempt.node}" if attempt.node else ""
    cause = f"running{where} at {attempt.site} {since_text(facts, started)}"
    ran_s = seconds_between(started, facts.now) if facts.now else 0.0
    remedy = f"nothing to do; `logs {job.name}` shows it"
    if ran_s > flight.walltime_s + _GRACE_S:
        cause += f", longer than the {length_text(flight.walltime_s)} that it may: no word has come of its end"
        remedy = "nothing to do: the batch system tells when it has given the node up; or `cancel` and `retry` it"
    elif flight.usual_s and ran_s > 2 * flight.usual_s:
        cause += f", over twice as long as such jobs take, {length_text(flight.usual_s)}"
        remedy = (
            f"`logs {job.name}` shows what it does; at {length_text(flight.walltime_s)} it is stopped and tried again"
        )
    elif flight.usual_s:
        cause += f"; such jobs take {length_text(flight.usual_s)}"
    if flight.node:
        cause += f"; its node is {quarantine_text(facts, flight.node)}"
    cause += (
        _again(facts)
        + _silence(facts)
        + ("; no `run` is going to take note of its end" if facts.ticking is False else "")
    )
    return Finding(cause, remedy, started, details=(_ids(attempt),))


def _again(facts: Facts) -> str:
    """That it is not the first attempt, and what it has that the others had not."""
    if not facts.failures:
        return ""
    grown = grown_text(facts.job)
    return f"; tried again{f' with {grown}' if grown else ''} after {facts.failures[-1].reason}"


def _silence(facts: Facts) -> str:
    trouble = facts.troubles.get("follow")
    if trouble is None:
        return ""
    return f"; what became of it is not known {since_text(facts, trouble.since)}: {one_line(trouble.text)}"


def _ids(one: AttemptRecord) -> str:
    return f"attempt {one.number} is {one.id}" + (f", batch id {one.batch_id}" if one.batch_id else "")
