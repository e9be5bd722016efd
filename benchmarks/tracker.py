"""A million jobs in one tracker: planning beside plain sqlite3, ticks and commands beside 10,000 jobs.

Plain sqlite3 inserts the very same rows into the same tables, with the same indexes, settings and transactions; both
take turns, production by production. In both trackers half of the productions have ended and the others wait.
"""

import argparse
import contextlib
import io
import math
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from campaign import NOW, SUBBANDS, Running, age, image, name, recipes
from side_by_side import verdict

from lofargrid.cli.app import run
from lofargrid.productions.entering import enter
from lofargrid.tracker import open_tracker

CHANGES = 100
TABLES = {
    "productions": "id = ?",
    "subbands": "production_id = ?",
    "jobs": "production_id = ?",
    "tallies": "production_id = ?",
    "needs": "job_id IN (SELECT id FROM jobs WHERE production_id = ?)",
    "expansions": "production_id = ?",
    "awaited": "job_id IN (SELECT id FROM jobs WHERE production_id = ?)",
    "events": "production_id = ?",
}


@dataclass(frozen=True)
class Line:
    """One line of the table. ``ratio`` must not be over ``target``; without one it is there to be seen."""

    what: str
    ours: str
    other: str
    ratio: float
    target: float = math.inf

    def __str__(self) -> str:
        missed = "  MISSED" if self.ratio > self.target else ""
        target = f"{self.target:.2f}" if math.isfinite(self.target) else ""
        return f"{self.what:<38} {self.ours:>18} {self.other:>18} {self.ratio:>7.2f} {target:>7}{missed}".rstrip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--beside", type=int, default=10_000, help="jobs of the small tracker")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    large, small = (max(round(jobs / SUBBANDS), 2) for jobs in (options.jobs, options.beside))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(f"{'':<38} {'ours':>18} {'other':>18} {'ratio':>7} {'target':>7}")
        lines = []
        for line in measure(folder, large, small, options.rounds):
            print(line, flush=True)
            lines.append(line)
    print(f"{time.perf_counter() - began:.0f} s in all; `ours` is the large tracker where `other` is the small one")
    worst = max(lines, key=lambda line: line.ratio / line.target)
    return verdict(worst.ratio, worst.target)


def measure(folder: Path, large: int, small: int, rounds: int) -> Iterator[Line]:
    """All lines of the table, for trackers of so many productions."""
    yield from plan(folder / "listed", max(large // 5, 1), listed=True)
    yield from plan(folder / "large", large, listed=False)
    enter_all(folder / "small", small)
    paths = folder / "large" / "tracker.db", folder / "small" / "tracker.db"
    yield from tick(paths, (large, small), rounds)
    yield from command(paths, (large, small), rounds)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Line("memory of all this", f"{peak_mb:.0f} MB", "500 MB", peak_mb / 500, 1.0)


# Planning


def plan(folder: Path, productions: int, listed: bool) -> Iterator[Line]:
    """Enter productions, and insert the same rows by plain sqlite3."""
    label = "groups at once" if listed else "groups later"
    tracker = open_tracker(folder / "tracker.db")
    plain = plain_copy(folder)
    ours_s = plain_s = 0.0
    for recipe in recipes(productions, listed):
        began = time.perf_counter()
        production_id = enter(tracker, recipe, NOW).production_id
        ours_s += time.perf_counter() - began
        rows = {table: tracker.rows(f"SELECT * FROM {table} WHERE {where}", production_id)
                for table, where in TABLES.items()}  # fmt: skip
        plain_s += insert(plain, {table: [tuple(row) for row in found] for table, found in rows.items()})
    jobs = int(tracker.value("SELECT count(*) FROM jobs"))
    plain.close()
    tracker.close()
    ours, other = (f"{jobs / spent_s:.0f} jobs/s" for spent_s in (ours_s, plain_s))
    yield Line(f"planning {jobs} jobs, {label}", ours, other, ours_s / plain_s, 2)
    size = disk_bytes(folder / "tracker.db") / jobs
    yield Line(f"disk, {label}", f"{size:.0f} B/job", "1000 B/job", size / 1000, 1)
    for file in folder.glob("plain.db*"):
        file.unlink()


def plain_copy(folder: Path) -> sqlite3.Connection:
    """An empty tracker, opened without lofargrid."""
    path = folder / "plain.db"
    open_tracker(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -64000"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def insert(connection: sqlite3.Connection, rows: dict[str, list[tuple[object, ...]]]) -> float:
    """Insert the rows of one production in one transaction; tell how many seconds it took."""
    work = [
        (f"INSERT INTO {table} VALUES ({', '.join('?' * len(found[0]))})", found)
        for table, found in rows.items()
        if found
    ]
    began = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    for statement, found in work:
        connection.executemany(statement, found)
    connection.execute("COMMIT")
    return time.perf_counter() - began


def disk_bytes(path: Path) -> int:
    """The size of a tracker and of what sqlite has beside it, after a checkpoint."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if not file.name.endswith("-shm"))
    connection.close()
    return size


def enter_all(folder: Path, productions: int) -> None:
    """A tracker with some productions."""
    tracker = open_tracker(folder / "tracker.db")
    for recipe in recipes(productions, listed=False):
        enter(tracker, recipe, NOW)
    tracker.close()


# Ticks


def tick(paths: tuple[Path, Path], sizes: tuple[int, int], rounds: int) -> Iterator[Line]:
    """Ticks in which nothing has changed, and in which attempts have ended."""
    worlds = []
    for path, productions in zip(paths, sizes, strict=True):
        tracker = open_tracker(path)
        age(tracker, productions // 2)
        worlds.append(Running(tracker, path.parent))
    large, small = worlds
    first = [seconds(one.tick) * 1e3 for one in worlds]
    for one in worlds:
        while one.tick():
            pass

    def changed(world: Running) -> float:
        world.end(CHANGES)
        return seconds(world.tick)

    yield versus("idle tick", partial(seconds, large.tick), partial(seconds, small.tick), rounds, 2)
    yield versus(f"tick with {CHANGES} changes", partial(changed, large), partial(changed, small), rounds, 2)
    print(f"  the first tick after a start looks at all: {first[0]:.0f} ms, {first[1]:.0f} ms")
    for one in worlds:
        one.tracker.close()


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def versus(what: str, ours: Callable[[], float], other: Callable[[], float], rounds: int, target: float) -> Line:
    """Time both in turn: the medians, and the median of the ratios."""
    pairs = [(ours(), other()) for _ in range(rounds)]
    medians = [statistics.median(times) * 1e3 for times in zip(*pairs, strict=True)]
    ratio = statistics.median(a / b for a, b in pairs)
    return Line(what, f"{medians[0]:.1f} ms", f"{medians[1]:.1f} ms", ratio, target)


# Commands


def command(paths: tuple[Path, Path], sizes: tuple[int, int], rounds: int) -> Iterator[Line]:
    """`status` and `why`, as whole commands and without the start of Python."""
    last = [size - 1 for size in sizes]
    asked = {
        "status": [["status"], ["status"]],
        "status PRODUCTION": [["status", name(one)] for one in last],
        "why JOB": [["why", image(one)] for one in last],
    }
    for label, words in asked.items():
        large, small = ([sys.executable, "-m", "lofargrid.cli", "--tracker", str(path), *one]
                        for path, one in zip(paths, words, strict=True))  # fmt: skip
        yield versus(f"{label}, in process", partial(inside, large), partial(inside, small), rounds, math.inf)
        yield versus(label, partial(whole, large), partial(whole, small), max(rounds // 5, 1), 3)


def inside(words: list[str]) -> float:
    """How long a command takes in this process, in seconds."""
    with contextlib.redirect_stdout(io.StringIO()):
        return seconds(lambda: check(run(words[3:]), words))


def whole(words: list[str]) -> float:
    """How long a command takes, in seconds."""
    return seconds(lambda: check(subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode, words))


def check(code: int, words: list[str]) -> None:
    """End all if a command failed."""
    if code not in (os.EX_OK, 3):  # `status` tells by 3 that something is still to do
        sys.exit(f"{' '.join(words)} ended with {code}")


if __name__ == "__main__":
    sys.exit(main())
