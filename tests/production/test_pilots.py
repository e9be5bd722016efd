"""The main job where every job runs in a pilot, through each way that pilots come about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grid.opening import prefix
from tests.grid.outbound import Outbound
from tests.grid.pool import Node, Pool
from tests.production.conftest import Desk
from tests.production.piloted import Grid, are_gone, endings, opened_grid
from tests.production.soundness import asked, is_sound, running

IDLE = (None, "no job came for 15 s")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    with opened_grid(tmp_path_factory) as one:
        yield one


@pytest.fixture
def second(grid: Grid) -> Iterator[Pool]:
    """A pool of somebody else's."""
    with Pool(prefix(), [Node("batch", "wn8", memory_mb=8000)], [grid.hidden], domain="batch.test") as one:
        yield one


def is_like(desk: Desk, reference: Desk) -> None:
    """A desk has the same products, and every attempt ran in a pilot."""
    is_sound(desk)
    assert "DIFFER" not in desk("compare", str(reference.folder / "products"), "products").out
    assert desk.products().keys() == reference.products().keys()
    assert asked(desk, "SELECT count(*) FROM attempts WHERE pilot = ''") == [(0,)]


def test_the_demo_in_pilots_that_slurm_started(grid: Grid, desk: Desk, reference: Desk) -> None:
    grid.has(through="slurm", at_most=2, logs=str(grid.slurm.logs))
    desk.write(backend="htcondor")
    said = desk("run", "production.yaml")
    assert "asked of slurm" in said.err
    is_like(desk, reference)
    are_gone(grid, desk)
    assert set(endings(desk)) == {IDLE}


def test_the_demo_in_pilots_that_a_second_pool_started(
    grid: Grid, second: Pool, desk: Desk, reference: Desk
) -> None:  # fmt: skip
    grid.has(through="htcondor", at_most=2, environment={"CONDOR_CONFIG": str(second.config)})
    desk.write(backend="htcondor")
    desk("run", "production.yaml")
    is_like(desk, reference)
    are_gone(grid, desk)
    assert set(endings(desk)) == {IDLE}
    second.until_empty()


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
        assert "no job came for 15 s" in out.read_text()
    is_like(desk, reference)
    assert {node for (node,) in asked(desk, "SELECT DISTINCT node FROM attempts")} == {"wn9.cloud.lofargrid.test"}
    are_gone(grid, desk)
