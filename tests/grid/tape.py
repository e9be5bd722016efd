"""A double of the services of a tape archive, in front of the folder of a real door: over TLS, guarded by a VO.

It speaks all protocols of `tests.grid.wires`, and SRM. Every file is on tape until it was asked for; it comes after a
while, and goes when no request pins it any more.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509

from lofargrid.credentials.voms import attribute_certificates
from lofargrid.storage.base import Locality, Recalled, RecallState
from tests.grid.door import Door
from tests.grid.srm import PLACE as SRM
from tests.grid.srm import UNDELEGATED, srm
from tests.grid.voms import VO
from tests.grid.wires import STAGEIT, Answer, answered

TOKEN = "a token that StageIT gave"


@dataclass
class Request:
    due: float
    paths: list[str]


class TapeService:
    """A tape service that lives as long as the context it is opened in.

    ``pinned`` has every file that was ever brought online, ``delay_s`` is how long that takes, ``answers`` are the
    status codes of the next calls, in place of what they ask for; of so many requests that it is asked about it
    ``forgets`` all. What lies in a folder of ``closed`` nobody may read. What StageIT gives with a request ``macaroon``
    makes, for a folder. SRM is spoken where ``gsi`` is.
    """

    def __init__(
        self, vo: VO, door: Door, delay_s: float = 0.0, macaroon: Callable[[str], str] | None = None, gsi: bool = False
    ) -> None:  # fmt: skip
        self.macaroon = macaroon
        self.delay_s = delay_s
        self.pinned: set[str] = set()
        self.answers: list[int] = []
        self.closed: set[str] = set()
        self.forgets = 0
        self._door = door
        self._lock = threading.RLock()
        self._requests: dict[str, Request] = {}
        # GSI's handshake is that of TLS 1.2.
        newest = ssl.TLSVersion.TLSv1_2 if gsi else ssl.TLSVersion.MAXIMUM_SUPPORTED
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        holder = vo.authority.server(f"tape-{uuid.uuid4()}.test")
        context.load_cert_chain(holder.certificate_file, holder.key_file)
        context.load_verify_locations(capath=str(vo.authority.certificates))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS | ssl.VERIFY_CRL_CHECK_CHAIN
        context.maximum_version = newest
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        # Whoever calls shakes hands in his own thread, and not where calls are taken.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def host(self) -> str:
        """Where it is."""
        return f"https://localhost:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Where it speaks Tape REST."""
        return f"{self.host}/api/v1/tape"

    def __enter__(self) -> TapeService:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def hurry(self) -> None:
        """Bring at once all that was asked for."""
        with self._lock:
            for one in self._requests.values():
                one.due = 0.0

    def online(self) -> set[str]:
        """What lies on disk now."""
        with self._lock:
            return {path for one in self._requests.values() for path in self._came(one)}

    def answer(self, method: str, target: str, content: Any) -> Answer:
        """Answer a call of one who may make it."""
        if self.answers and not target.startswith("/.well-known/"):
            return Answer(self.answers.pop(0), {"title": "Error", "detail": "as the test says"})
        with self._lock:
            return answered(self, method, target, content)

    def envelope(self, given: bytes, refused: Answer | None) -> tuple[int, bytes]:
        """Answer a call by SRM."""
        if refused:
            return refused.status, b""
        if self.answers:
            return self.answers.pop(0), b""
        with self._lock:
            return 200, srm(self, given)

    # What the protocols ask.

    def where(self, path: str) -> Locality:
        if self.closed & {path, path.rpartition("/")[0]}:
            return Locality.REFUSED
        if not self._door.file(path).is_file():
            return Locality.ABSENT
        return Locality.ONLINE if path in self.online() else Locality.NEARLINE

    def size(self, path: str) -> int:
        return self._door.file(path).stat().st_size

    def beside(self, folder: str) -> list[str] | None:
        there = self._door.file(f"{folder.rstrip('/')}/")
        if folder in self.closed or not there.is_dir():
            return None
        return [f"{folder.rstrip('/')}/{one.name}" for one in sorted(there.iterdir())]

    def bring(self, paths: Sequence[str], lifetime_s: float) -> str:
        name = str(uuid.uuid4())
        self._requests[name] = Request(time.monotonic() + self.delay_s, list(paths))
        return name

    def standing(self, name: str) -> Mapping[str, Recalled] | None:
        if self.forgets and name in self._requests:
            self.forgets -= 1
            del self._requests[name]
        one = self._requests.get(name)
        return None if one is None else {path: self._recalled(one, path) for path in one.paths}

    def let_go(self, name: str, paths: Sequence[str]) -> None:
        for one in [self._requests[name]] if name in self._requests else [] if name else self._requests.values():
            one.paths = [path for path in one.paths if path not in paths]

    def opening(self, paths: Sequence[str]) -> tuple[str, list[str]]:
        door = f"https{self._door.addresses['davs'].removeprefix('davs')}"
        folders = sorted({path.rpartition("/")[0] for path in paths})
        return door, [self.macaroon(folder.removeprefix("/lofar/")) for folder in folders] if self.macaroon else []

    def _came(self, one: Request) -> set[str]:
        there = {path for path in one.paths if self._door.file(path).is_file()}
        came = there if time.monotonic() >= one.due else set()
        self.pinned |= came
        return came

    def _recalled(self, one: Request, path: str) -> Recalled:
        if not self._door.file(path).is_file():
            return Recalled(RecallState.FAILED, f"No such file or directory {path}")
        return Recalled(RecallState.ONLINE if path in self._came(one) else RecallState.QUEUED)


def _handler(service: TapeService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def handle(self) -> None:
            """Take calls of those who speak TLS, and of those who speak GSI over it."""
            if self.rfile.peek(1).startswith(UNDELEGATED):  # type: ignore[attr-defined] - it is buffered
                self.rfile.read(1)
            super().handle()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            given = self.rfile.read(length)
            if self.path == SRM:
                self._tell(*service.envelope(given, _refused(self.connection)), {"Content-Type": "text/xml"})
                return
            content = json.loads(given) if given else None
            if self.path.startswith(STAGEIT):
                refused = _unknown(self.headers.get("Authorization", ""))
            else:
                refused = _refused(self.connection)
            answer = refused or service.answer(self.command, self.path, content)
            data = b"" if answer.content is None else json.dumps(answer.content).encode()
            self._tell(answer.status, data, answer.headers)

        def _tell(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve  # noqa: N815 - http.server looks for these names

    return Handler


def _unknown(shown: str) -> Answer | None:
    return None if shown == f"Token {TOKEN}" else Answer(401, {"detail": "Invalid token."})


def _refused(connection: Any) -> Answer | None:
    """What one is told who shows no proxy of the VO."""
    shown = connection.getpeercert(True)
    if not shown:
        return Answer(401, {"errors": [{"message": "Permission denied", "status": "401"}]})
    now = datetime.now(UTC)
    attributes = attribute_certificates(x509.load_der_x509_certificate(shown))
    if not any(one.vo == "lofar" and one.ends > now for one in attributes):
        return Answer(403, {"status": "403", "title": "Forbidden", "detail": "Permission denied"})
    return None
