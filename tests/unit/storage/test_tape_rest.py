"""What a tape service may answer that is not what was asked for; see tests/contracts/test_recalls.py for the rest."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from lofargrid.errors import BackendError
from lofargrid.storage.asking import Service
from lofargrid.storage.base import Locality, RecallState
from lofargrid.storage.tape_rest import TapeRest
from lofargrid.storage.tapes import Tapes
from lofargrid.storage.web import web_client
from tests.unit.storage.saying import saying, service

URL = "srm://srm.archive.test:8443/lofar/a"


@pytest.mark.parametrize(
    ("told", "where"),
    [
        ({"locality": "DISK"}, Locality.ONLINE),
        ({"locality": "DISK_AND_TAPE"}, Locality.ONLINE),
        ({"locality": "TAPE"}, Locality.NEARLINE),
        ({"locality": "UNAVAILABLE"}, Locality.NEARLINE),
        ({"locality": "SOMETHING_NEW"}, Locality.NEARLINE),
        ({"locality": "LOST"}, Locality.LOST),
        ({"locality": "NONE"}, Locality.LOST),
        ({"error": "No such file or directory /lofar/a"}, Locality.ABSENT),
        ({"error": "Permission denied"}, Locality.REFUSED),
    ],
)
def test_where_a_file_is(told: dict[str, str], where: Locality) -> None:
    assert TapeRest(saying(200, [{"path": "/lofar/a", **told}])).locality([URL]) == {URL: where}


@pytest.mark.parametrize(
    ("told", "state", "detail"),
    [
        ({"state": "SUBMITTED"}, RecallState.QUEUED, ""),
        ({"state": "STARTED"}, RecallState.QUEUED, ""),
        ({"state": "COMPLETED"}, RecallState.ONLINE, ""),
        ({"state": "FAILED", "error": "tape jammed"}, RecallState.FAILED, "tape jammed"),
        ({"state": "CANCELLED"}, RecallState.FAILED, "cancelled"),
        ({"state": "CANCELED"}, RecallState.FAILED, "canceled"),
        ({"onDisk": True}, RecallState.ONLINE, ""),
        ({"onDisk": False}, RecallState.QUEUED, ""),
        ({"onDisk": False, "error": "tape jammed"}, RecallState.FAILED, "tape jammed"),
    ],
)
def test_how_far_a_file_is(told: dict[str, object], state: RecallState, detail: str) -> None:
    answer = TapeRest(saying(200, {"id": "1", "files": [{"path": "/lofar/a", **told}, {"path": "/lofar/other"}]}))
    (found,) = answer.poll("1", [URL]).values()
    assert (found.state, found.detail) == (state, detail)


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        (401, {"errors": [{"message": "Permission denied", "status": "401"}]}, "HTTP 401 Unauthorized: Perm"),
        (403, {"status": "403", "title": "Forbidden", "detail": "not\nyou"}, "HTTP 403 Forbidden: not you"),
        (404, {}, "HTTP 404 Not Found"),
        (429, None, "HTTP 429 Too Many Requests"),
        (503, "busy", "HTTP 503 Service Unavailable"),
        (200, {"some": "thing"}, "an answer that is none"),
        (200, [{"locality": "TAPE"}], "an answer that is none"),
        (200, [], f"nothing is said of {URL}"),
    ],
)  # fmt: skip
def test_what_does_not_help_is_told_and_may_be_asked_again(status: int, content: object, told: str) -> None:
    with pytest.raises(BackendError, match=r"^asked the tape service of SURF where files are: ") as raised:
        TapeRest(saying(status, content)).locality([URL])
    assert told in str(raised.value)


def test_what_is_no_json_and_who_does_not_answer_are_told() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("timed out")

    with pytest.raises(BackendError, match="an answer that is none"):
        TapeRest(service(lambda request: httpx.Response(200, text="<html>"))).request([URL])
    with pytest.raises(BackendError, match="for files from tape: timed out"):
        TapeRest(service(away)).request([URL])


def test_a_name_that_a_service_gives_a_request_leads_nowhere_else() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(404)

    assert TapeRest(service(handler)).poll("../../../admin", [URL]) == {}
    assert asked == ["/api/stage/..%2F..%2F..%2Fadmin"]


def test_without_a_proxy_nobody_is_asked(tmp_path: Path) -> None:
    recall = TapeRest(
        Service("the tape service of SURF", lambda: web_client("https://localhost:1", tmp_path / "none", tmp_path))
    )
    with pytest.raises(BackendError, match="No such file or directory"):
        recall.locality([URL])


def test_each_file_is_asked_for_at_its_site_and_a_site_without_a_service_has_none_on_tape() -> None:
    tapes = Tapes(
        {"SURF": TapeRest(saying(200, [{"path": "/lofar/a", "locality": "TAPE"}]))},
        lambda url: "SURF" if "archive" in url else "",
    )
    assert tapes.locality([URL, "davs://other/x"]) == {URL: Locality.NEARLINE, "davs://other/x": Locality.ONLINE}
    assert tapes.poll("JUELICH 1", [URL]) == {}
    tapes.release("JUELICH 1", [URL])
