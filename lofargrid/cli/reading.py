"""The verbs that only read: why, logs, pipelines, doctor."""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lofargrid import assets
from lofargrid.cli import doctor as doctoring
from lofargrid.cli import places
from lofargrid.cli.choosing import Choice, choose
from lofargrid.cli.outcome import campaign_causes, causes
from lofargrid.cli.places import Place, find_place
from lofargrid.cli.session import Session, stamp
from lofargrid.cli.text import note, paragraph, table
from lofargrid.diagnosis.diagnosis import diagnose
from lofargrid.documents.pipelines import Pipeline, Step, read_pipeline
from lofargrid.model import Job
from lofargrid.productions.retrying import CONSEQUENCES
from lofargrid.states import JobState
from lofargrid.ticking import is_held
from lofargrid.tracker import Tracker

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_FAILED = (JobState.FAILED, JobState.CANCELLED)


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    for verb in (why, logs, pipelines, doctor):
        app.command()(verb)


def why(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A job, an attempt, a batch id; a pilot or a node; a campaign or a production, or one with /STEP.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Tell why a job is where it is, and what to do."""
    session: Session = context.obj
    tracker = session.tracker()
    place = find_place(session, tracker, what)
    if place:
        _tell_place(session, tracker, place, as_json)
        return
    choice = choose(tracker, what)
    if choice.campaign and not choice.jobs and _campaign_failed(tracker, choice, as_json):
        return
    jobs = _telling(tracker, choice)
    where = session.reached()
    ticking = is_held(session.tracker_path)
    found = [diagnose(tracker, one, where, stamp(), ticking) for one in jobs]
    if as_json:
        print(json.dumps([vars(one) for one in found], indent=1))
    elif len(found) > 1:
        print("\n".join(causes(found)))
    elif found:
        (one,) = found
        state = "" if one.cause.startswith(one.state) else f" {one.state}"
        print("\n  ".join([f"{choice.named(jobs[0])}{state}: {one.cause}", one.remedy, *one.details]))


def _tell_place(session: Session, tracker: Tracker, place: Place, as_json: bool) -> None:
    if as_json:
        print(json.dumps(places.facts(place), indent=1))
    else:
        print("\n".join(places.tell(session, tracker, place)))


def _campaign_failed(tracker: Tracker, choice: Choice, as_json: bool) -> bool:
    """Tell what failed in a campaign, if anything did."""
    assert choice.campaign is not None
    alike = tracker.failed_alike(choice.campaign.id, choice.step)
    if not alike:
        return False
    if as_json:
        facts = []
        for one in alike:
            job = tracker.job_by_id(one.first)
            found = diagnose(tracker, job)
            such_as = {"such_as": f"{job.production}/{job.name}", "cause": found.cause, "remedy": found.remedy}
            facts.append(asdict(one) | such_as)
        print(json.dumps(facts, indent=1))
    else:
        print("\n".join(campaign_causes(tracker, alike, len(alike))))
    return True


def _telling(tracker: Tracker, choice: Choice) -> list[Job]:
    """The jobs that tell most of a choice: those chosen, else those that failed, else the last that has not ended."""
    if choice.jobs:
        return list(choice.jobs)
    if not choice.campaign:
        failed = choice.among(tracker, choice.productions[0], _FAILED)
        if failed:
            return failed
    for unfinished in (True, False):
        for production in choice.productions:
            last = tracker.last_job(production.id, choice.step, unfinished)
            if last is not None:
                return [tracker.job_by_id(last)]
    return []


def logs(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A job, an attempt, a batch id, a pilot, a node; else the first that failed, or the last.",
        ),
    ],
    attempt: Annotated[
        int,
        typer.Option(metavar="N", min=0, show_default=False, help="Which attempt, from 1; the last one if not given."),
    ] = 0,
    tail: Annotated[int, typer.Option(metavar="N", min=0, show_default=False, help="Only the last N lines.")] = 0,
) -> int:
    """Print a job's log as it is now, also while the job runs."""
    session: Session = context.obj
    tracker = session.tracker()
    place = find_place(session, tracker, what)
    if place:
        return _log_there(session, tracker, place, tail)
    choice = choose(tracker, what)
    chosen = _first_failed(tracker, choice) or _telling(tracker, choice)[0]
    attempts = [one for one in tracker.attempts(chosen.id) if not attempt or one.number == attempt]
    if not attempts:
        note(f"{chosen.name} has no such attempt; {diagnose(tracker, chosen).cause}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        found = session.backend(tracker).fetch(attempts[-1].id, Path(folder))
        texts = [path.read_bytes() for path in found if path.name == "job.log"]
    if not texts:
        note(f"{chosen.name}: attempt {attempts[-1].number} has not started yet")
        return 1
    _write_log(texts[0], tail)
    return 0


def _log_there(session: Session, tracker: Tracker, place: Place, tail: int) -> int:
    """Print the log of what runs in a place, or ran there last; of a pilot without a job, its own."""
    ran = place.latest
    log = places.log_of(session, tracker, ran) if ran else places.output_of(session, tracker, place)
    if not log:
        note(f"nothing has run there yet: {place.word}" if ran is None else f"{ran.job} has no log yet")
        return 1
    if ran:
        note(f"{ran.production}/{ran.job}, attempt {ran.number}")
    _write_log(log, tail)
    return 0


def _write_log(log: bytes, tail: int) -> None:
    lines = log.splitlines(keepends=True)
    sys.stdout.buffer.write(b"".join(lines[-tail:] if tail else lines))
    sys.stdout.flush()


def _first_failed(tracker: Tracker, choice: Choice) -> Job | None:
    """One of a campaign's failed jobs, of those that most failed like."""
    if not choice.campaign or choice.jobs:
        return None
    alike = tracker.failed_alike(choice.campaign.id, choice.step)
    own = [one for one in alike if one.reason not in CONSEQUENCES]
    return tracker.job_by_id((own or alike)[0].first) if alike else None


def pipelines(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline; without it all are listed.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell which pipelines there are, or all about one."""
    session: Session = context.obj
    own = session.settings.pipelines
    folders = [assets.pipeline_folder(name, own)] if name else list(assets.pipeline_folders(own).values())
    found = [read_pipeline(folder) for folder in folders]
    if as_json:
        print(json.dumps([one.model_dump(mode="json", by_alias=True) for one in found], indent=1))
    elif name:
        _explain(found[0])
    else:
        for one in found:
            print(f"{one.pipeline}\n{paragraph(one.description, 4)}")


def _explain(pipeline: Pipeline) -> None:
    print(f"{pipeline.pipeline} {pipeline.version}\n{paragraph(pipeline.description, 4)}\n\nRoles")
    for role, described in pipeline.roles.items():
        print(f"  {role}: {described.description}")
    print("\nParameters")
    for name, one in pipeline.parameters.items():
        default = "needed" if one.required else f"default {json.dumps(one.default)}"
        unit = f" {one.unit}" if one.unit else ""
        print(f"  {name} ({one.type}, {default}{unit})\n{paragraph(one.description, 6)}")
    print("\nSteps")
    rows = [[name, _split_text(step), " ".join(step.needs), step.description] for name, step in pipeline.steps.items()]
    print(table(["step", "a job for", "needs", ""], rows))


def _split_text(step: Step) -> str:
    if step.split == "subband":
        return f"each {step.over} subband"
    if step.split == "all":
        return f"all {step.over} subbands"
    return f"each group of {step.split.group} {step.over} subbands"


def doctor(context: typer.Context, as_json: AsJson = False) -> int:
    """Look whether all that is needed is here. Each missing piece is told with the command that brings it."""
    session: Session = context.obj
    findings = doctoring.examine(session)
    if as_json:
        print(json.dumps([vars(one) for one in findings], indent=1))
    else:
        for one in findings:
            print(f"{'ok     ' if one.good else 'MISSING'} {one.what}: {one.found}")
            if not one.good:
                print(f"        {one.remedy}")
    return 0 if all(one.good for one in findings) else 1
