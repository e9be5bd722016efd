"""Recall through the WLCG Tape REST API, which dCache, StoRM, EOS and CTA speak.

Source: the specification "WLCG Tape REST API", version 1, and what dCache's manual says of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from lofargrid.storage.asking import MisfitError, Service, parts, plain, plain_path, trouble_of
from lofargrid.storage.base import Locality, Pinning, Recalled, RecallState, Way

AT_ONCE = 500
"""So many files are asked about in one call: of more, servers tell only some, without a word."""

_PINNING = Pinning()
_UNKNOWN = (httpx.codes.NOT_FOUND,)
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
    service
        Its base URL is that of the API, such as https://dcache.example.org:3880/api/v1/tape.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def pinning(self, url: str) -> Pinning:
        """See `Recall.pinning`."""
        return _PINNING

    def locality(self, urls: Sequence[str]) -> Mapping[str, Locality]:
        """See `Recall.locality`."""
        found: dict[str, Locality] = {}
        for part in parts(urls, AT_ONCE):
            found |= self._localities(part)
        return found

    def _localities(self, urls: Sequence[str]) -> dict[str, Locality]:
        paths = {plain_path(url): url for url in urls}
        with self._service.asking("where files are"):
            told = self._service.answer("POST", "archiveinfo", {"paths": list(paths)}).json()
            found = {paths[one["path"]]: _locality(one) for one in told if one["path"] in paths}
            missing = [url for url in urls if url not in found]
            if missing and not found:
                raise MisfitError(f"nothing is said of {missing[0]}")
        return found | (self._localities(missing) if missing else {})

    def request(self, urls: Sequence[str]) -> str:
        """See `Recall.request`."""
        lifetime = f"PT{_PINNING.lifetime_s:.0f}S"
        files = [{"path": plain_path(url), "diskLifetime": lifetime} for url in urls]
        with self._service.asking("for files from tape"):
            return str(self._service.answer("POST", "stage", {"files": files}).json()["requestId"])

    def poll(self, request: str, urls: Sequence[str]) -> Mapping[str, Recalled]:
        """See `Recall.poll`."""
        paths = {plain_path(url): url for url in urls}
        with self._service.asking("how far a request is"):
            answer = self._service.answer("GET", f"stage/{plain(request)}", passed_over=_UNKNOWN)
            if answer.status_code in _UNKNOWN:
                return {}
            return {paths[one["path"]]: _recalled(one) for one in answer.json()["files"] if one["path"] in paths}

    def ways(self, request: str, urls: Sequence[str]) -> Mapping[str, Way]:
        """See `Recall.ways`."""
        return {}

    def release(self, request: str, urls: Sequence[str]) -> bool:
        """See `Recall.release`."""
        paths = {"paths": [plain_path(url) for url in urls]}
        with self._service.asking("to release files"):
            # What has not come does not come, what has is let go; the service passes over what is neither.
            cancelled = (*_UNKNOWN, httpx.codes.BAD_REQUEST)
            self._service.answer("POST", f"stage/{plain(request)}/cancel", paths, cancelled)
            return self._service.answer("POST", f"release/{plain(request)}", paths, _UNKNOWN).is_success


def _locality(told: Mapping[str, Any]) -> Locality:
    if "locality" in told:
        return _LOCALITIES.get(told["locality"], Locality.NEARLINE)
    return trouble_of(told.get("error", ""))


def _recalled(told: Mapping[str, Any]) -> Recalled:
    """How far a file is; a server may say only whether it is on disk."""
    error = str(told.get("error") or "")
    word = told.get("state") or ("COMPLETED" if told.get("onDisk") else "FAILED" if error else "STARTED")
    state = _STATES.get(word, RecallState.QUEUED)
    return Recalled(state, (error or word.lower()) if state is RecallState.FAILED else "")
