"""What StageIT may answer that is not what was asked for; see tests/contracts/test_recalls.py for the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lofargrid.errors import BackendError
from lofargrid.storage.base import Locality, RecallState, Release
from lofargrid.storage.stageit import StageIt
from tests.unit.storage.saying import saying

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
