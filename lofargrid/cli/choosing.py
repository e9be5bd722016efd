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
    """The jobs that a text names: a job, PRODUCTION/JOB, an attempt, a batch id, or a production's failed jobs.

    Raises
    ------
    InputError
        It names nothing, or a job of several productions.
    """
    name, slash, job_name = text.partition("/")
    if slash:
        job = tracker.job(choose_production(tracker, name).id, job_name)
        if job is None:
            raise InputError(Fault(f"{name} has no job {job_name!r}", _nearest(tracker, job_name)))
        return [job]
    jobs = tracker.find_jobs(text)
    productions = sorted({job.production for job in jobs})
    if len(productions) > 1:
        what = f"{text!r} is a job of several productions: {', '.join(productions)}"
        raise InputError(Fault(what, f"Say which, such as {productions[0]}/{text}"))
    return jobs or _failed_jobs(tracker, text)


def _failed_jobs(tracker: Tracker, name: str) -> list[Job]:
    production = tracker.production(name)
    if production is None:
        raise InputError(Fault(f"there is no job, attempt or production {name!r}", _nearest(tracker, name)))
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
