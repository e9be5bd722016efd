"""However a run is ended, the same command goes on: the same products, nothing doubled, nothing left."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.production.conftest import Desk

SEED = int(os.environ.get("LOFARGRID_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def whole(short_observations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The products of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(short_observations, folder / "desk")
    desk = Desk(folder / "desk", folder / "tracker")
    desk.flag_average()
    desk("run", "production.yaml")
    return desk.folder / "products"


@contextlib.contextmanager
def running(desk: Desk) -> Iterator[subprocess.Popen[str]]:
    """`run`, going on beside the test."""
    process = subprocess.Popen([*desk.command, "run", "production.yaml"], cwd=desk.folder, env=desk.environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def jobs(desk: Desk, condition: str) -> int:
    """How many standing jobs there are with that condition; none before there is a tracker."""
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{desk.tracker}/tracker.db?mode=ro", uri=True)) as tracker,
    ):
        return int(tracker.execute(f"SELECT count(*) FROM jobs j WHERE j.current AND {condition}").fetchone()[0])
    return 0


def wait_for(desk: Desk, process: subprocess.Popen[str], count: int, condition: str) -> None:
    """Wait until so many jobs are as ``condition`` says, or the run has ended by itself."""
    limit = time.monotonic() + PATIENCE_S
    while jobs(desk, condition) < count and process.poll() is None:
        assert time.monotonic() < limit, f"never {count} jobs with {condition}"
        time.sleep(0.02)  # another process makes the state; there is nothing of ours to wait on


def doubled(desk: Desk) -> list[tuple[str, int]]:
    """Jobs that did not succeed exactly once."""
    with contextlib.closing(sqlite3.connect(desk.tracker / "tracker.db")) as tracker:
        return tracker.execute(
            "SELECT j.name, sum(a.phase = 'ended' AND a.reason IS NULL) AS n FROM jobs j"
            " LEFT JOIN attempts a ON a.job_id = j.id GROUP BY j.id HAVING n IS NOT 1"
        ).fetchall()


def is_as_if_nothing_had_happened(desk: Desk, products: Path) -> None:
    said = desk("compare", str(products), "products")
    assert "DIFFER" not in said.out
    assert said.out.count("same") == len(list(products.iterdir()))
    assert doubled(desk) == []
    assert [name for name in desk.products() if name.startswith(".")] == []
    assert desk.status()["state"] == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_in_the_middle_goes_on_with_the_same_command(
    short: Desk, whole: Path, number: signal.Signals
) -> None:
    short.flag_average()
    with running(short) as process:
        wait_for(short, process, 3, "j.state = 'succeeded'")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; nothing is lost, the same command goes on" in err
    assert "Traceback" not in err
    short("run", "production.yaml")
    is_as_if_nothing_had_happened(short, whole)


def test_status_tells_of_what_was_left_running(short: Desk, whole: Path) -> None:
    short.flag_average()
    with running(short) as process:
        wait_for(short, process, 1, "j.state = 'running'")
        process.kill()
    assert short("status", "field", code=3).out.startswith("field: going")
    short("run", "production.yaml")
    is_as_if_nothing_had_happened(short, whole)


@pytest.mark.parametrize("turn", range(3))
def test_a_run_that_is_killed_at_any_moment_goes_on_with_the_same_command(short: Desk, whole: Path, turn: int) -> None:
    """Up to three kills one after the other, each when a random number of jobs has come so far."""
    print(f"LOFARGRID_TEST_SEED={SEED}")
    chance = random.Random(f"{SEED} {turn}")
    short.flag_average()
    for count in sorted(chance.sample(range(11), 3)):
        condition = chance.choice(["j.state = 'succeeded'", "j.attempt IS NOT NULL", "j.state <> 'waiting'"])
        with running(short) as process:
            wait_for(short, process, count, condition)
            process.kill()
    short("run", "production.yaml")
    is_as_if_nothing_had_happened(short, whole)


def test_runners_that_are_killed_with_their_run_are_tried_again(short: Desk, whole: Path) -> None:
    """As when the machine loses its power: the run and every runner are gone at once."""
    short.flag_average()
    with running(short) as process:
        wait_for(short, process, 2, "j.state = 'running'")
        process.kill()
        with contextlib.closing(sqlite3.connect(short.tracker / "tracker.db")) as tracker:
            rows = tracker.execute("SELECT batch_id FROM attempts WHERE phase = 'running'").fetchall()
        for (pid,) in rows:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    short("run", "production.yaml")
    is_as_if_nothing_had_happened(short, whole)


def test_an_image_production_that_is_stopped_makes_the_same_image(desk: Desk, reference: Desk) -> None:
    desk.write()
    with running(desk) as process:
        wait_for(desk, process, 12, "j.state = 'succeeded'")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    desk("run", "production.yaml")
    is_as_if_nothing_had_happened(desk, reference.folder / "products")
