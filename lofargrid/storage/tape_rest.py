"""Recall through the WLCG Tape REST API, which dCache, StoRM, EOS and CTA speak.

Source: the specification "WLCG Tape REST API", version 1, and what dCache's manual says of its own.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from lofargrid.errors import BackendError
from lofargrid.names import path_of
from lofargrid.storage.base import Locality, Pinning, Recalled, RecallState

AT_ONCE = 500
"""So many files are asked about in one call: of more, servers tell only some, without a word."""

_PINNING = Pinning()
_LOCALITIES = {
    "DISK": Locality.ONLINE,
    "DISK_AND_TAPE": Locality.ONLINE,
    "TAPE": Locality.NEARLINE,
    "UNAVAILABLE": Locality.NEARLINE,  # its disk is away for now
    "LOST": Locality.LOST,
    "NONE": Locality.LOST,
}
_STATES = {
    "COMPLETED": RecallState.ONLINE,
    "FAILED": RecallState.FAILED,
    "CANCELLED": RecallState.FAILED,
    "CANCELED": RecallState.FAILED,
}


class TapeRest:
    """The tapes of one site. See `Recall` for what its calls guarantee.

    Parameters
    ----------
    site
        Whose tapes these are.
    opened
        Gives a client that speaks to the service, with what the user is known by now; its base URL is that of the API.
    """

    def __init__(self, site: str, opened: Callable[[], httpx.Client]) -> None:
        self._site = site
        self._opened = opened

    def pinning(self, url: str) -> Pinning:
        """See `Recall.pinning`."""
        return _PINNING

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        """See `Recall.locality`."""
        found: dict[str, Locality] = {}
        for part in _parts(urls):
            found |= self._localities(part)
        return found

    def _localities(self, urls: Sequence[str]) -> dict[str, Locality]:
        paths = {_path(url): url for url in urls}
        with self._asking("where files are"):
            told = self._answer("POST", "archiveinfo", {"paths": list(paths)}).json()
            found = {paths[one["path"]]: _locality(one) for one in told if one["path"] in paths}
            missing = [url for url in urls if url not in found]
            if missing and not found:
                raise _MisfitError(f"nothing is said of {missing[0]}")
        return found | (self._localities(missing) if missing else {})

    def request(self, urls: Sequence[str]) -> str:
        """See `Recall.request`."""
        lifetime = f"PT{_PINNING.lifetime_s:.0f}S"
        files = [{"path": _path(url), "diskLifetime": lifetime} for url in urls]
        with self._asking("for files from tape"):
            return str(self._answer("POST", "stage", {"files": files}).json()["requestId"])

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        """See `Recall.poll`."""
        paths = {_path(url): url for url in urls}
        with self._asking("how far a request is"):
            answer = self._answer("GET", f"stage/{_plain(request)}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                return {}
            return {paths[one["path"]]: _recalled(one) for one in answer.json()["files"] if one["path"] in paths}

    def release(self, request: str, urls: Sequence[str]) -> None:
        """See `Recall.release`."""
        paths = {"paths": [_path(url) for url in urls]}
        with self._asking("to release files"):
            # What has come is let go, what has not does not come; the service passes over what is neither.
            self._answer("POST", f"stage/{_plain(request)}/cancel", paths, httpx.codes.BAD_REQUEST)
            self._answer("POST", f"release/{_plain(request)}", paths)

    def _answer(self, method: str, place: str, content: object = None, harmless: int = 0) -> httpx.Response:
        """What the service answers: what was asked for, that there is no such request, or what does no harm."""
        with self._opened() as client:
            answer = client.request(method, place, json=content)
        of_request = place != "stage" and place != "archiveinfo"
        passed_over = {harmless, httpx.codes.NOT_FOUND} if of_request else {harmless}
        if not answer.is_success and answer.status_code not in passed_over:
            raise _MisfitError(f"HTTP {answer.status_code} {answer.reason_phrase}{_said(answer)}")
        return answer

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Let what goes wrong be one that may be asked again."""
        try:
            yield
        except (httpx.HTTPError, OSError, ssl.SSLError, _MisfitError) as error:
            why = str(error) or type(error).__name__
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            why = f"it gives an answer that is none ({type(error).__name__})"
        else:
            return
        raise BackendError(f"asked the tape service of {self._site} {what}: {why}")


class _MisfitError(Exception):
    """An answer that does not help."""


def _locality(told: Mapping[str, Any]) -> Locality:
    if "locality" in told:
        return _LOCALITIES.get(told["locality"], Locality.NEARLINE)
    missing = "no such file" in told.get("error", "").lower() or "not found" in told.get("error", "").lower()
    return Locality.ABSENT if missing else Locality.REFUSED


def _recalled(told: Mapping[str, Any]) -> Recalled:
    """How far a file is; a server may say only whether it is on disk."""
    error = str(told.get("error") or "")
    word = told.get("state") or ("COMPLETED" if told.get("onDisk") else "FAILED" if error else "STARTED")
    state = _STATES.get(word, RecallState.QUEUED)
    return Recalled(state, (error or word.lower()) if state is RecallState.FAILED else "")


def _said(answer: httpx.Response) -> str:
    """What an answer says is wrong: servers have two ways to."""
    try:
        told = answer.json()
        text = told.get("detail") or told["errors"][0]["message"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f": {' '.join(str(text).split())[:200]}"


def _plain(request: str) -> str:
    """A request's name as a part of a URL: the service gave it, which is no reason to trust it."""
    return quote(request, safe="")


def _path(url: str) -> str:
    """The path of a file as the service knows it: with one slash before it, however a URL writes it."""
    return "/" + path_of(url).lstrip("/")


def _parts(urls: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(urls), AT_ONCE):
        yield urls[first : first + AT_ONCE]
