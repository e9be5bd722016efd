"""Whose ready jobs are offered the next free places. Who cannot use them lets the others go first."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from lofargrid.decisions import sharing
from lofargrid.decisions.sharing import Claim
from lofargrid.tracker import Tracker
from lofargrid.tracker.records import Kind

Key = tuple[int, str, str, str | None, str | None]
"""What makes ready jobs of one kind: production, step, home, grown and shunned."""


def key_of(kind: Kind) -> Key:
    """The key of a kind, whatever its count is now."""
    return kind.production_id, kind.step, kind.home, kind.grown, kind.shunned


class Turns:
    """Offers places in rounds, a share to each production, until they are taken or nobody can use them.

    Parameters
    ----------
    kinds
        The ready jobs; those of a production in the order in which it wants them served.
    claims
        What each production has and wants.
    passed_over
        Kinds that are offered nothing.
    """

    def __init__(self, kinds: Iterable[Kind], claims: Mapping[int, Claim], passed_over: Collection[Key] = ()) -> None:
        self._kinds: dict[int, dict[Key, Kind]] = defaultdict(dict)
        for kind in kinds:
            if key_of(kind) not in passed_over:
                self._kinds[kind.production_id][key_of(kind)] = kind
        self._claims = dict(claims)
        self._factor = 1
        self.stuck: set[Key] = set()

    def offer(self, room: int) -> list[tuple[Kind, int]]:
        """The kinds that are served next, each with how many places it is offered.

        Places that nobody took in the last round are offered to twice as many in this one.
        """
        claims = [
            replace(self._claims[production_id], waiting=sum(kind.count for kind in own.values()))
            for production_id, own in self._kinds.items()
        ]
        offers = []
        for production_id, count in sharing.share(room * self._factor, claims).items():
            for kind in self._kinds[production_id].values():
                offered = min(count, kind.count)
                if offered:
                    offers.append((kind, offered))
                    count -= offered
        self._factor *= 2
        return offers

    def took(self, kind: Kind, offered: int, taken: int) -> None:
        """Note what became of an offer; a kind that did not take all of it is offered no more."""
        own, claim = self._kinds[kind.production_id], self._claims[kind.production_id]
        self._claims[kind.production_id] = replace(claim, in_flight=claim.in_flight + taken)
        if taken:
            self._factor = 1
        if taken < offered:
            self.stuck.add(key_of(kind))
        if taken < offered or taken == kind.count:
            del own[key_of(kind)]
        else:
            own[key_of(kind)] = replace(kind, count=kind.count - taken)


def claims_of(tracker: Tracker, kinds: Iterable[Kind]) -> dict[int, Claim]:
    """What the productions of some ready jobs ask for."""
    ready: dict[int, int] = {}
    for kind in kinds:
        ready[kind.production_id] = ready.get(kind.production_id, 0) + kind.count
    return {
        one.production_id: Claim(
            one.production_id, ready[one.production_id], one.in_flight, one.priority, one.max_running
        )
        for one in tracker.queues(ready)
    }
