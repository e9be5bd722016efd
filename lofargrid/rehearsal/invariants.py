"""What must hold in every rehearsal: at every tick, and when all has ended."""

import json
from collections.abc import Iterator
from functools import cache

from lofargrid.model import Job
from lofargrid.names import file_name
from lofargrid.productions.recipes import recipe_of
from lofargrid.recipes.recipe import Recipe
from lofargrid.simulation.files import File, fingerprint
from lofargrid.simulation.grid import Grid
from lofargrid.states import FINAL, MOVES, JobState, explanation
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import ProductionRecord


class BrokenInvariantError(AssertionError):
    """Something that must never happen has happened."""


class Watch:
    """Checks after every tick that no job made an illegal move and nothing stands half under a final name.

    Parameters
    ----------
    grid
        Where products appear.
    outputs
        The folders of products.
    """

    def __init__(self, grid: Grid, outputs: list[str]) -> None:
        self._grid = grid
        self._outputs = outputs
        self._events = 0

    def __call__(self, tracker: Tracker) -> None:
        """Look at what is new since the last tick."""
        for row in tracker.rows("SELECT * FROM events WHERE id > ? ORDER BY id", self._events):
            self._events = row["id"]
            if row["new"] and JobState(row["new"]) not in MOVES[JobState(row["old"])]:
                raise BrokenInvariantError(f"job {row['job_id']}: {row['old']} -> {row['new']}")
        self._jobs(tracker)
        self._products()

    def _jobs(self, tracker: Tracker) -> None:
        lost = tracker.rows(
            "SELECT j.name, j.state FROM jobs j LEFT JOIN attempts a ON a.id = j.attempt"
            " WHERE j.state IN ('submitted', 'running') AND (a.id IS NULL OR a.phase IN ('ended', 'lost'))"
        )
        if lost:
            raise BrokenInvariantError(f"{lost[0]['name']} is {lost[0]['state']} and nothing runs for it")
        wrong = tracker.rows(
            "SELECT t.production_id, t.step, t.state, t.n FROM tallies t WHERE t.n <> (SELECT count(*) FROM jobs j"
            " WHERE j.current AND j.production_id = t.production_id AND j.step = t.step AND j.state = t.state)"
        )
        if wrong:
            raise BrokenInvariantError(f"the tally of {tuple(wrong[0])} is not the count")
        unmet = tracker.rows(
            "SELECT j.name, j.unmet FROM jobs j WHERE j.current AND j.unmet <>"
            " (SELECT count(*) FROM needs n JOIN jobs k ON k.id = n.need_id WHERE n.job_id = j.id"
            "  AND k.state NOT IN ('succeeded', 'failed', 'cancelled'))"
            " + (SELECT count(*) FROM awaited a WHERE a.job_id = j.id)"
        )
        if unmet:
            raise BrokenInvariantError(f"{unmet[0]['name']} counts {unmet[0]['unmet']} open needs, and that is wrong")

    def _products(self) -> None:
        for folder in self._outputs:
            for url in self._grid.files.inside(folder):
                file = self._grid.files.get(url)
                if file and not file.complete:
                    raise BrokenInvariantError(f"half a file stands under the final name {url}")


def check_end(tracker: Tracker, grid: Grid) -> None:
    """Check a rehearsal that has ended, after the last zombie could write.

    Raises
    ------
    BrokenInvariantError
        A job is lost, a product is doubled, wrong or missing, a merge took a subband twice or dropped one in
        silence, something is left over, or a failure says not what a human must do.
    """
    for problem in problems(tracker, grid):
        raise BrokenInvariantError(problem)


def problems(tracker: Tracker, grid: Grid) -> Iterator[str]:
    """All that is wrong at the end."""
    wanted: set[str] = set()
    for production in tracker.productions():
        recipe = recipe_of(tracker, production)
        for job in tracker.jobs(production.id):
            yield from _job_problems(tracker, job)
        for url in _expected(tracker, production, recipe):
            wanted |= {url, f"{url}.json"}
        yield from _product_problems(tracker, grid, production, recipe)
        yield from _coverage(tracker, production, recipe)
        wanted |= set(_kept_for_retry(tracker, production))
    for file in grid.files.all():
        if not file.placed and file.url not in wanted:
            yield f"left over: {file.url} ({file.size_bytes} bytes{'' if file.complete else ', half'})"


def _job_problems(tracker: Tracker, job: Job) -> Iterator[str]:
    if job.state not in FINAL:
        yield f"{job.name} has not ended: {job.state}"
    if job.state is JobState.FAILED and (job.reason is None or not explanation(job.reason)[1]):
        yield f"{job.name} failed and says not what to do"
    succeeded = [one for one in tracker.attempts(job.id) if one.phase == "ended" and one.reason is None]
    if job.state is JobState.SUCCEEDED and job.attempt not in {one.id for one in succeeded}:
        yield f"{job.name} succeeded by an attempt that did not"


def _expected(tracker: Tracker, production: ProductionRecord, recipe: Recipe) -> Iterator[str]:
    for job in tracker.jobs(production.id, [JobState.SUCCEEDED]):
        for output in recipe.steps[job.step].outputs.values():
            if output.product:
                yield f"{recipe.output}/{job.name}{output.suffix}"


def _kept_for_retry(tracker: Tracker, production: ProductionRecord) -> Iterator[str]:
    """Intermediates that a job which failed would read if the operator's `retry` brought it back."""
    for job in tracker.jobs(production.id, [JobState.SUCCEEDED]):
        readers = tracker.dependents(job.id)
        if any(one.state is not JobState.SUCCEEDED or one.stale for one in readers):
            yield from (file.url for file in tracker.files(job.id) if file.state == "made")


def _product_problems(
    tracker: Tracker, grid: Grid, production: ProductionRecord, recipe: Recipe
) -> Iterator[str]:  # fmt: skip
    """Each product must be what its job would have made of what it says it was made of, each input once."""
    jobs = {job.name: job for job in tracker.jobs(production.id)}

    @cache
    def content(name: str, output: str) -> str:
        job = jobs[name]
        step = recipe.steps[job.step]
        lacks = set(tracker.lacks(job.id))
        read: list[str] = []
        for source in step.inputs.values():
            if source.step:
                needs = [need for need in tracker.needs(job.id) if need.step == source.step]
                read += [content(need.name, source.output) for need in needs if need.state is JobState.SUCCEEDED]
            else:
                read += [recipe.listed[job.role, key].url for key in job.subbands if key not in lacks]
        return fingerprint(name, output, *sorted(read))

    @cache
    def outdated(name: str) -> bool:
        """Whether more has come since a job ran, or one that it rests on: `status` tells it, `retry` makes it anew."""
        return jobs[name].stale or any(outdated(need.name) for need in tracker.needs(jobs[name].id))

    for job in jobs.values():
        for name, output in recipe.steps[job.step].outputs.items():
            if not output.product or job.state is not JobState.SUCCEEDED:
                continue
            url = f"{recipe.output}/{job.name}{output.suffix}"
            file: File | None = grid.files.get(url)
            if file is None:
                yield f"the product {url} is missing"
            elif not file.complete:
                yield f"the product {url} is half"
            elif not outdated(job.name) and file.content != content(job.name, name):
                yield f"the product {file_name(url)} is not made of what it says"
            elif grid.files.get(f"{url}.json") is None:
                yield f"the product {url} has no provenance"


def _coverage(tracker: Tracker, production: ProductionRecord, recipe: Recipe) -> Iterator[str]:
    """Every subband that was made is in exactly one group of a grouped step; one that was not may be in none."""
    for name, step in recipe.steps.items():
        if not step.grouped:
            continue
        held = [key for job in tracker.jobs(production.id) if job.step == name for key in job.subbands]
        twice = sorted({key for key in held if held.count(key) > 1})
        if twice:
            yield f"{production.name}: {', '.join(twice)} in two groups of {name}"
        makers = {one.step for one in step.inputs.values() if one.step and recipe.steps[one.step].split == "subband"}
        made = {job.key for job in tracker.jobs(production.id, [JobState.SUCCEEDED]) if job.step in makers}
        dropped = sorted(made - set(held))
        if dropped:
            yield f"{production.name}: {', '.join(dropped)} in no group of {name}"


def describe(tracker: Tracker) -> str:
    """The states of all jobs, for who looks at a broken rehearsal."""
    rows = tracker.rows("SELECT name, state, reason, detail FROM jobs WHERE current ORDER BY id")
    return json.dumps([dict(row) for row in rows], indent=1)
