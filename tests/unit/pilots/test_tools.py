"""How tools are called, and how what they say is read."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from lofargrid_runner import clients
from lofargrid_runner.called import Called, has_expired
from lofargrid_runner.contract import Reason
from lofargrid_runner.failure import Failure
from lofargrid_runner.https import Https
from lofargrid_runner.log import Log
from lofargrid_runner.remote import Client, Manner, Pace, Remote, Resumed
from lofargrid_runner.stop import Stop
from lofargrid_runner.tools import TOOLS, Access, adler32_in, door, names_in, path_at, plain, size_in, web
from lofargrid_runner.transfers import Facts

from tests.grid.authority import Authority, Holder
from tests.grid.proxies import signed, written

ACCESS = Access("/tmp/proxy", "/etc/certificates")


@pytest.fixture
def manner(tmp_path: Path) -> Manner:
    return Manner("stage-in", Stop(), Log(str(tmp_path / "log")), str(tmp_path), pause_s=0.01)


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("Path:   /lofar/a\nId:     921\nSize:   20000000\nMTime:  2026", 20000000),
        ("  File: 'davs://h/a'\n  Size: 12\tregular file\n", 12),
        ("HTTP/1.1 307 Moved\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 42\r\n", 42),
        ("nothing of that", None),
    ],
)
def test_a_size_is_read_from_what_each_tool_says(said: str, size: int | None) -> None:
    assert size_in(said) == size


@pytest.mark.parametrize(
    ("said", "adler32"),
    [
        ("adler32 43aeb4d1", "43aeb4d1"),
        ("root://h:1//lofar/a c063406c\n", "c063406c"),
        ("Digest: adler32=C063406\r\n", "0c063406"),
        ("Digest: md5=1B2M2Y8AsgTpgAmY7PhCfg==,adler32=00000001\r\n", "00000001"),
        ("Content-Length: 1", None),
    ],
)
def test_a_checksum_is_read_from_what_each_tool_says(said: str, adler32: str | None) -> None:
    assert adler32_in(said) == adler32


PROPFIND = """<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns1="http://apache.org/dav/props/">
<D:response><D:href>/lofar/out/</D:href><D:propstat><D:prop><lp1:resourcetype><D:collection/></lp1:resourcetype>
</D:prop></D:propstat></D:response>
<D:response><D:href>
https://host:2880/lofar/out/a%20b.h5</D:href><D:propstat><D:prop><lp1:resourcetype/></D:prop></D:propstat></D:response>
</D:multistatus>"""


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("-rw-r--r--   1 0     0            2024 Nov 29 06:00 a b.h5\t\ndrwxr-xr-x   1 0 0 9 Nov 29  2025 folder\t\n",
         ["a b.h5"]),
        ("-rw-r--r--   1 0     0            2024 Nov  9  2025 a.h5\t\n", ["a.h5"]),
        ("-rw-r--r-- nobody nogroup 8 2026-11-29 06:00:00 /lofar/out/a b.h5\n"
         "drwxr-xr-x nobody nogroup 8 2026-11-29 06:00:00 /lofar/out/folder\n", ["a b.h5"]),
        (PROPFIND, ["a b.h5"]),
        ("", []),
    ],
)  # fmt: skip
def test_the_files_of_a_folder_are_read_from_what_each_tool_says(said: str, names: list[str]) -> None:
    assert names_in(said) == names


def test_what_a_root_url_says_is_meant_and_nothing_else_is_changed() -> None:
    assert plain("root://h//a%20b?authz=x%20y") == "root://h//a b?authz=x%20y"
    assert plain("davs://h/a%20b") == "davs://h/a%20b"
    assert path_at("root://h//a%20b") == "/a b"


def test_a_root_url_is_a_door_and_a_path() -> None:
    assert door("root://host:1094//pnfs/a b") == "root://host:1094"
    assert path_at("root://host:1094//pnfs/a b") == "/pnfs/a b"


def test_davs_is_what_the_grid_calls_https() -> None:
    assert web("davs://host/a") == "https://host/a"
    assert web("https://host/davs:") == "https://host/davs:"


@pytest.mark.parametrize("name", TOOLS)
def test_no_call_holds_more_of_a_credential_than_where_it_lies(name: str) -> None:
    tool = TOOLS[name](ACCESS)
    calls = [tool.read("davs://h/a", ""), tool.fetch("davs://h/a", "/p"), tool.write("/p", "davs://h/a"), tool.stat("davs://h/a"),
             tool.checksum("davs://h/a"), tool.remove("davs://h/a")]  # fmt: skip
    for call in calls:
        assert any("h/a" in word or word == "/a" or word.startswith("/a?") for word in call), call
        assert not {"Authorization", "Bearer"} & set(" ".join(call).split())


def test_curl_goes_on_where_it_stopped_and_never_without_encryption() -> None:
    words = TOOLS["curl"](ACCESS).read("davs://h/a", "7-9")
    assert " --range 7-9 https://h/a" in " ".join(words)
    assert ("--proto-redir", "=https") in pairwise(words)


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


# A stream that goes on where it broke


class Breaking(Client):
    """Gives a file in pieces; each number in ``breaks`` is how many bytes one connection lives."""

    def __init__(self, content: bytes, *breaks: int, resumes: bool = True, reason: Reason = Reason.STORAGE_UNAVAILABLE):
        self.resumes = resumes
        self.opened: list[int] = []
        self._content = content
        self._breaks = list(breaks)
        self._reason = reason

    def open(self, url: str, span: str = "") -> Piece:
        offset = int(span.partition("-")[0] or 0)
        assert span in ("", f"{offset}-{len(self._content) - 1}")
        self.opened.append(offset)
        return Piece(self._content[offset:], self._breaks.pop(0) if self._breaks else None, self._reason)

    def facts(self, url: str) -> Facts | None:
        return Facts(len(self._content))


class Refusing(Client):
    """Takes a file only after some failures; ``left`` are the files that were begun and not removed."""

    resumes = False

    def __init__(self, *failures: Reason) -> None:
        self._failures = list(failures)
        self.left: list[str] = []

    def put(self, path: str, url: str) -> None:
        assert self.left == [], "what was begun before is removed"
        self.left.append(url)
        if self._failures:
            raise Failure(self._failures.pop(0), "it breaks")

    def remove(self, url: str) -> None:
        self.left.clear()


@pytest.mark.parametrize(("crashes", "size"), [(1, 5), (2, 5), (3, None)])
def test_a_tool_that_crashes_is_called_again_and_not_for_ever(
    manner: Manner, tmp_path: Path, crashes: int, size: int | None
) -> None:
    tool = tmp_path / "bin" / "gfal-stat"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\necho >> "$0.calls"\ntest $(wc -l < "$0.calls") -gt {crashes} || kill -s SEGV $$\necho Size: 5\n'
    )
    tool.chmod(0o755)
    with Stop() as stop:
        environment = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
        client = Called(TOOLS["gfal-copy"](ACCESS), environment, manner._replace(stop=stop))
        if size is None:
            with pytest.raises(Failure, match=r"gfal-stat: no word \(signal 11\)") as raised:
                client.size("davs://h/a")
            assert raised.value.reason is Reason.STORAGE_UNAVAILABLE
        else:
            assert client.size("davs://h/a") == size
    assert (tmp_path / "log").read_text().count("it is called again") == min(crashes, 2)


def test_what_is_stored_is_sent_once_more_where_a_link_breaks(manner: Manner, tmp_path: Path) -> None:
    client = Refusing(*[Reason.STORAGE_UNAVAILABLE] * 2)
    Remote(client, manner._replace(pause_s=0)).put("/a", "davs://h/a")
    assert client.left == ["davs://h/a"]
    assert (tmp_path / "log").read_text().count("davs://h/a: it breaks; goes on at byte 0 in ") == 2


@pytest.mark.parametrize(
    ("failures", "sends", "reason"),
    [
        ([Reason.STORAGE_UNAVAILABLE] * 3, 3, Reason.STORAGE_UNAVAILABLE),
        ([Reason.CREDENTIAL_REFUSED], 3, Reason.CREDENTIAL_REFUSED),
        ([Reason.STORAGE_UNAVAILABLE], 1, Reason.STORAGE_UNAVAILABLE),
    ],
)
def test_it_is_not_sent_for_ever_nor_where_that_would_not_help(
    manner: Manner, failures: list[Reason], sends: int, reason: Reason
) -> None:
    client = Refusing(*failures)
    with pytest.raises(Failure) as raised:
        Remote(client, manner._replace(pause_s=0, sends=sends)).put("/a", "davs://h/a")
    assert (raised.value.reason, client.left) == (reason, [])


class Piece:
    def __init__(self, content: bytes, lives: int | None, reason: Reason) -> None:
        self._content, self._lives, self._reason = content, lives, reason

    def read(self, size: int) -> bytes:
        if self._lives is not None and self._lives <= 0:
            raise Failure(self._reason, "it broke")
        size = size if self._lives is None else min(size, self._lives)
        data, self._content = self._content[:size], self._content[size:]
        self._lives = None if self._lives is None else self._lives - size
        return data

    def close(self) -> None:
        pass


def whole(stream: Resumed) -> bytes:
    return b"".join(iter(lambda: stream.read(4), b""))


def test_a_stream_that_breaks_goes_on_where_it_broke(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 3)
    with manner.stop:
        assert whole(Resumed(client, "davs://h/a", manner)) == b"0123456789"
    assert client.opened == [0, 4, 7]


def test_a_tool_that_begins_at_the_first_byte_only_passes_over_what_has_come(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 7, resumes=False)
    with manner.stop:
        assert whole(Resumed(client, "root://h/a", manner)) == b"0123456789"
    assert client.opened == [0, 0, 0]


def test_a_file_that_became_shorter_is_corrupt(manner: Manner) -> None:
    client = Breaking(b"0123456789", 6, resumes=False)
    stream = Resumed(client, "root://h/a", manner)
    with manner.stop, pytest.raises(Failure) as told:
        stream.read(6)
        client._content = b"01"
        stream.read(6)
    assert told.value.reason is Reason.INPUT_CORRUPT


def test_one_that_breaks_behind_its_last_byte_is_whole(manner: Manner) -> None:
    client = Breaking(b"0123456789", 10)
    with manner.stop:
        assert whole(Resumed(client, "davs://h/a", manner)) == b"0123456789"
    assert client.opened == [0]


def test_one_that_is_shorter_than_what_has_come_is_corrupt(manner: Manner) -> None:
    client = Breaking(b"0123456789", 6)
    stream = Resumed(client, "davs://h/a", manner)
    with manner.stop, pytest.raises(Failure, match="became shorter") as told:
        stream.read(6)
        client._content = b"01"
        stream.read(6)
    assert told.value.reason is Reason.INPUT_CORRUPT


def test_one_that_breaks_ever_again_in_one_place_is_given_up(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 0, 0, 0, 0)
    with manner.stop, pytest.raises(Failure, match="it broke"):
        whole(Resumed(client, "davs://h/a", manner))
    assert client.opened == [0, 4, 4]


def test_one_that_breaks_for_good_is_not_opened_again(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, reason=Reason.CREDENTIAL_EXPIRED)
    with manner.stop, pytest.raises(Failure, match="it broke"):
        whole(Resumed(client, "davs://h/a", manner))
    assert client.opened == [0]


# A file that comes without a stream


def fetched(client: Client, manner: Manner) -> bytes:
    path = Path(manner.folder) / "file"
    path.touch()
    with manner.stop:
        Remote(client, manner).fetch("davs://h/a", str(path))
    return path.read_bytes()


def test_a_file_whose_link_breaks_goes_on_where_it_broke(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 3)
    assert fetched(client, manner) == b"0123456789"
    assert client.opened == [0, 4, 7]


def test_where_nothing_comes_any_more_a_file_is_given_up(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 0, 0, 0, 0)
    with pytest.raises(Failure, match="it broke"):
        fetched(client, manner)
    assert client.opened == [0, 4, 4]


TOOL = """#!/bin/sh
test -e "$0.begun" && { printf all > "$OUT"; exit 0; }
touch "$0.begun"
printf part-that-is-longer > "$OUT"
echo 'curl: (56) Recv failure: Connection reset by peer' >&2
exit 56
"""


def test_a_tool_that_cannot_go_on_begins_anew(tmp_path: Path, manner: Manner) -> None:
    (tmp_path / "tool").write_text(TOOL)
    (tmp_path / "tool").chmod(0o755)
    tool = TOOLS["xrdcp"](ACCESS)._replace(fetch=lambda *_: ("tool",))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OUT": str(tmp_path / "file")}
    assert fetched(Called(tool, environment, manner), manner) == b"all"


def test_a_long_copy_tells_how_far_it_is(manner: Manner) -> None:
    pace = Pace("davs://h/a", manner.log, every_s=0.0)
    pace.at(7_000_000)
    assert "davs://h/a: 7 MB so far" in (Path(manner.folder) / "log").read_text()


def test_a_short_copy_tells_nothing(manner: Manner) -> None:
    fetched(Breaking(b"0123456789"), manner)
    assert "so far" not in (Path(manner.folder) / "log").read_text()


# A proxy's time


@pytest.mark.parametrize(("hours", "over"), [(1, False), (-1, True)])
def test_a_proxys_time_is_read_from_its_file(tmp_path: Path, janneke: Holder, hours: float, over: bool) -> None:
    path = written(tmp_path / "proxy", signed(janneke, hours=hours), janneke)
    assert has_expired(str(path)) is over


@pytest.mark.parametrize(("hours", "over"), [(1, False), (-1, True)])
def test_a_macaroons_time_is_read_from_its_file(tmp_path: Path, hours: float, over: bool) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = f"0010location T1\n0024cid before:2099-01-01T00:00:00Z\n0024cid before:{ends}\n".encode()
    (tmp_path / "token").write_text(base64.urlsafe_b64encode(content).decode().rstrip("="))
    assert has_expired(str(tmp_path / "token")) is over


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no proxy"])
def test_one_that_cannot_be_read_is_worth_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "proxy").write_text(content)
    assert has_expired(str(tmp_path / "proxy"))
    assert has_expired(str(tmp_path / "none"))


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

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(holder.certificate_file, holder.key_file)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


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
