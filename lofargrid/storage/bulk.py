"""Recall through dCache's bulk requests, which it had before the Tape REST API.

Source: dCache's user guide, "Bulk requests" and "Namespace", and its frontend's source.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from lofargrid.storage.asking import LOCALITIES, MisfitError, Service, parts, plain, plain_path
from lofargrid.storage.base import Locality, Pinning, Recalled, RecallState, Way

AT_ONCE = 500
"""So many files one request may be for."""

_PINNING = Pinning()
_UNKNOWN = (httpx.codes.NOT_FOUND,)
_STATES = {
    "COMPLETED": RecallState.ONLINE,
    "SKIPPED": RecallState.ONLINE,  # it says it is there already, which is not always so (dCache issue 7607)
    "FAILED": RecallState.FAILED,
    "CANCELLED": RecallState.FAILED,
}


class BulkRequests:
    """The tapes of one dCache. See `Recall` for what its calls guarantee.

    A request's name is that of all the requests that it takes, joined by spaces.

    Parameters
    ----------
    service
        Its base URL is that of the API, such as https://dcache.example.org:3880/api/v1.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def pinning(self, url: str) -> Pinning:
        """See `Recall.pinning`."""
        return _PINNING

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        """See `Recall.locality`. One call for each folder: of the files in it all are told."""
        folders: dict[str, list[str]] = {}
        for url in urls:
            folders.setdefault(posixpath.dirname(plain_path(url)), []).append(url)
        found: dict[str, Locality] = {}
        for folder, those in folders.items():
            with self._service.asking("where files are"):
                found |= self._localities(folder, those)
        return found

    def _localities(self, folder: str, urls: Sequence[str]) -> dict[str, Locality]:
        asked = {"children": "true", "locality": "true"}
        refused = (httpx.codes.FORBIDDEN, *_UNKNOWN)
        answer = self._service.answer("GET", f"namespace/{quote(folder, safe='')}", None, refused, asked)
        if not answer.is_success:
            state = Locality.ABSENT if answer.status_code in _UNKNOWN else Locality.REFUSED
            return dict.fromkeys(urls, state)
        told = {one["fileName"]: one.get("fileLocality", "") for one in answer.json()["children"]}
        names = {url: posixpath.basename(plain_path(url)) for url in urls}
        return {
            url: LOCALITIES.get(told[name], Locality.NEARLINE) if name in told else Locality.ABSENT
            for url, name in names.items()
        }

    def request(self, urls: Sequence[str]) -> str:
        """See `Recall.request`."""
        arguments = {"lifetime": f"{_PINNING.lifetime_s:.0f}", "lifetimeUnit": "SECONDS"}
        return " ".join(self._bulk("PIN", part, arguments) for part in parts(urls, AT_ONCE))

    def _bulk(self, activity: str, urls: Sequence[str], arguments: Mapping[str, str]) -> str:
        targets = [plain_path(url) for url in urls]
        content = {"activity": activity, "arguments": arguments, "target": targets}
        with self._service.asking("for files from tape" if activity == "PIN" else "to release files"):
            place = self._service.answer("POST", "bulk-requests", content).headers.get("request-url", "")
            name: str = posixpath.basename(urlsplit(place).path)
            if not name:
                raise MisfitError("it does not say how the request is called")
            return name

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        """See `Recall.poll`."""
        paths = {plain_path(url): url for url in urls}
        found: dict[str, Recalled] = {}
        for name in request.split():
            with self._service.asking("how far a request is"):
                for one in self._targets(name):
                    path = _single(one["target"])
                    if path in paths:
                        found[paths[path]] = _recalled(one)
        return found

    def _targets(self, name: str) -> Iterator[Mapping[str, Any]]:
        """The files of a request, page by page."""
        offset = 0
        while offset >= 0:
            place, asked = f"bulk-requests/{plain(name)}", {"offset": str(offset)}
            answer = self._service.answer("GET", place, None, _UNKNOWN, asked)
            if answer.status_code in _UNKNOWN:
                return
            told = answer.json()
            yield from told["targets"]
            following = int(told.get("nextId", -1))
            offset = following if following > offset else -1

    def ways(self, request: str, urls: Sequence[str]) -> Mapping[str, Way]:
        """See `Recall.ways`."""
        return {}

    def release(self, request: str, urls: Sequence[str]) -> bool:
        """See `Recall.release`."""
        known = False
        for name in request.split():
            with self._service.asking("to release files"):
                mine = {_single(one["target"]) for one in self._targets(name)}
                known = known or bool(mine)
                those = [url for url in urls if plain_path(url) in mine]
                if those:
                    # What has not come does not come; of what has ended nothing is cancelled.
                    cancel = {"action": "cancel", "paths": [plain_path(url) for url in those]}
                    ended = (*_UNKNOWN, httpx.codes.BAD_REQUEST)
                    self._service.answer("PATCH", f"bulk-requests/{plain(name)}", cancel, ended)
                    self._bulk("UNPIN", those, {"id": name})
        return known


def _single(target: str) -> str:
    """A path as it was given: servers tell it with more slashes."""
    return "/" + target.lstrip("/")


def _recalled(told: Mapping[str, Any]) -> Recalled:
    word = str(told.get("state"))
    state = _STATES.get(word, RecallState.QUEUED)
    detail = str(told.get("errorMessage") or word.lower())
    return Recalled(state, detail if state is RecallState.FAILED else "")
