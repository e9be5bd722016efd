"""The verb ``status``: how campaigns, productions, steps and jobs stand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Any

import typer

from lofargrid.cli.choosing import Choice, choose
from lofargrid.cli.outcome import MOST_CAUSES, campaign_causes, causes, words
from lofargrid.cli.session import Session
from lofargrid.cli.standing import (
    DONE,
    WORDS,
    CampaignStanding,
    Standing,
    Steps,
    campaign_standing,
    standings,
    total,
)
from lofargrid.cli.text import count, note, table, time_text
from lofargrid.diagnosis.diagnosis import diagnose
from lofargrid.model import Job
from lofargrid.names import place_of
from lofargrid.productions.recipes import recipe_of
from lofargrid.states import FINAL, JobState
from lofargrid.tracker import Tracker

MOST_ROWS = 20
TO_DO = 3


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command()(status)


def status(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A campaign, a production, one of them with /STEP or /JOB, or a job; without it all are listed.",
        ),
    ] = "",
    every: Annotated[bool, typer.Option("--all", help=f"List all productions, not {MOST_ROWS} at most.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> int:
    """Tell how things stand.

    Exit code 0: all that was asked for is made; 1: not all of it; 3: still to do.
    """
    session: Session = context.obj
    tracker = session.tracker()
    most = None if every else MOST_ROWS
    if not what:
        return _all(tracker, most, as_json)
    choice = choose(tracker, what)
    if choice.jobs:
        return _job(tracker, choice, as_json)
    if choice.step:
        return _step(tracker, choice, as_json)
    if choice.campaign:
        return _campaign(tracker, campaign_standing(tracker, choice.campaign), most, as_json)
    return _production(tracker, choice, as_json)


def _code(found: Sequence[Standing]) -> int:
    if any(one.unfinished for one in found):
        return TO_DO
    return int(not all(one.complete for one in found))


# All


def _all(tracker: Tracker, most: int | None, as_json: bool) -> int:
    found = standings(tracker, tracker.productions(), tracker.tallies())
    if as_json:
        print(json.dumps([_plain(one) for one in found], indent=1))
        return _code(found)
    if not found:
        note("no productions yet; `init` writes a first production.yaml")
    by_name: dict[str | None, list[Standing]] = {}
    for one in found:
        by_name.setdefault(one.production.campaign, []).append(one)
    campaigns = [CampaignStanding(one, tuple(by_name.get(one.name, ()))) for one in tracker.campaigns()]
    if campaigns:
        print(table(["campaign", "state", "productions done", "jobs done", "failed", "entered"],
                    [_campaign_row(one) for one in campaigns]))  # fmt: skip
    alone = by_name.get(None, [])
    if alone:
        print(("\n" if campaigns else "") + _listing(alone, most, "status"))
    return _code(found)


def _campaign_row(one: CampaignStanding) -> list[str]:
    done = f"{one.words.get(DONE, 0)}/{len(one.productions)}"
    return [one.campaign.name, one.word, done, *_jobs_row(one.steps), time_text(one.campaign.created)]


def _jobs_row(steps: Steps) -> list[str]:
    return [f"{total(steps, JobState.SUCCEEDED)}/{total(steps)}", str(total(steps, JobState.FAILED))]


def _listing(found: Sequence[Standing], most: int | None, command: str) -> str:
    """A line for each production, what needs attention first; done ones the latest first."""
    ordered = sorted(found, key=_attention)
    rows = [
        [one.production.name, one.word, *_jobs_row(one.steps), time_text(one.production.created)]
        for one in ordered[:most]
    ]
    lines = [table(["production", "state", "jobs done", "failed", "entered"], rows)]
    rest = [one.word for one in ordered[len(rows) :]]
    if rest:
        kinds = ", ".join(f"{len(list(some))} {word}" for word, some in groupby(rest))
        lines.append(f"and {len(rest)} more ({kinds}); `{command} --all` lists them")
    return "\n".join(lines)


def _attention(one: Standing) -> tuple[int, int, int]:
    """Sorts what goes and has failures before what goes, what goes before what has not begun, done ones last."""
    number = one.production.id
    if one.word == DONE:
        return WORDS.index(DONE), 0, -number
    failed = total(one.steps, JobState.FAILED)
    begun = total(one.steps) > total(one.steps, JobState.WAITING)
    return WORDS.index(one.word), 0 if failed else 1 if begun else 2, number


# One campaign


def _campaign(tracker: Tracker, one: CampaignStanding, most: int | None, as_json: bool) -> int:
    name = one.campaign.name
    if as_json:
        facts = {"campaign": name, "state": one.word, "entered": one.campaign.created, "words": one.words}
        print(json.dumps(facts | {"steps": one.steps, "productions": [_plain(each) for each in one.productions]},
                         indent=1))  # fmt: skip
        return _code(one.productions)
    print(f"{name}: {one.word}, {words(one)}; entered {time_text(one.campaign.created)}")
    print(_steps_table(one.steps if len(one.steps) < 2 else _in_order(tracker, one)))
    for line in campaign_causes(tracker, tracker.failed_alike(one.campaign.id), MOST_CAUSES):
        print(line)
    print("\n" + _listing(one.productions, most, f"status {name}"))
    return _code(one.productions)


def _in_order(tracker: Tracker, one: CampaignStanding) -> Steps:
    """The steps in the order of the first production's pipeline."""
    known = [name for name in recipe_of(tracker, one.productions[0].production).steps if name in one.steps]
    return {name: one.steps[name] for name in dict.fromkeys([*known, *one.steps])}


def _steps_table(steps: Steps) -> str:
    states = [state for state in JobState if any(state in counts for counts in steps.values())]
    rows = [[step, *(str(counts.get(state, "")) for state in states)] for step, counts in steps.items()]
    return table(["step", *states], rows)


# One production


def _production(tracker: Tracker, choice: Choice, as_json: bool) -> int:
    (production,) = choice.productions
    counts = tracker.counts(production.id)
    (one,) = standings(tracker, [production], {production.id: counts})
    steps = {name: counts.get(name, {}) for name in recipe_of(tracker, production).steps}
    products = [place_of(file.published) for file in tracker.products(production.id)]
    stale = tracker.stale_names(production.id)
    if as_json:
        print(json.dumps([_plain(one) | {"steps": steps, "stale": stale, "products": products}], indent=1))
        return _code([one])
    campaign = f" of {production.campaign}" if production.campaign else ""
    print(f"{production.name}{campaign}: {one.word}, generation {production.generation}, "
          f"entered {time_text(production.created)}{_schedule(one)}")  # fmt: skip
    print(_steps_table(steps))
    _print_causes(tracker, tracker.jobs(production.id, [JobState.FAILED]))
    for name in stale:
        print(f"{name}: stale, more has come since it was made; `retry {production.name}` makes it again")
    for path in products:
        print(path)
    return _code([one])


def _schedule(one: Standing) -> str:
    priority = f", priority {one.production.priority}" if one.production.priority else ""
    bound = one.production.max_running
    return priority + (f", at most {count(bound, 'job')} at once" if bound is not None else "")


def _print_causes(tracker: Tracker, failed: Sequence[Job]) -> None:
    for line in causes([diagnose(tracker, job) for job in failed], MOST_CAUSES):
        print(line)


def _plain(one: Standing) -> dict[str, Any]:
    production = one.production
    return {
        "production": production.name,
        "campaign": production.campaign,
        "state": one.word,
        "generation": production.generation,
        "paused": production.paused,
        "priority": production.priority,
        "max_running": production.max_running,
        "entered": production.created,
        "steps": one.steps,
        "unfinished": one.unfinished,
        "failed": total(one.steps, JobState.FAILED),
        "complete": one.complete,
    }


# A step, a job


def _step(tracker: Tracker, choice: Choice, as_json: bool) -> int:
    """A step's counts and, of one production, what failed in it."""
    if choice.campaign:
        counts = tracker.campaign_counts(choice.campaign.id)[choice.step]
    else:
        counts = tracker.counts(choice.productions[0].id)[choice.step]
    if as_json:
        print(json.dumps({"what": choice.word, "step": choice.step, "counts": counts}, indent=1))
    else:
        print(f"{choice.word}: {counts.get(JobState.SUCCEEDED, 0)} of {count(sum(counts.values()), 'job')} done")
        print(_steps_table({choice.step: counts}))
        if choice.campaign:
            alike = tracker.failed_alike(choice.campaign.id, choice.step)
            print("".join(f"{line}\n" for line in campaign_causes(tracker, alike, MOST_CAUSES)), end="")
        else:
            _print_causes(tracker, choice.among(tracker, choice.productions[0], [JobState.FAILED]))
    return _counts_code(counts)


def _counts_code(counts: Mapping[JobState, int]) -> int:
    if set(counts) - FINAL:
        return TO_DO
    return int(set(counts) != {JobState.SUCCEEDED})


def _job(tracker: Tracker, choice: Choice, as_json: bool) -> int:
    """A job and all attempts at it."""
    facts = []
    for job in choice.jobs:
        attempts = tracker.attempts(job.id)
        found = diagnose(tracker, job)
        plain = {"job": job.name, "production": job.production, "state": job.state, "cause": found.cause}
        facts.append(plain | {"updated": job.updated, "attempts": [_attempt(asdict(one)) for one in attempts]})
        if not as_json:
            print(f"{job.name} of {job.production}: {job.state} since {time_text(job.updated)}")
            rows = [
                [str(one.number), one.id, one.site, one.node or "-", one.phase, _when(one.started), _when(one.ended),
                 one.reason or ""]
                for one in attempts
            ]  # fmt: skip
            print(table(["attempt", "id", "site", "node", "phase", "started", "ended", "reason"], rows))
    if as_json:
        print(json.dumps(facts, indent=1))
    counts = dict.fromkeys({job.state for job in choice.jobs}, 1)
    return _counts_code(counts)


def _when(stamp: str | None) -> str:
    return time_text(stamp) if stamp else "-"


def _attempt(fields: dict[str, Any]) -> dict[str, Any]:
    """What the tracker holds of an attempt but its report, which `logs` is for."""
    return {name: value for name, value in fields.items() if name not in ("report", "job_id")}
