"""The verbs that make: init, plan, submit, run."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lofargrid import productions, recipes
from lofargrid.assets import pipeline_folder
from lofargrid.cli import progress
from lofargrid.cli.session import Session, stamp
from lofargrid.cli.text import bytes_text, note, table
from lofargrid.errors import Fault, InputError, TrackerError
from lofargrid.model import PlannedJob
from lofargrid.pipelines import Pipeline, read_pipeline
from lofargrid.recipes import Recipe
from lofargrid.splitting import beams

ProductionFile = Annotated[Path, typer.Argument(help="production.yaml")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(init)
    for verb in (plan, submit, run):
        app.command()(verb)


def init(
    context: typer.Context,
    pipeline: Annotated[str, typer.Option(help="A pipeline; `pipelines` lists them.")],
    name: Annotated[str, typer.Option(help="The production's name.")] = "",
    output: Annotated[str, typer.Option(help="Where products go.")] = "products",
) -> None:
    """Print a production.yaml to start from. Give each role of the pipeline as --ROLE LIST."""
    found = read_pipeline(pipeline_folder(pipeline))
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
    return inputs


def _default_name(inputs: dict[str, str], pipeline: str) -> str:
    stem = Path(list(inputs.values())[-1]).stem if inputs else "my"
    return "".join(char if char.isalnum() else "-" for char in stem).strip("-").lower() + f"-{pipeline}"


def _production_text(name: str, label: str, pipeline: Pipeline, inputs: dict[str, str], output: str) -> str:
    lines = [
        f"# {' '.join(pipeline.description.split())}",
        f"production: {name}",
        f"pipeline: {label}",
        "inputs:",
    ]
    for role, described in pipeline.roles.items():
        given = inputs.get(role, f"{role}.surls")
        lines.append(f"  {role}: {json.dumps(given) if ' ' in given else given}   # {described.description}")
    lines.append("parameters:")
    for key, declared in pipeline.parameters.items():
        unit = f" ({declared.unit})" if declared.unit else ""
        if declared.required:
            lines.append(f"  {key}: {_example(key, declared.type)}   # {declared.description}")
        else:
            lines.append(f"  # {key}: {json.dumps(declared.default)}   # {declared.description}{unit}")
    lines += [
        f"output: {json.dumps(output) if ' ' in output else output}",
        "software: local",
        "backend: local",
        "sites: all",
        "policy: {minimum_subbands: 0.95, gaps: flag}   # gaps: flag | skip | fail",
    ]
    return "\n".join(lines) + "\n"


def _example(name: str, kind: str) -> str:
    if name.endswith("_skymodel"):
        return f"{name.removesuffix('_skymodel')}.skymodel"
    return {"command": "[DP3, steps.parset, 'msin={input}', 'msout={output}']", "files": "[]"}.get(kind, "...")


def plan(
    context: typer.Context,
    production: ProductionFile,
    job: Annotated[str, typer.Option(help="Print this job as the runner gets it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell what would be done: jobs, bytes, core-hours, scratch. Changes nothing."""
    session: Session = context.obj
    recipe, faults = session.inspected(session.recipe(production))
    for fault in faults:
        note(f"goes without: {fault}")
    jobs = productions.plan(recipe, {role: {} for role in recipe.pipeline.roles}, _grouped(recipe))
    if job:
        _print_job(recipe, jobs, job)
    elif as_json:
        print(json.dumps(_plan_facts(session, recipe, jobs), indent=1))
    else:
        _print_plan(session, recipe, _plan_facts(session, recipe, jobs))


def _grouped(recipe: Recipe) -> list[tuple[str, tuple[str, str, int]]]:
    """Grouped steps whose subbands have no frequency in the list."""
    silent = [one for one in recipe.subbands if one.frequency_hz is None]
    return [(name, beam) for name, step in recipe.steps.items() if step.grouped for beam in beams(silent)]


def _plan_facts(session: Session, recipe: Recipe, jobs: list[PlannedJob]) -> dict[str, object]:
    sizes = _sizes(session, recipe)
    steps = []
    for one in recipe.split_steps():
        made = [job for job in jobs if job.step == one.name]
        members = [subband for subband in recipe.subbands if subband.role == one.step.over]
        guessed = not made
        count = len(made) or sum(-(-len(group) // max(one.size, 1)) for group in beams(members).values())
        resources = one.step.resources
        steps.append(
            {
                "step": one.name,
                "split": f"group of {one.size}" if one.step.grouped else one.step.split,
                "jobs": count,
                "about": guessed,
                "cores": resources.cores,
                "memory_mb": resources.memory_mb,
                "core_hours_at_most": round(count * resources.cores * resources.walltime_min / 60, 1),
                "products": [output.suffix for output in one.step.outputs.values() if output.product],
            }
        )
    total = sum(sizes.values())
    largest = max(sizes.values(), default=0)
    factor = max(one.step.resources.scratch_factor for one in recipe.split_steps())
    return {
        "production": recipe.production,
        "pipeline": recipe.pipeline.pipeline,
        "recipe_hash": recipe.hash,
        "subbands": {role: sum(one.role == role for one in recipe.subbands) for role in recipe.pipeline.roles},
        "input_bytes": total,
        "unusable": {one.key: one.problem for one in recipe.subbands if one.reason},
        "steps": steps,
        # While subbands are worked on: what is kept of them, and the work folders of all slots.
        "scratch_bytes_at_most": round(total + session.settings.slots * largest * factor),
        "output": recipe.output,
        "standing": _standing(session, recipe),
    }


def _sizes(session: Session, recipe: Recipe) -> dict[str, int]:
    sizes = {}
    for one in recipe.subbands:
        found = session.storage().stat(one.url) if one.url.startswith("file://") else None
        sizes[f"{one.role} {one.key}"] = found.size_bytes if found else one.size_bytes or 0
    return sizes


def _standing(session: Session, recipe: Recipe) -> str:
    """How the tracker stands to this production; no tracker is made to find out."""
    if not session.tracker_path.exists():
        return "new"
    tracker = session.tracker()
    standing = tracker.production(recipe.production)
    if standing is None:
        return "new"
    if standing.recipe_hash == recipe.hash:
        return "entered already, unchanged"
    lines = recipes.differences(tracker.recipe(standing.id), recipe)
    return "entered already; `run --replan` redoes what depends on: " + "; ".join(lines[:5])


def _print_plan(session: Session, recipe: Recipe, facts: dict[str, object]) -> None:
    rows = []
    for step in facts["steps"]:  # type: ignore[attr-defined]
        jobs = f"{'about ' if step['about'] else ''}{step['jobs']}"
        rows.append([step["step"], step["split"], jobs, str(step["cores"]), f"{step['memory_mb']} MB",
                     f"{step['core_hours_at_most']:g}", " ".join(step["products"])])  # fmt: skip
    print(f"{recipe.production}: {recipe.pipeline.pipeline}, {facts['standing']}")
    print(f"  inputs   {', '.join(f'{n} {role}' for role, n in facts['subbands'].items())} subbands, "  # type: ignore[attr-defined]
          f"{bytes_text(facts['input_bytes'])}")  # fmt: skip
    print(f"  scratch  {bytes_text(facts['scratch_bytes_at_most'])} at most, {session.settings.slots} jobs at a time")
    print(f"  output   {recipe.output}")
    print(table(["step", "split", "jobs", "cores", "memory", "core-hours at most", "products"], rows))


def _print_job(recipe: Recipe, jobs: list[PlannedJob], name: str) -> None:
    found = [job for job in jobs if job.name == name]
    if not found:
        names = ", ".join(job.name for job in jobs[:5])
        raise InputError(Fault(f"no job {name!r} is planned yet", f"The first are {names}", field="--job"))
    step = recipe.steps[found[0].step]
    print(json.dumps({"job": name, "needs": found[0].needs, "signature": found[0].signature,
                      "commands": step.model_dump(mode="json")["commands"],
                      "resources": step.resources.model_dump()}, indent=1))  # fmt: skip


def submit(
    context: typer.Context,
    production: ProductionFile,
    replan: Annotated[bool, typer.Option(help="Redo what a changed file affects.")] = False,
) -> None:
    """Enter a production without running it; `run`, cron or a service moves it later."""
    _enter(context.obj, production, replan)


def _enter(session: Session, file: Path, replan: bool) -> tuple[str, productions.Entered]:
    recipe = session.recipe(file)
    tracker = session.tracker()
    standing = tracker.production(recipe.production)
    if standing is None or replan:
        recipe, faults = session.inspected(recipe)
        for fault in faults:
            note(f"goes without: {fault}")
    try:
        entered = productions.enter(tracker, recipe, stamp(), again=replan)
    except OSError as error:
        raise TrackerError(Fault(str(error), "", str(session.tracker_path))) from None
    if entered.live:
        session.backend().cancel(entered.live)
    if entered.made or entered.retried:
        note(f"{recipe.production}: {len(entered.made)} jobs entered, {len(entered.kept)} kept, "
             f"{len(entered.retried)} tried again")  # fmt: skip
    return recipe.production, entered


def run(
    context: typer.Context,
    production: ProductionFile,
    replan: Annotated[bool, typer.Option(help="Redo what a changed file affects, try again what failed.")] = False,
) -> int:
    """Enter a production and see it through. Ctrl-C loses nothing; the same command goes on."""
    session: Session = context.obj
    name, _ = _enter(session, production, replan)
    return progress.see_through(session, name)
