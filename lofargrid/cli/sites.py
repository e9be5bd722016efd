"""The verb ``sites``: which sites there are, and how they do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer

from lofargrid.cli.session import Session, now
from lofargrid.cli.text import count, table, time_text
from lofargrid.documents.sites import nearest_site
from lofargrid.errors import Fault, InputError
from lofargrid.model import Site
from lofargrid.states import Phase, Reason
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import QuarantineRecord
from lofargrid.tracker.sites import Outcome

WINDOW = timedelta(days=7)
MOST_EVENTS = 10

# An attempt that was told to stop says nothing of where it ran.
_STOPPED = frozenset({Reason.STOPPED, Reason.CANCELLED})


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command()(sites)


def sites(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SITE", help="A site; without it all are listed.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Tell which sites there are and how they do. Figures are of the last 7 days; or all about one."""
    session: Session = context.obj
    known = session.sites()
    if name and name not in known:
        raise InputError(Fault(f"there is no site {name!r}", nearest_site(name, known)))
    tracker = session.tracker()
    since = (now() - WINDOW).isoformat(timespec="milliseconds")
    standings = _standings(tracker, {name: known[name]} if name else known, since)
    news = _news(tracker, name, since) if name else []
    if as_json:
        print(json.dumps([_plain(one) | ({"events": news} if name else {}) for one in standings], indent=1))
    elif name:
        _print_one(standings[0], news)
    else:
        _print_all(standings)


@dataclass(frozen=True)
class NodeStanding:
    """How a worker node did. ``failures`` counts by reason."""

    node: str
    ended: int
    succeeded: int
    failures: Mapping[str, int]
    quarantine: QuarantineRecord | None


@dataclass(frozen=True)
class SiteStanding:
    """How a site does. ``ended`` and ``succeeded`` count attempts; ``mb_s`` is the mean rate of one copy.

    ``nodes`` are those that something failed on, or that are quarantined.
    """

    site: Site
    running: int
    queued: int
    ended: int
    succeeded: int
    mb_s: float | None
    quarantine: QuarantineRecord | None
    nodes: tuple[NodeStanding, ...]

    @property
    def state(self) -> str:
        """The state in a word or two."""
        if self.quarantine:
            return "probation" if self.quarantine.state == "probation" else "quarantined"
        return "open" if self.site.slots else "storage only"

    @property
    def success_rate(self) -> float | None:
        """The part of the attempts that succeeded, None if none ended."""
        return self.succeeded / self.ended if self.ended else None

    @property
    def out(self) -> list[str]:
        """The nodes that get no jobs."""
        return [one.node for one in self.nodes if one.quarantine]


def _standings(tracker: Tracker, known: Mapping[str, Site], since: str) -> list[SiteStanding]:
    at_sites = tracker.at_sites()
    quarantines = tracker.quarantines()
    outcomes = [one for one in tracker.site_outcomes(since) if one.reason not in _STOPPED]
    return [
        _standing(
            site,
            at_sites.get(name, {}),
            [one for one in outcomes if one.site == name],
            {one.node: one for one in quarantines if one.site == name},
            tracker.site_speed(name, since).mb_s,
        )
        for name, site in known.items()
    ]


def _standing(
    site: Site,
    here: Mapping[Phase, int],
    outcomes: Sequence[Outcome],
    quarantines: Mapping[str, QuarantineRecord],
    mb_s: float | None,
) -> SiteStanding:
    failed = {one.node for one in outcomes if one.reason and one.node}
    nodes = sorted(failed | set(quarantines) - {""})
    return SiteStanding(
        site=site,
        running=here.get(Phase.RUNNING, 0),
        queued=sum(here.values()) - here.get(Phase.RUNNING, 0),
        ended=_total(outcomes),
        succeeded=_total(outcomes, succeeded=True),
        mb_s=mb_s,
        quarantine=quarantines.get(""),
        nodes=tuple(
            _node(name, [one for one in outcomes if one.node == name], quarantines.get(name)) for name in nodes
        ),
    )


def _node(name: str, outcomes: Sequence[Outcome], quarantine: QuarantineRecord | None) -> NodeStanding:
    failures = {str(one.reason): one.count for one in outcomes if one.reason}
    return NodeStanding(name, _total(outcomes), _total(outcomes, succeeded=True), failures, quarantine)


def _total(outcomes: Sequence[Outcome], succeeded: bool = False) -> int:
    return sum(one.count for one in outcomes if not (succeeded and one.reason))


def _news(tracker: Tracker, name: str, since: str) -> list[dict[str, str]]:
    """What was decided about a site and what failed there, the latest first."""
    decided = [{"at": one.at, "node": one.node, "text": one.text} for one in tracker.site_events(name, MOST_EVENTS)]
    failed = [
        {"at": one.at, "node": one.node, "text": f"{one.job} failed: {one.reason}" + (one.detail and f": {one.detail}")}
        for one in tracker.site_failures(name, since, MOST_EVENTS)
    ]
    return sorted([*decided, *failed], key=lambda one: one["at"], reverse=True)[:MOST_EVENTS]


def _plain(one: SiteStanding) -> dict[str, Any]:
    plain = asdict(one)
    return {**plain.pop("site"), **plain, "state": one.state, "success_rate": one.success_rate, "nodes_out": one.out}


def _print_all(standings: Sequence[SiteStanding]) -> None:
    rows = [
        [
            one.site.name,
            str(one.site.tier),
            str(one.site.slots),
            str(one.running),
            _share_text(one),
            _rate_text(one.mb_s),
            str(len(one.out)),
            _state_text(one),
        ]
        for one in standings
    ]
    print(table(["site", "tier", "slots", "running", "success", "MB/s", "nodes out", "state"], rows))


def _share_text(one: SiteStanding) -> str:
    return "-" if one.success_rate is None else f"{100 * one.succeeded // one.ended} % of {one.ended}"


def _rate_text(mb_s: float | None) -> str:
    return "-" if mb_s is None else f"{mb_s:.1f}"


def _state_text(one: SiteStanding) -> str:
    return _quarantine_text(one.quarantine) if one.quarantine else one.state


def _quarantine_text(one: QuarantineRecord) -> str:
    since = time_text(one.since)
    if one.state == "probation":
        return f"on probation, quarantined since {since}: {one.reason}"
    until = "being probed" if one.state == "probed" else f"until {time_text(one.until)}"
    return f"quarantined since {since}, {until}: {one.reason}"


def _print_one(one: SiteStanding, news: Sequence[Mapping[str, str]]) -> None:
    site = one.site
    names = f"{site.name} ({site.grid_name})" if site.grid_name else site.name
    print(f"{names}: tier {site.tier}, {_state_text(one)}")
    for label, texts in _facts(one):
        for text in texts:
            print(f"  {label:9} {text}")
            label = ""
    if one.nodes:
        print(table(["node", "ended", "succeeded", "failed", "state"], [_row(node) for node in one.nodes]))
    for event in news:
        where = f"{event['node']}: " if event["node"] else ""
        print(f"{time_text(event['at'])}  {where}{event['text']}")


def _facts(one: SiteStanding) -> list[tuple[str, list[str]]]:
    site = one.site
    if site.slots:
        compute = [
            f"{one.running} running, {one.queued} queued, {count(site.slots, 'slot')}",
            f"one may take {count(site.cores, 'core')}, {site.memory_mb} MB of memory, {_whole(site.walltime_min)} min,"
            f" {site.scratch_mb} MB of scratch",
            f"they get there through {site.backend}" if site.backend else "nothing gets them there yet: only rehearsed",
        ]
    else:
        compute = ["none can run here"]
    rate = "no copies" if one.mb_s is None else f"{one.mb_s:.1f} MB/s a copy"
    ended = f"{one.succeeded} of {count(one.ended, 'attempt')} succeeded" if one.ended else "no attempt ended"
    return [
        ("jobs", compute),
        ("last 7 d", [f"{ended}, {rate}"]),
        ("files", list(site.prefixes)),
        ("doors", [f"{protocol}: {door}" for protocol, door in site.doors.items()]),
        ("scratch", [site.scratch] if site.scratch else []),
        (
            "link",
            [
                f"{site.transfers} copies at once, {_whole(site.bandwidth_mb_s)} MB/s together,"
                f" {_whole(site.stream_mb_s)} MB/s each"
            ],
        ),
        ("nodes", [] if site.guarded else ["are never quarantined"]),
    ]


def _whole(number: float) -> str:
    """Without an exponent, however large."""
    return f"{number:.12g}"


def _row(one: NodeStanding) -> list[str]:
    failed = ", ".join(f"{number} {reason}" for reason, number in one.failures.items()) or "-"
    state = _quarantine_text(one.quarantine) if one.quarantine else "open"
    return [one.node, str(one.ended), str(one.succeeded), failed, state]
