"""Leave: a proxy is looked at again when its file has changed, and must outlive what is begun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lofargrid.credentials.leave import PROXY, TOKEN, Leave
from lofargrid.errors import ExpiredError
from tests.grid.authority import Holder
from tests.grid.processes import write_secret
from tests.grid.proxies import signed, written
from tests.grid.tokens import jwt


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x509up"


@pytest.fixture
def leave(path: Path, clock: Clock) -> Leave:
    return Leave(PROXY, path, clock)


def test_it_holds_back_what_would_outlive_the_proxy(leave: Leave, path: Path, clock: Clock, janneke: Holder) -> None:
    written(path, signed(janneke, hours=2), janneke)
    leave.require(110)
    clock.time += timedelta(minutes=30)
    with pytest.raises(ExpiredError, match=r"good for \d+ min more; jobs that may take 110 min wait for a new one"):
        leave.require(110)
    leave.require()
    clock.time += timedelta(minutes=95)
    with pytest.raises(ExpiredError, match="has ended; what needs one waits for a new one"):
        leave.require()


def test_a_new_one_is_seen(leave: Leave, path: Path, janneke: Holder) -> None:
    written(path, signed(janneke, hours=-1), janneke)
    with pytest.raises(ExpiredError):
        leave.require()
    written(path.with_name("new"), signed(janneke, hours=2), janneke).replace(path)
    leave.require(60)


def test_none_and_one_that_others_can_read_are_none(leave: Leave, path: Path, janneke: Holder) -> None:
    with pytest.raises(ExpiredError, match="x509up"):
        leave.require()
    written(path, signed(janneke), janneke)
    leave.require()
    path.chmod(0o644)
    with pytest.raises(ExpiredError, match="others can read this proxy"):
        leave.require()


def test_a_token_that_does_not_say_when_it_ends_is_good(path: Path, clock: Clock) -> None:
    write_secret(path, b"opaque")
    Leave(TOKEN, path, clock).require(1e6)


def test_a_token_is_asked_for_at_its_storage(path: Path, clock: Clock) -> None:
    write_secret(path, jwt(exp=(clock.time + timedelta(minutes=30, seconds=30)).timestamp()))
    leave = Leave(TOKEN, path, clock)
    leave.require(30)
    with pytest.raises(
        ExpiredError, match="is good for 30 min more; jobs that may take 60 min wait for a new one: ask"
    ):
        leave.require(60)
    path.chmod(0o644)
    with pytest.raises(ExpiredError, match=r"others can read this file with a token.*; what needs it waits for that"):
        leave.require()
