from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lofargrid.recipes.sandboxes import pack_runner
from tests.contracts.backends import Harness, Local, Scripted, Simulated


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true zipapp, as it is shipped."""
    return pack_runner(tmp_path_factory.mktemp("runner"))


@pytest.fixture(params=["scripted", "local", "simulated"])
def harness(request: pytest.FixtureRequest, tmp_path: Path, runner: Path) -> Iterator[Harness]:
    made: dict[str, Callable[[], Harness]] = {
        "scripted": lambda: Scripted(tmp_path),
        "local": lambda: Local(tmp_path, runner),
        "simulated": lambda: Simulated(tmp_path),
    }
    one = made[request.param]()
    yield one
    one.close()


@pytest.fixture(params=["simulated"])
def cluster(tmp_path: Path) -> Iterator[Simulated]:
    """Backends that have several nodes."""
    one = Simulated(tmp_path)
    yield one
    one.close()
