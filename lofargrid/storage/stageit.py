"""Recall through StageIT, the staging service of the LOFAR Long-Term Archive.

Source: StageIT's user guide, and its public client library lofar_stager_api.
"""

import base64
import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from lofargrid.storage.asking import MisfitError, Service, plain_path, trouble_of
from lofargrid.storage.base import Locality, Pinning, Recalled, RecallState, Release, Way

_PINNING = Pinning(Release.REQUEST, lifetime_s=7 * 86400.0, opens=True)
"""What a request brought stays for about a week."""
_UNKNOWN = (httpx.codes.NOT_FOUND,)
_ABORTED = "A"
_REQUESTS = (
    '{ requests(when_Gte: "%s") { edges { node { id currentStatusCode response surls { surl } } } } }'  # the latest
)
_MACAROONS = "{ request(id: %d) { macaroons { content } } }"
_REQUEST = "{ request(id: %d) { currentStatus response surls { surl } } }"
_OVER = {"failed", "aborted"}


class StageIt:
    """The tapes of the archive. See `Recall` for what its calls guarantee.

    What a file is to StageIT is what the requests of this user say of it, file by file; it knows no others.

    Parameters
    ----------
    service
        Its base URL is that of the API, such as https://sdc.astron.nl/stageit/api/staging.
    now
        Gives the time.
    """

    def __init__(self, service: Service, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._service = service
        self._now = now

    def pinning(self, url: str) -> Pinning:
        """See `Recall.pinning`."""
        return _PINNING

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        """See `Recall.locality`."""
        since = self._now() - timedelta(seconds=_PINNING.lifetime_s)
        found: dict[str, Locality] = dict.fromkeys(urls, Locality.NEARLINE)
        with self._service.asking("where files are"):
            told = self._asked(_REQUESTS % since.strftime("%Y-%m-%dT%H:%M:%S"))["requests"]["edges"]
            for node in (one["node"] for one in told):
                response = _response(node)
                for url, error in response["errors"].items():
                    if found.get(url) is Locality.NEARLINE and trouble_of(error) is Locality.ABSENT:
                        found[url] = Locality.ABSENT
                if node["currentStatusCode"] != _ABORTED:
                    found |= {url: Locality.ONLINE for url in response["online"] if url in found}
        return found

    def request(self, urls: Sequence[str]) -> str:
        """See `Recall.request`."""
        content = {"surls": list(urls), "notify": False, "request_type": "stage"}
        with self._service.asking("for files from tape"):
            return str(int(self._service.answer("POST", "requests/", content).json()["id"]))

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        """See `Recall.poll`."""
        if not request.isdecimal():
            return {}
        with self._service.asking("how far a request is"):
            told = self._asked(_REQUEST % int(request)).get("request")
            if told is None:
                return {}
            return {url: one for url, one in _recalled(told) if url in urls}

    def ways(self, request: str, urls: Sequence[str]) -> Mapping[str, Way]:
        """See `Recall.ways`. Files are read over https, with the request's macaroon."""
        if not request.isdecimal():
            return {}
        with self._service.asking("how files are read"):
            links = self._service.answer("GET", f"requests/{int(request)}/convert2webdav/").json()
            told = self._asked(_MACAROONS % int(request))["request"] or {}
            macaroons = [str(one["content"]) for one in told.get("macaroons") or ()]
            ways = {url: _way(url, links, macaroons) for url in urls}
        return {url: way for url, way in ways.items() if way}

    def release(self, request: str, urls: Sequence[str]) -> bool:
        """See `Recall.release`."""
        if not request.isdecimal():
            return False
        with self._service.asking("to release a request"):
            return self._service.answer("PUT", f"requests/{int(request)}/abort/", {}, _UNKNOWN).is_success

    def _asked(self, query: str) -> Mapping[str, Any]:
        told = self._service.answer("POST", "graphql/", {"query": query}).json()
        if told.get("errors") and not told.get("data"):
            raise MisfitError(str(told["errors"][0]["message"])[:200])
        data = told["data"]
        if not isinstance(data, dict):
            raise MisfitError("it answers without data")
        return data


def _way(url: str, links: Sequence[str], macaroons: Sequence[str]) -> Way | None:
    """The link to a file, and the macaroon that is for its folder or, if none says so, the first one."""
    path = posixpath.normpath(plain_path(url))
    for link in links:
        parts = urlsplit(link)
        place = posixpath.normpath(unquote(parts.path))
        plain = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc
        if plain and (place.endswith(path) or path.endswith(place)) and place.count("/") > 1:
            good = [one for one in macaroons if re.fullmatch(r"[A-Za-z0-9_=+/-]+", one)]
            fitting = [one for one in good if any(_is_in(place, folder) for folder in _folders(one))]
            token = next(iter([*fitting, *good]), "")
            return Way(f"https://{parts.netloc}{parts.path}", token) if token else None
    return None


def _folders(macaroon: str) -> list[str]:
    """The folders that a macaroon says it is for: they stand in it for everybody to read."""
    try:
        content = base64.urlsafe_b64decode(macaroon + "=" * (-len(macaroon) % 4))
    except ValueError:
        return []
    return [one.decode(errors="replace") for one in re.findall(rb"path:([^\n\x00]+)", content)]


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/")


def _response(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says of its files: JSON in a string, that may be missing."""
    given = json.loads(told.get("response") or "{}") or {}
    return {"online": given.get("online") or [], "errors": given.get("errors") or {}}


def _recalled(told: Mapping[str, Any]) -> Iterator[tuple[str, Recalled]]:
    response = _response(told)
    over = str(told.get("currentStatus", "")).lower() in _OVER
    for one in told["surls"]:
        url = one["surl"]
        if url in response["errors"]:
            yield url, Recalled(RecallState.FAILED, str(response["errors"][url]))
        elif url in response["online"]:
            yield url, Recalled(RecallState.ONLINE)
        elif over:
            yield url, Recalled(RecallState.FAILED, str(told["currentStatus"]))
        else:
            yield url, Recalled(RecallState.QUEUED)
