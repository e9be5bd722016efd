"""The verbs that make: init, plan, submit, run."""

import json
import math
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import yaml

from lofargrid import productions, recipes
from lofargrid.assets import pipeline_folder
from lofargrid.cli import progress
from lofargrid.cli.doctor import missing_programs
from lofargrid.cli.session import Session, refuse_remote_inputs, stamp
from lofargrid.cli.text import bytes_text, count, note, table
from lofargrid.documents import read_value, shown
from lofargrid.errors import Fault, InputError
from lofargrid.model import PlannedJob
from lofargrid.names import path_of, safe_name
from lofargrid.pipelines import Pipeline, read_pipeline
from lofargrid.planning import Plan, summarise
from lofargrid.recipes import Recipe
from lofargrid.splitting import Beam, beams

ProductionFile = Annotated[
    Path, typer.Argument(metavar="PRODUCTION.YAML", help="What to make; `init` writes a first one.")
]

Replan = Annotated[bool, typer.Option("--replan", help="Redo what a changed file affects, try again what failed.")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(init)
    for verb in (plan, submit, run):
        app.command()(verb)


def init(
    context: typer.Context,
    pipeline: Annotated[str, typer.Option(metavar="PIPELINE", help="A pipeline; `pipelines` lists them.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="The production's name.")] = "",
    output: Annotated[str, typer.Option(metavar="FOLDER", help="Where products go.")] = "products",
) -> None:
    """Print a production.yaml to start from. Give each role of the pipeline as --ROLE LIST."""
    session: Session = context.obj
    if name and not safe_name(name):
        what = f"{shown(name)} may hold letters, digits, - and _ only, 64 at most"
        raise InputError(Fault(what, field="--name"))
    found = read_pipeline(pipeline_folder(pipeline, session.settings.pipelines))
    inputs = _roles(context.args, found)
    print(_production_text(name or _default_name(inputs, pipeline), pipeline, found, inputs, output), end="")


def _roles(words: list[str], pipeline: Pipeline) -> dict[str, str]:
    inputs: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        role, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or role not in pipeline.roles:
            roles = ", ".join(f"--{one}" for one in pipeline.roles)
            raise InputError(Fault(f"{word!r} is not an option of init for this pipeline", f"Its roles are {roles}"))
        inputs[role] = value if equals else next(rest, "")
        if not inputs[role]:
            raise InputError(Fault("no list is named", f"Write --{role} LIST", field=f"--{role}"))
    return inputs


def _default_name(inputs: dict[str, str], pipeline: str) -> str:
    """From the last list, which is the target's; harmless and short enough."""
    stem = Path(list(inputs.values())[-1]).stem if inputs else ""
    harmless = re.sub("[^a-z0-9]+", "-", stem.lower())[: 63 - len(pipeline)].strip("-")
    return f"{harmless or 'my'}-{pipeline}"


def _production_text(name: str, label: str, pipeline: Pipeline, inputs: dict[str, str], output: str) -> str:
    lines = [
        *textwrap.wrap(" ".join(pipeline.description.split()), 100, initial_indent="# ", subsequent_indent="# "),
        f"production: {_scalar(name)}",
        f"pipeline: {_scalar(label)}",
        "inputs:   # lists with one file a line",
    ]
    roles = [(role, _scalar(inputs.get(role, f"{role}.surls"))) for role in pipeline.roles]
    lines += _explained((f"  {role}: {given}", pipeline.roles[role].description) for role, given in roles)
    lines.append("parameters:")
    lines += _explained(_parameter_lines(pipeline))
    lines += [
        f"output: {_scalar(output)}",
        "software: local",
        "backend: local",
        "sites: all",
        "policy: {minimum_subbands: 0.95, gaps: flag}   # gaps: flag | skip | fail",
    ]
    return "\n".join(lines) + "\n"


def _parameter_lines(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    for key, declared in pipeline.parameters.items():
        unit = f" ({declared.unit})" if declared.unit else ""
        if declared.required:
            yield f"  {key}: {_example(key, declared.type)}", f"{declared.description}{unit}"
        else:
            yield f"  # {key}: {json.dumps(declared.default)}", f"{declared.description}{unit}"


def _explained(lines: Iterable[tuple[str, str]]) -> list[str]:
    """Lines with what they mean beside them."""
    pairs = list(lines)
    width = max((len(line) for line, _ in pairs if len(line) <= 50), default=0)
    return [f"{line.ljust(width)}   # {' '.join(meaning.split())}" for line, meaning in pairs]


def _scalar(text: str) -> str:
    """A text as YAML writes it: plain where that means the same."""
    try:
        plain = read_value(text) == text
    except yaml.YAMLError:
        plain = False
    return text if plain else yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).strip()


def _example(name: str, kind: str) -> str:
    if name.endswith("_skymodel"):
        return f"{name.removesuffix('_skymodel')}.skymodel"
    return {"command": "[DP3, '{files}/steps.parset', 'msin={input}', 'msout={output}']", "files": "[]"}.get(
        kind, "..."
    )


def plan(
    context: typer.Context,
    production: ProductionFile,
    job: Annotated[str, typer.Option(metavar="JOB", help="Tell all about this job.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Tell what would be done, and change nothing. Jobs, bytes, core-hours, scratch."""
    session: Session = context.obj
    recipe = _inspected(session, session.recipe(production), production)
    known = {role: productions.listed_places(recipe, role) for role in recipe.pipeline.roles}
    jobs = productions.plan(recipe, known, _unknown(recipe))
    if job:
        print(json.dumps(_job_facts(recipe, jobs, job), indent=1))
        return
    summary = summarise(recipe, jobs, _sizes(session, recipe), session.settings.slots)
    standing = _standing(session, recipe)
    if as_json:
        print(json.dumps(asdict(summary) | {"standing": standing}, indent=1))
    else:
        _print_plan(summary, standing, session.settings.slots)


def _inspected(session: Session, recipe: Recipe, file: Path) -> Recipe:
    """The recipe with its inputs looked at; what the policy lives with is told."""
    recipe, faults = session.inspected(recipe, file)
    for fault in faults:
        note(f"goes without: {fault}")
    for line in missing_programs(recipe, session.software(recipe.software)):
        note(line)
    return recipe


def _unknown(recipe: Recipe) -> list[tuple[str, Beam]]:
    """Grouped steps over SAPs whose frequencies the list does not tell."""
    silent = beams(one for one in recipe.subbands if one.frequency_hz is None)
    return [(name, beam) for name, step in recipe.steps.items() if step.grouped for beam in silent]


def _sizes(session: Session, recipe: Recipe) -> dict[str, int]:
    sizes = {}
    for one in recipe.subbands:
        found = session.storage().stat(one.url) if one.url.startswith("file://") else None
        sizes[one.url] = found.size_bytes if found else one.size_bytes or 0
    return sizes


_NEW = "new"


def _standing(session: Session, recipe: Recipe) -> str:
    """How the tracker stands to this production; no tracker is made to find out."""
    if not session.tracker_path.exists():
        return _NEW
    tracker = session.tracker()
    standing = tracker.production(recipe.production)
    if standing is None:
        return _NEW
    if standing.recipe_hash == recipe.hash:
        return "entered already, unchanged"
    lines = recipes.differences(tracker.recipe(standing.id), recipe)
    return "entered already; `run --replan` redoes what depends on: " + "; ".join(lines[:5])


def _print_plan(summary: Plan, standing: str, slots: int) -> None:
    subbands = ", ".join(f"{count} {role}" for role, count in summary.subbands.items())
    print(f"{summary.production}: {summary.pipeline}, {standing}")
    print(f"  inputs   {subbands} subbands, {bytes_text(summary.input_bytes)}")
    print(f"  scratch  {bytes_text(summary.scratch_bytes_at_most)} at most, {slots} jobs at a time")
    print(f"  output   {path_of(summary.output)}")
    rows = [
        [one.step, one.split, f"{'about ' if one.about else ''}{one.jobs}", str(one.cores), f"{one.memory_mb} MB",
         f"{one.core_hours_at_most:g}", " ".join(one.products)]
        for one in summary.steps
    ]  # fmt: skip
    print(table(["step", "split", "jobs", "cores", "memory", "core-hours at most", "products"], rows))


def _job_facts(recipe: Recipe, jobs: list[PlannedJob], name: str) -> dict[str, object]:
    found = next((job for job in jobs if job.name == name), None)
    if found is None:
        names = ", ".join(job.name for job in jobs[:5])
        raise InputError(Fault(f"no job {name!r} is planned yet", f"The first are {names}", field="--job"))
    return asdict(found) | {"definition": recipe.steps[found.step].model_dump(mode="json", by_alias=True)}


def submit(
    context: typer.Context,
    production: ProductionFile,
    replan: Replan = False,
) -> None:
    """Enter a production without running it. `run` moves it later."""
    _enter(context.obj, production, replan)


def _enter(session: Session, file: Path, replan: bool) -> str:
    recipe = session.recipe(file)
    if replan or _standing(session, recipe) == _NEW:
        refuse_remote_inputs(recipe)
        recipe = _inspected(session, recipe, file)
    entered = productions.enter(session.tracker(), recipe, stamp(), again=replan)
    if entered.live:
        session.backend().cancel(entered.live)
    if entered.made or entered.retried:
        note(f"{recipe.production}: {count(len(entered.made), 'job')} entered, {len(entered.kept)} kept, "
             f"{len(entered.retried)} tried again")  # fmt: skip
    return recipe.production


def run(
    context: typer.Context,
    production: ProductionFile,
    replan: Replan = False,
) -> int:
    """Enter a production and see it through. Ctrl-C loses nothing; the same command goes on."""
    session: Session = context.obj
    return progress.see_through(session, _enter(session, production, replan))
