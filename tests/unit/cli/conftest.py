from __future__ import annotations

from pathlib import Path

import pytest

from tests.grid.authority import Authority
from tests.unit.cli.seat import Seat


@pytest.fixture
def seat(tmp_path: Path) -> Seat:
    seat = Seat(tmp_path)
    seat.observe()
    return seat


@pytest.fixture
def proxy(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's proxy is to be."""
    path = tmp_path / "x509up"
    monkeypatch.setenv("X509_USER_PROXY", str(path))
    monkeypatch.setenv("X509_CERT_DIR", str(authority.certificates))
    monkeypatch.setenv("X509_VOMS_DIR", str(tmp_path / "vomsdir"))
    return path


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
