"""The main job through a real HTCondor pool of three sites, none of which sees the submit host's folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.grid.opening import opened_pool
from tests.grid.pool import Node, Pool
from tests.production.conftest import Desk
from tests.production.soundness import asked, is_sound

NODES = (
    Node("archive", "wn1", cpus=2),
    Node("university", "wn2", cpus=2),
    Node("broken", "wn3", cpus=2, broken=True),
)
LIMITS = {"cores": 2, "memory_mb": 8000, "scratch_mb": 20000, "slots": 2, "backend": "htcondor"}
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
