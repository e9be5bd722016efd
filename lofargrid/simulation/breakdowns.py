"""Which nodes break, how, and when they are mended: drawn from the seed."""

import random
from collections.abc import Callable, Sequence
from functools import partial

from lofargrid_runner.contract import Reason

from lofargrid.simulation.clock import Clock
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.nodes import Node, Trouble
from lofargrid.simulation.streams import Streams
from lofargrid.simulation.trace import Trace

HOLES: tuple[Reason | None, ...] = (
    Reason.PAYLOAD_FAILED,
    Reason.SOFTWARE_UNREACHABLE,
    Reason.NODE_UNFIT,
    Reason.SCRATCH_FULL,
    Reason.PAYLOAD_CRASHED,
    None,
)


class Breakdowns:
    """Breaks nodes and mends them.

    Parameters
    ----------
    clock, trace
        The time, and where breakdowns are written.
    faults
        How many nodes, and for how long.
    fall, rise
        Called with a node that is seen no longer, and with one that has changed for the better.
    """

    def __init__(
        self, clock: Clock, trace: Trace, faults: Faults, fall: Callable[[Node], None], rise: Callable[[Node], None]
    ) -> None:
        self._clock = clock
        self._trace = trace
        self._faults = faults
        self._fall = fall
        self._rise = rise

    def draw(self, nodes: Sequence[Node], streams: Streams) -> None:
        """Decide the fate of each node of a site.

        A node has one breakdown at most, and no more than a third of them are beyond repair.
        """
        left = len(nodes) // 3
        for node in nodes:
            stream = streams.stream(f"node:{node.host}")
            trouble = self._trouble(stream)
            if trouble is not None:
                begin_s = stream.uniform(0.0, self._faults.horizon_s)
                hole = stream.choice(HOLES) if trouble is Trouble.BLACK_HOLE else None
                for_ever = left > 0 and stream.random() < self._faults.beyond_repair
                left -= for_ever
                lasts_s = None if for_ever else stream.expovariate(1.0 / self._faults.repair_s)
                self.plan(node, trouble, begin_s, lasts_s, hole)

    def plan(
        self, node: Node, trouble: Trouble, begin_s: float, lasts_s: float | None = None, hole: Reason | None = None
    ) -> None:
        """Let a node break ``begin_s`` after the start and be mended ``lasts_s`` later, never if that is None.

        ``hole`` is how jobs fail in a black hole; None lets not even the runner start.
        """
        self._clock.at(begin_s - self._clock.elapsed_s, partial(self._break, node, trouble, lasts_s, hole))

    def _trouble(self, stream: random.Random) -> Trouble | None:
        draw = stream.random()
        faults = self._faults
        for trouble, share in (
            (Trouble.BLACK_HOLE, faults.black_holes),
            (Trouble.SCRATCH_FULL, faults.full_nodes),
            (Trouble.DEAD, faults.dying_nodes),
            (Trouble.CUT_OFF, faults.cut_off_nodes),
        ):
            if draw < share:
                return trouble
            draw -= share
        return None

    def _break(self, node: Node, trouble: Trouble, lasts_s: float | None, hole: Reason | None) -> None:
        node.trouble, node.reason = trouble, hole
        how = str(hole or "no-report") if trouble is Trouble.BLACK_HOLE else "-"
        self._trace.fault(Cause(trouble), node=node.host, how=how, lasts="for-ever" if lasts_s is None else lasts_s)
        if not node.seen:
            self._fall(node)
        if lasts_s is not None:
            self._clock.at(lasts_s, partial(self._mend, node))

    def _mend(self, node: Node) -> None:
        node.trouble = node.reason = None
        self._trace.note("mended", node=node.host)
        self._rise(node)
