"""Where jobs run, for who looks from there: a pilot or a node, by the id or the name that a site admin has."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lofargrid.backends.registry import lack_of
from lofargrid.cli.session import Session
from lofargrid.cli.text import count, note, time_text
from lofargrid.errors import BackendError
from lofargrid.pilots.standing import Standing
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Ran

_MOST_ENDED = 100
_SHOWN_ENDED = 5
_TAIL = 5


@dataclass(frozen=True)
class Place:
    """A pilot or a node: which pilots are meant, what runs there now and what ended there, the latest first."""

    word: str
    pilots: Sequence[Standing]
    running: Sequence[Ran]
    ended: Sequence[Ran]

    @property
    def latest(self) -> Ran | None:
        """What runs there, or ran there last."""
        return self.running[-1] if self.running else self.ended[0] if self.ended else None


def find_place(session: Session, tracker: Tracker, word: str) -> Place | None:
    """The pilot or the node that a word names; None if it names none, or something else that is ours."""
    if "/" in word or tracker.production(word) or tracker.campaign(word):
        return None
    if tracker.is_job(word) and not tracker.pilot(word):
        return None
    pilots = _pilots(session, tracker, word)
    ids = [job for one in pilots if one.joined for job in one.joined.jobs]
    # Several pilots may share a node: who asks for one of them means its jobs alone.
    node = "" if pilots and word not in {one.node for one in pilots} | _short(pilots) else word
    running = tracker.runs_at(node, ids)
    ended = tracker.ran_at(word, _MOST_ENDED)
    names_one = len(ended) == 1 and word not in (ended[0].node, ended[0].node.partition(".")[0], ended[0].pilot)
    if not pilots and not running and (not ended or names_one):
        return None  # an id of one attempt alone is as good as its own
    return Place(word, pilots, running, ended)


def facts(place: Place) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "place": place.word,
        "pilots": [one.facts() for one in place.pilots],
        "running": [asdict(one) for one in place.running],
        "ended": [asdict(one) for one in place.ended],
    }


def tell(session: Session, tracker: Tracker, place: Place) -> Iterator[str]:
    """What a site admin wants to know, line by line: whose it is, what runs, how to have the node back."""
    for pilot in place.pilots:
        yield from _pilot_lines(pilot)
    if not place.pilots:
        where = place.latest
        yield f"{place.word}: jobs of site {where.site}" if where else place.word
    yield f"  owner {session.settings.owner}; contact {session.settings.contact}"
    for one in place.running:
        yield f"  runs {_named(one)}{_since(one)}"
    for one in place.ended[:_SHOWN_ENDED]:
        yield f"  ran {_named(one)}: {one.reason or 'succeeded'}, {time_text(one.ended or '')}"
    if len(place.ended) > _SHOWN_ENDED:
        more = "more than " if len(place.ended) == _MOST_ENDED else ""
        yield f"  and {more}{len(place.ended) - _SHOWN_ENDED} before"
    if place.latest:
        lines = log_of(session, tracker, place.latest).decode(errors="replace").splitlines()[-_TAIL:]
        yield from (f"  log of {place.latest.job}:", *(f"    {_shown(one)}" for one in lines)) if lines else ()
    if any(one.joined for one in place.pilots):
        yield f"  `pilots drain {place.word}`: its jobs end, no more start; `pilots stop {place.word}`: it ends now"


def log_of(session: Session, tracker: Tracker, ran: Ran) -> bytes:
    """The log of an attempt as it is now; empty if it has none yet."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = session.backend(tracker).fetch(ran.attempt, Path(folder))
        except BackendError as error:
            note(str(error))
            return b""
        return b"".join(path.read_bytes() for path in found if path.name == "job.log")


def output_of(session: Session, tracker: Tracker, place: Place) -> bytes:
    """What the last of a place's pilots has printed itself; empty if that is not here."""
    ours = [one.record for one in place.pilots if one.record]
    try:
        return session.fleet(tracker).output_of(ours[-1]).read_bytes() if ours else b""
    except OSError:
        return b""


def _pilots(session: Session, tracker: Tracker, word: str) -> list[Standing]:
    if session.has_pilots() and not lack_of("htcondor"):
        try:
            return session.fleet(tracker).known_as(word)
        except BackendError as error:
            note(f"{error}; what was written down so far:")
    record = tracker.pilot(word)
    return [Standing(record, None)] if record else []


def _pilot_lines(pilot: Standing) -> Iterator[str]:
    facts = pilot.facts()
    batch = f" ({facts['through']} {facts['batch_id']})" if facts["batch_id"] else ""
    node = f" on {facts['node']}" if facts["node"] else ""
    yield f"pilot {pilot.id}{batch} of site {facts['site']}{node}: {facts['state']}"
    if pilot.joined:
        yield f"  last heard of {time_text(facts['heard'])}; leaves {time_text(facts['ends'])} at the latest"
    if facts["jobs"]:
        yield f"  {count(facts['jobs'], 'job')} so far"


def _named(one: Ran) -> str:
    return f"{one.production}/{one.job} attempt {one.number}"


def _since(one: Ran) -> str:
    return f" since {time_text(one.started)}" if one.started else ""


def _short(pilots: Sequence[Standing]) -> set[str]:
    return {one.node.partition(".")[0] for one in pilots}


def _shown(line: str) -> str:
    """A line of a log without what a terminal would act on."""
    return "".join(one if one.isprintable() or one == "\t" else "?" for one in line)
