"""The verb that rehearses: sim."""

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from lofargrid.cli import campaigning
from lofargrid.cli.producing import Like
from lofargrid.cli.session import Session
from lofargrid.cli.text import bytes_text, count, note, seconds_text, table
from lofargrid.documents.production import read_production
from lofargrid.documents.sites import LOCAL, SHIPPED, choose, read_sites
from lofargrid.errors import InputError
from lofargrid.model import Site
from lofargrid.productions.recipes import recipe_of
from lofargrid.recipes.probing import probe_name
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal import costs, picture
from lofargrid.rehearsal.forecast import DEFAULT_BYTES, Forecast, forecast
from lofargrid.simulation.faults import Faults
from lofargrid.simulation.work import StepCost
from lofargrid.tracker import Tracker

PERIODS_S = {1_000: 60.0, 10_000: 120.0}
_LONGEST_PERIOD_S = 300.0
_FEW = 100
Value = TypeVar("Value", int, float)
_MOST_ALIKE = 20


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
    file: Annotated[Path, typer.Argument(metavar="FILE", help="production.yaml or campaign.csv.")],
    like: Like = None,
    sites: Annotated[
        Path | None, typer.Option(metavar="SITES.YAML", help="More sites, or other figures of known ones.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The same seed gives the same rehearsal.")] = 1,
    repeat: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Rehearse with that many seeds.")] = 3,
    faults: Annotated[Weather, typer.Option(help="How much goes wrong.")] = Weather.NONE,
    to: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the first one over time: .png, .svg, .pdf.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> int:
    """Rehearse a production or a campaign on a simulated grid. Tells how long it takes and what it asks of the sites.

    Exit code 0: it comes to an end; 1: it does not, and why is told.
    """
    session: Session = context.obj
    recipes = _sized(session, _recipes(session, file, like))
    where = _sites(session, sites, recipes)
    steps = _costs(session, recipes)
    name = recipes[0].production if len(recipes) == 1 else file.stem
    found = []
    for one in range(seed, seed + repeat):
        with _progress(f"{name}, seed {one}", sum(len(recipe.subbands) for recipe in recipes)) as show:
            found.append(forecast(recipes, where, steps, one, _faults(faults, one), show, period_s=_period_s(recipes)))
    if as_json:
        print(json.dumps([_plain(one) for one in found], indent=1))
    else:
        _print(name, found)
    if to:
        picture.draw(found[0], f"{name}, seed {seed}: {seconds_text(found[0].makespan_s)}", to)
        note(f"picture: {to}")
    return 0 if all(one.ended for one in found) else 1


def _recipes(session: Session, file: Path, like: Path | None) -> list[Recipe]:
    if not campaigning.is_table(file):
        return [session.frozen(read_production(file), file, anywhere=True)]
    reading = campaigning.read(session, file, like, "")
    if reading.faults:
        raise InputError(*reading.faults)
    return [
        session.frozen(row.document, reading.like, reading.pipeline, anywhere=True) for row in reading.campaign.rows
    ]  # fmt: skip


@contextmanager
def _progress(title: str, subbands: int) -> Iterator[Callable[[Tracker, float], None]]:
    """Show that a long rehearsal goes on: the virtual time, once a second, where a human looks."""
    console = Console(stderr=True)
    if not console.is_terminal or subbands < _FEW:
        yield lambda tracker, elapsed_s: None
        return
    with console.status(title) as status:
        shown = 0.0

        def show(tracker: Tracker, elapsed_s: float) -> None:
            nonlocal shown
            if time.monotonic() - shown > 1.0:
                shown = time.monotonic()
                status.update(f"{title}: {seconds_text(elapsed_s)} of virtual time")

        yield show


def _sized(session: Session, recipes: Sequence[Recipe]) -> list[Recipe]:
    """The recipes with the size of each input: as listed, as it lies here, or as subbands usually are."""
    storage = session.storage()
    guessed = 0
    sized = []
    for recipe in recipes:
        subbands = []
        for one in recipe.subbands:
            size = one.size_bytes
            if size is None and one.url.startswith("file://"):
                found = storage.stat(one.url)
                size = found.size_bytes if found else None
            guessed += size is None
            subbands.append(replace(one, size_bytes=size or DEFAULT_BYTES))
        sized.append(replace(recipe, subbands=tuple(subbands)))
    if guessed:
        note(f"{count(guessed, 'input')} of unknown size: {bytes_text(DEFAULT_BYTES)} each is taken")
    return sized


def _sites(session: Session, more: Path | None, recipes: Sequence[Recipe]) -> dict[str, Site]:
    """The sites of a rehearsal: those of the grid, and what lies on this machine is copied from it."""
    known = read_sites(SHIPPED, *session.settings.sites, *([more] if more else []))
    grid = {name: site for name, site in known.items() if name != LOCAL}
    for wanted in {tuple([one.sites] if isinstance(one.sites, str) else one.sites) for one in recipes}:
        choose(wanted[0] if len(wanted) == 1 else list(wanted), grid)
    return grid


def _costs(session: Session, recipes: Sequence[Recipe]) -> dict[str, StepCost]:
    """What the steps take: as measured in the productions of the tracker, or else as their pipeline grants."""
    seen = _measured(session.tracker(), recipes) if session.tracker_path.exists() else []
    if seen:
        steps = ", ".join(sorted({one.step for one in seen}))
        note(f"measured in {count(len(seen), 'job')} that ran before: {steps}")
    else:
        note(_UNMEASURED)
    # All are of one pipeline, but parameters choose its steps.
    various = {tuple(one.steps): one for one in recipes}.values()
    return {name: cost for one in various for name, cost in costs.costs(one, seen).items()}


_UNMEASURED = (
    "nothing of this pipeline has run yet, so half of what it grants is taken; `run --probe 3` lets us measure"
)  # fmt: skip


def _measured(tracker: Tracker, recipes: Sequence[Recipe]) -> list[costs.Measured]:
    """What was measured in these productions and their probes, or else in the latest of the same pipeline."""
    label = recipes[0].pipeline.pipeline
    names = {one.production for one in recipes}
    probes = {probe_name(name) for name in names}
    every = tracker.productions()
    own = [one for one in every if one.name in names - probes] + [one for one in every if one.name in probes]
    for some in (own, every):
        alike = [one for one in some[-_MOST_ALIKE:] if recipe_of(tracker, one).pipeline.pipeline == label]
        seen = [measure for one in alike for measure in costs.measured(tracker, one.id)]
        if seen:
            return seen
    return []


def _faults(weather: Weather, seed: int) -> Faults:
    if weather is Weather.NONE:
        return Faults.none()
    if weather is Weather.EVERYTHING:
        return Faults.everything(random.Random(f"{seed}:faults"))
    return Faults(
        evicted=0.02, payload_crashed=0.005, black_holes=0.01, dying_nodes=0.02, bad_files=0.005, held=0.005,
        storage_down_a_day=0.2, software_down_a_day=0.1, hungry_jobs=0.02, long_jobs=0.02,
    )  # fmt: skip


def _period_s(recipes: Sequence[Recipe]) -> float:
    """Virtual seconds between two ticks: fewer ticks for more jobs."""
    jobs = sum(len(one.subbands) * len(one.steps) for one in recipes)
    return next((period for most, period in PERIODS_S.items() if jobs <= most), _LONGEST_PERIOD_S)


def _plain(one: Forecast) -> dict[str, object]:
    return {key: value for key, value in asdict(one).items() if key not in ("running", "links", "scratch", "tape")}


def _print(name: str, found: Sequence[Forecast]) -> None:
    first = found[0]
    stands = "" if any(one.ended for one in found) else "stands still after "
    print(f"{name}: {count(first.jobs, 'job')}, {stands}{_range([one.makespan_s for one in found], seconds_text)}")
    hours = _range([one.core_hours for one in found], lambda value: f"{value:.0f}")
    print(f"  core-hours  {hours}, of them {first.wasted_core_hours:.0f} in attempts that fail")
    print(f"  jobs at     {_pairs(first.jobs_at, str)}")
    if first.failed:
        print(f"  failed      {count(first.failed, 'job')} for good, or because they needed one that did")
    print(f"  scratch     {_pairs(first.peak_scratch_bytes, bytes_text)} at most")
    if first.tape_tb:
        print(f"  from tape   {_pairs(first.tape_tb, lambda terabytes: f'{terabytes:.2f} TB')}")
    rows = [
        [site, f"{first.wide_tb[site]:.2f}", f"{rate:.0f}", f"{first.cap_mb_s[site]:.0f}"]
        for site, rate in first.wide_mb_s.items()
    ]
    if rows:
        print(table(["wide-area link", "TB", "MB/s at most", "cap"], rows))
    for line in _troubles(found):
        note(line)


def _troubles(found: Sequence[Forecast]) -> Iterator[str]:
    """What kept rehearsals from their end; what kept several is told once."""
    kept: dict[str, list[int]] = {}
    for one in found:
        for trouble in () if one.ended else one.troubles or ("nothing moves any more",):
            kept.setdefault(trouble, []).append(one.seed)
    for trouble, seeds in kept.items():
        which = f"seed {seeds[0]} does" if len(seeds) == 1 else f"{len(seeds)} of {len(found)} seeds do"
        yield f"{which} not come to an end: {trouble}"


def _range(values: Sequence[float], text: Callable[[float], str]) -> str:
    """The middle one, and from where to where they go."""
    middle, least, most = text(statistics.median(values)), text(min(values)), text(max(values))
    return middle if least == most else f"{middle} ({least} to {most})"


def _pairs(values: Mapping[str, Value], text: Callable[[Value], str]) -> str:
    return ", ".join(f"{name} {text(value)}" for name, value in values.items()) or "none"
