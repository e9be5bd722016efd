"""The verb ``tape``: what was asked for from tape, and what lies on disk because of that."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from lofargrid.cli.session import Session
from lofargrid.cli.text import count, note, table, time_text
from lofargrid.documents.sites import site_of
from lofargrid.model import Site
from lofargrid.tracker.records import RecallRecord

_HEADS = ["site", "jobs wait", "for files", "since", "on disk", "failed tries"]


@dataclass(frozen=True)
class TapeStanding:
    """How the recalls of a site stand.

    ``jobs`` wait for ``awaited`` files, the first of which was asked for at ``since``; ``on_disk`` are files that are
    there and still to be read. ``failures`` counts the tries of all of them that failed.
    """

    site: str
    jobs: int
    awaited: int
    on_disk: int
    failures: int
    since: str


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command()(tape)


def tape(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show what is asked for from tape, and what lies on disk."""
    session: Session = context.obj
    tracker = session.tracker()
    recalls = tracker.recalls()
    found = standings(recalls, session.sites())
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    if found:
        print(table(_HEADS, [_row(one) for one in found]))
    unasked = tracker.recalling_count() - len({job for one in recalls for job in one.waiting})
    if unasked > 0:
        note(f"{count(unasked, 'job')} more will be asked for at the next look of `run`")
    if not found and unasked <= 0:
        note("nothing is asked for from tape")


def standings(recalls: Iterable[RecallRecord], sites: Mapping[str, Site]) -> list[TapeStanding]:
    """How the recalls of each site stand."""
    at: dict[str, list[RecallRecord]] = {}
    for one in recalls:
        at.setdefault(site_of(one.url, sites) or "-", []).append(one)
    return [_standing(site, those) for site, those in sorted(at.items())]


def _standing(site: str, recalls: list[RecallRecord]) -> TapeStanding:
    awaited = [one for one in recalls if one.waiting]
    return TapeStanding(
        site=site,
        jobs=len({job for one in awaited for job in one.waiting}),
        awaited=len(awaited),
        on_disk=len(recalls) - len(awaited),
        failures=sum(one.failures for one in recalls),
        since=min((one.since for one in awaited), default=""),
    )


def _row(one: TapeStanding) -> list[str]:
    since = time_text(one.since) if one.since else "-"
    return [one.site, str(one.jobs), str(one.awaited), since, str(one.on_disk), str(one.failures)]
