"""The verbs ``pilots``: list, start, script, drain, stop."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lofargrid.cli.session import Session
from lofargrid.cli.text import count, note, shorten, table, time_text
from lofargrid.documents.sites import nearest_site
from lofargrid.errors import Fault, InputError
from lofargrid.pilots.fleet import Fleet
from lofargrid.pilots.script import cloud_init
from lofargrid.pilots.standing import Standing

SiteName = Annotated[str, typer.Option("--site", metavar="SITE", help="Whose pilots.")]
Some = Annotated[
    list[str] | None,
    typer.Argument(metavar="PILOT...", help="Pilots, by their id, batch id or node.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_MOST_ENDED = 20
_WIDEST = 50

verbs = typer.Typer(
    help="List, start, drain and stop the nodes that join a pool.",
    invoke_without_command=True,
)


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.add_typer(verbs, name="pilots")


@verbs.callback()
def listed(context: typer.Context, as_json: AsJson = False) -> None:
    """List pilots: those that are there, and the last that left. Or see the verbs below."""
    if context.invoked_subcommand is None:
        _list(context.obj, as_json)


def _list(session: Session, as_json: bool) -> None:
    tracker = session.tracker()
    there = session.fleet(tracker).listing()
    gone = [Standing(one, None) for one in tracker.pilots_of("", _MOST_ENDED) if one.ended]
    if as_json:
        print(json.dumps([*(one.facts() for one in [*there, *gone])], indent=1))
        return
    rows = [_row(one) for one in [*there, *gone]]
    if rows:
        print(table(["pilot", "site", "through", "id", "node", "state", "jobs", "sign of life"], rows))
    else:
        note("no pilots; `pilots start --site SITE` starts some where jobs wait")


def _row(one: Standing) -> list[str]:
    facts = one.facts()
    heard = time_text(facts["heard"]) if facts["heard"] else "-"
    return [facts["pilot"], facts["site"], facts["through"], facts["batch_id"] or "-", facts["node"] or "-",
            shorten(facts["state"], _WIDEST), str(facts["jobs"]), heard]  # fmt: skip


@verbs.command()
def start(
    context: typer.Context,
    site: SiteName,
    number: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, max=1000, help="So many, if jobs wait.")
    ] = None,
    at_most: Annotated[
        int | None,
        typer.Option("--max", metavar="N", min=1, max=1000, help="As many as what waits needs, N at once at most."),
    ] = None,
) -> None:
    """Start pilots through the site's batch system. None where nothing waits."""
    session: Session = context.obj
    if number is not None and at_most is not None:
        raise InputError(Fault("both --count and --max are given", "Give one of them"))
    fleet = _fleet_with(session, site)
    fleet.refresh()
    if not fleet.queued(site):
        note(f"nothing waits for {site}: no pilot is started")
        return
    wanted = number if number is not None else fleet.short(site, at_most or fleet.plan_of(site).at_most or 1)
    started = fleet.start(site, wanted)
    for one in started:
        print(one)
    waiting = count(fleet.queued(site), "job")
    note(f"{count(len(started), 'pilot')} asked of {fleet.plan_of(site).through}; {waiting} of {site} wait")


@verbs.command()
def script(
    context: typer.Context,
    site: SiteName,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there, for nobody else to read.")
    ] = None,
    cloud: Annotated[bool, typer.Option("--cloud-init", help="As a cloud-init for a new machine.")] = False,
) -> None:
    """Print a pilot as one script, to be started on any machine: over ssh, in a VM, through PBS."""
    session: Session = context.obj
    pilot, text, token = _fleet_with(session, site).script(site)
    text = cloud_init(text) if cloud else text
    if output is None:
        sys.stdout.write(text)
    else:
        output.touch(mode=0o600)
        output.chmod(0o600)
        output.write_text(text)
    expires = f"{token.expires:%Y-%m-%d %H:%M} UTC"
    note(f"pilot {pilot}: its token {token.id} opens the pool until {expires}; let nobody else read the script")


@verbs.command()
def drain(context: typer.Context, pilots: Some = None, site: Annotated[str, typer.Option(metavar="SITE")] = "") -> None:
    """Let pilots take no more jobs. They leave when what runs there has ended."""
    session: Session = context.obj
    fleet = session.fleet(session.tracker())
    chosen = _chosen(fleet, pilots or [], site)
    fleet.drain(chosen)
    note(f"{count(len(chosen), 'pilot')} drained")


@verbs.command()
def stop(context: typer.Context, pilots: Some = None, site: Annotated[str, typer.Option(metavar="SITE")] = "") -> None:
    """End pilots now. What runs there goes back to its queue."""
    session: Session = context.obj
    fleet = session.fleet(session.tracker())
    chosen = _chosen(fleet, pilots or [], site)
    others = [one.id for one in chosen if not one.record]
    if others:
        what = f"{', '.join(others)} was not started from here"
        raise InputError(Fault(what, "`pilots drain` lets it end its jobs and leave"))
    fleet.stop(chosen)
    note(f"{count(len(chosen), 'pilot')} told to stop")


def _fleet_with(session: Session, site: str) -> Fleet:
    known = session.sites()
    if site not in known:
        raise InputError(Fault(f"there is no site {site!r}", nearest_site(site, known), field="--site"))
    fleet = session.fleet(session.tracker())
    fleet.plan_of(site)
    return fleet


def _chosen(fleet: Fleet, words: Sequence[str], site: str) -> list[Standing]:
    """The pilots that are meant, of those that are there."""
    there = fleet.listing()
    if not words and not site:
        raise InputError(Fault("no pilot is named", "Name some, or --site SITE for all of a site"))
    chosen = [one for one in there if site and one.facts()["site"] == site]
    for word in words:
        found = [one for one in there if word in one.names]
        if not found:
            raise InputError(Fault(f"there is no pilot {word!r} now", "`pilots` lists them"))
        chosen += [one for one in found if one not in chosen]
    return chosen
