"""The verbs that make: plan, submit, run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lofargrid.cli import campaigning, plans, progress
from lofargrid.cli.access import Access
from lofargrid.cli.campaigning import Reading
from lofargrid.cli.choosing import choose_whole
from lofargrid.cli.doctor import missing_programs
from lofargrid.cli.session import Session, stamp, told_of
from lofargrid.cli.text import count, note
from lofargrid.documents.production import read_production
from lofargrid.errors import Fault, InputError
from lofargrid.model import PlannedJob
from lofargrid.names import safe_name
from lofargrid.productions import entering
from lofargrid.productions.campaigns import refuse_taken, schedule
from lofargrid.recipes.probing import probe_of
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState

ProductionFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="production.yaml, or campaign.csv with a row a production; `init` helps."),
]
Replan = Annotated[bool, typer.Option("--replan", help="Redo what a changed file affects, try again what failed.")]
Like = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The production.yaml that a campaign varies, if not the one beside it."),
]
CampaignName = Annotated[
    str, typer.Option("--campaign", metavar="NAME", help="The campaign's name, if not that of its file.")
]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    for verb in (plan, submit, run):
        app.command()(verb)


def plan(
    context: typer.Context,
    file: ProductionFile,
    job: Annotated[str, typer.Option(metavar="JOB", help="Tell all about this job of a production.yaml.")] = "",
    like: Like = None,
    campaign: CampaignName = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Tell what would be done, and change nothing. Jobs, bytes, core-hours, scratch."""
    session: Session = context.obj
    if campaigning.is_table(file):
        if job:
            raise InputError(Fault("a campaign has many jobs of a name", "Name a production.yaml", field="--job"))
        plans.plan_campaign(session, campaigning.read(session, file, like, campaign), as_json)
        return
    _refuse_campaign_options(file, like, campaign)
    recipe = _inspected(session, session.recipe(file), file)
    jobs = plans.planned_jobs(recipe)
    if job:
        print(json.dumps(_job_facts(recipe, jobs, job), indent=1))
        return
    plans.plan_production(session, recipe, jobs, as_json)


def _refuse_campaign_options(file: Path, like: Path | None, campaign: str) -> None:
    for option, given in (("--like", like), ("--campaign", campaign)):
        if given:
            raise InputError(Fault(f"{file} is no campaign.csv", "Only a campaign takes this", field=option))


def _inspected(session: Session, recipe: Recipe, file: Path) -> Recipe:
    """The recipe with its inputs looked at; what the policy lives with is told."""
    recipe, faults = session.inspected(recipe, file)
    for fault in faults:
        note(f"goes without: {fault}")
    for line in missing_programs(recipe, session.software(recipe.software)):
        note(line)
    return recipe


def _job_facts(recipe: Recipe, jobs: list[PlannedJob], name: str) -> dict[str, object]:
    found = next((job for job in jobs if job.name == name), None)
    if found is None:
        names = ", ".join(job.name for job in jobs[:5])
        raise InputError(Fault(f"no job {name!r} is planned yet", f"The first are {names}", field="--job"))
    return asdict(found) | {"definition": recipe.steps[found.step].model_dump(mode="json", by_alias=True)}


def submit(
    context: typer.Context,
    file: ProductionFile,
    replan: Replan = False,
    like: Like = None,
    campaign: CampaignName = "",
) -> None:
    """Enter a production or a campaign without running it. `run` moves it later."""
    _enter(context.obj, file, replan, like, campaign)


def run(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE|NAME", help="production.yaml, campaign.csv, or the name of what is entered."),
    ],
    replan: Replan = False,
    like: Like = None,
    campaign: CampaignName = "",
    probe: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only N subbands of each SAP, as NAME-probe: `sim` measures them."),
    ] = None,
) -> int:
    """Enter a production or a campaign and see it through. Ctrl-C loses nothing; the same command goes on."""
    session: Session = context.obj
    name = str(file)
    if safe_name(name) and not file.exists():
        _refuse_entered_options(session, name, replan, like, campaign, probe)
    else:
        name = _enter(session, file, replan, like, campaign, probe)
    code = progress.see_through(session, name)
    if probe:
        _tell_what_next(session, name, file)
    return code


def _tell_what_next(session: Session, name: str, file: Path) -> None:
    """What a probe is good for, once anything of it can be measured."""
    tracker = session.tracker()
    entered = tracker.production(name)
    if entered and tracker.jobs(entered.id, [JobState.SUCCEEDED]):
        note(f"`sim {file}` tells from what {name} took what the whole of it takes")


def _refuse_entered_options(
    session: Session, name: str, replan: bool, like: Path | None, campaign: str, probe: int | None
) -> None:
    """A name alone goes on with what is entered."""
    if not session.tracker_path.exists():
        raise InputError(Fault(f"there is no file {name!r}, and nothing is entered yet", "Check the name"))
    choose_whole(session.tracker(), name, "run")
    for option, given in (("--replan", replan), ("--like", like), ("--campaign", campaign)):
        if given:
            raise InputError(Fault(f"{name} is no file", "Name the file that has changed", field=option))
    if probe:
        raise InputError(Fault(f"{name} is no file", "Name its production.yaml", field="--probe"))


def _enter(
    session: Session, file: Path, replan: bool, like: Path | None, campaign: str, probe: int | None = None
) -> str:
    """Enter what a file says.

    Returns
    -------
    name
        Of the production or the campaign.
    """
    if not campaigning.is_table(file):
        _refuse_campaign_options(file, like, campaign)
        return _enter_production(session, file, replan, probe)
    if probe:
        remedy = "Name a production.yaml like one of its rows; `sim` of the campaign uses what it took"
        raise InputError(Fault(f"{file} has many productions", remedy, field="--probe"))
    return _enter_campaign(session, campaigning.read(session, file, like, campaign), replan)


def _enter_production(session: Session, file: Path, replan: bool, probe: int | None) -> str:
    document = read_production(file)
    whole = session.frozen(document, file)
    recipe = probe_of(whole, probe) if probe else whole
    stands = plans.standing(session, recipe)
    # Which subbands a probe takes depends on what is found of them.
    if replan or stands == plans.NEW or (probe and stands != plans.UNCHANGED):
        with told_of(file):
            Access(session).require(whole, document.credential)
        whole = _inspected(session, whole, file)
        recipe = probe_of(whole, probe) if probe else whole
    tracker = session.tracker()
    with tracker.transaction(), told_of(file):
        refuse_taken(tracker, recipe.production)
        entered = entering.enter(tracker, recipe, stamp(), again=replan)
        schedule(tracker, entered.production_id, document, stamp())
    session.stop(tracker, entered.live)
    if entered.made or entered.retried:
        note(f"{recipe.production}: {count(len(entered.made), 'job')} entered, {len(entered.kept)} kept, "
             f"{len(entered.retried)} tried again")  # fmt: skip
    return recipe.production


def _enter_campaign(session: Session, reading: Reading, replan: bool) -> str:
    entered = campaigning.enter(session, reading, replan).values()
    name, rows = reading.campaign.name, reading.campaign.rows
    if entered:
        made, kept, retried = (sum(len(getattr(one, kind)) for one in entered) for kind in ("made", "kept", "retried"))
        note(f"{name}: {len(entered)} of {count(len(rows), 'production')}: {count(made, 'job')} entered, "
             f"{kept} kept, {retried} tried again")  # fmt: skip
    left = session.tracker().campaign(name)
    if left and left.productions > len(rows):
        note(f"{name}: {count(left.productions - len(rows), 'production')} not in the file any more; "
             f"`status {name}` lists them all, `cancel` ends one")  # fmt: skip
    return name
