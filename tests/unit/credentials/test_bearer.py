"""Tokens of storages: which opens what, what they say of their end, and what is wrong with their files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lofargrid.credentials.bearer import Bearers, read_bearer
from lofargrid.errors import InputError
from tests.grid.processes import write_secret
from tests.grid.tokens import encoded, jwt

HOUR_12 = datetime(2030, 1, 1, 12, tzinfo=UTC)


def macaroon(*caveats: str) -> bytes:
    """As libmacaroons writes it: packets, each behind its length."""
    packets = [b"identifier 1\n", *(f"cid {one}\n".encode() for one in caveats), b"signature \x8f\xff\n"]
    return encoded(b"".join(f"{len(one) + 4:04x}".encode() + one for one in packets))


def kept(folder: Path, token: bytes) -> Path:
    path = folder / "SURF"
    write_secret(path, token + b"\n")
    return path


@pytest.mark.parametrize(
    ("token", "ends"),
    [
        (jwt(exp=HOUR_12.timestamp(), sub="janneke"), HOUR_12),
        (macaroon("activity:DOWNLOAD", "before:2030-01-01T12:00:00Z"), HOUR_12),
        (macaroon("before:2031-01-01T00:00:00Z", "before:2030-01-01T12:00:00.0Z"), HOUR_12),
        (macaroon("activity:DOWNLOAD"), None),
        (macaroon("before:some day Z"), None),
        (jwt(sub="janneke"), None),
        (jwt(exp="soon"), None),
        (b"opaque", None),
        (b"a.b.c", None),
    ],
)
def test_a_token_tells_when_it_ends_if_it_says_so(tmp_path: Path, token: bytes, ends: datetime | None) -> None:
    assert read_bearer(kept(tmp_path, token)) == ends


@pytest.mark.parametrize("token", [b"", b"two words", b"a\nb", "tökn".encode()])
def test_what_is_no_token_is_refused_and_not_shown(tmp_path: Path, token: bytes) -> None:
    with pytest.raises(InputError, match="it holds no token") as raised:
        read_bearer(kept(tmp_path, token))
    assert "words" not in str(raised.value)


def test_what_others_can_read_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path, b"abc")
    path.chmod(0o640)
    with pytest.raises(InputError, match="others can read this file with a token"):
        read_bearer(path)


# Which token opens what


@pytest.fixture
def bearers(tmp_path: Path) -> Bearers:
    """Of two sites, one with a token."""
    kept(tmp_path, b"abc")
    return Bearers(tmp_path, {"Juelich": ["juelich.test:443"], "SURF": ["surf.test:2880", "surf.test"]})


def test_a_token_is_shown_to_the_servers_of_its_site(bearers: Bearers, tmp_path: Path) -> None:
    assert bearers.of("davs://surf.test:2880/a") == bearers.of("https://surf.test/b/c") == str(tmp_path / "SURF")
    assert bearers.at("SURF") == tmp_path / "SURF"
    assert bearers.at("Juelich") is None


@pytest.mark.parametrize(
    "url",
    [
        "davs://juelich.test:443/a",
        "davs://elsewhere.test/a",
        "https://elsewhere.test/?surl=srm://surf.test/a",
        "https://surf.test@elsewhere.test/a",
        "davs://surf.test:1/a",
        "root://surf.test//a",
        "srm://surf.test/a",
        "http://surf.test/a",
        "file://surf.test/a",
        "surf.test",
    ],
)
def test_and_to_nobody_else_and_over_https_alone(bearers: Bearers, url: str) -> None:
    assert bearers.of(url) == ""


@pytest.mark.parametrize("site", ["../outside", ".", ""])
def test_a_site_is_no_path(tmp_path: Path, site: str) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "outside").touch()
    assert Bearers(tmp_path / "tokens", {site: ["surf.test"]}).of("davs://surf.test/a") == ""


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    assert Bearers(tmp_path / "none", {"SURF": ["surf.test"]}).of("davs://surf.test/a") == ""
