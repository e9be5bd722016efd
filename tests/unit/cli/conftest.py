from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.seat import Seat


@pytest.fixture
def seat(tmp_path: Path) -> Seat:
    seat = Seat(tmp_path)
    seat.observe()
    return seat


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Seat:
    """A production that went well; for tests that only look."""
    seat = Seat(tmp_path_factory.mktemp("finished"))
    seat.observe()
    seat("run", seat.write())
    return seat


@pytest.fixture(scope="session")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Seat:
    """A production that lives with a subband that is not there; for tests that only look."""
    seat = Seat(tmp_path_factory.mktemp("lacking"))
    seat.observe()[1].unlink()
    seat("run", seat.write())
    return seat


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Seat:
    """A production whose every subband failed; for tests that only look."""
    seat = Seat(tmp_path_factory.mktemp("failed"))
    seat.observe()
    seat("run", seat.write(parameters={"stop": str(seat.block())}), code=1)
    return seat
