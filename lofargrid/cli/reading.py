"""The verbs that only read: status, why, logs, pipelines, doctor, compare."""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from lofargrid import assets
from lofargrid.cli import doctor as doctoring
from lofargrid.cli.choosing import choose_job, choose_production
from lofargrid.cli.outcome import MOST_CAUSES, causes, is_complete
from lofargrid.cli.session import Session
from lofargrid.cli.text import note, paragraph, table, time_text
from lofargrid.diagnosis import diagnose
from lofargrid.names import path_of
from lofargrid.pipelines import Pipeline, Step, read_pipeline
from lofargrid.productions import recipe_of
from lofargrid.states import JobState
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    for verb in (status, why, logs, pipelines, doctor):
        app.command()(verb)


def status(
    context: typer.Context,
    production: Annotated[
        str, typer.Argument(metavar="PRODUCTION", help="A production; without it all are listed.")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Tell how productions stand.

    Exit code 0: all that was asked for is made; 1: not all of it; 3: still to do.
    """
    session: Session = context.obj
    tracker = session.tracker()
    chosen = [choose_production(tracker, production)] if production else tracker.productions()
    standings = [_standing(tracker, one) for one in chosen]
    if as_json:
        print(json.dumps([asdict(one) | {"state": one.word} for one in standings], indent=1))
    elif production:
        _print_one(tracker, chosen[0], standings[0])
    else:
        _print_all(standings)
    if any(one.unfinished for one in standings):
        return 3
    return int(not all(one.complete for one in standings))


@dataclass(frozen=True)
class Standing:
    """How a production stands."""

    production: str
    generation: int
    paused: bool
    entered: str
    steps: Mapping[str, Mapping[JobState, int]]
    unfinished: int
    failed: int
    complete: bool
    stale: tuple[str, ...]
    products: tuple[str, ...]

    @property
    def word(self) -> str:
        """The state in a word."""
        if self.paused:
            return "paused"
        if self.unfinished:
            return "going"
        return "done" if self.complete else "not complete"


def _standing(tracker: Tracker, production: ProductionRecord) -> Standing:
    counts = tracker.counts(production.id)
    jobs = tracker.jobs(production.id)
    return Standing(
        production=production.name,
        generation=production.generation,
        paused=production.paused,
        entered=production.created,
        steps={name: counts.get(name, {}) for name in recipe_of(tracker, production).steps},
        unfinished=tracker.unfinished(production.id),
        failed=sum(one.get(JobState.FAILED, 0) for one in counts.values()),
        complete=is_complete(tracker, production, jobs),
        stale=tuple(job.name for job in jobs if job.stale),
        products=tuple(path_of(file.published) for file in tracker.products(production.id)),
    )


def _print_all(standings: list[Standing]) -> None:
    if not standings:
        note("no productions yet; `init` writes a first production.yaml")
        return
    rows = []
    for one in standings:
        total = sum(sum(counts.values()) for counts in one.steps.values())
        done = sum(counts.get(JobState.SUCCEEDED, 0) for counts in one.steps.values())
        rows.append([one.production, one.word, f"{done}/{total}", str(one.failed), time_text(one.entered)])
    print(table(["production", "state", "jobs done", "failed", "entered"], rows))


def _print_one(tracker: Tracker, production: ProductionRecord, standing: Standing) -> None:
    states = [state for state in JobState if any(state in counts for counts in standing.steps.values())]
    rows = [[step, *(str(counts.get(state, "")) for state in states)] for step, counts in standing.steps.items()]
    entered = time_text(standing.entered)
    print(f"{standing.production}: {standing.word}, generation {standing.generation}, entered {entered}")
    print(table(["step", *states], rows))
    failed = tracker.jobs(production.id, [JobState.FAILED])
    for line in causes([diagnose(tracker, job) for job in failed], MOST_CAUSES):
        print(line)
    for name in standing.stale:
        print(f"{name}: stale, more has come since it was made; `retry {production.name}` makes it again")
    for path in standing.products:
        print(path)


def why(
    context: typer.Context,
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A job, an attempt, a batch id, or a production for all its failures.")
    ],
    as_json: AsJson = False,
) -> None:
    """Tell why a job is where it is, and what to do."""
    session: Session = context.obj
    tracker = session.tracker()
    found = [diagnose(tracker, one) for one in choose_job(tracker, job)]
    if as_json:
        print(json.dumps([vars(one) for one in found], indent=1))
        return
    if len(found) > 1:
        print("\n".join(causes(found)))
        return
    (one,) = found
    state = "" if one.cause.startswith(one.state) else f" {one.state}"
    print(f"{one.job}{state}: {one.cause}\n  {one.remedy}")


def logs(
    context: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job, an attempt or a batch id.")],
    attempt: Annotated[
        int,
        typer.Option(metavar="N", min=0, show_default=False, help="Which attempt, from 1; the last one if not given."),
    ] = 0,
    tail: Annotated[int, typer.Option(metavar="N", min=0, show_default=False, help="Only the last N lines.")] = 0,
) -> int:
    """Print a job's log as it is now, also while the job runs."""
    session: Session = context.obj
    tracker = session.tracker()
    chosen = choose_job(tracker, job)[0]
    attempts = [one for one in tracker.attempts(chosen.id) if not attempt or one.number == attempt]
    if not attempts:
        note(f"{chosen.name} has no such attempt; {diagnose(tracker, chosen).cause}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        found = session.backend(attempts[-1].backend).fetch(attempts[-1].id, Path(folder))
        texts = [path.read_bytes() for path in found if path.name == "job.log"]
    if not texts:
        note(f"{chosen.name}: attempt {attempts[-1].number} has not started yet")
        return 1
    lines = texts[0].splitlines(keepends=True)
    sys.stdout.buffer.write(b"".join(lines[-tail:] if tail else lines))
    sys.stdout.flush()
    return 0


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
