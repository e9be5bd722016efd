"""Pure: whose jobs go first when there is not room for all."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """What a production asks for: it has ``waiting`` jobs, and ``in_flight`` others already have a place."""

    production_id: int
    waiting: int
    in_flight: int
    priority: int = 0
    max_running: int | None = None

    @property
    def most(self) -> int:
        """How many more it may get."""
        allowed = self.waiting if self.max_running is None else self.max_running - self.in_flight
        return max(min(self.waiting, allowed), 0)


def share(room: int, claims: Sequence[Claim]) -> dict[int, int]:
    """Divide room among productions: a higher priority goes first, among equals who has least gets next.

    Returns
    -------
    shares
        Jobs by production id, the first to be served first.
    """
    shares: dict[int, int] = {}
    for priority in sorted({one.priority for one in claims}, reverse=True):
        equals = [one for one in claims if one.priority == priority and one.most > 0]
        level = _level(room, equals)
        for one in sorted(equals, key=lambda one: (one.in_flight, one.production_id)):
            given = max(min(one.most, level - one.in_flight), 0)
            if given:
                shares[one.production_id] = given
                room -= given
        for one in sorted(equals, key=lambda one: (one.in_flight, one.production_id)):
            # What a whole level leaves over goes round, one each.
            if room > 0 and shares.get(one.production_id, 0) < one.most and level - one.in_flight >= 0:
                shares[one.production_id] = shares.get(one.production_id, 0) + 1
                room -= 1
    return shares


def _level(room: int, claims: Sequence[Claim]) -> int:
    """The number of jobs in flight up to which all can be filled."""
    low, high = 0, max((one.in_flight + one.most for one in claims), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(max(min(one.most, middle - one.in_flight), 0) for one in claims) <= room:
            low = middle
        else:
            high = middle - 1
    return low
