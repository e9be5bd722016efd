"""The grid in a box, put together.

::

    grid = Grid(sites, seed=7)
    promised = grid.add_file("srm://srm.surf.example/L1/L1_SB000.tar", 16_000_000_000)
    engine = Engine(tracker, grid.backend, grid.storage, ..., clock=grid.clock.now)
    while engine.tick()...:
        grid.backend.wait(60)          # virtual seconds pass here and nowhere else

The sites are those of `model.Site`: a node a slot, a storage that holds what its prefixes and its scratch name, a
local network and a wide-area link. "" is the submit host: it holds every other URL and has no nodes. Everything
random comes from the seed. Attempt ids start with a tracker's own random id, which the trace leaves out.
"""

import random
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TextIO

from lofargrid.documents.sites import locator
from lofargrid.model import Site
from lofargrid.simulation.backend import SimulatedBackend
from lofargrid.simulation.breakdowns import Breakdowns
from lofargrid.simulation.clock import START, Clock
from lofargrid.simulation.faults import Cause, Faults, Flaw
from lofargrid.simulation.files import File, Files, checksum
from lofargrid.simulation.gate import Gate
from lofargrid.simulation.life import World
from lofargrid.simulation.measure import Measure
from lofargrid.simulation.network import Link, Network
from lofargrid.simulation.nodes import Node, nodes_of
from lofargrid.simulation.recall import SimulatedRecall
from lofargrid.simulation.storage import SimulatedStorage
from lofargrid.simulation.streams import Streams
from lofargrid.simulation.tape import Library, Tape
from lofargrid.simulation.tolls import Tolls
from lofargrid.simulation.trace import Trace
from lofargrid.simulation.weather import Weather
from lofargrid.simulation.work import Work

HEADROOM = 4.0
"""How much more a wide-area link can carry than we may use of it: who breaks a cap is seen to break it."""

LOCAL_MB_S = 10_000.0
LOCAL_STREAM_MB_S = 200.0
_SLOW = 0.05


class Grid:
    """Sites, nodes, network, storage, tape and batch systems behind the ports, under one clock and one seed.

    ``backend``, ``storage`` and ``recall`` are the ports. ``measure`` has every attempt that is over with its true
    cause, ``network.wide`` and ``network.local`` what each link carried in each 60 s, ``files.peak_bytes`` and
    ``files.levels`` what lay at each site, ``tapes`` what was recalled, ``trace`` what happened.

    Parameters
    ----------
    sites
        The sites by name.
    seed
        Everything random comes from it.
    faults
        What goes wrong, how often.
    work
        What steps take.
    libraries
        The tape library of each site that has one; there files can be placed on tape.
    home
        The submit host as a site: its link.
    slots_per_node
        How many jobs a node runs at once.
    speed_spread
        How much the nodes' speeds differ, see `nodes_of`.
    headroom
        How much more a wide-area link can carry than we may use of it.
    start
        When it begins, aware UTC.
    keep_trace, stream
        See `Trace`.
    """

    def __init__(
        self,
        sites: Mapping[str, Site],
        seed: int = 0,
        faults: Faults | None = None,
        work: Work | None = None,
        libraries: Mapping[str, Library] | None = None,
        home: Site | None = None,
        slots_per_node: int = 1,
        speed_spread: float = 0.0,
        headroom: float = HEADROOM,
        start: datetime = START,
        keep_trace: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self.sites = dict(sites)
        self.faults = faults or Faults.none()
        self.clock = Clock(start)
        self.streams = Streams(seed)
        self.trace = Trace(lambda: self.clock.elapsed_s, keep_trace, stream)
        everywhere = {"": home or Site(""), **self.sites}
        self.weather = Weather(self.clock, self.faults, list(everywhere), self.streams, self.trace)
        self.files = Files(self.clock, locator(self.sites))
        self.network = _network(self.clock, everywhere, headroom)
        self.nodes = {
            site.name: list(nodes_of(site, slots_per_node, speed_spread, self.streams))
            for site in self.sites.values()
            if site.slots
        }
        self.tapes = {
            name: Tape(name, library, self.clock, self.faults, self.trace, self.streams.stream(f"tape:{name}"))
            for name, library in (libraries or {}).items()
        }
        tolls = Tolls(work or Work(), self.faults, self.streams, self.trace)
        world = World(self.clock, self.files, self.weather, tolls, self.faults, self.streams, self.trace)
        self.measure = Measure()
        self.backend = SimulatedBackend(world, self.network, self.nodes, self._gate("backend"), self.measure)
        self.storage = SimulatedStorage(self.files, self.network, self.weather, self._gate("storage"), self.trace)
        self.recall = SimulatedRecall(
            self.files, self.tapes, self.weather, self._gate("recall"), self.faults, self.trace,
            self.streams.stream("recall"),
        )  # fmt: skip
        self.breakdowns = Breakdowns(self.clock, self.trace, self.faults, self.backend.fall, self.backend.rise)
        for site_nodes in self.nodes.values():
            self.breakdowns.draw(site_nodes, self.streams)
        self._slow_down(everywhere)

    def add_file(self, url: str, size_bytes: int, on_tape: bool = False, flaw: Flaw | None = None) -> str:
        """Place a file, as an archive has it.

        Parameters
        ----------
        url
            Its name.
        size_bytes
            Its size as it should be.
        on_tape
            Put it on tape only, if its site has a library.
        flaw
            What is wrong with it; None draws it, at the rate of bad files.

        Returns
        -------
        adler32
            The checksum that a list would promise.
        """
        flaw = flaw or self._draw_flaw(url)
        promised = checksum(url)
        if flaw:
            self.files.flaws[url] = flaw
            self.trace.fault(Cause.BAD_FILE, url=url, flaw=flaw)
        if flaw is not Flaw.MISSING:
            file = self._place(url, size_bytes, promised, flaw)
            if on_tape and file.site in self.tapes:
                self.tapes[file.site].store(file)
        return promised

    def node(self, host: str) -> Node:
        """The node of a host name."""
        return next(node for nodes in self.nodes.values() for node in nodes if node.host == host)

    def _place(self, url: str, size_bytes: int, promised: str, flaw: Flaw | None) -> File:
        if flaw is Flaw.CORRUPT:
            return self.files.put(url, size_bytes, checksum(f"corrupt {url}"), f"corrupt {url}", placed=True)
        if flaw is Flaw.TRUNCATED:
            return self.files.put(url, size_bytes // 3, checksum(f"cut {url}"), f"cut {url}", placed=True)
        return self.files.put(url, size_bytes, promised, url, placed=True)

    def _draw_flaw(self, url: str) -> Flaw | None:
        if not self.faults.bad_files:
            return None
        stream = self.streams.stream(f"file:{url}")
        return stream.choice(list(Flaw)) if stream.random() < self.faults.bad_files else None

    def _gate(self, service: str) -> Gate:
        stream: random.Random = self.streams.stream(f"gate:{service}")
        return Gate(service, self.clock, self.weather, self.trace, self.faults, stream)

    def _slow_down(self, everywhere: Mapping[str, Site]) -> None:
        for site in everywhere:
            for begin_s, end_s in self.weather.windows_of(Cause.STORAGE_SLOW, site):
                self.clock.at(begin_s, partial(self.network.set_pace, site, _SLOW))
                self.clock.at(end_s, partial(self.network.set_pace, site, 1.0))


def _network(clock: Clock, sites: Mapping[str, Site], headroom: float) -> Network:
    local = {name: Link(f"{name} local", LOCAL_MB_S, LOCAL_STREAM_MB_S) for name in sites}
    wide = {name: Link(name, site.bandwidth_mb_s * headroom, site.stream_mb_s) for name, site in sites.items()}
    return Network(clock, local, wide)
