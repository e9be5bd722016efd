"""What failed or went stale is made again, with all that follows from it."""

from lofargrid.model import Job
from lofargrid.productions.jobs import Entered, refresh
from lofargrid.productions.recipes import recipe_of
from lofargrid.states import JobState, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord

CONSEQUENCES = (Reason.NEED_FAILED, Reason.TOO_FEW_INPUTS, Reason.GAP)


def retry_failed(tracker: Tracker, jobs: list[Job], now: str) -> tuple[str, ...]:
    """Bring failed or cancelled jobs back, and those that failed only because of them.

    Groups that were made without one of them are opened again: it may now tell its frequency.

    Returns
    -------
    names
        The jobs that wait again.
    """
    names: list[str] = []
    waiting = list(jobs)
    while waiting:
        job = tracker.job_by_id(waiting.pop().id)
        if job.state not in (JobState.FAILED, JobState.CANCELLED) or job.reason is Reason.FREQUENCY_CLASH:
            continue  # two subbands of one frequency stay so until the list is changed
        if not tracker.reset(job, now):
            continue  # a later generation took its place
        names.append(job.name)
        for one in tracker.dependents(job.id):
            if one.state is JobState.READY:  # what it may go without is judged anew
                tracker.move(one, JobState.WAITING, now)
            elif one.state is JobState.FAILED and one.reason in CONSEQUENCES:
                waiting.append(one)
    for name in {job.production for job in jobs} if names else ():
        production = tracker.production(name)
        assert production is not None, "a job has a production"
        refresh(tracker, production.id, recipe_of(tracker, production), now)
    return tuple(sorted(names))


def redo_stale(tracker: Tracker, production: ProductionRecord, now: str) -> Entered:
    """Build the next generation of the merges that a late success made stale, and of what needs them."""
    with tracker.transaction():
        recipe = recipe_of(tracker, production)
        redo: set[str] = set()
        waiting = [job for job in tracker.jobs(production.id) if job.stale]
        while waiting:
            job = waiting.pop()
            if job.name not in redo:
                redo.add(job.name)
                waiting += tracker.dependents(job.id)
        return refresh(tracker, production.id, recipe, now, redo)
