"""Why a job is where it is: the true cause first, then what to do."""

from dataclasses import dataclass

from lofargrid.model import Job
from lofargrid.productions import CONSEQUENCES
from lofargrid.states import FINAL, JobState, explanation
from lofargrid.tracker import Tracker


@dataclass(frozen=True)
class Diagnosis:
    """``cause`` and ``remedy`` are a line each; ``root`` is the job that the cause lies in."""

    job: str
    state: JobState
    cause: str
    remedy: str
    root: str


def diagnose(tracker: Tracker, job: Job) -> Diagnosis:
    """Find the true cause of a job's state."""
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        return _failed(tracker, job)
    cause, remedy = _living(tracker, job)
    return Diagnosis(job.name, job.state, cause, remedy, job.name)


def _failed(tracker: Tracker, job: Job) -> Diagnosis:
    root = _root(tracker, job)
    meaning, remedy = explanation(root.reason) if root.reason else (str(root.state), "`retry` it")
    cause = f"{root.reason or root.state}: {meaning}{_detail(root)}"
    if root.id != job.id:
        own = f" ({_one_line(job.detail)})" if job.detail and job.reason != root.reason else ""
        return Diagnosis(job.name, job.state, f"{root.name} failed: {cause}{own}", remedy, root.name)
    return Diagnosis(job.name, job.state, cause, remedy, root.name)


def _root(tracker: Tracker, job: Job) -> Job:
    """Follow consequences up to the first job that failed by itself."""
    return (job.reason in CONSEQUENCES and _culprit(tracker, job)) or job


def _culprit(tracker: Tracker, job: Job) -> Job | None:
    """What a job goes without and why: a need that failed, or that another merge before it goes without."""
    needs = tracker.needs(job.id)
    failed = [need for need in needs if need.state in (JobState.FAILED, JobState.CANCELLED)]
    if failed:
        return _root(tracker, failed[0])
    return next(filter(None, (_culprit(tracker, need) for need in needs if tracker.lacks(need.id))), None)


def _living(tracker: Tracker, job: Job) -> tuple[str, str]:
    if job.state is JobState.SUCCEEDED:
        return _succeeded(tracker, job)
    if job.state in (JobState.SUBMITTED, JobState.RUNNING):
        return _under_way(tracker, job)
    if tracker.production_paused(job.production):
        return f"its production {job.production} is paused", f"`resume {job.production}`"
    if job.state is JobState.WAITING and job.reason:
        meaning, _ = explanation(job.reason)
        return (
            f"waits to be tried again after {job.reason}: {meaning}{_detail(job)}",
            "nothing to do",
        )
    if job.state is JobState.WAITING and job.unmet:
        return _waits_for(tracker, job), "nothing to do; `run` must be going"
    return f"ready since {job.updated}, waits for a free slot", "nothing to do; `run` must be going"


def _succeeded(tracker: Tracker, job: Job) -> tuple[str, str]:
    lacks = tracker.lacks(job.id)
    without = f", without {', '.join(lacks)}" if lacks else ""
    if job.stale:
        return f"succeeded at {job.updated}{without}; stale: more has come since", f"`retry {job.production}`"
    return (
        f"succeeded at {job.updated}{without}",
        "nothing to do" if not lacks else "`why` those subbands' jobs",
    )


def _under_way(tracker: Tracker, job: Job) -> tuple[str, str]:
    attempt = tracker.attempts(job.id)[-1]
    where = f" on {attempt.node}" if attempt.node else ""
    return (
        f"{job.state}{where} since {attempt.started or attempt.intended} (attempt {attempt.id})",
        f"nothing to do; `logs {job.name}` shows it",
    )


def _waits_for(tracker: Tracker, job: Job) -> str:
    needs = [need for need in tracker.needs(job.id) if need.state not in FINAL]
    shown = ", ".join(f"{need.name} ({need.state})" for need in needs[:3])
    more = f" and {len(needs) - 3} more" if len(needs) > 3 else ""
    if not needs:
        return "waits until the frequencies of all subbands are known, which makes the groups it needs"
    return f"waits for {shown}{more}"


def _detail(job: Job) -> str:
    return f": {_one_line(job.detail)}" if job.detail else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
