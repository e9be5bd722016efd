"""The main job through a real HTCondor pool of three sites, none of which sees the submit host's folders."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.grid.disk import NEEDS_MOUNT, Disk, small_disk
from tests.grid.opening import opened_pool
from tests.grid.pool import Node, Pool
from tests.production.conftest import Desk
from tests.production.soundness import asked, history, is_sound, running
from tests.production.test_crash import is_the_same_as, small

KILLS = int(os.environ.get("LOFARGRID_POOL_KILLS", "5"))
SEED = int(os.environ.get("LOFARGRID_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
PATIENCE_S = 120.0
COLLECTOR_GONE_S = float(os.environ.get("LOFARGRID_COLLECTOR_GONE_S", "15"))

NODES = (
    Node("archive", "wn1", cpus=2),
    Node("university", "wn2", cpus=2),
    Node("broken", "wn3", cpus=2, broken=True),
)
LIMITS = {"cores": 2, "memory_mb": 8000, "scratch_mb": 20000, "slots": 2, "lost_after_min": 1, "backend": "htcondor"}
SITES = {
    "archive": {**LIMITS, "tier": 1},
    "university": {**LIMITS, "tier": 2},
    "broken": {**LIMITS, "tier": 2},
}


@dataclass(frozen=True)
class Grid:
    """A pool, and the folder that its nodes do not see."""

    pool: Pool
    hidden: Path


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    hidden = tmp_path_factory.getbasetemp()
    config = tmp_path_factory.mktemp("config")
    (config / "lofargrid").mkdir()
    (config / "lofargrid" / "sites.yaml").write_text(json.dumps({"sites": SITES}))
    with opened_pool(NODES, [hidden]) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(config))
        yield Grid(pool, hidden)


def sites_of(desk: Desk, where: str) -> set[object]:
    return {site for (site,) in asked(desk, f"SELECT DISTINCT site FROM attempts WHERE {where}")}


def test_the_demo_over_three_sites_makes_the_same_products_whatever_the_broken_one_does(
    grid: Grid, desk: Desk, reference: Desk
) -> None:
    desk.write(backend="htcondor")
    said = desk("run", "production.yaml")
    assert "done" in said.err
    is_sound(desk)
    compared = desk("compare", str(reference.folder / "products"), "products").out
    assert "DIFFER" not in compared
    assert desk.products().keys() == reference.products().keys()
    assert sites_of(desk, "reason IS NULL") == {"archive", "university"}
    failed = asked(desk, "SELECT DISTINCT site, reason FROM attempts WHERE reason IS NOT NULL")
    assert {site for site, _ in failed} == {"broken"}, failed
    grid.pool.until_empty()


# Whatever dies


@pytest.fixture(scope="module")
def undisturbed(observations: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A few subbands of the demo, on this machine and not through the pool."""
    desk = small(observations, tmp_path_factory.mktemp("undisturbed"))
    desk("run", "production.yaml")
    return desk


@pytest.fixture
def through_the_pool(observations: Path, tmp_path: Path) -> Desk:
    desk = small(observations, tmp_path)
    document = json.loads((desk.folder / "production.yaml").read_text())
    document |= {"backend": "htcondor", "sites": ["archive", "university"]}
    (desk.folder / "production.yaml").write_text(json.dumps(document))
    return desk


def is_done_once(grid: Grid, desk: Desk, undisturbed: Desk) -> None:
    """The same products, and for every attempt of the tracker one job of the schedd."""
    is_sound(desk)
    is_the_same_as(desk, undisturbed.folder / "products")
    assert desk.products().keys() == undisturbed.products().keys()
    grid.pool.until_empty()
    told = {str(one) for (one,) in asked(desk, "SELECT id FROM attempts")}
    assert told, "there are attempts"
    tracker = next(iter(told)).partition("-")[0]
    jobs = Counter(grid.pool.history(tracker))
    assert {one: count for one, count in jobs.items() if count > 1} == {}
    assert jobs.keys() <= told
    succeeded = {str(one) for (one,) in asked(desk, "SELECT id FROM attempts WHERE phase = 'ended' AND reason IS NULL")}
    assert succeeded <= jobs.keys()


def test_a_run_that_is_killed_at_random_moments_hands_nothing_over_twice_and_loses_nothing(
    grid: Grid, through_the_pool: Desk, undisturbed: Desk
) -> None:
    print(f"the same moments: LOFARGRID_TEST_SEED={SEED} LOFARGRID_POOL_KILLS={KILLS}")
    chance = random.Random(SEED)
    for _ in range(KILLS):
        before = history(through_the_pool)
        lines = chance.randint(1, 12)
        with running(through_the_pool) as process:
            if chance.random() < 0.5:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.3, 4))
            else:
                until(lambda: history(through_the_pool) >= before + lines or process.poll() is not None)  # noqa: B023
            process.kill()
            process.wait()
        is_sound(through_the_pool)
    through_the_pool("run", "production.yaml")
    is_done_once(grid, through_the_pool, undisturbed)


def test_a_schedd_that_dies_and_an_event_log_that_is_deleted_cost_a_line_and_no_job(
    grid: Grid, through_the_pool: Desk, undisturbed: Desk
) -> None:
    with running(through_the_pool) as process:
        until(lambda: history(through_the_pool) > 10)
        grid.pool.kill("head")
        grid.pool.start_head()
        until(lambda: history(through_the_pool) > 20)
        (through_the_pool.tracker / "htcondor" / "events.log").unlink()
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said
    assert "Traceback" not in said
    is_done_once(grid, through_the_pool, undisturbed)


def finishes_or_pauses(desk: Desk, process: subprocess.Popen[str]) -> str:
    """What a run says that comes to its end, or that ends where nothing can move and goes on when called again."""
    _, said = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in said
    if process.returncode:
        assert "field: not complete" in said
        until(lambda: desk("run", "production.yaml", code=None).code == 0)
    return said


def test_a_collector_that_is_gone_for_a_while_costs_a_line_and_no_job(
    grid: Grid, through_the_pool: Desk, undisturbed: Desk
) -> None:
    with running(through_the_pool) as process:
        until(lambda: history(through_the_pool) > 10)
        gone = time.monotonic()
        grid.pool.tell("condor_off", "-daemon", "collector")
        until(lambda: not grid.pool.ask("condor_status", "-schedd", "-af", "Name"))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(COLLECTOR_GONE_S - (time.monotonic() - gone))
        grid.pool.tell("condor_on", "-daemon", "collector")
        said = finishes_or_pauses(through_the_pool, process)
    assert said.count("HTCondor did not do what it was asked") == 1
    is_done_once(grid, through_the_pool, undisturbed)


@NEEDS_MOUNT
def test_a_spool_that_runs_full_costs_no_job(grid: Grid, through_the_pool: Desk, undisturbed: Desk) -> None:
    with on_a_small_spool(grid.pool) as disk:
        with running(through_the_pool) as process:
            until(lambda: history(through_the_pool) > 10)
            disk.fill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            disk.free()
            finishes_or_pauses(through_the_pool, process)
        is_sound(through_the_pool)
        is_the_same_as(through_the_pool, undisturbed.folder / "products")
        grid.pool.until_empty()


@contextlib.contextmanager
def on_a_small_spool(pool: Pool) -> Iterator[Disk]:
    """The schedd's queue lies on a small disk for a while; what was on it is gone then."""
    pool.stop("head")
    with small_disk(pool.folder / "head" / "spool") as disk:
        pool.start_head()
        try:
            pool.until_nodes(set(pool.nodes))
            yield disk
        finally:
            pool.stop("head")
    pool.start_head()
    pool.until_nodes(set(pool.nodes))


# From another machine


@pytest.fixture
def from_a_laptop(grid: Grid, through_the_pool: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The same, where the schedd sees nothing of ours and a token is all that lets us in."""
    for name, value in grid.pool.environment_of("laptop").items():
        monkeypatch.setenv(name, value)
    return through_the_pool


def test_through_a_schedd_elsewhere_the_products_are_the_same(
    grid: Grid, from_a_laptop: Desk, undisturbed: Desk
) -> None:
    assert "files go through its spool" in from_a_laptop("doctor").out
    with running(from_a_laptop) as process:
        until(lambda: history(from_a_laptop) > 20)
        process.kill()
    from_a_laptop("run", "production.yaml")
    is_done_once(grid, from_a_laptop, undisturbed)


def test_a_token_that_has_expired_or_is_wrong_is_told_and_a_new_one_goes_on(
    grid: Grid, from_a_laptop: Desk, undisturbed: Desk
) -> None:
    with running(from_a_laptop) as process:
        until(lambda: history(from_a_laptop) > 10)
        process.kill()
    grid.pool.give_token("laptop", 1)
    until(lambda: subprocess.run(["condor_q"], capture_output=True, check=False).returncode != 0)
    token = grid.pool.folder / "laptop" / "tokens.d" / "nobody"
    is_told(from_a_laptop, f"the token {token} expired at ")
    token.write_text("this is none\n")
    is_told(from_a_laptop, f"{token} holds no token: with a new one the same command goes on")
    grid.pool.give_token("laptop", 3600)
    from_a_laptop("run", "production.yaml")
    is_done_once(grid, from_a_laptop, undisturbed)


def is_told(desk: Desk, words: str) -> None:
    """A run says so, whether it ends then or waits for jobs that run."""
    with running(desk) as process:
        timer = threading.Timer(PATIENCE_S, process.kill)
        timer.start()
        assert process.stderr
        said = []
        for line in process.stderr:
            said.append(line)
            if words in line:
                break
        timer.cancel()
    assert words in "".join(said)


def until(so: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    limit = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < limit
        time.sleep(0.02)  # another process does it; there is nothing of ours to wait on
