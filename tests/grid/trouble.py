"""A way to a server that breaks, and a server that answers with errors only."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from tests.grid.authority import Holder

CHUNK_BYTES = 1 << 16


@contextlib.contextmanager
def breaking(
    port: int, limit: int, then: Callable[[], object] = lambda: None, upwards: bool = False
) -> Iterator[int]:  # fmt: skip
    """A way to a port of this machine that breaks once: the first connection that has brought so many bytes.

    With ``upwards`` those that go to the server are counted. ``then`` is called before. Yields the port that it begins
    at.
    """
    unbroken = [limit]

    def counted(source: socket.socket, target: socket.socket) -> None:
        brought = 0
        while data := source.recv(CHUNK_BYTES):
            brought += len(data)
            if unbroken and brought >= limit:
                unbroken.clear()
                target.sendall(data[: len(data) - (brought - limit)])
                then()
                break
            target.sendall(data)

    def uncounted(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = server.accept()
                    try:
                        far = socket.create_connection(("127.0.0.1", port))
                    except OSError:
                        near.close()
                        continue
                    up, down = (counted, uncounted) if upwards else (uncounted, counted)
                    for pass_on, source, target in ((up, near, far), (down, far, near)):
                        threading.Thread(target=_until_closed, args=(pass_on, source, target), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)  # accept hears of it


def _until_closed(
    pass_on: Callable[[socket.socket, socket.socket], None], source: socket.socket, target: socket.socket
) -> None:  # fmt: skip
    with contextlib.suppress(OSError):
        pass_on(source, target)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextlib.contextmanager
def answering(status: int, holder: Holder) -> Iterator[int]:
    """A server of https:// that answers everything with one status. Yields its port."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_DELETE = do_PROPFIND = do_MKCOL = do_OPTIONS = answer  # noqa: N815 - their names

        def log_message(self, *_: object) -> None:
            pass

    with serving(Answer, holder) as port:
        yield port


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler], holder: Holder) -> Iterator[int]:
    """A server of https:// whose answers a handler gives. Yields its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(holder.certificate_file, holder.key_file)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
