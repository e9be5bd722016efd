"""The batch system of a site: a queue, free slots, and who gets which."""

import random
from collections.abc import Callable, Collection, Sequence

from lofargrid_runner.contract import JobSpec

from lofargrid.simulation.clock import Clock
from lofargrid.simulation.nodes import Node

_MATCH_S = (2.0, 20.0)
_DRAWS = 3


class Batch:
    """Matches queued attempts to free slots, first come first served; a free slot is taken by chance.

    Parameters
    ----------
    clock
        The time.
    nodes
        The site's nodes.
    start
        Called with an attempt's id and the node that it got.
    stream
        Randomness.
    """

    def __init__(
        self, clock: Clock, nodes: Sequence[Node], start: Callable[[str, Node], None], stream: random.Random
    ) -> None:
        self._clock = clock
        self._start = start
        self._stream = stream
        self._queued: dict[str, JobSpec] = {}
        self._named: dict[str, JobSpec] = {}
        self._free = [node for node in nodes for _ in range(node.slots)]
        # Free slots that nobody may have now: of nodes that are avoided, or not seen.
        self._parked: list[Node] = []
        self._avoided: frozenset[str] = frozenset()
        self._is_matching = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queued) + len(self._named)

    def queue(self, spec: JobSpec) -> None:
        """Let an attempt wait for a slot."""
        (self._named if spec.node else self._queued)[spec.attempt] = spec
        self._wake()

    def remove(self, attempt: str) -> None:
        """Let an attempt wait no longer."""
        self._queued.pop(attempt, None)
        self._named.pop(attempt, None)

    def free(self, node: Node) -> None:
        """Take back a slot of a node."""
        self._free.append(node)
        self._wake()

    def avoid(self, hosts: Collection[str]) -> None:
        """Give slots of these nodes only to those that name the node, from now on."""
        wanted = frozenset(hosts)
        if wanted != self._avoided:
            self._avoided = wanted
            self.look_again()

    def look_again(self) -> None:
        """A node has changed: see whom it can take."""
        self._free += self._parked
        self._parked = []
        self._wake()

    def _wake(self) -> None:
        if not self._is_matching and (self._named or (self._queued and self._free)):
            self._is_matching = True
            self._clock.at(self._stream.uniform(*_MATCH_S), self._match)

    def _match(self) -> None:
        self._is_matching = False
        pairs = [(spec, node) for spec in self._named.values() if (node := self._take_named(spec))]
        self._park()
        for spec in self._queued.values():
            if not self._free:
                break
            if node := self._take(spec):
                pairs.append((spec, node))
        for spec, node in pairs:
            self.remove(spec.attempt)
            self._start(spec.attempt, node)

    def _take_named(self, spec: JobSpec) -> Node | None:
        for slots in (self._free, self._parked):
            for index, node in enumerate(slots):
                if node.host == spec.node and node.seen and _fits(spec, node):
                    return slots.pop(index)
        return None

    def _park(self) -> None:
        usable = [node for node in self._free if node.seen and node.host not in self._avoided]
        if len(usable) < len(self._free):
            self._parked += [node for node in self._free if not node.seen or node.host in self._avoided]
            self._free = usable

    def _take(self, spec: JobSpec) -> Node | None:
        count = len(self._free)
        drawn = (self._stream.randrange(count) for _ in range(_DRAWS))
        index = next((one for one in drawn if self._suits(spec, one)), None)
        if index is None:
            index = next((one for one in range(count) if self._suits(spec, one)), None)
        if index is None:
            return None
        self._free[index], self._free[-1] = self._free[-1], self._free[index]
        return self._free.pop()

    def _suits(self, spec: JobSpec, index: int) -> bool:
        node = self._free[index]
        return node.host not in spec.avoid and _fits(spec, node)


def _fits(spec: JobSpec, node: Node) -> bool:
    return spec.limits.memory_mb <= node.memory_mb
