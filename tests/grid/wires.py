"""The protocols of tape services, in front of anything that recalls: calls in, answers out, no network.

Facts of the protocols: docs of dCache and its frontend's source, the specification of the Tape REST API, StageIT's user
guide and client library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from lofargrid.storage.base import Locality, Recalled, RecallState

MOST_TOLD = 3
"""Of more files than this the Tape REST API tells only so many, without a word, as real ones do (of other numbers)."""
TARGETS_A_PAGE = 2
ABORTED = "aborted"


@dataclass(frozen=True)
class Answer:
    status: int
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Tapes(Protocol):
    """What stands behind: by path, and never in trouble. ``url`` is where it speaks Tape REST."""

    @property
    def url(self) -> str: ...

    def size(self, path: str) -> int: ...

    def where(self, path: str) -> Locality: ...

    def beside(self, folder: str) -> list[str] | None:
        """The paths in a folder; None if it is not there."""

    def bring(self, paths: Sequence[str], lifetime_s: float) -> str: ...

    def standing(self, name: str) -> Mapping[str, Recalled] | None:
        """How far the files of a request are; None if there is no such request."""

    def let_go(self, name: str, paths: Sequence[str]) -> None: ...

    def opening(self, paths: Sequence[str]) -> tuple[str, list[str]]:
        """What https URLs of the files begin with, and the macaroons that open them."""


NO_REQUEST = Answer(404, {"status": "404", "title": "Not Found", "detail": "no such request"})
BAD = Answer(400, {"status": "400", "title": "Bad Request", "detail": "Bad request"})


def answered(tapes: Tapes, method: str, target: str, content: Any) -> Answer:
    """What a service says to a call, whichever protocol it is of."""
    parts = urlsplit(target)
    path = unquote(parts.path)
    if path == "/.well-known/wlcg-tape-rest-api":
        return Answer(200, {"sitename": "T1", "endpoints": [{"uri": tapes.url, "version": "v1", "metadata": {}}]})
    for start, wire in ((TAPE_REST, tape_rest), (DCACHE, bulk), (STAGEIT, stageit)):
        if path.startswith(start):
            asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            return wire(tapes, method, path.removeprefix(start), content, asked)
    return Answer(404)


TAPE_REST = "/api/v1/tape/"
DCACHE = "/api/v1/"
STAGEIT = "/stageit/api/staging/"


def tape_rest(tapes: Tapes, method: str, place: str, content: Any, _: Mapping[str, str]) -> Answer:
    """WLCG Tape REST, version 1."""
    place = place.rstrip("/")  # gfal2 puts one there
    if (method, place) == ("POST", "archiveinfo"):
        return Answer(200, [_info(tapes, path) for path in content["paths"][:MOST_TOLD]])
    if (method, place) == ("POST", "stage"):
        files = content.pop("files")
        lifetimes = [one.get("diskLifetime", "PT86400S") for one in files]  # gfal2 leaves it out
        if content or not all(re.fullmatch(r"PT\d+S", one) for one in lifetimes):
            return BAD
        name = tapes.bring([one["path"] for one in files], float(lifetimes[0][2:-1]))
        return Answer(201, {"requestId": name}, {"Location": f"{TAPE_REST}stage/{name}"})
    found = re.fullmatch(r"(stage|release)/([^/]+)(/cancel)?", place)
    if not found:
        return Answer(405, {"detail": "Method Not Allowed"})
    standing = tapes.standing(found[2])
    if standing is None:
        return NO_REQUEST
    if (method, found[1], found[3]) == ("GET", "stage", None):
        states = {RecallState.QUEUED: "STARTED", RecallState.ONLINE: "COMPLETED", RecallState.FAILED: "FAILED"}
        files = [{"path": path, "state": states[one.state]} for path, one in standing.items()]
        for told, one in zip(files, standing.values(), strict=True):
            told |= {"error": one.detail} if one.detail else {}
        return Answer(200, {"id": found[2], "files": files})
    if method == "POST" and (found[3] or found[1] == "release"):
        if found[3] and not set(content["paths"]) <= set(standing):
            return Answer(400, {"title": "File missing from stage request"})
        coming = [path for path in content["paths"] if (standing.get(path) or _GONE).state is RecallState.QUEUED]
        tapes.let_go(found[2], coming if found[3] else content["paths"])
        return Answer(200)
    return Answer(405, {"detail": "Method Not Allowed"})


_GONE = Recalled(RecallState.FAILED)


def _info(tapes: Tapes, path: str) -> dict[str, str]:
    where = tapes.where(path)
    if where is Locality.ABSENT:
        return {"path": path, "error": f"No such file or directory {path}"}
    if where is Locality.REFUSED:
        return {"path": path, "error": f"Permission denied {path}"}
    words = {Locality.ONLINE: "DISK_AND_TAPE", Locality.NEARLINE: "TAPE", Locality.LOST: "LOST"}
    return {"path": path, "locality": words[where]}


def bulk(tapes: Tapes, method: str, place: str, content: Any, asked: Mapping[str, str]) -> Answer:
    """DCache's bulk requests and namespace."""
    if method == "GET" and place == "user":
        return Answer(200, {"status": "AUTHENTICATED", "username": "lofar", "homeDirectory": "/", "rootDirectory": "/"})
    if method == "GET" and place.startswith("namespace/"):
        return _namespace(tapes, _single(place.removeprefix("namespace")), asked)
    if (method, place) == ("POST", "bulk-requests"):
        return _bulk_request(tapes, content)
    found = re.fullmatch(r"bulk-requests/([^/]+)", place)
    standing = tapes.standing(found[1]) if found else None
    if not found or standing is None:
        return NO_REQUEST
    if method == "GET":
        words = {RecallState.QUEUED: "RUNNING", RecallState.ONLINE: "COMPLETED", RecallState.FAILED: "FAILED"}
        targets = [
            {"id": number, "target": f"/{path}", "state": words[one.state], "errorMessage": one.detail or None}
            for number, (path, one) in enumerate(standing.items())
        ]
        first = int(asked.get("offset", 0))
        following = first + TARGETS_A_PAGE if first + TARGETS_A_PAGE < len(targets) else -1
        ended = all(one.state is not RecallState.QUEUED for one in standing.values())
        page = targets[first : first + TARGETS_A_PAGE]
        return Answer(200, {"nextId": following, "uid": found[1], "status": "COMPLETED" if ended else "STARTED",
                            "targets": page})  # fmt: skip
    if method == "PATCH" and content["action"] == "cancel":
        paths = content.get("paths", list(standing))
        tapes.let_go(found[1], [one for one in paths if (standing.get(one) or _GONE).state is RecallState.QUEUED])
        return Answer(200)
    if method == "DELETE":
        tapes.let_go(found[1], list(standing))
        return Answer(204)
    return Answer(405)


def _bulk_request(tapes: Tapes, content: Any) -> Answer:
    given = content["target"]
    targets = [_single(one) for one in ([given] if isinstance(given, str) else given)]
    arguments = content.get("arguments") or {}
    known = {"activity", "arguments", "target", "expand_directories", "expandDirectories", "clearOnSuccess"}
    if set(content) - known or content["activity"] not in ("PIN", "UNPIN") or len(targets) > 500:
        return BAD
    if content["activity"] == "UNPIN":
        tapes.let_go(arguments.get("id", ""), targets)
        return Answer(201, None, {"request-url": f"https://localhost{DCACHE}bulk-requests/unpinned"})
    units = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3600, "DAYS": 86400}
    if arguments.get("lifetimeUnit", "MINUTES") not in units:
        return BAD
    lifetime_s = float(arguments.get("lifetime", 5)) * units[arguments.get("lifetimeUnit", "MINUTES")]
    name = tapes.bring(targets, lifetime_s)
    return Answer(201, None, {"request-url": f"https://localhost{DCACHE}bulk-requests/{name}"})


def _namespace(tapes: Tapes, path: str, asked: Mapping[str, str]) -> Answer:
    beside = tapes.beside(path)
    if beside is not None:
        told: dict[str, Any] = {"fileType": "DIR"}
        if asked.get("children") == "true":
            told["children"] = [
                {"fileName": one.rpartition("/")[2], **_attributes(tapes, one, asked)} for one in beside
            ]
        return Answer(200, told)
    if tapes.where(path) is Locality.ABSENT:
        return Answer(404, {"errors": [{"message": "Not Found", "status": "404"}]})
    if tapes.where(path) is Locality.REFUSED:
        return Answer(403, {"errors": [{"message": "Permission denied", "status": "403"}]})
    return Answer(200, _attributes(tapes, path, asked))


def _attributes(tapes: Tapes, path: str, asked: Mapping[str, str]) -> dict[str, object]:
    words = {Locality.ONLINE: "ONLINE_AND_NEARLINE", Locality.NEARLINE: "NEARLINE", Locality.LOST: "LOST"}
    locality = {"fileLocality": words[tapes.where(path)]} if asked.get("locality") == "true" else {}
    return {"fileType": "REGULAR", "size": tapes.size(path), "mtime": 0, "creationTime": 0, **locality}


def stageit(tapes: Tapes, method: str, place: str, content: Any, _: Mapping[str, str]) -> Answer:
    """StageIT: requests, and GraphQL as its client library asks."""
    if (method, place) == ("POST", "requests/"):
        surls = content["surls"]
        name = tapes.bring([_path_of(one) for one in surls], 7 * 86400.0)
        numbers = _numbers(tapes)
        number = max(numbers, default=0) + 1
        numbers[number] = (name, {_path_of(one): one for one in surls})
        return Answer(201, {"id": number, "surls": surls})
    found = re.fullmatch(r"requests/(\d+)/abort/", place)
    if method == "PUT" and found:
        if int(found[1]) not in _numbers(tapes):
            return Answer(404, {"detail": "Not found."})
        name, surls = _numbers(tapes)[int(found[1])]
        tapes.let_go(name, list(surls))
        _numbers(tapes)[int(found[1])] = ABORTED, surls
        return Answer(202)
    found = re.fullmatch(r"requests/(\d+)/convert2webdav/", place)
    if method == "GET" and found:
        _, surls = _numbers(tapes).get(int(found[1]), ("", {}))
        return Answer(200, [f"{tapes.opening([path])[0]}{path}" for path in surls])
    if (method, place) == ("POST", "graphql/"):
        one = re.search(r"request\(id: (\d+)\)", content["query"])
        if not one:
            nodes = [_request(tapes, number) for number in _numbers(tapes)]
            edges = [{"node": node} for node in nodes if node]
            return Answer(200, {"data": {"requests": {"edges": edges}}})
        told = _request(tapes, int(one[1]))
        if told and "macaroons" in content["query"]:
            paths = [_path_of(surl["surl"]) for surl in told["surls"]]
            told["macaroons"] = [{"content": macaroon} for macaroon in tapes.opening(paths)[1]]
        return Answer(200, {"data": {"request": told}})
    return Answer(404, {"detail": "Not found."})


def _numbers(tapes: Any) -> dict[int, tuple[str, dict[str, str]]]:
    """Requests by the numbers that StageIT gives them, and what they call each file."""
    numbers: dict[int, tuple[str, dict[str, str]]] = tapes.__dict__.setdefault("numbers", {})
    return numbers


def _request(tapes: Tapes, number: int) -> dict[str, Any] | None:
    name, surls = _numbers(tapes).get(number, ("", {}))
    if name == ABORTED:
        told = [{"surl": one} for one in surls.values()]
        return {"id": number, "currentStatus": "aborted", "currentStatusCode": "A", "response": None, "surls": told}
    standing = tapes.standing(name)
    if standing is None:
        return None
    online = [surls[path] for path, one in standing.items() if one.state is RecallState.ONLINE]
    errors = {surls[path]: one.detail for path, one in standing.items() if one.state is RecallState.FAILED}
    progressing = [surls[path] for path, one in standing.items() if one.state is RecallState.QUEUED]
    status = "in progress" if progressing else "partial success" if errors else "success"
    response = {"online": online, "progressing": progressing, "errors": errors}
    return {"id": number, "currentStatus": status, "currentStatusCode": "S" if progressing else "C",
            "response": json.dumps(response), "surls": [{"surl": one} for one in surls.values()]}  # fmt: skip


def _path_of(surl: str) -> str:
    return _single(surl.partition("SFN=")[2] or urlsplit(surl).path)


def _single(path: str) -> str:
    return re.sub("/+", "/", f"/{path}")
