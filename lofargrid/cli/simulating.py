"""The verb that rehearses: sim."""

import json
import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lofargrid.cli.session import Session
from lofargrid.cli.text import bytes_text, count, note, seconds_text, table
from lofargrid.errors import Fault, InputError
from lofargrid.model import Site
from lofargrid.productions import recipe_of
from lofargrid.recipes import Recipe
from lofargrid.rehearsal import costs, picture
from lofargrid.rehearsal.costs import Measured
from lofargrid.rehearsal.forecast import DEFAULT_BYTES, Forecast, forecast
from lofargrid.simulation.faults import Faults
from lofargrid.sites import LOCAL, SHIPPED, read_sites
from lofargrid.tracker import Tracker

PERIODS_S = {1_000: 60.0, 10_000: 120.0}
_LONGEST_PERIOD_S = 300.0


class Weather(StrEnum):
    """How much goes wrong in a rehearsal."""

    NONE = "none"
    SOME = "some"
    EVERYTHING = "everything"


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command()(sim)


def sim(
    context: typer.Context,
    production: Annotated[Path, typer.Argument(metavar="PRODUCTION.YAML", help="What to rehearse.")],
    sites: Annotated[
        Path | None, typer.Option(metavar="SITES.YAML", help="More sites, or others; as in sites.yaml.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same rehearsal.")] = 1,
    repeat: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Rehearse with as many seeds.")] = 3,
    faults: Annotated[Weather, typer.Option(help="How much goes wrong.")] = Weather.NONE,
    to: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw it over time, as .png, .svg or .pdf.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Rehearse a production on a simulated grid. Tells how long it takes and what it asks of sites and links."""
    session: Session = context.obj
    recipe = _sized(session, session.recipe(production))
    where = _sites(session, sites, recipe)
    steps = costs.costs(recipe, _measured(session, recipe))
    found = [
        forecast([recipe], where, steps, one, _faults(faults, one), period_s=_period_s(recipe))
        for one in _seeds(seed, repeat)
    ]
    if to:
        title = f"{recipe.production}, seed {seed}: {seconds_text(found[0].makespan_s)}"
        picture.draw(found[0], title, to)
        note(f"picture: {to}")
    if as_json:
        print(json.dumps([_plain(one) for one in found], indent=1))
    else:
        _print(recipe, found)


def _seeds(first: int, repeat: int) -> Sequence[int]:
    seeds = range(first, first + repeat)
    if sys.stderr.isatty() and repeat > 1:
        note(f"rehearsing with {count(repeat, 'seed')} ...")
    return seeds


def _sized(session: Session, recipe: Recipe) -> Recipe:
    """The recipe with the size of each input: as listed, as it lies here, or as subbands usually are."""
    storage = session.storage()
    guessed = 0
    subbands = []
    for one in recipe.subbands:
        size = one.size_bytes
        if size is None and one.url.startswith("file://"):
            found = storage.stat(one.url)
            size = found.size_bytes if found else None
        guessed += size is None
        subbands.append(replace(one, size_bytes=size or DEFAULT_BYTES))
    if guessed:
        note(f"{count(guessed, 'input')} of unknown size: {bytes_text(DEFAULT_BYTES)} each is taken")
    return replace(recipe, subbands=tuple(subbands))


def _sites(session: Session, more: Path | None, recipe: Recipe) -> dict[str, Site]:
    """The sites of a rehearsal: all but this machine, unless the production runs here."""
    known = read_sites(SHIPPED, *session.settings.sites, *([more] if more else []))
    grid = {name: site for name, site in known.items() if name != LOCAL}
    wanted = set(recipe.allowed(grid))
    if not any(site.slots for name, site in grid.items() if name in wanted):
        raise InputError(Fault("none of the production's sites computes", "Name others", field="sites"))
    return grid


def _measured(session: Session, recipe: Recipe) -> list[Measured]:
    """What the steps of this pipeline took in the productions of the tracker, if any ran."""
    if not session.tracker_path.exists():
        note(_UNMEASURED)
        return []
    tracker = session.tracker()
    seen = [one for name in _alike(tracker, recipe) for one in costs.measured(tracker, name)]
    if seen:
        steps = ", ".join(sorted({one.step for one in seen}))
        note(f"measured in {count(len(seen), 'job')} that ran before: {steps}")
    else:
        note(_UNMEASURED)
    return seen


_UNMEASURED = "nothing of this pipeline has run yet: half of the walltime that it grants is taken; `run --probe 3` measures"


def _alike(tracker: Tracker, recipe: Recipe) -> list[int]:
    """The latest productions of the same pipeline, the production itself and its probe first."""
    own = [one.id for one in tracker.productions() if one.name in (recipe.production, f"{recipe.production}-probe")]
    if own:
        return own
    latest = tracker.productions()[-20:]
    return [one.id for one in latest if recipe_of(tracker, one).pipeline.pipeline == recipe.pipeline.pipeline]


def _faults(weather: Weather, seed: int) -> Faults:
    if weather is Weather.NONE:
        return Faults.none()
    if weather is Weather.EVERYTHING:
        return Faults.everything(random.Random(f"{seed}:faults"))
    return Faults(
        evicted=0.02, payload_crashed=0.005, black_holes=0.01, dying_nodes=0.02, bad_files=0.005, held=0.005,
        storage_down_a_day=0.2, software_down_a_day=0.1, hungry_jobs=0.02, long_jobs=0.02,
    )  # fmt: skip


def _period_s(recipe: Recipe) -> float:
    jobs = len(recipe.subbands) * len(recipe.steps)
    return next((period for most, period in PERIODS_S.items() if jobs <= most), _LONGEST_PERIOD_S)


def _plain(one: Forecast) -> dict[str, object]:
    return {key: value for key, value in asdict(one).items() if key not in ("running", "links", "scratch")}


def _print(recipe: Recipe, found: Sequence[Forecast]) -> None:
    spans = sorted(one.makespan_s for one in found)
    middle = statistics.median(spans)
    ranged = f" ({seconds_text(spans[0])} to {seconds_text(spans[-1])})" if len(spans) > 1 else ""
    first = found[0]
    print(f"{recipe.production}: {count(first.jobs, 'job')}, {seconds_text(middle)}{ranged}")
    print(f"  core-hours  {first.core_hours:.0f}, of them {first.wasted_core_hours:.0f} in attempts that fail")
    print(f"  jobs at     {_pairs(first.jobs_at, str)}")
    print(f"  scratch     {_pairs(first.peak_scratch_bytes, bytes_text)} at most")
    rows = [
        [name, f"{first.wide_tb[name]:.1f}", f"{rate:.0f}", f"{first.cap_mb_s[name]:.0f}"]
        for name, rate in first.wide_mb_s.items()
    ]
    if rows:
        print(table(["wide-area link", "TB", "MB/s at most", "cap"], rows))
    for trouble in first.troubles if not first.ended else ():
        note(trouble)
    if not first.ended:
        note("it does not come to an end: see the trouble above")


def _pairs(values: Mapping[str, object], text: object) -> str:
    assert callable(text)
    return ", ".join(f"{name} {text(value)}" for name, value in values.items()) or "none"
