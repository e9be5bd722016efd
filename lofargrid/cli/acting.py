"""The operator's verbs: retry, pause, resume, cancel, priority, max-running."""

from collections.abc import Callable
from typing import Annotated

import typer

from lofargrid.cli.choosing import Choice, choose, choose_whole
from lofargrid.cli.session import Session, stamp
from lofargrid.cli.text import count, note
from lofargrid.documents.production import MOST_RUNNING, PRIORITIES
from lofargrid.errors import Fault, InputError
from lofargrid.productions.retrying import redo_stale, retry_failed
from lofargrid.states import UNFINISHED, JobState, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord

Whole = Annotated[str, typer.Argument(metavar="WHAT", help="A campaign or a production.")]
Anything = Annotated[
    str, typer.Argument(metavar="WHAT", help="A campaign, a production, one of them with /STEP or /JOB, or a job.")
]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    for verb in (retry, pause, resume, cancel):
        app.command()(verb)
    # A negative number is a number and no option.
    app.command(context_settings={"ignore_unknown_options": True})(priority)
    app.command("max-running")(max_running)


def retry(
    context: typer.Context,
    what: Anything,
    reason: Annotated[str, typer.Option(metavar="REASON", help="Only jobs that failed for this reason.")] = "",
) -> None:
    """Bring failed and cancelled jobs back. Stale merges are made again. `run` then moves them."""
    session: Session = context.obj
    wanted = _reason(reason)
    tracker = session.tracker()
    choice = choose(tracker, what)
    retried = made = 0
    for production in choice.productions:
        names = _retry(tracker, choice, production, wanted)
        anew = _redo_stale(tracker, choice, production) if wanted is None else ()
        for name in (*names, *anew):
            print(f"{production.name}/{name}" if choice.campaign else name)
        retried, made = retried + len(names), made + len(anew)
    note(f"{count(retried, 'job')} to be tried again, {made} to be made anew; `run` moves them")


def _retry(
    tracker: Tracker, choice: Choice, production: ProductionRecord, wanted: Reason | None
) -> tuple[str, ...]:  # fmt: skip
    with tracker.transaction():
        found = choice.among(tracker, production, (JobState.FAILED, JobState.CANCELLED))
        chosen = [job for job in found if wanted in (None, job.reason)]
        return retry_failed(tracker, chosen, stamp()) if chosen else ()


def _redo_stale(tracker: Tracker, choice: Choice, production: ProductionRecord) -> tuple[str, ...]:
    stale = [tracker.job(production.id, name) for name in tracker.stale_names(production.id)]
    if not any(job and choice.holds(job) for job in stale):
        return ()
    return redo_stale(tracker, production, stamp()).made


def _reason(text: str) -> Reason | None:
    try:
        return Reason(text) if text else None
    except ValueError:
        known = ", ".join(one.value for one in Reason)
        raise InputError(Fault(f"{text!r} is not a reason", f"There are {known}", field="--reason")) from None


def pause(context: typer.Context, what: Whole) -> None:
    """Start no more jobs of a production or a campaign. Those that run go on."""
    _pause(context.obj, what, True)


def resume(context: typer.Context, what: Whole) -> None:
    """Start jobs of what was paused again."""
    _pause(context.obj, what, False)


def _pause(session: Session, what: str, paused: bool) -> None:
    def act(tracker: Tracker, production: ProductionRecord) -> None:
        if production.paused != paused:
            tracker.pause(production.id, paused, stamp())

    choice = _each(session, what, "pause" if paused else "resume", act)
    note(f"{choice.word} {'is paused' if paused else 'goes on'}{_how_many(choice)}")


def cancel(context: typer.Context, what: Anything) -> None:
    """End jobs that have not ended. Nothing more of them starts, what runs is stopped. `retry` brings them back."""
    session: Session = context.obj
    tracker = session.tracker()
    choice = choose(tracker, what)
    ended, live = 0, []
    for production in choice.productions:
        with tracker.transaction():
            # Looked at inside: a job that another process moves in between would not be cancelled.
            unfinished = choice.among(tracker, production, UNFINISHED)
            for job in unfinished:
                tracker.move(job, JobState.CANCELLED, stamp(), Reason.CANCELLED, "by the operator")
        ended += len(unfinished)
        live += [job.attempt for job in unfinished if job.attempt and job.state in _WITH_THE_BACKEND]
    session.stop(tracker, live)
    note(f"{count(ended, 'job')} cancelled, {len(live)} of them with the backend")


_WITH_THE_BACKEND = (JobState.SUBMITTED, JobState.RUNNING)


def priority(
    context: typer.Context,
    what: Whole,
    number: Annotated[
        int, typer.Argument(metavar="NUMBER", min=PRIORITIES[0], max=PRIORITIES[-1], help="0 if nothing was said.")
    ],
) -> None:
    """Say whose jobs start first. Those of a higher number go first; among equals slots are shared."""
    choice = _each(context.obj, what, "priority", lambda tracker, one: tracker.set_priority(one.id, number, stamp()))
    note(f"{choice.word} has priority {number}{_how_many(choice)}")


def max_running(
    context: typer.Context,
    what: Whole,
    number: Annotated[str, typer.Argument(metavar="NUMBER|none", help="At most so many of its jobs at once.")],
) -> None:
    """Bound how many jobs are on their way at once. Of a production, or of each production of a campaign."""
    bound = _bound(number)
    choice = _each(
        context.obj, what, "max-running", lambda tracker, one: tracker.set_max_running(one.id, bound, stamp())
    )
    said = "any number of jobs" if bound is None else f"at most {count(bound, 'job')}"
    note(f"{choice.word} may have {said} on their way{_how_many(choice)}")


def _bound(text: str) -> int | None:
    if text == "none":
        return None
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    if not 1 <= number <= MOST_RUNNING:
        what = f"{text!r} is not a number of jobs"
        raise InputError(Fault(what, f"Give a whole number from 1 to {MOST_RUNNING}, or none; `pause` starts no job"))
    return number


def _each(session: Session, what: str, verb: str, act: Callable[[Tracker, ProductionRecord], None]) -> Choice:
    """Do something to a production, or to all of a campaign at once."""
    tracker = session.tracker()
    with tracker.transaction():
        choice = choose_whole(tracker, what, verb)
        for production in choice.productions:
            act(tracker, production)
    return choice


def _how_many(choice: Choice) -> str:
    return f" ({count(len(choice.productions), 'production')})" if choice.campaign else ""
