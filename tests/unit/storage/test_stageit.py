"""What StageIT may answer that is not what was asked for; see tests/contracts/test_recalls.py for the rest."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from lofargrid.errors import BackendError
from lofargrid.storage.base import Locality, RecallState, Release, Way
from lofargrid.storage.stageit import StageIt
from tests.unit.storage.saying import saying, service

URL, OTHER = "srm://srm.archive.test:8443/lofar/a", "srm://srm.archive.test:8443/lofar/b"


def told(status: str, response: object = None, code: str = "C") -> dict[str, Any]:
    node = {"id": 1, "currentStatus": status, "currentStatusCode": code, "surls": [{"surl": URL}, {"surl": OTHER}]}
    return {**node, "response": None if response is None else json.dumps(response)}


@pytest.mark.parametrize(
    ("one", "states"),
    [
        (told("new"), [RecallState.QUEUED, RecallState.QUEUED]),
        (told("in progress", {"online": [URL], "progressing": [OTHER]}), [RecallState.ONLINE, RecallState.QUEUED]),
        (told("partial success", {"online": [URL], "errors": {OTHER: "no"}}), [RecallState.ONLINE, RecallState.FAILED]),
        (told("failed"), [RecallState.FAILED, RecallState.FAILED]),
        (told("aborted", {"online": [URL]}), [RecallState.ONLINE, RecallState.FAILED]),
        (told("success", {"online": [URL, OTHER], "errors": None}), [RecallState.ONLINE, RecallState.ONLINE]),
    ],
)
def test_how_far_a_file_is(one: dict[str, Any], states: list[RecallState]) -> None:
    answer = StageIt(saying(200, {"data": {"request": one}})).poll("1", [URL, OTHER])
    assert [answer[url].state for url in (URL, OTHER)] == states


@pytest.mark.parametrize(
    ("one", "where"),
    [
        (told("success", {"online": [URL]}), Locality.ONLINE),
        (told("aborted", {"online": [URL]}, code="A"), Locality.NEARLINE),
        (told("failed", {"errors": {URL: "File not found"}}), Locality.ABSENT),
        (told("failed", {"errors": {URL: "tape jammed"}}), Locality.NEARLINE),
    ],
)
def test_where_a_file_is_is_what_the_requests_of_the_last_week_say(one: dict[str, Any], where: Locality) -> None:
    service = saying(200, {"data": {"requests": {"edges": [{"node": one}]}}})
    assert StageIt(service).locality([URL]) == {URL: where}


def test_a_request_whose_name_is_no_number_is_unknown() -> None:
    nobody = StageIt(saying(500, None))
    assert nobody.poll("1) { id } everything", [URL]) == {}
    nobody.release("../1", [URL])


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (401, {"detail": "Invalid token."}, "HTTP 401 Unauthorized: Invalid token."),
        (200, {"errors": [{"message": "no such field"}]}, "no such field"),
        (200, {"data": None}, "answers without data"),
        (200, {"data": {}}, "an answer that is none"),
    ],
)
def test_what_does_not_help_is_told_and_may_be_asked_again(status: int, content: object, words: str) -> None:
    with pytest.raises(BackendError, match=r"^asked the tape service of SURF where files are: ") as raised:
        StageIt(saying(status, content)).locality([URL])
    assert words in str(raised.value)


def test_only_whole_requests_are_released() -> None:
    assert StageIt(saying(200, {})).pinning(URL).release is Release.REQUEST


def macaroon(folder: str) -> str:
    return base64.urlsafe_b64encode(f"0010location T1\n0020cid path:{folder}\n".encode()).decode().rstrip("=")


OURS, OF_OTHERS = macaroon("/pnfs/lofar"), macaroon("/pnfs/others")


def opening(links: object, *macaroons: str) -> StageIt:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=links)
        told = {"request": {"macaroons": [{"content": one} for one in macaroons]}}
        return httpx.Response(200, json={"data": told})

    return StageIt(service(answer))


def test_a_file_is_read_over_https_with_the_macaroon_for_its_folder() -> None:
    links = ["https://door.archive.test:2880/pnfs/lofar/b", "https://door.archive.test:2880/pnfs/lofar/a"]
    ways = opening(links, OF_OTHERS, OURS).ways("7", [URL])
    assert ways == {URL: Way("https://door.archive.test:2880/pnfs/lofar/a", OURS)}


def test_slashes_that_mean_nothing_make_no_other_file_of_it() -> None:
    twice = URL.replace("/lofar/a", "/lofar//a")
    ways = opening(["https://door.archive.test//pnfs/lofar/a"], OURS).ways("7", [twice])
    assert ways[twice].token == OURS


def test_where_no_macaroon_names_the_folder_the_first_one_is_taken() -> None:
    ways = opening(["https://door.archive.test/lofar/a"], OF_OTHERS, OURS).ways("7", [URL])
    assert ways[URL].token == OF_OTHERS


@pytest.mark.parametrize(
    "link",
    [
        "http://door.archive.test/lofar/a",
        "https://janneke@door.archive.test/lofar/a",
        "https:///lofar/a",
        "https://door.archive.test/a",
        "https://door.archive.test/lofar/b",
    ],
)
def test_a_link_that_is_not_for_the_file_or_not_safe_is_not_followed(link: str) -> None:
    assert opening([link], OURS).ways("7", [URL]) == {}


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ünd"])
def test_what_is_no_macaroon_is_not_shown_to_anybody(token: str) -> None:
    assert opening(["https://door.archive.test/lofar/a"], token).ways("7", [URL]) == {}


def test_a_request_without_a_number_opens_nothing() -> None:
    assert opening([], OURS).ways("../7", [URL]) == {}
