"""One cause each is put into the real engine; ``why`` must tell it on the first line.

The words that the line must hold were written down with the cause, not copied from what is printed.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

from lofargrid.diagnosis.diagnosis import diagnose
from lofargrid.diagnosis.finding import Diagnosis
from lofargrid.errors import Fault, InputError
from lofargrid.model import Site
from lofargrid.names import file_url
from lofargrid.productions import entering
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.simulation.faults import Cause, Faults, Flaw
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.nodes import Node, Trouble
from lofargrid.simulation.tape import Library
from lofargrid.simulation.weather import EVERYWHERE
from lofargrid.simulation.work import StepCost, Work
from lofargrid.states import FINAL, JobState, Reason
from lofargrid.ticking import hold_tick
from lofargrid.tracker import Tracker
from tests.unit.engine_factories import CALIBRATE, FIRST, GROUP, IMAGE_JOB, START, World, name, recipe, subband

ENOUGH = 0.95
"""The part of the causes that must be told; 38 of 40."""

SECOND = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
THIRD = FIRST | {"inputs": {"ms": {"from": "second.ms", "path": "in.MS"}}}
CHAIN = {"first": FIRST, "second": SECOND, "third": THIRD}
MERGE = FIRST | {"split": "all", "inputs": {"ms": {"from": "first.ms", "path": "{key}"}}}
MERGED = {"first": FIRST, "merge": MERGE}
MERGE_JOB = "L1-SAP000-merge"
BAND_JOB = "L1-SAP000-G0025-band"
ALONE = {"first": FIRST}
DAY_S = 86400.0
GB = 10**9


@dataclass(frozen=True)
class Asked:
    """What to ask ``why`` about, and what it must say beside the words of the cause, where that is given."""

    tracker: Tracker
    job: str
    now: str
    sites: Mapping[str, Site] = field(default_factory=dict)
    ticking: bool | None = True
    since: str = ""
    root: str = ""
    remedy: str = ""

    def answer(self) -> Diagnosis:
        job = self.tracker.find_jobs(self.job)[0]
        return diagnose(self.tracker, job, self.sites, self.now, self.ticking)


@dataclass(frozen=True)
class Scenario:
    """A cause, the words that the first line must hold, and how it comes about."""

    title: str
    words: tuple[str, ...]
    inject: Callable[[Path], Asked]


SCENARIOS: list[Scenario] = []


def cause(title: str, *words: str) -> Callable[[Callable[[Path], Asked]], Callable[[Path], Asked]]:
    def register(inject: Callable[[Path], Asked]) -> Callable[[Path], Asked]:
        SCENARIOS.append(Scenario(title, words, inject))
        return inject

    return register


# A world whose jobs do what the test says


def ask(world: World, job: str, **given: Any) -> Asked:
    return Asked(world.tracker, job, world.now, **{"sites": world.sites} | given)


def started(folder: Path, given: Recipe | None = None, **changes: Any) -> World:
    """A production that was entered and ticked once."""
    world = World(folder, **changes)
    world.enter(given or recipe([100], ALONE))
    world.tick()
    return world


def after(world: World, reason: Reason, number: int = 100, node: str = "wn1", detail: str = "it broke") -> World:
    """An attempt runs for 10 s on a node and fails."""
    world.backend.run(name(number), node)
    world.tick(later_s=10)
    world.backend.fail(name(number), reason, detail)
    world.tick()
    return world


def guarded(**slots: int) -> dict[str, Site]:
    return {site: Site(site, slots=count) for site, count in slots.items()}


def resources(**asked: int) -> dict[str, Any]:
    return {"first": FIRST | {"resources": asked}}


def at(minutes: float) -> str:
    """A time after the start, as a reader sees it."""
    return f"{timedelta(minutes=minutes) + START:%Y-%m-%d %H:%M:%S}"


def stamp(minutes: float) -> str:
    """A time after the start, as the tracker writes it."""
    return (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")


@cause("its production is paused", "field is paused", f"since {at(10)}")
def paused(folder: Path) -> Asked:
    world = narrow(folder, slots_of(1))
    world.time += timedelta(minutes=10)
    world.tracker.pause(world.production.id, True, world.now)
    world.tick(later_s=600)
    return ask(world, name(101), since=stamp(10), remedy="resume field")


def slots_of(count: int) -> Recipe:
    """As many subbands more than one site of ``count`` slots takes."""
    return recipe(range(100, 101 + count), ALONE)


def narrow(folder: Path, given: Recipe, **changes: Any) -> World:
    """A site with one slot."""
    return started(folder, given, sites={"nowhere": Site("nowhere", slots=1, guarded=False)}, **changes)


@cause("a need of it runs", f"waits for {name(100)} (running)", "wn7")
def need_runs(folder: Path) -> Asked:
    world = started(folder, recipe([100], CHAIN))
    world.backend.run(name(100), "wn7")
    world.tick(later_s=60)
    return ask(world, name(100, "second"), since=stamp(1), root=name(100))


@cause("one of many needs still runs", f"{name(101)} (running)", "wn7")
def one_need_runs(folder: Path) -> Asked:
    world = started(folder, recipe([100, 101, 102], MERGED))
    world.backend.succeed(name(100))
    world.backend.succeed(name(102))
    world.backend.run(name(101), "wn7")
    world.tick(later_s=60)
    return ask(world, MERGE_JOB, root=name(101))


@cause("a need two steps below waits to be tried again", name(100), "tried again", "storage-unavailable")
def deep_need_is_tried_again(folder: Path) -> Asked:
    world = after(started(folder, recipe([100], CHAIN)), Reason.STORAGE_UNAVAILABLE, detail="Connection timed out")
    return ask(world, name(100, "third"), root=name(100), since=world.now)


@cause("among needs that run, one waits to be tried again", f"{name(101)}", "tried again", "scratch-full")
def one_need_of_many_is_tried_again(folder: Path) -> Asked:
    world = started(folder, recipe(range(100, 106), MERGED))
    for number in (100, 102, 103, 104, 105):
        world.backend.run(name(number))
    after(world, Reason.SCRATCH_FULL, 101)
    return ask(world, MERGE_JOB, root=name(101))


@cause("a need is queued at a site", name(100), "submitted to nowhere")
def need_is_queued(folder: Path) -> Asked:
    return ask(started(folder, recipe([100], CHAIN)), name(100, "second"), root=name(100), since=stamp(0))


def of_bands(folder: Path) -> World:
    """Two subbands, a band of both, an image; the first subband has told its frequency."""
    world = started(folder, recipe([100, 101]))
    world.backend.succeed(name(100))
    return world


@cause("groups are not made yet, as a subband's job runs", "frequencies", "1 subband", name(101), "wn7")
def silent_subband_runs(folder: Path) -> Asked:
    world = of_bands(folder)
    world.backend.run(name(101), "wn7")
    world.tick(later_s=60)
    return ask(world, IMAGE_JOB, root=name(101), since=stamp(1))


@cause("groups are not made yet, as a subband is tried again", "frequencies", name(101), "tried again", "evicted")
def silent_subband_is_tried_again(folder: Path) -> Asked:
    world = after(of_bands(folder), Reason.EVICTED, 101)
    return ask(world, IMAGE_JOB, root=name(101))


# It is tried again


@cause("its node died", "tried again", "another node", "lost", "vanished", "1 of at most 10")
def lost(folder: Path) -> Asked:
    world = started(folder)
    world.backend.run(name(100), "wn7")
    world.backend.lose(name(100))
    world.tick(later_s=60)
    return ask(world, name(100), since=stamp(1), remedy="tried again by itself")


@cause("it needs more memory", "tried again", "MB of memory", "out-of-memory")
def grows_memory(folder: Path) -> Asked:
    world = started(folder, recipe([100], resources(memory_mb=2000)))
    return ask(after(world, Reason.OUT_OF_MEMORY), name(100), since=world.now)


@cause("it needs more time", "tried again", "min of walltime", "out-of-time")
def grows_walltime(folder: Path) -> Asked:
    world = started(folder, recipe([100], resources(walltime_min=30)))
    return ask(after(world, Reason.OUT_OF_TIME), name(100))


@cause("the proxy has expired", "credential-expired", "the proxy or the token has expired", f"at {at(1)}", "in 1 min")
def proxy_expired(folder: Path) -> Asked:
    world = started(folder)
    world.backend.fail(name(100), Reason.CREDENTIAL_EXPIRED)
    world.tick()
    return ask(world, name(100), since=stamp(0), remedy="make a new proxy")


@cause("the batch system holds it", "held", "no disk", "on another site")
def held(folder: Path) -> Asked:
    world = started(folder, sites=guarded(T1=5, T2=5))
    world.backend.hold(name(100))
    world.tick()
    return ask(world, name(100))


@cause("no node took it", "not-started", "no node of nowhere took it within 24 h")
def not_started(folder: Path) -> Asked:
    world = started(folder, sites={"nowhere": Site("nowhere", slots=5)})
    world.tick(later_s=DAY_S + 1)
    return ask(world, name(100))


# It could run


@cause("all slots are taken", "waits for a free slot", "all slots are taken, 1 of 1", f"since {at(0)}")
def slots_taken(folder: Path) -> Asked:
    world = narrow(folder, slots_of(1))
    world.time += timedelta(minutes=90)
    return ask(world, name(101), since=stamp(0))


@cause("others of its production go first", "1 job", "go")
def line(folder: Path) -> Asked:
    world = narrow(folder, slots_of(2))
    return ask(world, name(102))


@cause("far down a line that is not looked at yet", "free slot", "all slots are taken, 1 of 1", "38 jobs")
def long_line(folder: Path) -> Asked:
    world = narrow(folder, slots_of(39))
    return ask(world, name(139))


@cause("a production of higher priority goes first", "urgent", "priority is 5")
def outranked(folder: Path) -> Asked:
    world = narrow(folder, recipe([100], ALONE))
    world.enter(recipe([200, 201, 202], ALONE, production="urgent"))
    urgent = world.tracker.production("urgent")
    assert urgent
    world.tracker.set_priority(urgent.id, 5, world.now)
    world.enter(recipe([300], ALONE, production="late"))
    world.tick()
    return ask(world, name(300))


@cause("its production may run no more at once", "max_running", "1 of 1")
def bounded(folder: Path) -> Asked:
    world = World(folder)
    world.enter(slots_of(1))
    world.tracker.set_max_running(world.production.id, 1, world.now)
    world.tick()
    return ask(world, name(101), since=stamp(0), remedy="max-running field")


@cause("no site grants so much memory", "no site can run it", "64000 MB of memory", "16000 at most")
def too_much_memory(folder: Path) -> Asked:
    world = started(
        folder, recipe([100], resources(memory_mb=64000)), sites={"T1": Site("T1", slots=5, memory_mb=16000)}
    )
    return ask(world, name(100), since=stamp(0), remedy="--replan")


@cause("no site grants so much time", "no site can run it", "3000 min of walltime", "2880 at most")
def too_much_time(folder: Path) -> Asked:
    sites = {"T1": Site("T1", slots=5, walltime_min=2880)}
    return ask(started(folder, recipe([100], resources(walltime_min=3000)), sites=sites), name(100))


@cause("the site it names is storage alone", "no site can run it", "T1: storage without compute", "T2", "does not name")
def storage_alone(folder: Path) -> Asked:
    sites = {"T1": Site("T1", prefixes=("file:///raw",)), "T2": Site("T2", slots=5)}
    return ask(started(folder, recipe([100], ALONE, sites=["T1"]), sites=sites), name(100))


@cause("the link from its data is full", "link", "T2", "as many copies")
def link_full(folder: Path) -> Asked:
    sites = {"T1": Site("T1", prefixes=("file:///raw",), transfers=1), "T2": Site("T2", slots=5)}
    return ask(started(folder, recipe([100, 101], ALONE), sites=sites), name(101))


@cause(
    "it waits where its data lies, though another site is free", "T1: all slots are taken, 1 of 1", "T2: free", "copy"
)
def better_off_at_home(folder: Path) -> Asked:
    sites = {"T1": Site("T1", slots=1, prefixes=("file:///raw",)), "T2": Site("T2", slots=5)}
    large = [subband(number, size_bytes=1000 * GB) for number in (100, 101)]
    first = FIRST | {"resources": {"scratch_factor": 0}}
    world = started(folder, recipe(large, {"first": first}), sites=sites)
    return ask(world, name(101))


def site_that_loses(folder: Path, slots: int = 10, **sites: Site) -> World:
    """Ten jobs in a row are lost on ten nodes of T1."""
    listed = [subband(number, url=f"file:///t1/SB{number}.MS") for number in range(100, 111)]
    world = started(folder, recipe(listed, ALONE, sites=["T1"]), sites={"T1": Site("T1", slots=slots)} | sites)
    for number in range(100, 110):
        world.backend.run(name(number), f"wn{number}")
    world.tick(later_s=60)
    for number in range(100, 110):
        world.backend.lose(name(number))
    world.tick(later_s=60)
    return world


@cause("its only site is quarantined", "T1", f"quarantined since {at(2)}", f"until {at(17)}", "lost")
def quarantined(folder: Path) -> Asked:
    return ask(site_that_loses(folder), name(110), since=stamp(2), remedy="sites T1")


@cause("the site its production names is quarantined, while others are free", "T1", "quarantined", "lost")
def quarantined_though_others_are_free(folder: Path) -> Asked:
    return ask(site_that_loses(folder, T2=Site("T2", slots=10)), name(110), since=stamp(2))


@cause("its site is on probation", "T1", "probation", "3 jobs at a time")
def probation(folder: Path) -> Asked:
    world = site_that_loses(folder)
    world.tick(ticks=3, later_s=1000)
    queued = [spec.job for spec in world.backend.waiting()]
    waiting = [job for job, state in world.states().items() if state is JobState.READY and job not in queued]
    return ask(world, waiting[-1])


@cause("all sites are quarantined", "all sites that could run it are quarantined", "T1", "T2", "lost")
def all_quarantined(folder: Path) -> Asked:
    world = started(folder, recipe(range(100, 124), ALONE), sites=guarded(T1=10, T2=10))
    for _ in range(2):
        for number, spec in enumerate(world.backend.waiting()):
            world.backend.run(spec.job, f"wn{number}")
        world.tick(later_s=60)
        for spec in world.backend.waiting():
            world.backend.lose(spec.job)
        world.tick(later_s=60)
    return ask(world, name(123))


def one_bad_node(folder: Path) -> World:
    """The one node of T1 that anything is known of is quarantined."""
    world = started(folder, slots_of(5), sites=guarded(T1=5))
    for number in range(100, 105):
        world.backend.run(name(number), "wn1")
    world.tick(later_s=60)
    for number in range(100, 105):
        world.backend.lose(name(number))
    world.tick(later_s=60)
    world.tick(later_s=60)
    return world


@cause("no good node is known at its site", "T1", "all nodes that are known", "quarantined", "3 jobs at a time")
def no_good_node(folder: Path) -> Asked:
    world = one_bad_node(folder)
    return ask(world, next(job for job, state in world.states().items() if state is JobState.READY))


@cause("nodes of the site where it is queued are quarantined", "submitted to T1", "quarantined there: wn1")
def queued_beside_bad_nodes(folder: Path) -> Asked:
    world = one_bad_node(folder)
    return ask(world, world.backend.waiting()[-1].job)


@cause("other jobs of its production that can run nowhere are before it", "could run", name(100), "no site can run it")
def crowded_out(folder: Path) -> Asked:
    hungry = FIRST | {"resources": {"memory_mb": 64000}}
    listed = [*map(subband, range(100, 104)), subband(200, role="calibrator", observation="L2")]
    given = recipe(listed, {"calibrate": CALIBRATE, "first": hungry}, ("calibrator", "target"))
    world = started(folder, given, sites={"T1": Site("T1", slots=1, memory_mb=16000)})
    world.tick(ticks=3)
    return ask(world, "L2-SAP000-SB200-calibrate", root=name(100))


# It was handed over


@cause("it is queued at its site", "submitted to nowhere", f"since {at(0)}", "waits there for a node")
def queued(folder: Path) -> Asked:
    world = started(folder, sites=guarded(nowhere=5))
    world.tick(later_s=300)
    return ask(world, name(100), since=stamp(0))


@cause("it is queued where nodes are not told apart", "submitted to nowhere", "waits there for a free slot")
def queued_here(folder: Path) -> Asked:
    return ask(started(folder), name(100), since=stamp(0), remedy="those before it")


@cause("it is queued longer than usual", "submitted to nowhere", "long", "usually 1 min")
def queued_long(folder: Path) -> Asked:
    world = started(folder, recipe([100, 101], ALONE))
    world.backend.run(name(100))
    world.tick(later_s=60)
    world.backend.succeed(name(100))
    world.tick(later_s=5 * 3600)
    return ask(world, name(101), since=stamp(0))


@cause("it keeps away from the only node", "submitted to T1", "keeps away from wn1")
def avoids_its_node(folder: Path) -> Asked:
    world = after(started(folder, sites=guarded(T1=1)), Reason.PAYLOAD_FAILED)
    world.tick(ticks=2, later_s=60)
    return ask(world, name(100), remedy="after 2 h")


@cause("the backend did not take it", "submitted to nowhere", "does not answer", f"since {at(1)}")
def not_handed_over(folder: Path) -> Asked:
    world = World(folder)
    world.tick()
    world.backend.down = True
    world.enter(recipe([100], ALONE))
    world.tick(later_s=60)
    world.tick(ticks=3, later_s=600)
    return ask(world, name(100), since=stamp(1))


@cause("the submit host's disk is full", "submitted to nowhere", "No space left on device", f"since {at(1)}")
def submit_host_full(folder: Path) -> Asked:
    def full(given: Recipe) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world = World(folder, sandbox=full)
    world.tick()
    world.enter(recipe([100], ALONE))
    world.tick(later_s=60)
    world.tick(later_s=60)
    return ask(world, name(100), since=stamp(1))


@cause("it waits behind what the submit host cannot write", "cannot be handed over", "No space left on device")
def behind_a_full_disk(folder: Path) -> Asked:
    def full(given: Recipe) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return ask(narrow(folder, slots_of(1), sandbox=full), name(101))


@cause("its site was quarantined while it is queued there", "submitted to T1", f"quarantined since {at(2)}", "lost")
def site_quarantined_while_queued(folder: Path) -> Asked:
    return ask(site_that_loses(folder, slots=11), name(110), since=stamp(0))


@cause("it runs", "running on wn7", f"since {at(1)}")
def runs(folder: Path) -> Asked:
    world = started(folder)
    world.backend.run(name(100), "wn7")
    world.tick(later_s=60)
    world.tick(later_s=60)
    return ask(world, name(100), since=stamp(1), remedy="logs")


@cause("it runs as long as others did", "running on wn7", "such jobs take 10 min")
def runs_as_usual(folder: Path) -> Asked:
    world = started(folder, recipe([100, 101], ALONE))
    world.backend.run(name(100))
    world.backend.run(name(101), "wn7")
    world.tick()
    world.backend.succeed(name(100))
    world.tick(later_s=600)
    return ask(world, name(101))


@cause("it runs over twice as long as others", "running on wn7", "over twice as long", "1 min")
def runs_long(folder: Path) -> Asked:
    world = started(folder, recipe([100, 101], ALONE))
    world.backend.run(name(100))
    world.backend.run(name(101), "wn7")
    world.tick(later_s=60)
    world.backend.succeed(name(100))
    world.tick(later_s=60)
    world.tick(later_s=600)
    return ask(world, name(101), since=stamp(1))


@cause("it runs, and its backend does not answer", "running on wn7", "not known", "does not answer", f"since {at(10)}")
def runs_unseen(folder: Path) -> Asked:
    world = started(folder)
    world.backend.run(name(100), "wn7")
    world.tick(later_s=60)
    world.backend.down = True
    world.tick(later_s=540)
    world.tick(later_s=60)
    return ask(world, name(100))


@cause("its node is quarantined while it runs", "running on wn1", "its node is quarantined", "lost")
def node_quarantined(folder: Path) -> Asked:
    world = started(folder, recipe([100, 101, 102], ALONE), sites=guarded(T1=5))
    for number in (100, 101, 102):
        world.backend.run(name(number), "wn1")
    world.tick(later_s=60)
    for number in (101, 102):
        world.backend.lose(name(number))
    world.tick(later_s=60)
    return ask(world, name(100))


@cause("no process moves jobs", "no `run` is going")
def nobody_ticks(folder: Path) -> Asked:
    world = World(folder)
    world.enter(recipe([100], ALONE))
    with hold_tick(world.tracker.path) as nobody_had_it:
        return ask(world, name(100), ticking=not nobody_had_it, since=stamp(0), remedy="run")


# It has failed


@cause("its payload failed whenever it was tried", "payload-failed", "exit code 3", "all 2 tries are used")
def tries_used(folder: Path) -> Asked:
    world = after(started(folder), Reason.PAYLOAD_FAILED, detail="exit code 3")
    world.tick()
    after(world, Reason.PAYLOAD_FAILED, detail="exit code 3")
    return ask(world, name(100), since=world.now, remedy="logs")


@cause("its payload fails alike on healthy nodes", "payload-crashed", "Illegal instruction", "2 healthy nodes")
def alike_on_nodes(folder: Path) -> Asked:
    often = {"first": FIRST | {"retry": {"tries": 5}}}
    world = after(started(folder, recipe([100], often)), Reason.PAYLOAD_CRASHED, detail="Illegal instruction")
    world.tick()
    after(world, Reason.PAYLOAD_CRASHED, node="wn2", detail="Illegal instruction")
    return ask(world, name(100))


@cause("no site grants the memory that it needs", "out-of-memory", "no site grants more", "3000 MB")
def grown_to_the_limit(folder: Path) -> Asked:
    sites = {"T1": Site("T1", slots=5, memory_mb=3000)}
    world = started(folder, recipe([100], resources(memory_mb=2000)), sites=sites)
    for _ in range(2):
        after(world, Reason.OUT_OF_MEMORY)
        world.tick(ticks=2, later_s=60)
    return ask(world, name(100), remedy="grants more memory")


@cause("it has grown as often as it may", "out-of-memory", "3 times", "6000 MB")
def grown_often(folder: Path) -> Asked:
    sites = {"T1": Site("T1", slots=5, memory_mb=6000)}
    world = started(folder, recipe([100], resources(memory_mb=2000)), sites=sites)
    for _ in range(3):
        after(world, Reason.OUT_OF_MEMORY)
        world.tick(ticks=2, later_s=60)
    return ask(world, name(100), remedy="memory_mb")


@cause("a group too large was made in parts", "superseded", "smaller parts", f"{GROUP.replace('-band', 'p0-band')}",
       "out-of-memory")  # fmt: skip
def split_finer(folder: Path) -> Asked:
    world = of_bands(folder)
    world.backend.succeed(name(101))
    world.tick(ticks=3)
    attempt = world.job(GROUP).attempt
    assert attempt
    while world.tracker.job(world.production.id, GROUP):
        world.backend.run(GROUP)
        world.tick(later_s=60)
        world.backend.fail(GROUP, Reason.OUT_OF_MEMORY)
        world.tick(ticks=3)
    return ask(world, attempt)


@cause("it could not be handed over", "submit-failed", "the script is gone")
def not_submittable(folder: Path) -> Asked:
    def gone(given: Recipe) -> str:
        raise InputError(Fault("the script is gone"))

    return ask(started(folder, sandbox=gone), name(100))


@cause("a job that it needs failed", name(100), "input-truncated", "ends early")
def need_failed(folder: Path) -> Asked:
    world = after(started(folder, recipe([100], CHAIN)), Reason.INPUT_TRUNCATED, detail="after 7 bytes")
    world.tick(ticks=3)
    return ask(world, name(100, "third"), root=name(100), remedy="copy it again")


@cause("most of what it merges failed for one reason", "input-missing", "3 more", "1 of 6 subbands")
def most_failed_alike(folder: Path) -> Asked:
    world = started(folder, recipe(range(100, 106), MERGED, minimum_subbands=0.9))
    world.backend.fail(name(100), Reason.INPUT_UNSAFE, "../etc")
    for number in range(101, 105):
        world.backend.fail(name(number), Reason.INPUT_MISSING, "No such file")
    world.backend.succeed(name(105))
    world.tick(ticks=3)
    return ask(world, MERGE_JOB, root=name(101))


@cause("the operator cancelled it", "cancelled", "operator")
def cancelled(folder: Path) -> Asked:
    world = started(folder)
    world.time += timedelta(minutes=3)
    world.cancel(name(100))
    return ask(world, name(100), since=stamp(3), remedy="retry")


@cause("the operator cancelled what it needs", name(100), "operator cancelled")
def need_cancelled(folder: Path) -> Asked:
    world = started(folder, recipe([100], CHAIN))
    world.cancel(name(100))
    world.tick(ticks=3)
    return ask(world, name(100, "second"), root=name(100))


@cause("a gap, and the policy allows none", "gap", "policy is gaps: fail", "ABN 101")
def gap(folder: Path) -> Asked:
    world = started(folder, recipe([100, 102, 103], gaps="fail", parameters={"group_size": 4}))
    for number in (100, 102, 103):
        world.backend.succeed(name(number))
    world.tick(ticks=3)
    return ask(world, "L1-SAP000-G0025-band")


@cause("two subbands have one frequency", "frequency-clash", "same frequency")
def frequency_clash(folder: Path) -> Asked:
    world = of_bands(folder)
    measured = {"centre_frequency_hz": 100 * 195312.5, "clock_mhz": 200}
    world.backend.succeed(name(101), measured=measured)
    world.tick(ticks=3)
    clashing = [job for job in world.tracker.jobs(world.production.id) if job.reason is Reason.FREQUENCY_CLASH]
    return ask(world, clashing[0].name)


# It has succeeded


def without_101(folder: Path) -> World:
    """A band that went without the subband in its middle, whose file was not there."""
    world = started(folder, recipe([100, 101, 102], parameters={"group_size": 4}))
    world.backend.fail(name(101), Reason.INPUT_MISSING, "No such file")
    world.tick()
    world.finish()
    return world


@cause("it succeeded without a subband", "succeeded", "without L1-SAP000-SB101", "input-missing", "No such file")
def lacks(folder: Path) -> Asked:
    return ask(without_101(folder), BAND_JOB, root=name(101), remedy="bring it back")


@cause("its product lacks what a merge below lacked", "without L1-SAP000-SB101", name(101), "input-missing")
def lacks_below(folder: Path) -> Asked:
    return ask(without_101(folder), IMAGE_JOB, root=name(101))


@cause("it lacks a subband that failed and is in no group", "without L1-SAP000-SB101", name(101), "input-missing")
def lacks_what_has_no_group(folder: Path) -> Asked:
    world = of_bands(folder)
    world.backend.fail(name(101), Reason.INPUT_MISSING, "No such file")
    world.tick()
    world.finish()
    return ask(world, IMAGE_JOB, root=name(101))


@cause("it lacks a subband whose frequency is not known", "without L1-SAP000-SB101", "frequency", "not known")
def lacks_what_has_no_frequency(folder: Path) -> Asked:
    world = of_bands(folder)
    world.backend.succeed(name(101), measured={})
    world.tick()
    world.finish()
    return ask(world, IMAGE_JOB, remedy="frequency_mhz=")


@cause("it lacks a subband that could not be read from the start", "without L1-SAP000-SB101", "it is no tar")
def lacks_what_was_never_usable(folder: Path) -> Asked:
    unusable = subband(101, reason=Reason.INPUT_WRONG_KIND, problem="it is no tar")
    merge = MERGE | {"inputs": {"raw": {"from": "target", "path": "{key}"}}}
    world = started(folder, recipe([100, unusable, 102], {"merge": merge}))
    world.finish()
    return ask(world, MERGE_JOB)


@cause("more has come since it was made", "stale", "more has come")
def stale(folder: Path) -> Asked:
    world = without_101(folder)
    world.retry(name(101))
    world.finish()
    return ask(world, BAND_JOB, remedy="retry field")


@cause("its product cannot be stored", "product cannot be stored", "taken", f"since {at(5)}")
def unpublished(folder: Path) -> Asked:
    one = {"first": FIRST | {"outputs": {"ms": {"path": "first.MS", "suffix": ".MS", "product": True}}}}
    (folder / "taken").write_text("a file stands where the folder is to be")
    world = World(folder)
    world.scratch = lambda given, site=None: file_url(str(folder / "scratch"))  # type: ignore[method-assign]
    world.engine = world.new_engine(world.tracker)
    world.enter(recipe([100], one, output=file_url(str(folder / "taken"))))
    world.tick()
    world.backend.succeed(name(100))
    world.tick(later_s=300)
    world.tick(later_s=300)
    return ask(world, name(100), since=stamp(5))


@cause("a later generation took its place", "superseded", "made anew", name(100))
def superseded(folder: Path) -> Asked:
    world = started(folder)
    attempt = world.job(name(100)).attempt
    assert attempt
    world.time += timedelta(minutes=4)
    world.enter(recipe([100], ALONE, parameters={"strength": 2}), again=True)
    return ask(world, attempt, since=stamp(4))


@cause("the plan holds it no more", "superseded", "no such job")
def dropped(folder: Path) -> Asked:
    world = started(folder, recipe([100, 101], ALONE))
    attempt = world.job(name(101)).attempt
    assert attempt
    world.enter(recipe([100], ALONE), again=True)
    return ask(world, attempt)


@cause("its files come from tape", "recalled from tape", f"since {at(0)}")
def recalling(folder: Path) -> Asked:
    world = World(folder)
    world.enter(recipe([100], ALONE))
    world.move(name(100), JobState.RECALLING)  # by hand: nothing recalls yet
    return ask(world, name(100), since=stamp(0))


# A simulated grid that breaks by itself

HOME = Site("HOME", 1, slots=6, memory_mb=16000, walltime_min=1440, prefixes=("srm://home.example/data",),
            scratch="davs://home.example/scratch")  # fmt: skip
WORK = Work(other=StepCost(seconds=600, seconds_per_gb=0, memory_mb=1000, memory_mb_per_gb=0, spread=0))


class Box:
    """A production over subbands at HOME, on a simulated grid with what the test plans to go wrong."""

    def __init__(
        self, folder: Path, numbers: Sequence[int] = (100,), steps: Mapping[str, Any] | None = None,
        flaw: Flaw | None = None, faults: Faults | None = None, on_tape: bool = False, **site: Any,
    ) -> None:  # fmt: skip
        libraries = {"HOME": Library()} if on_tape else {}
        sites = {"HOME": replace(HOME, **site)}
        self.grid = Grid(sites, seed=3, faults=faults, work=WORK, libraries=libraries)
        listed = [subband(number, url=f"srm://home.example/data/SB{number}.tar", size_bytes=GB) for number in numbers]
        for one in listed:
            flawed = flaw if one.number == 100 else None
            adler32 = self.grid.add_file(one.url, GB, on_tape=on_tape, flaw=flawed)
            listed[one.number - numbers[0]] = replace(one, adler32=adler32)
        self.rehearsal = Rehearsal(self.grid, folder / "tracker.db")
        given = recipe(listed, steps or ALONE, output="davs://archive.example/products")
        entering.enter(self.rehearsal.tracker, given, self.rehearsal.now)

    @property
    def nodes(self) -> list[Node]:
        return self.grid.nodes["HOME"]

    def until(self, job: str, *states: JobState, most_s: float = 5 * DAY_S) -> Box:
        """Tick until a job has come to one of some states."""
        tracker = self.rehearsal.tracker
        while self.grid.clock.elapsed_s < most_s:
            self.rehearsal.tick()
            found = tracker.find_jobs(job)
            if found and found[0].state in states:
                return self
            self.grid.backend.wait(20.0)
        raise AssertionError(f"{job} does not come to {states}: {found}")

    def until_it_fails_once(self, job: str) -> Box:
        """Tick until a job waits to be tried again."""
        tracker = self.rehearsal.tracker
        while not tracker.attempts(tracker.find_jobs(job)[0].id):
            self.rehearsal.tick()
        return self.until(job, JobState.WAITING)

    def later(self, seconds: float) -> Box:
        self.grid.clock.advance(self.grid.clock.elapsed_s + seconds)
        self.rehearsal.tick()
        return self

    def ask(self, job: str, **given: Any) -> Asked:
        return Asked(self.rehearsal.tracker, job, self.rehearsal.now, **{"sites": self.grid.sites} | given)


@cause("an input is missing", "input-missing", "No such file")
def missing(folder: Path) -> Asked:
    return Box(folder, flaw=Flaw.MISSING).until(name(100), *FINAL).ask(name(100), remedy="bring it back")


@cause("an input is corrupt", "input-corrupt", "adler32", "expected")
def corrupt(folder: Path) -> Asked:
    return Box(folder, flaw=Flaw.CORRUPT).until(name(100), *FINAL).ask(name(100), remedy="copy it again")


@cause("an input ends early", "input-corrupt", "bytes expected")
def truncated(folder: Path) -> Asked:
    return Box(folder, flaw=Flaw.TRUNCATED).until(name(100), *FINAL).ask(name(100))


@cause("the payload chokes on its data", "payload-failed", "2")
def choking(folder: Path) -> Asked:
    return Box(folder, flaw=Flaw.CHOKING).until(name(100), *FINAL).ask(name(100))


@cause("a merge lacks a subband whose file is missing", name(100), "input-missing")
def merge_of_missing(folder: Path) -> Asked:
    box = Box(folder, (100, 101), MERGED, Flaw.MISSING)
    return box.until(MERGE_JOB, *FINAL).ask(MERGE_JOB, root=name(100))


@cause("its inputs are on tape", "input-nearline", "on tape only", "tried again")
def on_tape(folder: Path) -> Asked:
    return Box(folder, on_tape=True).until_it_fails_once(name(100)).ask(name(100))


@cause("the storage of its data is down", "storage-unavailable", "HOME", "timed out", "tried again")
def storage_down(folder: Path) -> Asked:
    box = Box(folder)
    box.grid.weather.add(Cause.STORAGE_DOWN, "HOME", 0, DAY_S)
    return box.until_it_fails_once(name(100)).ask(name(100), remedy="the storage's site")


@cause("what it needs waits for a storage that is down", name(100), "storage-unavailable", "HOME")
def need_waits_for_storage(folder: Path) -> Asked:
    box = Box(folder, steps=CHAIN)
    box.grid.weather.add(Cause.STORAGE_DOWN, "HOME", 0, DAY_S)
    return box.until_it_fails_once(name(100)).ask(name(100, "third"), root=name(100))


@cause("the storage is full", "storage-full", "No space left", "tried again")
def storage_full(folder: Path) -> Asked:
    box = Box(folder)
    box.grid.weather.add(Cause.STORAGE_FULL, "HOME", 0, DAY_S)
    return box.until_it_fails_once(name(100)).ask(name(100), remedy="free space")


@cause("the software is not reachable", "software-unreachable", "/cvmfs", "another node")
def software_down(folder: Path) -> Asked:
    box = Box(folder)
    box.grid.weather.add(Cause.SOFTWARE_DOWN, "HOME", 0, DAY_S)
    return box.until_it_fails_once(name(100)).ask(name(100))


@cause("the proxy expired on the grid", "credential-expired", "proxy has expired", "tried again")
def proxy_expired_there(folder: Path) -> Asked:
    box = Box(folder)
    box.grid.weather.add(Cause.CREDENTIAL_EXPIRED, EVERYWHERE, 0, DAY_S)
    return box.until_it_fails_once(name(100)).ask(name(100), remedy="make a new proxy")


@cause("the storage refuses this user", "credential-refused", "Permission denied")
def refused(folder: Path) -> Asked:
    box = Box(folder)
    box.grid.weather.add(Cause.CREDENTIAL_REFUSED, "HOME", 0, DAY_S)
    return box.until(name(100), *FINAL).ask(name(100), remedy="ask for the right")


@cause("its node died under it", "lost", "no word from", "tried again")
def node_dead(folder: Path) -> Asked:
    box = Box(folder).until(name(100), JobState.RUNNING)
    for node in box.nodes:
        box.grid.breakdowns.plan(node, Trouble.DEAD, box.grid.clock.elapsed_s + 60)
    return box.until(name(100), JobState.WAITING).ask(name(100))


@cause("its node is cut off and nobody says so", "running on", "longer than the 3 h that it may", "no word")
def cut_off(folder: Path) -> Asked:
    box = Box(folder, faults=Faults(lost_after_s=DAY_S)).until(name(100), JobState.RUNNING)
    for node in box.nodes:
        box.grid.breakdowns.plan(node, Trouble.CUT_OFF, box.grid.clock.elapsed_s + 60)
    return box.later(4 * 3600).ask(name(100))


@cause("the scratch disks of the nodes are full", "scratch-full", "No space left", "another node")
def nodes_full(folder: Path) -> Asked:
    box = Box(folder)
    for node in box.nodes:
        box.grid.breakdowns.plan(node, Trouble.SCRATCH_FULL, 0)
    return box.until_it_fails_once(name(100)).ask(name(100), remedy="free space")


@cause("all nodes of its site are dead", "submitted to HOME", "waits there for a node", "long")
def no_node_left(folder: Path) -> Asked:
    box = Box(folder)
    for node in box.nodes:
        box.grid.breakdowns.plan(node, Trouble.DEAD, 0)
    return box.until(name(100), JobState.SUBMITTED).later(3 * 3600).ask(name(100))


@cause("the batch service is down", "submitted to HOME", "backend service", "does not answer")
def service_down(folder: Path) -> Asked:
    box = Box(folder)
    box.grid.weather.add(Cause.SERVICE_DOWN, "backend", 0, DAY_S)
    return box.later(60).later(60).ask(name(100))


@cause("the storage service takes no product", "product cannot be stored", "storage service", "does not answer")
def no_product_taken(folder: Path) -> Asked:
    one = {"first": FIRST | {"outputs": {"ms": {"path": "first.MS", "suffix": ".MS", "product": True}}}}
    box = Box(folder, steps=one)
    box.grid.weather.add(Cause.SERVICE_DOWN, "storage", 0, DAY_S)
    return box.until(name(100), JobState.SUCCEEDED).later(60).ask(name(100))


@cause("every slot of its only site runs another job", "waits for a free slot", "HOME: all slots are taken, 2 of 2")
def site_full(folder: Path) -> Asked:
    box = Box(folder, (100, 101, 102), slots=2).until(name(101), JobState.RUNNING)
    return box.ask(name(102))


# What was found


@lru_cache
def folder_for(title: str, base: Path) -> Path:
    folder = base / re.sub(r"\W+", "-", title)
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Scenario], tuple[Asked, Diagnosis]]:
    base = tmp_path_factory.mktemp("causes")

    @cache
    def found(title: str) -> tuple[Asked, Diagnosis]:
        scenario = next(one for one in SCENARIOS if one.title == title)
        asked = scenario.inject(folder_for(title, base))
        return asked, asked.answer()

    return lambda scenario: found(scenario.title)


def missed(scenario: Scenario, found: Diagnosis) -> list[str]:
    """The words of the true cause that the first line does not hold."""
    return [word for word in scenario.words if word not in found.cause]


UNREADABLE = re.compile(r"\b(None|True|False|JobState|Reason|Phase|datetime|Site)\b|[<>{}\[\]]|\('|\d{4}-\d\d-\d\dT")
Find = Callable[[Scenario], tuple[Asked, Diagnosis]]
each = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.title)


@each
def test_the_true_cause_stands_on_the_first_line(scenario: Scenario, find: Find) -> None:
    _, found = find(scenario)
    assert missed(scenario, found) == [], found.cause


@each
def test_it_says_since_when_what_to_do_and_where_it_lies(scenario: Scenario, find: Find) -> None:
    asked, found = find(scenario)
    assert found.remedy
    assert asked.remedy in found.remedy
    assert found.since
    assert asked.since in ("", found.since)
    assert found.root == (asked.root or found.job)


@each
def test_it_is_a_line_that_people_can_read(scenario: Scenario, find: Find) -> None:
    _, found = find(scenario)
    for line in (found.cause, found.remedy, *found.details):
        assert "\n" not in line
        assert not UNREADABLE.search(line)


def test_at_least_38_of_40_causes_are_told(find: Find) -> None:
    told = [not missed(scenario, find(scenario)[1]) for scenario in SCENARIOS]
    print(f"{sum(told)} of {len(told)} causes on the first line")
    assert len(told) >= 40
    assert sum(told) >= ENOUGH * len(told)


HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "when-something-fails.md"
PHRASES = re.findall(r"^\| ((?:`.*?`|``.*?``).*?) \|", HOW_TO.read_text(), re.M)


@pytest.mark.parametrize("phrase", PHRASES)
def test_what_the_how_to_shows_is_said_of_a_cause(phrase: str, find: Find) -> None:
    parts = [part for pair in re.findall(r"``(.+?)``|`(.+?)`", phrase) for part in pair if part]
    pattern = ".*".join(re.escape(part) for part in parts)
    assert any(re.search(pattern, find(scenario)[1].cause) for scenario in SCENARIOS)


def test_the_how_to_shows_more_than_a_few() -> None:
    assert len(PHRASES) > 20


def test_no_two_scenarios_have_one_title() -> None:
    assert len({one.title for one in SCENARIOS}) == len(SCENARIOS)
