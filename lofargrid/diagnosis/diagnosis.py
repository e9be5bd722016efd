"""Why a job is where it is: the true cause first, then what to do.

`gather` in facts.py finds out what is so; the rules here, each a small function over those facts, are asked in order,
and the first that knows a cause tells it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from lofargrid.decisions import health
from lofargrid.diagnosis.facts import Facts, Gatherer, Turn
from lofargrid.engine.following import FIRST_PATIENCE_S, PATIENCE_S
from lofargrid.model import Job, Site
from lofargrid.states import JobState, Phase, Reason, explanation
from lofargrid.tracker import Tracker
from lofargrid.tracker.diagnoses import Trouble
from lofargrid.tracker.records import AttemptRecord, QuarantineRecord

_NOTHING = "nothing to do"
_RUN = "nothing to do; `run` must be going"
_BY_ITSELF = "nothing to do: it is tried again by itself"
_SHOWN_FAILURES = 5
_SHOWN_SITES = 6
_LONG_QUEUE_S = 3600.0
_GRACE_S = 600.0

_HELPS_NOW: Mapping[Reason, str] = {
    Reason.CREDENTIAL_EXPIRED: "make a new proxy; then it is tried again by itself",
    Reason.STORAGE_FULL: "free space there or ask for more; then it is tried again by itself",
    Reason.SCRATCH_FULL: "free space there or name a larger scratch disk; it is tried again by itself",
    Reason.STAGE_OUT_FAILED: "see that the output and scratch folders can be written; it is tried again by itself",
    Reason.STORAGE_UNAVAILABLE: "nothing to do: it is tried again by itself; if it lasts, ask the storage's site",
    Reason.HELD: "nothing to do: it is tried again by itself; if it comes back, show the detail to the site",
}
_MORE: Mapping[Reason, str] = {
    Reason.OUT_OF_MEMORY: "memory",
    Reason.OUT_OF_TIME: "walltime",
}


@dataclass(frozen=True)
class Diagnosis:
    """``cause`` and ``remedy`` are a line each; ``root`` is the job that the cause lies in.

    ``since`` is when the cause began, ISO 8601 UTC. ``details`` are further lines: what else is known, and the
    attempts that failed.
    """

    job: str
    state: JobState
    cause: str
    remedy: str
    root: str
    since: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a rule found. Without a ``root`` the cause lies in the job itself."""

    cause: str
    remedy: str
    since: str
    root: str = ""
    details: tuple[str, ...] = ()


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
    found = next(found for rule in _RULES if (found := rule(facts)))
    details = (*found.details, *_failures(facts))
    return Diagnosis(job.name, job.state, found.cause, found.remedy, found.root or job.name, found.since, details)


# What has ended


def _superseded(facts: Facts) -> Finding | None:
    if facts.wait.standing:
        return None
    last = facts.failures[-1].reason if facts.failures else None
    why = f", after {last}: {facts.remark}" if last and facts.remark else ""
    if not facts.successors:
        return Finding(f"superseded: the plan holds no such job any more{why}", _NOTHING, facts.job.updated)
    others = ", ".join(facts.successors)
    how = "made in smaller parts instead" if facts.job.name not in facts.successors else "made anew"
    return Finding(f"superseded at {_at(facts.job.updated)}, {how}: {others}{why}", f"`why {facts.successors[0]}`",
                   facts.job.updated)  # fmt: skip


def _failed(facts: Facts) -> Finding | None:
    job, root = facts.job, facts.root
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        return None
    if root is None:
        return _ended(facts)
    found = _ended(root)
    word = "failed: " if root.job.state is JobState.FAILED else ""
    more = f", and {facts.alike} more alike" if facts.alike else ""
    tells_more = job.detail and job.reason not in (root.job.reason, Reason.NEED_FAILED)
    own = f" ({_one_line(job.detail)})" if tells_more else ""
    return replace(found, cause=f"{root.job.name} {word}{found.cause}{more}{own}", root=root.job.name)


def _ended(facts: Facts) -> Finding:
    """What a job failed by, for itself."""
    job = facts.job
    if job.reason is None:
        return Finding(f"{job.state}: {job.state}", "`retry` it", job.updated)
    meaning, remedy = explanation(job.reason)
    cause = f"{job.reason}: {meaning}{_detail(job)}"
    if facts.failures and facts.remark and facts.remark != "another try would end the same":
        cause += f"; {facts.remark}{_had(facts)}"
    if facts.remark.startswith("no site grants more"):
        remedy = f"name a site that grants more {_MORE[job.reason]}, or let a job hold less; then `run --replan`"
    return Finding(cause, remedy, job.updated)


def _had(facts: Facts) -> str:
    """What a job had grown to."""
    grown = _grown(facts.job)
    return f", at last it had {grown}" if grown and facts.job.reason in _MORE else ""


def _grown(job: Job) -> str:
    """What a job asks for in place of its step's resources."""
    words = {"memory_mb": "MB of memory", "walltime_min": "min of walltime", "scratch_mb": "MB of scratch"}
    return " and ".join(f"{job.grown[what]:.10g} {unit}" for what, unit in words.items() if what in job.grown)


def _succeeded(facts: Facts) -> Finding | None:
    job = facts.job
    if job.state is not JobState.SUCCEEDED:
        return None
    when = f"succeeded at {_at(job.updated)}"
    trouble = facts.troubles.get("publish")
    if facts.unpublished and trouble:
        cause = f"{when}; its product cannot be stored {_since(facts, trouble.since)}: {_one_line(trouble.text)}"
        remedy = "see that the output can be written and has space; it is stored by itself then"
        return Finding(cause, remedy, trouble.since)
    without = f"{when}, without {_some(facts.lacks)}{_lost(facts)}" if facts.lacks else when
    root = facts.root.job.name if facts.root else ""
    if job.stale:
        return Finding(f"{without}; stale: more has come since", f"`retry {job.production}`", job.updated, root)
    if facts.root:
        return Finding(without, judge(facts.root).remedy, job.updated, root)
    if facts.unplaced:
        return Finding(without, explanation(Reason.FREQUENCY_UNKNOWN)[1], job.updated)
    return Finding(without, "bring the subbands, then `run --replan`" if facts.lacks else _NOTHING, job.updated)


def _lost(facts: Facts) -> str:
    """Why a merge goes without something."""
    if facts.root:
        return f": {facts.root.job.name} failed: {_ended(facts.root).cause}"
    if facts.problems:
        return f": {_one_line(next(iter(facts.problems.values())))}"
    return f": the frequency of {_some(facts.unplaced)} is not known, so it has no group" if facts.unplaced else ""


# What has not begun


def _paused(facts: Facts) -> Finding | None:
    if facts.paused_since is None or facts.job.state in (JobState.SUBMITTED, JobState.RUNNING):
        return None
    name = facts.job.production
    since = facts.paused_since or facts.job.updated
    return Finding(f"its production {name} is paused {_since(facts, since)}", f"`resume {name}`", since)


def _nobody_ticks(facts: Facts) -> Finding | None:
    if facts.ticking is not False or facts.job.state is JobState.RUNNING:
        return None
    beyond = judge(replace(facts, ticking=None))
    cause = "no `run` is going, and nothing moves without one"
    return Finding(cause, "start `run` again", facts.job.updated, details=(f"beyond that: {beyond.cause}",))


def _recalling(facts: Facts) -> Finding | None:
    job = facts.job
    if job.state is not JobState.RECALLING:
        return None
    return Finding(f"its inputs are being recalled from tape {_since(facts, job.updated)}{_detail(job)}",
                   "nothing to do: tape takes hours", job.updated)  # fmt: skip


def _waits_for_needs(facts: Facts) -> Finding | None:
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
    if facts.root is None:
        return Finding(cause, _RUN, job.updated)
    root = judge(facts.root)
    return Finding(f"{cause}; {_said_of(root)}", root.remedy, root.since, root.root, root.details)


def _tried_again(facts: Facts) -> Finding | None:
    job, wait = facts.job, facts.wait
    if job.state is not JobState.WAITING or job.reason is None or wait.not_before is None:
        return None
    when = f"at {_at(wait.not_before)}"
    if facts.now:
        left = _seconds(facts.now, wait.not_before)
        when += f", in {_long(left)}" if left > 0 else ", which is now"
    cause = f"waits to be tried again{_changed(facts)} {when}, after {_after(facts)}"
    return Finding(cause, _HELPS_NOW.get(job.reason, _BY_ITSELF), job.updated)


def _changed(facts: Facts) -> str:
    """What the next attempt has that the last one had not."""
    how = facts.remark.removeprefix("tried again") if facts.remark.startswith("tried again") else ""
    return f"{how}," if how else ""


def _after(facts: Facts) -> str:
    job = facts.job
    assert job.reason, "it failed"
    meaning, _ = explanation(job.reason)
    return f"{job.reason}: {meaning}{_detail(job)}{_tries(facts)}"


def _tries(facts: Facts) -> str:
    if facts.rule is None or not facts.failures:
        return ""
    most = facts.step_tries if facts.rule.tries is None else facts.rule.tries
    alike = sum(one.reason is facts.job.reason and not one.blamed for one in facts.failures)
    return f" ({alike} of at most {most} attempts ended so)" if alike else " (its node was at fault)"


# Its turn


def _not_taken(facts: Facts) -> Finding | None:
    """The backend takes no jobs."""
    trouble = facts.troubles.get("submit") or facts.troubles.get("start")
    if facts.turn is None or trouble is None:
        return None
    return _no_answer(facts, trouble, "is ready, but cannot be handed over")


def _no_answer(facts: Facts, trouble: Trouble, what: str) -> Finding:
    cause = f"{what} {_since(facts, trouble.since)}: {_one_line(trouble.text)}"
    return Finding(cause, "nothing to do if the service comes back; it is tried with every tick", trouble.since)


def _nowhere(facts: Facts) -> Finding | None:
    turn = facts.turn
    if turn is None or turn.ranking is None or not turn.ranking.nowhere:
        return None
    remedy = (
        "ask for less in the step's resources, or name more sites, then `run --replan`; or add a site to sites.yaml"
    )
    refused = _by_reason(turn.ranking.refused) or turn.ranking.nowhere
    return Finding(f"no site can run it: {refused}", remedy, facts.wait.startable_since)


def _shut(facts: Facts) -> Finding | None:
    turn = facts.turn
    if turn is None or turn.ranking is None or turn.ranking.candidates or not turn.shut:
        return None
    first = turn.shut[0]
    if len(turn.shut) == 1:
        cause = f"{first.site}, the one site that could run it, is {_quarantine(facts, first)}"
    else:
        said = "; ".join(f"{one.site} {_quarantine(facts, one)}" for one in turn.shut)
        cause = f"all sites that could run it are quarantined: {said}"
    remedy = f"nothing to do: the site gets a few jobs to try then; `sites {first.site}` tells more"
    return Finding(cause, remedy, first.since)


def _bounded(facts: Facts) -> Finding | None:
    turn, name = facts.turn, facts.job.production
    if turn is None or turn.most is None or turn.running < turn.most:
        return None
    cause = f"{_could(facts)}, but max_running of its production {name} is reached: {turn.running} of {turn.most} run"
    return Finding(cause, f"nothing to do; or `max-running {name} NUMBER`", facts.wait.startable_since)


def _no_room(facts: Facts) -> Finding | None:
    """All slots and links that it may use are taken."""
    turn = facts.turn
    if turn is None or not turn.held:
        return None
    first = _behind(turn)
    link = " or a link" if any("cross the links" in why for why in turn.held.values()) else ""
    shut = "".join(f"; {one.site} is {_quarantine(facts, one)}" for one in turn.shut)
    shut += "".join(f"; {_probation(facts, one)}" for one in turn.trying)
    few = f"so it gets {health.PROBATION_JOBS} jobs at a time"
    shut += "".join(f"; all nodes that are known of {site} are quarantined, {few}" for site in turn.barren)
    cause = f"{_could(facts)}, waits for a free slot{link}: {_by_reason(turn.held)}{shut}{first}"
    return Finding(cause, _NOTHING, facts.wait.startable_since)


def _by_reason(sites: Mapping[str, str]) -> str:
    """What holds for some sites, those together that share it."""
    alike: dict[str, list[str]] = {}
    for name, why in sites.items():
        alike.setdefault(why, []).append(name)
    return "; ".join(f"{_some(names, _SHOWN_SITES)}: {why}" for why, names in alike.items())


def _outranked(facts: Facts) -> Finding | None:
    turn = facts.turn
    if turn is None or not _behind(turn):
        return None
    return Finding(f"{_could(facts)}, waits for its turn{_behind(turn)}", _NOTHING, facts.wait.startable_since)


def _behind(turn: Turn) -> str:
    """Who goes first."""
    parts = [f"production {one.production} goes first, its priority is {one.priority}" for one in turn.rivals]
    if turn.ahead:
        parts.append(f"{turn.ahead} jobs of its production go before it" if turn.ahead > 1 else "1 job of its"
                     " production goes before it")  # fmt: skip
    return "".join(f"; {part}" for part in parts)


def _crowded_out(facts: Facts) -> Finding | None:
    """There is room, but jobs of its production that are ready cannot use it; the first of them tells why."""
    turn = facts.turn
    if turn is None or not turn.ready or facts.root is None:
        return None
    root = judge(facts.root)
    count = "1 job of its production is" if turn.ready == 1 else f"{turn.ready} jobs of its production are"
    cause = f"{_could(facts)}, but {count} ready before it; {_said_of(root)}"
    return Finding(cause, root.remedy, root.since, root.root)


def _goes_next(facts: Facts) -> Finding | None:
    if facts.turn is None:
        return None
    after = f"; it was tried before, after {_after(facts)}" if facts.job.reason else ""
    slot = ", goes to a site with the next tick" if facts.turn.ranking else ", waits for a free slot"
    return Finding(f"{_could(facts)}{slot}{after}", _RUN, facts.wait.startable_since)


def _could(facts: Facts) -> str:
    word = "ready" if facts.job.state is JobState.READY else "could run"
    return f"{word} {_since(facts, facts.wait.startable_since)}"


# What is under way


def _queued(facts: Facts) -> Finding | None:
    job, attempt, flight = facts.job, facts.attempt, facts.flight
    if job.state is not JobState.SUBMITTED or attempt is None or flight is None:
        return None
    trouble = facts.troubles.get("follow") or facts.troubles.get("submit")
    if attempt.phase is Phase.INTENDED and trouble:
        return _no_answer(facts, trouble, f"is to be submitted to {attempt.site}, but that fails")
    what = "node" if flight.guarded else "free slot"
    waited = _seconds(attempt.intended, facts.now) if facts.now else 0.0
    usual = flight.usual_queue_s
    long = waited > max(_LONG_QUEUE_S, 3 * (usual or 0.0))
    cause = f"submitted to {attempt.site} {_since(facts, attempt.intended)}, waits there for a {what}"
    cause += ", which is long" if long else ""
    cause += f" (usually {_long(usual)})" if usual is not None else ""
    cause += _again(facts)
    if flight.site and flight.site.state == "quarantined":
        cause += f"; the site is {_quarantine(facts, flight.site)}"
    if flight.avoided:
        cause += f"; it keeps away from {_some(flight.avoided)}, where it failed"
    if flight.shut:
        cause += f"; quarantined there: {_some([one.node for one in flight.shut])}"
    cause += _silence(facts)
    patience_s = FIRST_PATIENCE_S if attempt.number == 1 else PATIENCE_S
    elsewhere = f": what no node has taken after {patience_s / 3600:g} h is tried elsewhere"
    remedy = _NOTHING + (elsewhere if flight.guarded else ": it starts when those before it have ended")
    if long and attempt.batch_id:
        remedy += f"; the site knows it as {attempt.batch_id}"
    return Finding(cause, remedy, attempt.intended, details=(_ids(attempt),))


def _running(facts: Facts) -> Finding | None:
    job, attempt, flight = facts.job, facts.attempt, facts.flight
    if job.state is not JobState.RUNNING or attempt is None or flight is None:
        return None
    started = attempt.started or attempt.intended
    where = f" on {attempt.node}" if attempt.node else ""
    cause = f"running{where} at {attempt.site} {_since(facts, started)}"
    ran_s = _seconds(started, facts.now) if facts.now else 0.0
    remedy = f"nothing to do; `logs {job.name}` shows it"
    if ran_s > flight.walltime_s + _GRACE_S:
        cause += f", longer than the {_long(flight.walltime_s)} that it may: no word has come of its end"
        remedy = "nothing to do: the batch system tells when it has given the node up; or `cancel` and `retry` it"
    elif flight.usual_s and ran_s > 2 * flight.usual_s:
        cause += f", over twice as long as such jobs take, {_long(flight.usual_s)}"
        remedy = f"`logs {job.name}` shows what it does; at {_long(flight.walltime_s)} it is stopped and tried again"
    elif flight.usual_s:
        cause += f"; such jobs take {_long(flight.usual_s)}"
    if flight.node:
        cause += f"; its node is {_quarantine(facts, flight.node)}"
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
    grown = _grown(facts.job)
    return f"; tried again{f' with {grown}' if grown else ''} after {facts.failures[-1].reason}"


def _silence(facts: Facts) -> str:
    trouble = facts.troubles.get("follow")
    if trouble is None:
        return ""
    return f"; what became of it is not known {_since(facts, trouble.since)}: {_one_line(trouble.text)}"


def _plain(facts: Facts) -> Finding | None:
    """No rule knows more than the state."""
    return Finding(f"{facts.job.state} {_since(facts, facts.job.updated)}", _RUN, facts.job.updated)


_RULES: tuple[Callable[[Facts], Finding | None], ...] = (
    _superseded,
    _failed,
    _succeeded,
    _paused,
    _nobody_ticks,
    _recalling,
    _waits_for_needs,
    _tried_again,
    _nowhere,
    _shut,
    _not_taken,
    _bounded,
    _no_room,
    _crowded_out,
    _outranked,
    _goes_next,
    _queued,
    _running,
    _plain,
)


# Words


def _failures(facts: Facts) -> tuple[str, ...]:
    """The last attempts that failed, a line each."""
    return tuple(_attempt_line(one) for one in facts.failures[-_SHOWN_FAILURES:])


def _attempt_line(one: AttemptRecord) -> str:
    where = f" at {one.site}" + (f" on {one.node}" if one.node else "")
    when = f", {_at(one.ended)}" if one.ended else ""
    blamed = " (the node was at fault)" if one.blamed else ""
    return f"attempt {one.number}{where}{when}: {one.reason}: {_one_line(one.detail)}{blamed}".rstrip(": ")


def _ids(one: AttemptRecord) -> str:
    return f"attempt {one.number} is {one.id}" + (f", batch id {one.batch_id}" if one.batch_id else "")


def _said_of(one: Diagnosis) -> str:
    """Another job's cause as part of a sentence."""
    verb = " is" if one.cause.startswith((JobState.READY, JobState.SUBMITTED, JobState.RUNNING)) else ":"
    verb = "" if one.cause.startswith(("waits", "is ", "could")) else verb
    return f"{one.job}{verb} {one.cause}"


def _quarantine(facts: Facts, one: QuarantineRecord) -> str:
    return f"quarantined {_since(facts, one.since)} until {_at(one.until)}: {one.reason}"


def _probation(facts: Facts, one: QuarantineRecord) -> str:
    few = f"{health.PROBATION_JOBS} jobs at a time until one succeeds"
    return f"{one.site}, quarantined {_since(facts, one.since)}, is on probation with {few}: {one.reason}"


def _since(facts: Facts, stamp: str) -> str:
    passed = f", for {_long(_seconds(stamp, facts.now))}" if facts.now and facts.now > stamp else ""
    return f"since {_at(stamp)}{passed}"


def _at(stamp: str) -> str:
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M:%S} UTC"


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _long(seconds: float) -> str:
    """A length of time: ``40 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = timedelta(seconds=round(seconds))
    hours, rest = divmod(whole.seconds, 3600)
    parts = [(whole.days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    shown = parts[first : first + 1] if first == 2 and rest >= 600 else parts[first : first + 2]
    return " ".join(f"{number} {unit}" for number, unit in shown if number) or "0 s"


def _some(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _detail(job: Job) -> str:
    return f": {_one_line(job.detail)}" if job.detail else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
