from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lofargrid.sandboxes import pack_runner
from tests.contracts.backends import Harness, Local, Scripted


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true zipapp, as it is shipped."""
    return pack_runner(tmp_path_factory.mktemp("runner"))


@pytest.fixture(params=["scripted", "local"])
def harness(request: pytest.FixtureRequest, tmp_path: Path, runner: Path) -> Iterator[Harness]:
    one: Harness = Scripted(tmp_path) if request.param == "scripted" else Local(tmp_path, runner)
    yield one
    one.close()
