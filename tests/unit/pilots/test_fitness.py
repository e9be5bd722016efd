"""Is a node good enough for a pilot: what is wrong is told at once, and all of it."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lofargrid_runner import fitness
from lofargrid_runner.contract import PilotSpec, Reason
from lofargrid_runner.failure import Failure
from lofargrid_runner.fitness import Token, ends, numeric, read_token, require_fit, unknown_host

NOW = 1_800_000_000.0
NODE: dict[str, Any] = {"cpus": 4, "memory_mb": 8000, "scratch_free_mb": 50_000}
TOKEN = Token(NOW - 10, NOW + 86_400)


@pytest.fixture(autouse=True)
def ordinary_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a test is made by who we are; after that we are somebody else."""
    monkeypatch.setattr(os, "getuid", lambda: 1000)


@pytest.fixture
def collector() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def spec(collector: str, **changes: Any) -> PilotSpec:
    one = PilotSpec("t1-p1", "Leiden", "janneke", "janneke@example.org", collector, 2, 4000, 1000, 3600, 600)
    return one._replace(**changes)


def token_file(folder: Path, claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    path = folder / "token"
    path.write_text(f"head.{body}.signature\n")
    return str(path)


def refusal(spec: PilotSpec, token: Token = TOKEN, node: dict[str, Any] = NODE) -> Failure:
    with pytest.raises(Failure) as caught:
        require_fit(spec, token, node, NOW)
    return caught.value


def test_a_token_tells_when_it_was_issued_and_when_it_expires(tmp_path: Path) -> None:
    assert read_token(token_file(tmp_path, {"iat": 5, "exp": 7, "jti": "x"})) == Token(5, 7)
    assert read_token(token_file(tmp_path, {})) == Token(0, 0)


@pytest.mark.parametrize("content", ["", "no token", "a.!!!.c", "a.bm8gSlNPTg.c", "a.WzFd.c", "a.eyJleHAiOiAieCJ9.c"])
def test_what_is_no_token_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(Failure) as caught:
        read_token(str(tmp_path / "token"))
    assert (caught.value.reason, caught.value.detail) == (
        Reason.CREDENTIAL_REFUSED,
        "the file `token` holds no token",
    )


def test_a_token_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot read the token: No such file or directory"):
        read_token(str(tmp_path / "token"))


def test_a_pilot_ends_with_its_time_or_its_token() -> None:
    one = spec("x:1")
    assert ends(one, Token(0, NOW + 100), NOW) == NOW + 100
    assert ends(one, Token(0, NOW + 7200), NOW) == NOW + 3600
    assert ends(one, Token(0, 0), NOW) == NOW + 3600


def test_a_good_node_passes(collector: str, tmp_path: Path) -> None:
    require_fit(spec(collector, needs=(str(tmp_path),)), TOKEN, NODE, NOW)


def test_a_little_less_memory_than_what_was_sold_will_do(collector: str) -> None:
    require_fit(spec(collector), TOKEN, {**NODE, "memory_mb": 3800}, NOW)
    assert "3799 MB of memory, 3800 are needed" in refusal(spec(collector), node={**NODE, "memory_mb": 3799}).detail


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    small = {"cpus": 1, "memory_mb": 100, "scratch_free_mb": 10}
    failure = refusal(spec("127.0.0.1:1", needs=("/no/such/folder",)), Token(NOW + 1000, NOW + 86_400), small)
    assert failure.reason == Reason.NODE_UNFIT
    assert failure.detail.startswith(f"{os.uname().nodename}: a pilot runs as an ordinary user, not as root; ")
    for words in (
        "1 cores, 2 are needed",
        "100 MB of memory, 3800 are needed",
        "10 MB of scratch, 1000 are needed",
        "its clock is 1000 s behind the pool's or more",
        "no /no/such/folder",
        "cannot reach the pool at 127.0.0.1:1: [Errno 111] Connection refused",
    ):
        assert words in failure.detail


def test_an_address_that_is_none_is_no_pool(collector: str) -> None:
    assert "cannot reach the pool at nonsense" in refusal(spec("nonsense")).detail


def test_a_token_that_has_waited_too_long_for_its_turn_is_told_as_such(collector: str) -> None:
    failure = refusal(spec(collector), Token(NOW - 50_000, NOW + 599))
    assert failure.reason == Reason.CREDENTIAL_EXPIRED
    assert failure.detail == "the pilot's token expires in 599 s: it waited too long for its turn"


def test_a_node_is_known_by_a_name_service_or_by_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness.socket, "gethostname", lambda: "localhost")
    assert unknown_host() == ""
    monkeypatch.setattr(fitness.socket, "gethostname", lambda: "wn1.invalid")
    monkeypatch.setattr(fitness.socket, "getaddrinfo", no_names)
    assert unknown_host() == "wn1.invalid"


def no_names(*_: object, **__: object) -> list[object]:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize(
    ("collector", "address"),
    [("127.0.0.1:9618", "127.0.0.1:9618"), ("[::1]:9618", "[::1]:9618"), ("nonsense", "nonsense"),
     ("localhost:9618", "127.0.0.1:9618")],
)  # fmt: skip
def test_a_collector_is_told_by_its_address(collector: str, address: str) -> None:
    assert numeric(collector) == address
