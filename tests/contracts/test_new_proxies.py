"""`proxy --new`: what voms-proxy-init gets from a real VOMS server."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from lofargrid.credentials.proxy import read_proxy
from tests.grid.authority import Holder
from tests.grid.processes import until, write_secret
from tests.grid.voms import VO
from tests.grid.voms_server import VomsServer

pytestmark = pytest.mark.service
DAY = "(?:23 h 59|24 h 0) min"
PHRASE = "a phrase that is typed"


@pytest.fixture(scope="module")
def stranger(vo: VO) -> Holder:
    return vo.authority.user("People", "Carol")


@pytest.fixture(scope="module")
def member(vo: VO) -> Holder:
    return vo.authority.user("People", "Bob")


@pytest.fixture(scope="module")
def server(vo: VO, janneke: Holder, member: Holder) -> Iterator[VomsServer]:
    with VomsServer(vo, {janneke: ["production"], member: []}) as one:
        yield one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x509up"


@pytest.fixture
def environment(vo: VO, server: VomsServer, path: Path) -> dict[str, str]:
    mine = {"X509_USER_PROXY": str(path), "HOME": str(path.parent), "LOFARGRID_DATA": str(path.parent / "tracker")}
    return {**os.environ, **vo.environment, **server.environment, **mine}


def proxy(environment: dict[str, str], holder: Holder | None, *words: str) -> subprocess.CompletedProcess[str]:
    """`proxy --new` of somebody, or of what the environment names."""
    own = {"X509_USER_CERT": str(holder.certificate_file), "X509_USER_KEY": str(holder.key_file)} if holder else {}
    command = [sys.executable, "-m", "lofargrid.cli", "proxy", "--new", *words]
    return subprocess.run(command, env={**environment, **own}, capture_output=True, text=True, check=False)


def test_one_command_makes_a_proxy_of_the_vo(environment: dict[str, str], path: Path, janneke: Holder) -> None:
    done = proxy(environment, janneke)
    assert (done.returncode, done.stderr) == (0, "")
    assert "VO        lofar: /lofar, /lofar/user" in done.stdout
    assert re.search(f"good for  {DAY}", done.stdout)
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_has_the_role_that_was_asked_for_and_keeps_it_when_it_is_renewed(
    environment: dict[str, str], path: Path, janneke: Holder
) -> None:
    assert proxy(environment, janneke, "--role", "production", "--valid", "2").returncode == 0
    first = read_proxy(path)
    assert first.fqans[0] == "/lofar/Role=production"
    assert proxy(environment, janneke, "--valid", "3").returncode == 0
    renewed = read_proxy(path)
    assert (renewed.vo, renewed.fqans) == (first.vo, first.fqans)
    assert renewed.good_until > first.good_until


def test_what_the_vo_gives_for_a_shorter_time_is_kept_and_told(
    environment: dict[str, str], path: Path, janneke: Holder
) -> None:
    done = proxy(environment, janneke, "--valid", "240")
    assert done.returncode == 1
    assert re.search(f"not good: it is good for {DAY} more, not for 240 h", done.stderr)
    assert read_proxy(path).vo == "lofar"


def test_who_may_not_gets_none_and_keeps_the_old_one(
    environment: dict[str, str], path: Path, member: Holder, stranger: Holder
) -> None:
    assert proxy(environment, member).returncode == 0
    before = path.read_bytes()
    for holder, words, told in (
        (member, ("--role", "production"), "Unable to satisfy B/lofar:production request. Ask your VO for that role"),
        (stranger, (), "User unknown to this VO. Ask to be made a member of the VO"),
        (member, ("--vo", "other"), "VOMS Server for other not known. The VO's address belongs in /etc/vomses"),
    ):
        done = proxy(environment, holder, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr
        assert path.read_bytes() == before


def test_of_a_proxy_none_is_made_and_why_is_told(
    environment: dict[str, str], path: Path, vo: VO, janneke: Holder, tmp_path: Path
) -> None:
    given = str(vo.proxy(tmp_path / "given", janneke))
    of_it = {**environment, "X509_USER_CERT": given, "X509_USER_KEY": given}
    for hours, told in (
        ("2", r"Parameters unset\. Debian's makes none of a proxy"),
        ("24", r"your certificate and proxy will expire .* requested lifetime of the proxy\. Ask for fewer hours"),
    ):
        done = proxy(of_it, None, "--valid", hours)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.search(told, done.stderr), done.stderr
    assert not path.exists()


def test_the_pass_phrase_of_the_key_is_asked_for_in_the_terminal(
    environment: dict[str, str], path: Path, janneke: Holder, tmp_path: Path
) -> None:
    key = tmp_path / "userkey.pem"
    locked = BestAvailableEncryption(PHRASE.encode())
    write_secret(key, janneke.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    own = {"X509_USER_CERT": str(janneke.certificate_file), "X509_USER_KEY": str(key)}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "lofargrid.cli", "proxy", "--new"], {**environment, **own})
    shown = b""
    while b"pass phrase" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, f"{PHRASE}\n".encode())
    until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, "it does not end")
    os.close(terminal)
    assert read_proxy(path).vo == "lofar"
    assert PHRASE.encode() not in b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())
