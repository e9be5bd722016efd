"""The main job where every job runs in a pilot, through each way that pilots come about."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.grid.opening import opened_pool, prefix
from tests.grid.outbound import Outbound
from tests.grid.pool import Node, Pool
from tests.grid.processes import until
from tests.grid.slurm import Slurm, slurm_prefix
from tests.production.conftest import Desk
from tests.production.soundness import asked, is_sound, running

UNENDED = ("idle", "1 job", "2 jobs", "waits for a node", "joined, not heard of")
BATCH_POOL = "batch.test"
JOBS = {"backend": "htcondor", "slots": 4, "cores": 2, "memory_mb": 8000, "scratch_mb": 20000}


@dataclass(frozen=True)
class Grid:
    """A pool without a node of its own, and what pilots can be started through."""

    pool: Pool
    slurm: Slurm
    second: Pool
    hidden: Path
    config: Path

    def has(self, **pilots: object) -> None:
        """Write the one site that there is, with its pilots."""
        common = {"cores": 2, "memory_mb": 4000, "scratch_mb": 1000, "idle_min": 0.15, "walltime_min": 2000,
                  "htcondor": str(self.pool.prefix)}  # fmt: skip
        sites = {"university": {**JOBS, "pilots": {**common, **pilots}}}
        (self.config / "lofargrid" / "sites.yaml").write_text(json.dumps({"sites": sites}))


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    hidden = tmp_path_factory.getbasetemp()
    config = tmp_path_factory.mktemp("config")
    (config / "lofargrid").mkdir()
    batch_node = [Node("batch", "wn8", memory_mb=8000)]
    with (
        opened_pool([]) as pool,
        Slurm(slurm_prefix(), "wn5.university.lofargrid.test", [hidden]) as slurm,
        Pool(prefix(), batch_node, [hidden], domain=BATCH_POOL) as second,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_CONFIG_HOME", str(config))
        patch.setenv("PATH", f"{slurm.commands}:{os.environ['PATH']}")
        yield Grid(pool, slurm, second, hidden, config)


def pilots_of(desk: Desk) -> list[dict[str, object]]:
    found = json.loads(desk("pilots", "--json").out)
    assert isinstance(found, list)
    return found


def are_gone(grid: Grid, desk: Desk) -> None:
    """No pilot of a desk is in the pool, in a batch system, in a process or on a disk."""
    names = {str(one) for (one,) in asked(desk, "SELECT DISTINCT pilot FROM attempts WHERE pilot <> ''")}
    until(lambda: not grid.pool.pilots() & names and not processes_of(names), f"still there: {names}")
    until(lambda: not [one for one in pilots_of(desk) if one["state"] in UNENDED], "some have not ended")
    assert {(one["reason"], one["detail"]) for one in pilots_of(desk)} <= {(None, "no job came for 9 s")}
    assert grid.slurm.queue() == []
    assert grid.second.ask("condor_q", "-allusers", "-af", "ClusterId") == ""
    assert [one for folder in ("/tmp", "/var/tmp") for one in Path(folder).glob("lofargrid-*-p??????-*")] == []
    assert list(Path("/tmp").glob("lofargrid-script-*")) == []
    # What has held a token is gone with the pilot that it let in.
    assert list((desk.tracker / "pilots").rglob("pilot.sh")) == []


def processes_of(names: set[str]) -> set[str]:
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            found |= {name for name in names if name.encode() in words}
    return found


def ran_in_pilots(desk: Desk) -> bool:
    return asked(desk, "SELECT count(*) FROM attempts WHERE pilot = ''") == [(0,)]


def same_as(desk: Desk, reference: Desk) -> None:
    is_sound(desk)
    assert "DIFFER" not in desk("compare", str(reference.folder / "products"), "products").out
    assert desk.products().keys() == reference.products().keys()


def test_the_demo_in_pilots_that_slurm_started(grid: Grid, desk: Desk, reference: Desk) -> None:
    grid.has(through="slurm", at_most=2, logs=str(grid.slurm.logs))
    desk.write(backend="htcondor")
    said = desk("run", "production.yaml")
    assert "asked of slurm" in said.err
    same_as(desk, reference)
    assert ran_in_pilots(desk)
    are_gone(grid, desk)


def test_the_demo_in_pilots_that_a_second_pool_started(grid: Grid, desk: Desk, reference: Desk) -> None:
    grid.has(through="htcondor", at_most=2, environment={"CONDOR_CONFIG": str(grid.second.config)})
    desk.write(backend="htcondor")
    desk("run", "production.yaml")
    same_as(desk, reference)
    assert ran_in_pilots(desk)
    are_gone(grid, desk)


def test_the_demo_in_a_pilot_that_can_only_connect_outwards(
    grid: Grid, desk: Desk, reference: Desk, tmp_path: Path
) -> None:  # fmt: skip
    grid.has(through="script")
    desk.write(backend="htcondor")
    with Outbound(grid.pool.port, "wn9.cloud.lofargrid.test", [grid.hidden]) as machine, running(desk) as process:
        script = machine.folder / "pilot.sh"
        desk("pilots", "script", "--site", "university", "--output", str(script))
        assert script.stat().st_mode & 0o777 == 0o600
        out = machine.folder / "out"
        pilot = machine.start(["/bin/sh", str(script)], out)
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said + out.read_text()
        assert "pilots script --site university" in said
        assert pilot.wait(60) == 0
    same_as(desk, reference)
    assert ran_in_pilots(desk)
    assert {node for (node,) in asked(desk, "SELECT DISTINCT node FROM attempts")} == {"wn9.cloud.lofargrid.test"}
    are_gone(grid, desk)
