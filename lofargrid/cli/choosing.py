"""From the words that people type to productions and jobs."""

import difflib

from lofargrid.errors import Fault, InputError
from lofargrid.model import Job
from lofargrid.states import JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord


def choose_production(tracker: Tracker, name: str) -> ProductionRecord:
    """The production of a name.

    Raises
    ------
    InputError
        There is none.
    """
    production = tracker.production(name)
    if production is None:
        raise InputError(Fault(f"there is no production {name!r}", _nearest(tracker, name)))
    return production


def choose_job(tracker: Tracker, text: str) -> list[Job]:
    """The jobs that a text names: a job, an attempt, a batch id, or a production's failed jobs.

    Raises
    ------
    InputError
        It names nothing.
    """
    jobs = tracker.find_jobs(text)
    if jobs:
        return jobs
    production = tracker.production(text)
    if production is None:
        raise InputError(Fault(f"there is no job, attempt or production {text!r}", _nearest(tracker, text)))
    failed = tracker.jobs(production.id, [JobState.FAILED, JobState.CANCELLED])
    return failed or tracker.jobs(production.id)[-1:]


def choose_jobs(tracker: Tracker, text: str) -> tuple[ProductionRecord, list[Job]]:
    """A production with all its jobs, or one job with its production."""
    production = tracker.production(text)
    if production:
        return production, tracker.jobs(production.id)
    jobs = choose_job(tracker, text)
    return choose_production(tracker, jobs[0].production), jobs


def _nearest(tracker: Tracker, name: str) -> str:
    names = [one.name for one in tracker.productions()]
    names += [job.name for one in tracker.productions() for job in tracker.jobs(one.id)]
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else "`status` lists the productions"
