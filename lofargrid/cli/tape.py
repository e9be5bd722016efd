"""The verb ``tape``: what was asked for from tape, and what lies on disk because of that."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from lofargrid.cli.session import Session, now
from lofargrid.cli.text import bytes_text, count, note, seconds_text, table, time_text
from lofargrid.documents.sites import locator
from lofargrid.model import Site
from lofargrid.tracker.records import RecallLevel, RecallRecord

_HEADS = ["site", "jobs wait", "for files", "since", "to come", "rate", "time left", "on disk", "window", "failed"]
_RATE_OVER = timedelta(hours=1)


@dataclass(frozen=True)
class TapeStanding:
    """How the recalls of a site stand.

    ``jobs`` wait for ``awaited`` files, the first of which was asked for at ``since``; ``on_disk`` are files that came
    and take their space still. ``failures`` counts the tries of all of them that failed. ``rate_bytes_s`` came over the
    last hour; at this rate the awaited take ``left_s`` more, None if nothing comes.
    """

    site: str
    jobs: int
    awaited: int
    on_disk: int
    failures: int
    since: str
    awaited_bytes: int
    on_disk_bytes: int
    window_bytes: int | None
    rate_bytes_s: float
    left_s: float | None


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command()(tape)


def tape(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    to: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the windows over time: .png, .svg, .pdf.")
    ] = None,
) -> None:
    """Show what is asked for from tape, and what lies on disk."""
    session: Session = context.obj
    tracker, sites = session.tracker(), session.sites()
    recalls, levels = tracker.recalls(), tracker.recall_levels()
    if to:
        from lofargrid.cli import window_picture

        window_picture.draw(levels, windows(sites), to)
        note(f"picture: {to}")
    found = standings(recalls, levels, sites, now())
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    if found:
        print(table(_HEADS, [_row(one) for one in found]))
    unasked = tracker.recalling_count() - len({job for one in recalls for job in one.waiting})
    if unasked > 0:
        note(f"{count(unasked, 'job')} more will be asked for when the window has room and `run` looks")
    if not found and unasked <= 0:
        note("nothing is asked for from tape")


def windows(sites: Mapping[str, Site]) -> dict[str, float]:
    """The bytes that may lie on disk at each site that recalls."""
    return {name: site.recall.window_gb * 1e9 for name, site in sites.items() if site.recall}


def standings(
    recalls: Iterable[RecallRecord], levels: Sequence[RecallLevel], sites: Mapping[str, Site], at: datetime
) -> list[TapeStanding]:
    """How the recalls of each site stand."""
    site_of = locator(sites)
    by_site: dict[str, list[RecallRecord]] = {}
    for one in recalls:
        by_site.setdefault(site_of(one.url) or "-", []).append(one)
    rates = {site: _rate([one for one in levels if one.site == site], at) for site in by_site}
    limits = windows(sites)
    return [_standing(site, those, limits.get(site), rates[site]) for site, those in sorted(by_site.items())]


def _rate(levels: Sequence[RecallLevel], at: datetime) -> float:
    """The bytes a second that came over the last hour."""
    before = [one for one in levels if datetime.fromisoformat(one.at) <= at - _RATE_OVER]
    first = before[-1:] or list(levels[:1])
    if not first:
        return 0.0
    seconds = (at - max(datetime.fromisoformat(first[0].at), at - _RATE_OVER)).total_seconds()
    return (levels[-1].brought_bytes - first[0].brought_bytes) / max(seconds, 1.0)


def _standing(site: str, recalls: list[RecallRecord], window: float | None, rate: float) -> TapeStanding:
    awaited = [one for one in recalls if one.waiting and not one.came]
    there = [one for one in recalls if one.came]
    to_come = sum(one.size_bytes for one in awaited)
    return TapeStanding(
        site=site,
        jobs=len({job for one in awaited for job in one.waiting}),
        awaited=len(awaited),
        on_disk=len(there),
        failures=sum(one.failures for one in recalls),
        since=min((one.since for one in awaited), default=""),
        awaited_bytes=to_come,
        on_disk_bytes=sum(one.size_bytes for one in there),
        window_bytes=None if window is None else round(window),
        rate_bytes_s=round(rate, 1),
        left_s=round(to_come / rate, 1) if rate else None,
    )


def _row(one: TapeStanding) -> list[str]:
    return [
        one.site,
        str(one.jobs),
        str(one.awaited),
        time_text(one.since) if one.since else "-",
        bytes_text(one.awaited_bytes),
        f"{bytes_text(one.rate_bytes_s)}/s",
        "-" if one.left_s is None else seconds_text(one.left_s),
        f"{one.on_disk}, {bytes_text(one.on_disk_bytes)}",
        "-" if one.window_bytes is None else bytes_text(one.window_bytes),
        str(one.failures),
    ]
