"""What is true of a tracker, its products and its processes at every moment, and when all is done."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

from lofargrid.states import MOVES, JobState
from tests.production.conftest import Desk


def asked(desk: Desk, sql: str, *values: object) -> list[tuple[object, ...]]:
    """What the tracker answers; nothing before there is one."""
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{desk.tracker}/tracker.db?mode=ro", uri=True)) as tracker,
    ):
        return tracker.execute(sql, values).fetchall()
    return []


def is_sound(desk: Desk) -> None:
    """The tracker is whole, no job made a move that is none, nothing stands half under a final name."""
    assert {line for (line,) in asked(desk, "PRAGMA integrity_check")} <= {"ok"}  # none if there is no tracker yet
    assert asked(desk, "PRAGMA foreign_key_check") == []
    told: dict[object, str] = {}
    for job, old, new in asked(desk, "SELECT job_id, old, new FROM events WHERE new IS NOT NULL ORDER BY id"):
        assert old == told.get(job, "waiting")
        assert JobState(str(new)) in MOVES[JobState(str(old))], f"job {job}: {old} -> {new}"
        told[job] = str(new)
    stands = dict(asked(desk, "SELECT id, state FROM jobs"))
    assert {job: stands[job] for job in told} == told
    twice = asked(desk, "SELECT job_id FROM attempts WHERE phase = 'ended' AND reason IS NULL"
                  " GROUP BY job_id HAVING count(*) > 1")  # fmt: skip
    assert twice == [], "succeeded twice"
    for name, path in final_names(desk).items():
        if name.endswith(".json"):
            json.loads(path.read_text())
        else:
            sums = asked(desk, "SELECT adler32 FROM files WHERE filename = ?", name)
            assert (f"{zlib.adler32(path.read_bytes()):08x}",) in sums, f"{name} is not whole"


def final_names(desk: Desk) -> dict[str, Path]:
    folder = desk.folder / "products"
    return {} if not folder.exists() else {name: path for name, path in desk.products().items() if name[0] != "."}


def processes(folder: Path) -> list[int]:
    """Whatever else runs in a folder, or holds a file of it open."""
    others = [entry for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid()]
    return [int(entry) for entry in others if _is_of(Path("/proc", entry), folder)]


def _is_of(process: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        links = [process / "cwd", *(process / "fd").iterdir()]
        for link in links:
            with contextlib.suppress(OSError):
                if link.readlink().is_relative_to(folder):
                    return True
    return False


def end_the_machine(folder: Path) -> None:
    """Kill whatever runs there: the run, the runners, their payloads, their watchmen."""
    while found := processes(folder):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_as_if_nothing_had_happened(desk: Desk, products: dict[str, Path]) -> None:
    """The production is done: each job once, the same products with their provenance, and nothing else."""
    is_sound(desk)
    assert desk.products().keys() == products.keys()
    for name in products:
        if not name.endswith(".json"):
            assert desk.provenance(name)["missing_subbands"] == {}
    assert asked(desk, "SELECT name, state FROM jobs WHERE current AND (state <> 'succeeded' OR unmet <> 0)") == []
    once = "SELECT j.name FROM jobs j LEFT JOIN attempts a ON a.id = j.attempt AND a.job_id = j.id"
    assert asked(desk, f"{once} WHERE j.current AND (a.phase IS NOT 'ended' OR a.reason IS NOT NULL)") == []
    assert asked(desk, "SELECT id FROM attempts WHERE phase NOT IN ('ended', 'lost')") == []
    assert desk.status(_production(desk))["state"] == "done"
    assert processes(desk.folder.parent) == []


def _production(desk: Desk) -> str:
    [(name,)] = asked(desk, "SELECT name FROM productions")
    return str(name)


def history(desk: Desk) -> int:
    rows = asked(desk, "SELECT count(*) FROM events")
    return int(str(rows[0][0])) if rows else 0


@contextlib.contextmanager
def running(desk: Desk, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command, `run` if none is named, going on beside the test."""
    process = subprocess.Popen(
        [*desk.command, *(words or ("run", "production.yaml"))],
        cwd=desk.folder, env=desk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
