"""A proxy is a file that its owner alone can read, and in it a chain down to the user's own certificate."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from lofargrid.credentials.proxy import read_proxy
from lofargrid.credentials.trust import Trust
from lofargrid.errors import InputError
from tests.grid.authority import Authority, Holder
from tests.grid.proxies import signed, written


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_proxy(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "PRIVATE KEY" not in text
    return text


def test_a_proxy_tells_whose_it_is_and_until_when(authority: Authority, janneke: Holder, tmp_path: Path) -> None:
    found = read_proxy(written(tmp_path / "x509up", signed(janneke), janneke))
    assert (found.identity, found.subject) == ("/C=NL/O=Test/OU=People/CN=Janneke", f"{found.identity}/CN=1")
    assert (found.kind, found.key_bits, found.vo, found.fqans) == ("impersonation", 2048, "", ())
    assert abs(found.good_until - datetime.now(UTC) - timedelta(hours=12)) < timedelta(minutes=5)
    assert Trust(authority.certificates, tmp_path).doubts(found, datetime.now(UTC)) == []


def test_a_proxy_of_a_proxy_ends_with_the_first_of_them(authority: Authority, janneke: Holder, tmp_path: Path) -> None:
    first = signed(janneke, hours=1)
    found = read_proxy(written(tmp_path / "x509up", signed(first, name="2"), first, janneke))
    assert (len(found.chain), found.identity) == (3, "/C=NL/O=Test/OU=People/CN=Janneke")
    assert found.good_until < datetime.now(UTC) + timedelta(hours=2)
    assert Trust(authority.certificates, tmp_path).doubts(found, datetime.now(UTC)) == []


def test_its_secret_is_in_no_text_of_it(janneke: Holder, tmp_path: Path) -> None:
    path = written(tmp_path / "x509up", signed(janneke), janneke)
    key = path.read_text().partition("PRIVATE KEY-----\n")[2].splitlines()[1]
    assert key not in repr(read_proxy(path))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_one_that_others_can_read_is_refused(janneke: Holder, tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "x509up", signed(janneke), janneke, mode=mode)
    assert f"others can read this proxy. chmod 600 {path}" in refusal(path)


def test_one_of_somebody_else_is_refused(janneke: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "x509up", signed(janneke), janneke)
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    assert "somebody else's" in refusal(path)


def test_what_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    assert "there is no proxy. Make one with: proxy --new" in refusal(tmp_path / "gone")
    assert "Is a directory" in refusal(tmp_path)
    assert "not a file" in refusal(Path("/dev/null"))


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"])
def test_what_holds_no_certificates_is_no_proxy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x509up"
    path.touch(mode=0o600)
    path.write_bytes(content)
    assert "this is no proxy" in refusal(path)


def test_the_users_own_certificate_is_no_proxy(janneke: Holder, tmp_path: Path) -> None:
    assert "it begins with a certificate that is none" in refusal(written(tmp_path / "x509up", janneke))


def test_one_without_the_users_certificate_is_no_proxy(janneke: Holder, tmp_path: Path) -> None:
    assert "the user's certificate is not in it" in refusal(written(tmp_path / "x509up", signed(janneke)))


def test_one_that_its_user_has_not_signed_is_no_proxy(janneke: Holder, tmp_path: Path) -> None:
    other = rsa.generate_private_key(65537, 2048)
    path = written(tmp_path / "x509up", signed(janneke, by=other), janneke)
    assert "CN=Janneke has not signed /C=NL" in refusal(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"voms": b"\x30\x03abc"},
        {"voms": b""},
        {"info": b"\x30\x01"},
        {"info": b""},
        {"info": b"\x30\x00"},
        {"info": b"\x02\x01\x00"},
        {"info": b"\x30\x02\x30\x00"},
    ],
)
def test_extensions_that_cannot_be_read_make_it_none(
    janneke: Holder, tmp_path: Path, changes: dict[str, bytes]
) -> None:
    assert "this is no proxy" in refusal(written(tmp_path / "x509up", signed(janneke, **changes), janneke))


def test_a_list_of_what_is_revoked_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    piet = authority.user("Piet")
    found = read_proxy(written(tmp_path / "x509up", signed(piet), piet))
    authority.revocations.write_text("no list\n")
    [told] = Trust(authority.certificates, tmp_path).doubts(found, datetime.now(UTC))
    assert told == f"{authority.revocations} cannot be read, which tells what is revoked"


def test_a_list_that_its_authority_has_not_signed_revokes_nobody(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "other")
    piet = authority.user("Piet")
    found = read_proxy(written(tmp_path / "x509up", signed(piet), piet))
    other.revoke(piet)
    authority.revocations.write_bytes(other.revocations.read_bytes())
    assert Trust(authority.certificates, tmp_path).doubts(found, datetime.now(UTC)) == []
    authority.revoke(piet)
    assert Trust(authority.certificates, tmp_path).doubts(found, datetime.now(UTC)) != []
