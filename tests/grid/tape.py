"""A double of a dCache's tape service, in front of the folder of a real door: WLCG Tape REST over TLS, guarded by a VO.

Every file is on tape until it was asked for; it comes after a while, and goes when no request pins it any more. Facts
of the protocol: docs of dCache, and the specification of the API.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509

from lofargrid.credentials.voms import attribute_certificates
from tests.grid.door import Door
from tests.grid.voms import VO

MOST_TOLD = 3
"""Of more files than this it tells only so many, without a word, as real ones do (of other numbers)."""


@dataclass
class Request:
    due: float
    paths: list[str]


class TapeService:
    """A tape service that lives as long as the context it is opened in.

    ``pinned`` has every file that was ever brought online, ``delay_s`` is how long that takes, ``answers`` are the
    status codes of the next calls, in place of what they ask for; of so many requests that it is asked about it
    ``forgets`` all.
    """

    def __init__(self, vo: VO, door: Door, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.pinned: set[str] = set()
        self.answers: list[int] = []
        self.forgets = 0
        self._door = door
        self._lock = threading.Lock()
        self._requests: dict[str, Request] = {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        holder = vo.authority.server(f"tape-{uuid.uuid4()}.test")
        context.load_cert_chain(holder.certificate_file, holder.key_file)
        context.load_verify_locations(capath=str(vo.authority.certificates))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS | ssl.VERIFY_CRL_CHECK_CHAIN
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        # Whoever calls shakes hands in his own thread, and not where calls are taken.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://localhost:{self._server.server_address[1]}/api/v1/tape"

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

    def answer(self, method: str, place: str, content: Any) -> tuple[int, Any]:
        """Give status and content for a call of one who may make it."""
        if self.answers:
            return self.answers.pop(0), {"title": "Error", "detail": "as the test says"}
        found = re.fullmatch(r"(stage|release|archiveinfo)(?:/([^/]+))?", place.removeprefix("/api/v1/tape/"))
        verb, name = (found[1], found[2]) if found else ("", None)
        if (method, verb, name) == ("POST", "archiveinfo", None):
            return 200, [self._info(path) for path in content["paths"][:MOST_TOLD]]
        with self._lock:
            if (method, verb, name) == ("POST", "stage", None):
                files = content.pop("files")
                if content or not all(re.fullmatch(r"PT\d+S", one["diskLifetime"]) for one in files):
                    return 400, {"detail": "Bad request"}
                name = str(uuid.uuid4())
                self._requests[name] = Request(time.monotonic() + self.delay_s, [one["path"] for one in files])
                return 201, {"requestId": name}
            if (method, verb) == ("GET", "stage") and self.forgets:
                self.forgets -= 1
                self._requests.pop(name or "", None)
            one = self._requests.get(name or "")
            if one is None:
                return 404, {"status": "404", "title": "Not Found", "detail": "no such request"}
            if (method, verb) == ("GET", "stage"):
                return 200, {"id": name, "files": [self._file(one, path) for path in one.paths]}
            if (method, verb) == ("DELETE", "stage"):
                one.paths = sorted(self._came(one))
                return 200, None
            if (method, verb) == ("POST", "release"):
                one.paths = [path for path in one.paths if path not in content["paths"]]
                return 200, None
        return 405, {"detail": "Method Not Allowed"}

    def _came(self, one: Request) -> set[str]:
        came = {path for path in one.paths if self._is_there(path)} if time.monotonic() >= one.due else set()
        self.pinned |= came
        return came

    def _is_there(self, path: str) -> bool:
        return self._door.file(path).is_file()

    def _info(self, path: str) -> dict[str, str]:
        if not self._is_there(path):
            return {"path": path, "error": f"No such file or directory {path}"}
        return {"path": path, "locality": "DISK_AND_TAPE" if path in self.online() else "TAPE"}

    def _file(self, one: Request, path: str) -> dict[str, str]:
        if not self._is_there(path):
            return {"path": path, "state": "FAILED", "error": f"No such file or directory {path}"}
        return {"path": path, "state": "COMPLETED" if path in self._came(one) else "STARTED"}


def _handler(service: TapeService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = json.loads(self.rfile.read(length)) if length else None
            status, told = _refused(self.connection) or service.answer(self.command, self.path, content)
            data = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - http.server looks for methods of these names

    return Handler


def _refused(connection: Any) -> tuple[int, Any] | None:
    """What one is told who shows no proxy of the VO."""
    shown = connection.getpeercert(True)
    if not shown:
        return 401, {"errors": [{"message": "Permission denied", "status": "401"}]}
    now = datetime.now(UTC)
    attributes = attribute_certificates(x509.load_der_x509_certificate(shown))
    if not any(one.vo == "lofar" and one.ends > now for one in attributes):
        return 403, {"status": "403", "title": "Forbidden", "detail": "Permission denied"}
    return None
