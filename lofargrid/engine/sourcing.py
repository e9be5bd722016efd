"""The files that go into a job: raw subbands, and what other jobs made."""

from collections.abc import Mapping

from lofargrid.decisions.demands import demand_of
from lofargrid.errors import LofarGridError
from lofargrid.model import Demand, Job, Site, Source
from lofargrid.recipes.recipe import Recipe
from lofargrid.states import JobState
from lofargrid.tracker import Tracker


def sources_of(tracker: Tracker, recipe: Recipe, job: Job) -> dict[str, list[Source]]:
    """Find the files for each input of a job's step, in frequency order where that is known.

    Raises
    ------
    LofarGridError
        A file that another job made is gone.
    """
    step = recipe.steps[job.step]
    needs = [one for one in tracker.needs(job.id) if one.state is JobState.SUCCEEDED]
    found = {
        name: [_made(tracker, one, wanted.output) for one in needs if one.step == wanted.step]
        if wanted.step
        else _raw(recipe, job)
        for name, wanted in step.inputs.items()
    }
    return {name: _ordered(tracker, job, sources) for name, sources in found.items()}


def _ordered(tracker: Tracker, job: Job, sources: list[Source]) -> list[Source]:
    if len(sources) < 2:
        return sources
    places = tracker.places(tracker.production_of(job), job.role)
    order = {key: place.number for key, place in places.items()}
    return sorted(sources, key=lambda one: (order.get(one.key, -1), one.key))


def _made(tracker: Tracker, job: Job, output: str) -> Source:
    files = (one for one in tracker.files(job.id) if one.attempt == job.attempt and one.name == output)
    file = next(files, None)
    if file is None or not file.location:
        raise LofarGridError(f"{job.name}: its output {output} is gone; `run --replan` makes it again")
    measured = tracker.measurements(job.id)
    return Source(
        key=job.key,
        url=file.location,
        size_bytes=file.size_bytes,
        adler32=file.adler32,
        frequency_hz=measured.get("centre_frequency_hz"),
        measurements=measured,
        job=job.name,
    )


def _raw(recipe: Recipe, job: Job) -> list[Source]:
    """The raw subbands of a job. A merge goes without those marked unusable; a single one is tried all the same."""
    listed = [recipe.listed[job.role, key] for key in job.subbands]
    return [
        Source(one.key, one.url, one.size_bytes, one.adler32, one.frequency_hz)
        for one in listed
        if one.reason is None or len(listed) == 1
    ]


def demand_by(tracker: Tracker, recipe: Recipe, job: Job, sites: Mapping[str, Site]) -> Demand:
    """What the next attempt at a job asks for; without the bytes of its inputs where one of them is gone."""
    try:
        sources = sources_of(tracker, recipe, job)
    except LofarGridError:
        sources = {}  # handing it over will tell
    return demand_of(job, recipe.steps[job.step], sources, sites)
