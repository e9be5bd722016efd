"""The operator's verbs: retry, pause, resume, cancel."""

from typing import Annotated

import typer

from lofargrid import productions
from lofargrid.cli.choosing import choose_jobs, choose_production
from lofargrid.cli.session import Session, stamp
from lofargrid.cli.text import count, note
from lofargrid.errors import Fault, InputError
from lofargrid.states import FINAL, JobState, Reason

Production = Annotated[str, typer.Argument(metavar="PRODUCTION", help="A production.")]
ProductionOrJob = Annotated[str, typer.Argument(metavar="PRODUCTION|JOB", help="A production or a job.")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    for verb in (retry, pause, resume, cancel):
        app.command()(verb)


def retry(
    context: typer.Context,
    what: ProductionOrJob,
    reason: Annotated[str, typer.Option(metavar="REASON", help="Only jobs that failed for this reason.")] = "",
) -> None:
    """Bring failed and cancelled jobs back. Stale merges are made again. `run` then moves them."""
    session: Session = context.obj
    wanted = _reason(reason)
    tracker = session.tracker()
    production, jobs = choose_jobs(tracker, what)
    chosen = [
        job for job in jobs if job.state in (JobState.FAILED, JobState.CANCELLED) and wanted in (None, job.reason)
    ]
    with tracker.transaction():
        retried = productions.retry_failed(tracker, chosen, stamp())
    stale = [job for job in jobs if job.stale] if wanted is None else []
    made = productions.redo_stale(tracker, production, stamp()).made if stale else ()
    for name in (*retried, *made):
        print(name)
    note(f"{count(len(retried), 'job')} to be tried again, {len(made)} to be made anew; `run` moves them")


def _reason(text: str) -> Reason | None:
    try:
        return Reason(text) if text else None
    except ValueError:
        known = ", ".join(one.value for one in Reason)
        raise InputError(Fault(f"{text!r} is not a reason", f"There are {known}", field="--reason")) from None


def pause(context: typer.Context, production: Production) -> None:
    """Start no more jobs of a production. Those that run go on."""
    _pause(context.obj, production, True)


def resume(context: typer.Context, production: Production) -> None:
    """Start jobs of a paused production again."""
    _pause(context.obj, production, False)


def _pause(session: Session, name: str, paused: bool) -> None:
    tracker = session.tracker()
    with tracker.transaction():
        tracker.pause(choose_production(tracker, name).id, paused, stamp())
    note(f"{name} {'is paused' if paused else 'goes on'}")


def cancel(context: typer.Context, what: ProductionOrJob) -> None:
    """End a production or a job. Nothing more of it starts, what runs is stopped. `retry` brings it back."""
    session: Session = context.obj
    tracker = session.tracker()
    with tracker.transaction():
        # Looked at inside: a job that another process moves in between would not be cancelled.
        _, jobs = choose_jobs(tracker, what)
        unfinished = [job for job in jobs if job.state not in FINAL]
        for job in unfinished:
            tracker.move(job, JobState.CANCELLED, stamp(), Reason.CANCELLED, "by the operator")
    live = [job.attempt for job in unfinished if job.attempt and job.state in (JobState.SUBMITTED, JobState.RUNNING)]
    if live:
        session.backend().cancel(live)
    note(f"{count(len(unfinished), 'job')} cancelled, {len(live)} of them with the backend")
