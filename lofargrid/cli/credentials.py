"""The verb ``proxy``: whose proxy it is, what its VO says, how long it is good for; and it makes new ones."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lofargrid.cli.session import Session, now
from lofargrid.cli.text import note, seconds_text, time_text
from lofargrid.errors import Fault, InputError

if TYPE_CHECKING:
    from lofargrid.credentials.making import Wanted
    from lofargrid.credentials.proxy import Proxy

VO = "lofar"
USUAL_H = 24.0
SLACK_MIN = 5
"""A new one is a bit shorter than was asked for: to make it takes a moment."""


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command()(proxy)


def proxy(
    context: typer.Context,
    new: Annotated[
        bool, typer.Option("--new", help="Make a new one first; asks for the pass phrase of your key.")
    ] = False,
    vo: Annotated[str, typer.Option("--vo", metavar="VO", help="The VO of a new one, if not that of the last.")] = "",
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Its role, if not that of the last.")] = "",
    hours: Annotated[
        float, typer.Option("--valid", metavar="HOURS", min=0, max=1000, help="Fail unless it is good for so long.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> int:
    """Tell whose proxy you have and whether it is good; make one.

    What your VO says in it, and for how long; fails if it is not good.
    """
    # OpenSSL loads slowly: that is for this verb alone to pay.
    from lofargrid.credentials.making import make_proxy
    from lofargrid.credentials.proxy import read_proxy
    from lofargrid.credentials.trust import Trust

    session: Session = context.obj
    machine = session.settings
    trust = Trust(machine.authorities, machine.vomsdir)
    if new:
        wanted = _wanted(machine.own_proxy, vo, role, hours)
        found = make_proxy(machine.own_proxy, wanted, lambda one: trust.doubts(one, now()))
    elif vo or role:
        raise InputError(Fault("--vo and --role are of a new proxy", "Add --new"))
    else:
        found = read_proxy(machine.own_proxy)
    moment = now()
    left = found.good_until - moment
    doubts = trust.doubts(found, moment)
    slack = timedelta(minutes=SLACK_MIN if new else 0)
    if not doubts and left + slack < timedelta(hours=hours):
        doubts = [f"it is good for {seconds_text(left.total_seconds())} more, not for {hours:g} h"]
    if as_json:
        seconds = max(round(left.total_seconds()), 0)
        print(json.dumps(_plain(found) | {"seconds_left": seconds, "doubts": doubts}, indent=1))
    else:
        _print(found, left)
        for doubt in doubts:
            note(f"not good: {doubt}")
    return 1 if doubts else 0


def _wanted(path: Path, vo: str, role: str, hours: float) -> "Wanted":
    """What a new proxy is to be like: what is not said is as in the one that is there."""
    from lofargrid.credentials.making import Wanted
    from lofargrid.credentials.proxy import read_proxy

    for name, given in (("--vo", vo), ("--role", role)):
        if not re.fullmatch(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})?", given):
            raise InputError(Fault(f"{given!r} is no name of a VO or a role", field=name))
    try:
        last = read_proxy(path)
    except InputError:
        return Wanted(vo or VO, role, hours or USUAL_H)
    same = vo in ("", last.vo)
    known = last.fqans[0].partition("/Role=")[2] if same and last.fqans else ""
    return Wanted(vo or last.vo or VO, role or known, hours or USUAL_H)


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
