"""Worker nodes: what they have, and what is wrong with them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lofargrid_runner.contract import Reason

from lofargrid.model import Site
from lofargrid.simulation.streams import Streams


class Trouble(StrEnum):
    """What can be wrong with a node. A node cut off goes on working, and the batch system sees it no longer."""

    BLACK_HOLE = "black-hole"
    SCRATCH_FULL = "node-scratch-full"
    DEAD = "node-dead"
    CUT_OFF = "node-cut-off"


@dataclass
class Node:
    """A worker node. ``trouble`` is what is wrong with it now; ``reason`` how jobs fail in a black hole.

    A black hole without a reason does not even let the runner start.
    """

    site: str
    host: str
    slots: int = 1
    speed: float = 1.0
    memory_mb: int = 1_000_000
    scratch_mb: int = 1_000_000_000
    trouble: Trouble | None = None
    reason: Reason | None = None

    @property
    def seen(self) -> bool:
        """Whether the batch system sees it."""
        return self.trouble not in (Trouble.DEAD, Trouble.CUT_OFF)


def nodes_of(site: Site, slots_per_node: int, speed_spread: float, streams: Streams) -> Iterator[Node]:
    """The nodes of a site; the last one has the slots that are left.

    ``speed_spread`` is the standard deviation of the natural logarithm of their speed.
    """
    for number, first in enumerate(range(0, site.slots, slots_per_node)):
        host = f"wn{number:04d}.{site.name.lower()}.example"
        speed = math.exp(streams.stream(f"speed:{host}").gauss(0.0, speed_spread)) if speed_spread else 1.0
        yield Node(site.name, host, min(slots_per_node, site.slots - first), speed, site.memory_mb, site.scratch_mb)
