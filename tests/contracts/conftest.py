from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lofargrid.recipes.sandboxes import pack_runner
from tests.contracts.backends import SITE, Condor, Harness, Local, Scripted, Simulated
from tests.grid.opening import opened_pool
from tests.grid.pool import Node, Pool


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true zipapp, as it is shipped."""
    return pack_runner(tmp_path_factory.mktemp("runner"))


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """A pool with one site of two nodes."""
    with opened_pool([Node(SITE, "wn1", 4, 40000), Node(SITE, "wn2", 4, 40000)]) as one:
        yield one


@pytest.fixture(params=["scripted", "local", "simulated", pytest.param("htcondor", marks=pytest.mark.service)])
def harness(request: pytest.FixtureRequest, tmp_path: Path, runner: Path) -> Iterator[Harness]:
    made: dict[str, Callable[[], Harness]] = {
        "scripted": lambda: Scripted(tmp_path),
        "local": lambda: Local(tmp_path, runner),
        "simulated": lambda: Simulated(tmp_path),
        "htcondor": lambda: Condor(tmp_path, runner),
    }
    if request.param == "htcondor":
        request.getfixturevalue("pool")
    one = made[request.param]()
    yield one
    one.close()


@pytest.fixture(params=["simulated"])
def cluster(tmp_path: Path) -> Iterator[Simulated]:
    """Backends that have several nodes."""
    one = Simulated(tmp_path)
    yield one
    one.close()
