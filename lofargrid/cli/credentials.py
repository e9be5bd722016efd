"""The verb ``proxy``: whose proxy it is, what its VO says, how long it is good for, and whether it may be believed."""

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lofargrid.cli.session import Session, now
from lofargrid.cli.text import note, seconds_text, time_text

if TYPE_CHECKING:
    from lofargrid.credentials.proxy import Proxy


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command()(proxy)


def proxy(
    context: typer.Context,
    hours: Annotated[
        float, typer.Option("--valid", metavar="HOURS", min=0, help="Fail unless it is good for so long.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> int:
    """Tell whose proxy you have, and whether it is good. What your VO says in it, and for how long; fails if not."""
    # OpenSSL loads slowly: that is for this verb alone to pay.
    from lofargrid.credentials.proxy import read_proxy
    from lofargrid.credentials.trust import Trust

    session: Session = context.obj
    machine = session.settings
    found = read_proxy(machine.own_proxy)
    moment = now()
    left = found.good_until - moment
    doubts = Trust(machine.authorities, machine.vomsdir).doubts(found, moment)
    if not doubts and left < timedelta(hours=hours):
        doubts = [f"it is good for {seconds_text(left.total_seconds())} more, not for {hours:g} h"]
    if as_json:
        seconds = max(round(left.total_seconds()), 0)
        print(json.dumps(_plain(found) | {"seconds_left": seconds, "doubts": doubts}, indent=1))
    else:
        _print(found, left)
        for doubt in doubts:
            note(f"not good: {doubt}")
    return 1 if doubts else 0


def _print(found: "Proxy", left: timedelta) -> None:
    until = time_text(found.good_until.isoformat())
    rows = {
        "identity": found.identity,
        "VO": f"{found.vo}: {', '.join(found.fqans)}" if found.vo else "none",
        "key": f"{found.key_bits} bits, {found.kind}",
        "good for": f"{seconds_text(left.total_seconds())}, until {until}",
    }
    if left <= timedelta():
        rows["good for"] = f"nothing: it ended {until}"
    print(found.path)
    for name, value in rows.items():
        print(f"  {name:<9} {value}")


def _plain(found: "Proxy") -> dict[str, Any]:
    return {
        "path": str(found.path),
        "subject": found.subject,
        "identity": found.identity,
        "kind": found.kind,
        "key_bits": found.key_bits,
        "ends": found.ends.isoformat(),
        "vo": found.vo,
        "fqans": found.fqans,
        "vo_ends": found.attributes[0].ends.isoformat() if found.attributes else None,
    }
