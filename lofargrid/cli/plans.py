"""What would be done, told before: of a production, and of each of a campaign."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from lofargrid.cli.campaigning import Reading
from lofargrid.cli.session import Session
from lofargrid.cli.text import bytes_text, table
from lofargrid.decisions.splitting import Beam, beams
from lofargrid.model import PlannedJob
from lofargrid.names import place_of
from lofargrid.productions import entering
from lofargrid.productions.jobs import listed_places, plan
from lofargrid.recipes.planning import Plan, summarise
from lofargrid.recipes.recipe import Recipe

NEW = "new"
UNCHANGED = "entered already, unchanged"
CHANGED = "entered already, changed"


def standing(session: Session, recipe: Recipe) -> str:
    """How the tracker stands to a production; no tracker is made to find out."""
    if not session.tracker_path.exists():
        return NEW
    tracker = session.tracker()
    entered = tracker.production(recipe.production)
    if entered is None:
        return NEW
    if entered.recipe_hash == recipe.hash:
        return UNCHANGED
    lines = entering.differences(tracker, entered, recipe)
    return "entered already; `run --replan` redoes what depends on: " + "; ".join(lines[:5])


def planned_jobs(recipe: Recipe) -> list[PlannedJob]:
    """The jobs that can be known now."""
    known = {role: listed_places(recipe, role) for role in recipe.pipeline.roles}
    return plan(recipe, known, _unknown(recipe))


def _unknown(recipe: Recipe) -> list[tuple[str, Beam]]:
    """Grouped steps over SAPs whose frequencies the list does not tell."""
    silent = beams(one for one in recipe.subbands if one.frequency_hz is None)
    return [(name, beam) for name, step in recipe.steps.items() if step.grouped for beam in silent]


def _summary(session: Session, recipe: Recipe, jobs: list[PlannedJob]) -> Plan:
    return summarise(recipe, jobs, _sizes(session, recipe), session.slots(recipe))


def _sizes(session: Session, recipe: Recipe) -> dict[str, int]:
    sizes, storage = {}, session.storage()
    for one in recipe.subbands:
        found = storage.stat(one.url) if one.url.startswith("file://") else None
        sizes[one.url] = found.size_bytes if found else one.size_bytes or 0
    return sizes


def plan_production(session: Session, recipe: Recipe, jobs: list[PlannedJob], as_json: bool) -> None:
    """Print the plan of a production."""
    summary, stands, slots = _summary(session, recipe, jobs), standing(session, recipe), session.slots(recipe)
    if as_json:
        print(json.dumps(asdict(summary) | {"standing": stands}, indent=1))
        return
    print(f"{summary.production}: {summary.pipeline}, {stands}")
    print(f"  inputs   {_subbands(summary)} subbands, {bytes_text(summary.input_bytes)}")
    print(f"  scratch  {bytes_text(summary.scratch_bytes_at_most)} at most, {slots} jobs at a time")
    print(f"  output   {place_of(summary.output)}")
    rows = [
        [one.step, one.split, f"{'about ' if one.about else ''}{one.jobs}", str(one.cores), f"{one.memory_mb} MB",
         f"{one.core_hours_at_most:g}", " ".join(one.products)]
        for one in summary.steps
    ]  # fmt: skip
    print(table(["step", "split", "jobs", "cores", "memory", "core-hours at most", "products"], rows))


def plan_campaign(session: Session, reading: Reading, as_json: bool) -> None:
    """Print a line for each production of a campaign, and what all take together.

    Raises
    ------
    InputError
        Anything that is wrong in any row.
    """
    found = []
    slots = 0
    for _, recipe in reading.recipes(lambda recipe: True, strict=False):
        found.append((_summary(session, recipe, planned_jobs(recipe)), standing(session, recipe)))
        slots = max(slots, session.slots(recipe))
    reading.refuse_faults()
    summaries = [summary for summary, _ in found]
    totals = _totals(summaries)
    name = reading.campaign.name
    if as_json:
        each = [asdict(summary) | {"standing": stands} for summary, stands in found]
        print(json.dumps({"campaign": name, "productions": each, "totals": totals}, indent=1))
        return
    rows = [
        [summary.production, *_figures(summary), stands if stands in (NEW, UNCHANGED) else CHANGED]
        for summary, stands in found
    ]
    about = "about " if any(one.about for summary in summaries for one in summary.steps) else ""
    last = ["together", str(totals["subbands"]), bytes_text(totals["input_bytes"]), f"{about}{totals['jobs']}",
            f"{totals['core_hours_at_most']:g}", bytes_text(totals["scratch_bytes_at_most"]), ""]  # fmt: skip
    print(f"{name}: {len(rows)} productions of {summaries[0].pipeline}, {slots} jobs at a time")
    head = ["production", "subbands", "inputs", "jobs", "core-hours at most", "scratch at most", ""]
    print(table(head, [*rows, last]))


def _figures(summary: Plan) -> list[str]:
    about = "about " if any(one.about for one in summary.steps) else ""
    return [
        str(sum(summary.subbands.values())), bytes_text(summary.input_bytes),
        f"{about}{sum(one.jobs for one in summary.steps)}", f"{_core_hours(summary):g}",
        bytes_text(summary.scratch_bytes_at_most),
    ]  # fmt: skip


def _totals(summaries: Sequence[Plan]) -> dict[str, float]:
    """What all take. Each has what it keeps on scratch; the work folders of the slots are there once."""
    work = max((one.scratch_bytes_at_most - one.input_bytes for one in summaries), default=0)
    inputs = sum(one.input_bytes for one in summaries)
    return {
        "subbands": sum(sum(one.subbands.values()) for one in summaries),
        "input_bytes": inputs,
        "jobs": sum(step.jobs for one in summaries for step in one.steps),
        "core_hours_at_most": round(sum(map(_core_hours, summaries)), 1),
        "scratch_bytes_at_most": inputs + work,
    }


def _core_hours(summary: Plan) -> float:
    return round(sum(one.core_hours_at_most for one in summary.steps), 1)


def _subbands(summary: Plan) -> str:
    return ", ".join(f"{count} {role}" for role, count in summary.subbands.items())
