"""Whether a credential's time is over, as a worker node can read it without any library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lofargrid_runner.contract import Reason
from lofargrid_runner.expiry import has_expired, judged

from tests.grid.authority import Holder
from tests.grid.proxies import signed, written
from tests.grid.tokens import encoded, jwt

HOURS = [(1, False), (-1, True)]


def ends_in(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


@pytest.mark.parametrize(("hours", "over"), HOURS)
def test_a_proxys_time_is_read_from_its_file(tmp_path: Path, janneke: Holder, hours: float, over: bool) -> None:
    path = written(tmp_path / "proxy", signed(janneke, hours=hours), janneke)
    assert has_expired(str(path)) is over


@pytest.mark.parametrize(("hours", "over"), HOURS)
def test_a_macaroon_ends_by_the_first_of_its_times(tmp_path: Path, hours: float, over: bool) -> None:
    ends = ends_in(hours).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = f"0010location T1\n0024cid before:2099-01-01T00:00:00Z\n0024cid before:{ends}\n".encode()
    (tmp_path / "token").write_bytes(encoded(content))
    assert has_expired(str(tmp_path / "token")) is over


@pytest.mark.parametrize(("hours", "over"), HOURS)
def test_a_token_of_the_wlcg_ends_by_its_claim(tmp_path: Path, hours: float, over: bool) -> None:
    (tmp_path / "token").write_bytes(jwt(sub="janneke", exp=ends_in(hours).timestamp()))
    assert has_expired(str(tmp_path / "token")) is over


@pytest.mark.parametrize(
    "token", [jwt(sub="janneke"), jwt(exp="soon"), b"a.b.c", encoded(b"0010location T1\n"), b"opaque"]
)
def test_of_a_token_that_does_not_say_when_it_ends_nothing_is_claimed(tmp_path: Path, token: bytes) -> None:
    (tmp_path / "token").write_bytes(token)
    assert not has_expired(str(tmp_path / "token"))
    assert judged(Reason.CREDENTIAL_REFUSED, str(tmp_path / "token")) is Reason.CREDENTIAL_REFUSED


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_one_that_cannot_be_read_is_worth_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "proxy").write_text(content)
    assert has_expired(str(tmp_path / "proxy"))
    assert has_expired(str(tmp_path / "none"))
