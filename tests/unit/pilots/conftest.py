from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.zipapp import build_zipapp
from tests.unit.pilots.attempts import Attempt


@pytest.fixture(scope="session")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_zipapp(tmp_path_factory.mktemp("zipapp") / "runner.pyz")


@pytest.fixture
def attempt(tmp_path: Path, zipapp: Path) -> Attempt:
    return Attempt(tmp_path, zipapp)
