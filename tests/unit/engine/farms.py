"""Sites whose nodes can be told to fail, and what is then told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lofargrid.model import Site
from lofargrid.states import Reason
from lofargrid.tracker.records import QuarantineRecord
from tests.unit.engine_factories import FIRST, World, name, recipe

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PATIENT = {"first": FIRST | {"retry": {"tries": 9}}}
ONCE = {"first": FIRST | {"retry": {"tries": 1}}}
SURF = "SURF"


def farm(folder: Path, *others: str, slots: int = 50, guarded: bool = True) -> World:
    """A site that holds all inputs, and others; the links between them bound nothing."""
    one = Site(SURF, slots=slots, guarded=guarded, prefixes=("file:///",), transfers=10_000, bandwidth_mb_s=1e6)
    return World(folder, sites={SURF: one} | {site: replace(one, name=site, prefixes=()) for site in others})


def started(world: World, count: int = 10, steps: Mapping[str, Any] = PATIENT) -> World:
    """Jobs 100, 101 ... are under way; 109 runs on a good node, the others wait for theirs."""
    world.enter(recipe(range(100, 100 + count), steps))
    world.tick()
    world.backend.run(name(109), "good")
    return world


def end(world: World, number: int, node: str, reason: Reason | None = Reason.PAYLOAD_FAILED) -> None:
    """Let a job run on a node and end there, unseen."""
    world.backend.run(name(number), node)
    if reason is Reason.LOST:
        world.backend.lose(name(number))
    elif reason:
        world.backend.fail(name(number), reason)
    else:
        world.backend.succeed(name(number))


def lost(world: World, *numbers: int, nodes: int = 4) -> None:
    for number in numbers:
        end(world, number, f"wn{number % nodes}", Reason.LOST)


def standing(world: World) -> dict[tuple[str, str], str]:
    return {(one.site, one.node): one.state for one in world.tracker.quarantines()}


def record(world: World, node: str = "", site: str = SURF) -> QuarantineRecord:
    found = world.tracker.quarantined(site, node)
    assert found
    return found


def told(world: World, node: str = "") -> list[str]:
    return [one.text for one in reversed(world.tracker.site_events(SURF, 99)) if one.node == node]


def condemned(world: World, node: str = "bad") -> World:
    """Two jobs have failed on a node, and a probe of it is under way."""
    started(world)
    end(world, 100, node)
    end(world, 101, node)
    world.tick()
    return world


def probes(world: World, node: str = "bad") -> list[str]:
    return [spec.attempt for spec in world.backend.specs.values() if spec.job == f"probe-{node}"]


def minutes_until(world: World, one: QuarantineRecord) -> float:
    return (datetime.fromisoformat(one.until) - world.time).total_seconds() / 60
