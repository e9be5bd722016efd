"""A pool without a node of its own, a Slurm that pilots can be started through, and the one site that there is."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.grid.opening import opened_pool
from tests.grid.pool import Pool
from tests.grid.processes import PATIENCE_S, until
from tests.grid.slurm import Slurm, slurm_prefix
from tests.production.conftest import Desk
from tests.production.soundness import asked

NODE = "wn5.university.lofargrid.test"
UNENDED = ("idle", "1 job", "2 jobs", "waits for a node", "joined, not heard of", "drains, idle")
SITE = {"backend": "htcondor", "slots": 4, "cores": 2, "memory_mb": 8000, "scratch_mb": 20000}
PILOTS = {"cores": 2, "memory_mb": 4000, "scratch_mb": 1000, "idle_min": 0.25, "walltime_min": 2000}


@dataclass(frozen=True)
class Grid:
    """Where pilots are started, and what they join."""

    pool: Pool
    slurm: Slurm
    hidden: Path
    config: Path

    def has(self, *, lost_after_min: float = 20, **pilots: object) -> None:
        """Write the one site that there is, with its pilots."""
        common = {**PILOTS, "htcondor": str(self.pool.prefix)}
        site = {**SITE, "lost_after_min": lost_after_min, "pilots": {**common, **pilots}}
        (self.config / "lofargrid" / "sites.yaml").write_text(json.dumps({"sites": {"university": site}}))


@contextlib.contextmanager
def opened_grid(folders: pytest.TempPathFactory) -> Iterator[Grid]:
    """Open it for a module of tests."""
    hidden, config = folders.getbasetemp(), folders.mktemp("config")
    (config / "lofargrid").mkdir()
    with (
        opened_pool([]) as pool,
        Slurm(slurm_prefix(), NODE, [hidden]) as slurm,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_CONFIG_HOME", str(config))
        patch.setenv("PATH", f"{slurm.commands}:{os.environ['PATH']}")
        yield Grid(pool, slurm, hidden, config)


def pilots_of(desk: Desk) -> list[dict[str, object]]:
    """What `pilots` tells."""
    found = json.loads(desk("pilots", "--json").out)
    assert isinstance(found, list)
    return found


def endings(desk: Desk) -> list[tuple[object, object]]:
    """Why pilots left, in the order in which they were started."""
    return [(one["reason"], one["detail"]) for one in pilots_of(desk)]


def are_gone(grid: Grid, desk: Desk) -> None:
    """No pilot of a desk is in the pool, in Slurm, in a process or on a disk."""
    sql = "SELECT id FROM pilots UNION SELECT pilot FROM attempts WHERE pilot <> ''"
    names = {str(one) for (one,) in asked(desk, sql)}
    # One that came when nothing waited any more leaves by itself, when it has been idle for long enough.
    until(lambda: not grid.pool.pilots() & names and not processes_of(names), f"still there: {names}", 2 * PATIENCE_S)
    until(lambda: not [one for one in pilots_of(desk) if one["state"] in UNENDED], "some have not ended")
    assert grid.slurm.queue() == []
    assert [one for name in names for one in work_folders(name)] == []
    # What has held a token is gone with the pilot that it let in.
    assert list((desk.tracker / "pilots").rglob("pilot.sh")) == []


def work_folders(pilot: str) -> list[Path]:
    """What a pilot has on the scratch of its node."""
    return [one for folder in ("/tmp", "/var/tmp") for one in Path(folder).glob(f"lofargrid-{pilot}-*")]


def processes_of(names: set[str]) -> dict[int, str]:
    """The processes that have a pilot's name in their command or environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            found |= {int(entry.name): name for name in names if name.encode() in words}
    return found
