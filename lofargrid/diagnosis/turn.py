"""Rules for what could run: no site may run it, all slots are taken, others go first."""

from collections.abc import Mapping

from lofargrid.decisions import health
from lofargrid.diagnosis.facts import Facts, Turn
from lofargrid.diagnosis.finding import Finding
from lofargrid.diagnosis.unbegun import after_text
from lofargrid.diagnosis.wording import (
    NOTHING,
    RUN,
    no_answer,
    probation_text,
    quarantine_text,
    said_of,
    since_text,
    some_of,
)
from lofargrid.states import JobState

_SHOWN_SITES = 6


def not_taken(facts: Facts) -> Finding | None:
    """The backend takes no jobs."""
    trouble = facts.troubles.get("submit") or facts.troubles.get("start")
    if facts.turn is None or trouble is None:
        return None
    return no_answer(facts, trouble, "is ready, but cannot be handed over")


def nowhere(facts: Facts) -> Finding | None:
    """No site may run it."""
    turn = facts.turn
    if turn is None or turn.ranking is None or not turn.ranking.nowhere:
        return None
    remedy = (
        "ask for less in the step's resources, or name more sites, then `run --replan`; or add a site to sites.yaml"
    )
    refused = _by_reason(turn.ranking.refused) or turn.ranking.nowhere
    return Finding(f"no site can run it: {refused}", remedy, facts.wait.startable_since)


def shut(facts: Facts) -> Finding | None:
    """All sites that may run it are quarantined."""
    turn = facts.turn
    if turn is None or turn.ranking is None or turn.ranking.candidates or not turn.shut:
        return None
    first = turn.shut[0]
    if len(turn.shut) == 1:
        cause = f"{first.site}, the one site that could run it, is {quarantine_text(facts, first)}"
    else:
        said = "; ".join(f"{one.site} {quarantine_text(facts, one)}" for one in turn.shut)
        cause = f"all sites that could run it are quarantined: {said}"
    remedy = f"nothing to do: the site gets a few jobs to try then; `sites {first.site}` tells more"
    return Finding(cause, remedy, first.since)


def bounded(facts: Facts) -> Finding | None:
    """Its production runs as many as it may."""
    turn, name = facts.turn, facts.job.production
    if turn is None or turn.most is None or turn.running < turn.most:
        return None
    cause = f"{_could(facts)}, but max_running of its production {name} is reached: {turn.running} of {turn.most} run"
    return Finding(cause, f"nothing to do; or `max-running {name} NUMBER`", facts.wait.startable_since)


def no_room(facts: Facts) -> Finding | None:
    """All slots and links that it may use are taken."""
    turn = facts.turn
    if turn is None or not turn.held:
        return None
    first = _behind(turn)
    link = " or a link" if any("cross the links" in why for why in turn.held.values()) else ""
    shut = "".join(f"; {one.site} is {quarantine_text(facts, one)}" for one in turn.shut)
    shut += "".join(f"; {probation_text(facts, one)}" for one in turn.trying)
    few = f"so it gets {health.PROBATION_JOBS} jobs at a time"
    shut += "".join(f"; all nodes that are known of {site} are quarantined, {few}" for site in turn.barren)
    cause = f"{_could(facts)}, waits for a free slot{link}: {_by_reason(turn.held)}{shut}{first}"
    return Finding(cause, NOTHING, facts.wait.startable_since)


def _by_reason(sites: Mapping[str, str]) -> str:
    """What holds for some sites, those together that share it."""
    alike: dict[str, list[str]] = {}
    for name, why in sites.items():
        alike.setdefault(why, []).append(name)
    return "; ".join(f"{some_of(names, _SHOWN_SITES)}: {why}" for why, names in alike.items())


def outranked(facts: Facts) -> Finding | None:
    """Others go first."""
    turn = facts.turn
    if turn is None or not _behind(turn):
        return None
    return Finding(f"{_could(facts)}, waits for its turn{_behind(turn)}", NOTHING, facts.wait.startable_since)


def _behind(turn: Turn) -> str:
    """Who goes first."""
    parts = [f"production {one.production} goes first, its priority is {one.priority}" for one in turn.rivals]
    if turn.ahead:
        parts.append(f"{turn.ahead} jobs of its production go before it" if turn.ahead > 1 else "1 job of its"
                     " production goes before it")  # fmt: skip
    return "".join(f"; {part}" for part in parts)


def crowded_out(facts: Facts) -> Finding | None:
    """There is room, but jobs of its production that are ready cannot use it; the first of them tells why."""
    turn = facts.turn
    if turn is None or not turn.ready or facts.told is None:
        return None
    root = facts.told
    count = "1 job of its production is" if turn.ready == 1 else f"{turn.ready} jobs of its production are"
    cause = f"{_could(facts)}, but {count} ready before it; {said_of(root)}"
    return Finding(cause, root.remedy, root.since, root.root)


def goes_next(facts: Facts) -> Finding | None:
    """Nothing keeps it."""
    if facts.turn is None:
        return None
    after = f"; it was tried before, after {after_text(facts)}" if facts.job.reason else ""
    slot = ", goes to a site with the next tick" if facts.turn.ranking else ", waits for a free slot"
    return Finding(f"{_could(facts)}{slot}{after}", RUN, facts.wait.startable_since)


def _could(facts: Facts) -> str:
    word = "ready" if facts.job.state is JobState.READY else "could run"
    return f"{word} {since_text(facts, facts.wait.startable_since)}"
