"""The counts of jobs by step and state are kept as jobs move, and are right whatever moved."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lofargrid.states import FINAL, MOVES, JobState
from tests.unit.engine_factories import SUBBAND_HZ, World, recipe, subband

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, 30), st.integers(0, 7)),
        st.tuples(st.just("replan"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("retry"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("tick"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


def counted(world: World) -> dict[str, dict[JobState, int]]:
    """One by one, from the standing jobs."""
    pairs = Counter((job.step, job.state) for job in world.tracker.jobs(world.production.id))
    found: dict[str, dict[JobState, int]] = {}
    for (step, state), count in pairs.items():
        found.setdefault(step, {})[state] = count
    return found


def act(world: World, what: str, first: int, second: int) -> None:
    jobs = world.tracker.jobs(world.production.id)
    job = jobs[first % len(jobs)]
    if what == "move":
        targets = sorted(MOVES[job.state])
        if targets:
            world.tracker.move(job, targets[second % len(targets)], world.now)
    elif what == "replan":
        world.enter(listed(strength=first, iterations=second), again=True)
    elif what == "retry":
        world.retry(job.name)
    else:
        world.tick(later_s=60)


def listed(**parameters: int) -> object:
    known = [subband(n, frequency_hz=n * SUBBAND_HZ) for n in range(100, 104)]
    return recipe(known, parameters=parameters)


@given(ACTIONS)
@settings(max_examples=60, deadline=None)
def test_the_tallies_are_what_counting_gives_after_any_moves(actions: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        world = World(Path(folder))
        world.enter(listed())  # type: ignore[arg-type]
        world.backend.auto = True
        try:
            for action in actions:
                act(world, *action)
                assert world.tracker.counts(world.production.id) == counted(world)
            unfinished = [job for job in world.tracker.jobs(world.production.id) if job.state not in FINAL]
            assert world.tracker.unfinished(world.production.id) == len(unfinished)
        finally:
            world.tracker.close()


def test_what_is_superseded_counts_no_more(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.enter(listed())  # type: ignore[arg-type]
    world.finish()
    before = world.tracker.counts(world.production.id)
    world.enter(listed(iterations=5), again=True)  # type: ignore[arg-type]
    after = world.tracker.counts(world.production.id)
    assert (before["image"], after["image"]) == ({JobState.SUCCEEDED: 1}, {JobState.WAITING: 1})
    assert sum(count for step in after.values() for count in step.values()) == len(
        world.tracker.jobs(world.production.id)
    )
