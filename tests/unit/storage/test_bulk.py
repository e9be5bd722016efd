"""What dCache may answer to bulk requests that is not what was asked for; see tests/contracts/test_recalls.py."""

from __future__ import annotations

import json

import httpx
import pytest

from lofargrid.errors import BackendError
from lofargrid.storage import bulk
from lofargrid.storage.base import Locality, RecallState
from lofargrid.storage.bulk import BulkRequests
from tests.unit.storage.saying import saying, service

URL = "srm://srm.archive.test:8443/lofar/a"
OTHER = "srm://srm.archive.test:8443/lofar/b"


@pytest.mark.parametrize(
    ("word", "where"),
    [
        ("ONLINE", Locality.ONLINE),
        ("ONLINE_AND_NEARLINE", Locality.ONLINE),
        ("NEARLINE", Locality.NEARLINE),
        ("UNAVAILABLE", Locality.NEARLINE),
        ("LOST", Locality.LOST),
        ("NONE", Locality.LOST),
        ("SOMETHING_NEW", Locality.NEARLINE),
    ],
)
def test_where_a_file_is(word: str, where: Locality) -> None:
    folder = saying(200, {"fileType": "DIR", "children": [{"fileName": "a", "fileLocality": word}]})
    assert BulkRequests(folder).locality([URL, OTHER]) == {URL: where, OTHER: Locality.ABSENT}


@pytest.mark.parametrize(("status", "where"), [(404, Locality.ABSENT), (403, Locality.REFUSED)])
def test_a_folder_that_is_not_there_or_not_for_us(status: int, where: Locality) -> None:
    assert BulkRequests(saying(status, {})).locality([URL]) == {URL: where}


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("CREATED", RecallState.QUEUED),
        ("READY", RecallState.QUEUED),
        ("RUNNING", RecallState.QUEUED),
        ("COMPLETED", RecallState.ONLINE),
        ("SKIPPED", RecallState.ONLINE),
        ("FAILED", RecallState.FAILED),
        ("CANCELLED", RecallState.FAILED),
    ],
)
def test_how_far_a_file_is(word: str, state: RecallState) -> None:
    answer = {"nextId": -1, "status": "STARTED", "targets": [{"target": "/lofar/a", "state": word}]}
    assert BulkRequests(saying(200, answer)).poll("1", [URL])[URL].state is state


def test_a_page_that_leads_back_is_not_followed_for_ever() -> None:
    answer = {"nextId": 0, "targets": [{"target": "/lofar/a", "state": "COMPLETED"}]}
    assert list(BulkRequests(saying(200, answer)).poll("1", [URL])) == [URL]


def test_more_files_than_one_request_takes_are_asked_for_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    asked: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(len(json.loads(request.content)["target"]))
        return httpx.Response(201, headers={"request-url": f"https://elsewhere/api/v1/bulk-requests/id-{len(asked)}"})

    assert BulkRequests(service(handler)).request([f"{URL}{number}" for number in range(5)]) == "id-1 id-2 id-3"
    assert asked == [2, 2, 1]


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [(201, {}, "does not say how the request is called"), (429, {}, "HTTP 429"), (503, {}, "HTTP 503")],
)
def test_what_does_not_help_is_told(status: int, headers: dict[str, str], told: str) -> None:
    with pytest.raises(BackendError, match=f"for files from tape: .*{told}"):
        BulkRequests(saying(status, None, headers)).request([URL])
