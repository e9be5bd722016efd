"""A runner to start, and an attempt for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lofargrid_runner.log import Log
from lofargrid_runner.remote import Manner
from lofargrid_runner.stop import Stop

from lofargrid.zipapp import build_zipapp
from tests.unit.pilots.attempts import Attempt


@pytest.fixture(scope="session")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_zipapp(tmp_path_factory.mktemp("zipapp") / "runner.pyz")


@pytest.fixture
def attempt(tmp_path: Path, zipapp: Path) -> Attempt:
    return Attempt(tmp_path, zipapp)


@pytest.fixture
def manner(tmp_path: Path) -> Manner:
    """How files are fetched and stored, without long pauses."""
    return Manner("stage-in", Stop(), Log(str(tmp_path / "log")), str(tmp_path), pause_s=0.01)
