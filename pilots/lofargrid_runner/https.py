"""Our own client for https, for nodes that have no tool."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from .causes import cause_of
from .contract import Reason
from .expiry import has_expired, judged
from .failure import Failure
from .remote import Client, Manner
from .streams import Facts
from .tools import Access, adler32_in, names_in, web

REDIRECTIONS = 5
CONNECTIONS = 2
CONNECT_S = 30.0
LONGEST_LIST_BYTES = 1 << 26
HUNG_UP = (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError)
ASKING = {"Want-Digest": "adler32", "Accept-Encoding": "identity"}


class Https(Client):
    """Speaks to a storage by itself, with the proxy as its certificate, or a token."""

    resumes = True

    def __init__(self, access: Access, manner: Manner) -> None:
        self._manner = manner
        self._context = ssl.create_default_context()
        self._token = _token_in(access.token) if access.token else ""
        try:
            if access.authorities:
                self._context.load_verify_locations(capath=access.authorities)
            if access.proxy:
                self._context.load_cert_chain(access.proxy)
        except (OSError, ssl.SSLError) as error:
            raise Failure(Reason.CREDENTIAL_EXPIRED, f"the proxy {access.proxy} cannot be used: {error}") from error

    def open(self, url: str, span: str = "") -> Body:
        """See `Client.open`."""
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={span}"} if span else {})}
        answer = self._ask("GET", url, headers)
        if span and answer.status != http.client.PARTIAL_CONTENT:
            answer.close()
            raise Failure(Reason.INPUT_UNREADABLE, f"{url}: the storage does not read bytes {span} alone")
        return Body(answer, self._manner)

    def put(self, path: str, url: str) -> None:
        """See `Client.put`."""
        self._ask("PUT", url, {}, path).close()

    def facts(self, url: str) -> Facts | None:
        """See `Client.facts`."""
        try:
            answer = self._ask("HEAD", url, ASKING)
        except NotThereError:
            return None
        answer.close()
        if answer.length is None:
            raise Failure(Reason.STORAGE_UNAVAILABLE, f"{url}: its size was not told")
        return Facts(int(answer.headers["Content-Length"]), adler32_in(answer.headers.get("Digest", "")))

    def size(self, url: str) -> int | None:
        """See `Client.size`."""
        facts = self.facts(url)
        return facts and facts.size_bytes

    def remove(self, url: str) -> None:
        """See `Client.remove`."""
        with contextlib.suppress(NotThereError):
            self._ask("DELETE", url, {}).close()

    def rename(self, url: str, other: str) -> None:
        """See `Client.rename`."""
        self._ask("MOVE", url, {"Destination": web(other)}).close()

    def names(self, folder: str) -> list[str]:
        """See `Client.names`."""
        try:
            answer = self._ask("PROPFIND", folder, {"Depth": "1"})
        except NotThereError:
            return []
        with contextlib.closing(Body(answer, self._manner)) as body:
            return names_in(body.read(LONGEST_LIST_BYTES).decode(errors="replace"))

    def _ask(self, method: str, url: str, headers: Mapping[str, str], path: str = "") -> http.client.HTTPResponse:
        """Ask, also where it is sent on to, but never without encryption."""
        place = web(url)
        for _ in range(REDIRECTIONS):
            self._manner.stop.check()
            # Where it is sent on to another server the token is none of that one's business.
            shown = self._token and urlsplit(place).netloc == urlsplit(web(url)).netloc
            known = {"Authorization": f"Bearer {self._token}"} if shown else {}
            answer = self._asked(method, place, {**headers, **known}, path)
            sent_on = answer.headers.get("Location") if 300 <= answer.status < 400 else None
            if sent_on is None:
                return _good(answer, url, self._manner)
            answer.close()
            place = urljoin(place, sent_on)
            if not place.startswith("https:"):
                raise Failure(Reason.CREDENTIAL_REFUSED, f"{url}: it sends us on to an address without encryption")
        raise Failure(Reason.STORAGE_UNAVAILABLE, f"{url}: it sends us on and on")

    def _asked(self, method: str, place: str, headers: Mapping[str, str], path: str) -> http.client.HTTPResponse:
        parts = urlsplit(place)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        line = self._line(parts.hostname or "", parts.port, place)
        try:
            if path:
                with open(path, "rb") as file:
                    size = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
                    line.request(method, target, file, {**headers, **size})
            else:
                line.request(method, target, headers=dict(headers))
            answer = line.getresponse()
        except (OSError, http.client.HTTPException) as error:
            line.close()
            raise _broken(error, place, self._manner) from error
        if line.sock:  # the answer holds it for as long as it is read
            line.sock.close()
            line.sock = None
        return answer

    def _line(self, host: str, port: int | None, place: str) -> http.client.HTTPSConnection:
        """Connect. Servers have been seen that let one handshake hang and do the next at once."""
        limit_s = min(CONNECT_S, self._manner.stall_s)
        for tries_left in reversed(range(CONNECTIONS)):
            line = http.client.HTTPSConnection(host, port, context=self._context, timeout=limit_s)
            try:
                line.connect()
            except (OSError, http.client.HTTPException) as error:
                line.close()
                if not (isinstance(error, TimeoutError) and tries_left):
                    raise _broken(error, place, self._manner) from error
            else:
                line.sock.settimeout(self._manner.stall_s)
                return line
            self._manner.stop.check()
        raise AssertionError("unreachable")


class Body:
    """The content of an answer as a stream."""

    def __init__(self, answer: http.client.HTTPResponse, manner: Manner) -> None:
        self._answer = answer
        self._manner = manner

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes; fewer only at the end."""
        self._manner.stop.check()
        try:
            data = self._answer.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error, "while reading", self._manner) from error
        if len(data) < size and self._answer.length:
            raise Failure(Reason.STORAGE_UNAVAILABLE, f"it broke off {self._answer.length} bytes before the end")
        return data

    def close(self) -> None:
        """Let go of it."""
        self._answer.close()


def _token_in(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError) as error:
        raise Failure(Reason.CREDENTIAL_EXPIRED, f"the token {path} cannot be read: {error}") from error


class NotThereError(Failure):
    """There is no such file."""


def _good(answer: http.client.HTTPResponse, url: str, manner: Manner) -> http.client.HTTPResponse:
    if answer.status < 300:
        return answer
    said = f"HTTP {answer.status} {answer.reason}"
    answer.close()
    kind = NotThereError if answer.status in (http.client.NOT_FOUND, http.client.GONE) else Failure
    raise kind(judged(cause_of(manner.stage, said), manner.proxy), f"{url}: {said}")


def _broken(error: Exception, place: str, manner: Manner) -> Failure:
    """A connection that could not be made, or broke. What is wrong with a certificate stands in the words.

    A server that lets nobody in by an expired proxy may say so or just hang up, whichever comes first.
    """
    if isinstance(error, HUNG_UP) and manner.proxy and has_expired(manner.proxy):
        return Failure(Reason.CREDENTIAL_EXPIRED, f"{place}: {error}, and {manner.proxy} has expired")
    if isinstance(error, ssl.SSLError) and not isinstance(error, HUNG_UP):
        return Failure(cause_of(manner.stage, f"SSL: {error}"), f"{place}: {error}")
    return Failure(Reason.STORAGE_UNAVAILABLE, f"{place}: {error or type(error).__name__}")
