"""Which tool reaches a storage, how long a credential opens it, and to whom a token is shown."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from lofargrid_runner import clients
from lofargrid_runner.called import Called
from lofargrid_runner.contract import Reason
from lofargrid_runner.failure import Failure
from lofargrid_runner.https import Https
from lofargrid_runner.remote import Client, Manner
from lofargrid_runner.streams import Facts
from lofargrid_runner.tools import Access

from tests.grid.authority import Authority, Holder
from tests.grid.proxies import signed, written
from tests.grid.trouble import serving

ACCESS = Access("/tmp/proxy", "/etc/certificates")


# Which one is taken


def have(folder: Path, *names: str) -> dict[str, str]:
    for name in names:
        (folder / name).touch(mode=0o755)
    return {"PATH": str(folder)}


def chosen(client: Client) -> str:
    if isinstance(client, Https):
        return "https"
    assert isinstance(client, Called)
    return client._tool.read("davs://h/a", "")[0].replace("sh", "gfal-copy")


@pytest.mark.parametrize(
    ("scheme", "order", "here", "taken"),
    [
        ("davs", ("gfal-copy", "curl", "https"), ("curl", "gfal-copy", "gfal-stat"), "gfal-copy"),
        ("davs", ("gfal-copy", "curl", "https"), ("curl",), "curl"),
        ("davs", ("gfal-copy", "curl", "https"), (), "https"),
        ("davs", ("https", "curl"), ("curl",), "https"),
        ("root", ("curl", "xrdcp"), ("curl", "xrdcp", "xrdfs"), "xrdcp"),
    ],
)
def test_the_first_tool_that_is_here_and_speaks_the_protocol_is_taken(
    tmp_path: Path, manner: Manner, scheme: str, order: tuple[str, ...], here: tuple[str, ...], taken: str
) -> None:
    assert chosen(clients.client_of(scheme, order, have(tmp_path, *here), manner)) == taken


@pytest.mark.parametrize(("scheme", "order"), [("root", ("xrdcp", "https")), ("davs", ()), ("gsiftp", ("rsync",))])
def test_without_a_tool_the_software_is_missing(
    tmp_path: Path, manner: Manner, scheme: str, order: tuple[str, ...]
) -> None:
    with pytest.raises(Failure, match=f"cannot speak {scheme}://") as told:
        clients.client_of(scheme, order, {"PATH": str(tmp_path)}, manner)
    assert told.value.reason is Reason.SOFTWARE_MISSING


# A proxy's time


@pytest.mark.parametrize(("hours", "reason"), [(1, Reason.STORAGE_UNAVAILABLE), (-1, Reason.CREDENTIAL_EXPIRED)])
def test_a_server_that_hangs_up_is_away_unless_our_proxys_time_is_over(
    tmp_path: Path, janneke: Holder, manner: Manner, hours: float, reason: Reason
) -> None:
    path = str(written(tmp_path / "proxy", signed(janneke, hours=hours), janneke))

    def hang_up() -> None:
        line, _ = server.accept()
        with line:
            line.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up)
        thread.start()
        client = Https(Access(path, ""), manner._replace(proxy=path))
        with manner.stop, pytest.raises(Failure) as told:
            client.facts(f"davs://127.0.0.1:{server.getsockname()[1]}/a")
        thread.join()
    assert told.value.reason is reason, told.value.detail


def test_a_handshake_that_hangs_is_tried_once_more(manner: Manner) -> None:
    lines: list[socket.socket] = []

    def take_two() -> None:
        lines.append(server.accept()[0])  # of which nothing is heard
        lines.append(server.accept()[0])
        lines[1].recv(1 << 16)
        lines[1].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=take_two)
        thread.start()
        client = Https(Access("", ""), manner._replace(stall_s=0.5))
        with manner.stop, pytest.raises(Failure) as told:
            client.facts(f"davs://127.0.0.1:{server.getsockname()[1]}/a")
        thread.join()
    lines[0].close()
    assert told.value.reason is Reason.STORAGE_UNAVAILABLE
    assert "timed out" not in told.value.detail, "it is the second that tells"


# Tokens


@contextlib.contextmanager
def listening(holder: Holder, seen: list[str | None], sent_on: str = "") -> Iterator[int]:
    """A server that notes what it is shown, and sends on if told so. Yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(302 if sent_on else 200)
            self.send_header("Content-Length", "7")
            if sent_on:
                self.send_header("Location", sent_on)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Answer, holder) as port:
        yield port


def test_a_token_is_shown_to_the_server_it_is_for_and_to_no_other(
    tmp_path: Path, authority: Authority, manner: Manner
) -> None:
    token = tmp_path / "token"
    token.write_text("MDAxsecret\n")
    holder = authority.server("web.test")
    first: list[str | None] = []
    other: list[str | None] = []
    with listening(holder, other) as far, listening(holder, first, f"https://localhost:{far}/elsewhere") as near:
        client = Https(Access("", str(authority.certificates), str(token)), manner)
        assert client.facts(f"https://localhost:{near}/a") == Facts(7)
    assert (first, other) == (["Bearer MDAxsecret"], [None])


def test_a_token_that_cannot_be_read_is_told(tmp_path: Path, manner: Manner) -> None:
    with pytest.raises(Failure, match=r"the token .*/none cannot be read") as told:
        Https(Access("", "", str(tmp_path / "none")), manner)
    assert told.value.reason is Reason.CREDENTIAL_EXPIRED


def test_with_a_token_our_own_client_is_taken_and_none_where_the_protocol_is_another(
    tmp_path: Path, manner: Manner
) -> None:
    (tmp_path / "token").write_text("MDAx")
    chosen = clients.client_of(
        "davs", ("curl", "gfal-copy"), {"PATH": os.environ["PATH"]}, manner, str(tmp_path / "token")
    )
    assert isinstance(chosen, Https)
    with pytest.raises(Failure, match="cannot speak root://"):
        clients.client_of("root", ("xrdcp",), {"PATH": os.environ["PATH"]}, manner, str(tmp_path / "token"))
