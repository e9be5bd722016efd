"""Pure: how many pilots to start. None where nothing waits, and few where pilots leave without a job."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

FIRST_PAUSE = timedelta(minutes=2)
LONGEST_PAUSE = timedelta(hours=2)
MOST_AT_ONCE = 20
"""So many are started at once: a site that is bad for all of them is known by then."""


@dataclass(frozen=True)
class Seen:
    """A pilot as we know it. ``joined`` says that the pool has it; ``useless`` that it left, and not in good order."""

    joined: bool
    ended: datetime | None = None
    useless: bool = False


def wanted(queued: int, cores: int, pilots: Sequence[Seen], at_most: int, now: datetime) -> int:
    """How many pilots of a site to start now.

    Parameters
    ----------
    queued
        How many jobs wait for a node of the site.
    cores
        How many cores a pilot has. A job takes one or more: too few are made good for at the next look.
    pilots
        Those of the site that were started so far, the oldest first.
    at_most
        So many may be there at once.
    now
        The time.
    """
    living = [one for one in pilots if one.ended is None]
    if resting_until(pilots, now) > now:
        return 0
    coming = sum(not one.joined for one in living)
    short = math.ceil(queued / cores) - coming
    return max(min(short, at_most - len(living), MOST_AT_ONCE), 0)


def resting_until(pilots: Sequence[Seen], now: datetime) -> datetime:
    """Until when no pilot is started, because the last ones were of no use; ``now`` if there is no such reason."""
    ended = sorted(((one.ended, one.useless) for one in pilots if one.ended), reverse=True)
    useless = list(takewhile(lambda one: one[1], ended))
    if not useless:
        return now
    last, _ = useless[0]
    pause = min(FIRST_PAUSE * (1 << min(len(useless) - 1, 10)), LONGEST_PAUSE)
    return max(last + pause, now)
