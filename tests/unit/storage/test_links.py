"""What a storage may answer that is asked for a link; see tests/contracts/test_doors.py for a real one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from lofargrid.errors import BackendError
from lofargrid.storage.links import link

URL = "davs://door.archive.test:2880/lofar/field.fits"


def asked(status: int, content: object, opens: int = 200) -> str:
    """What comes of what a storage answers to who asks it for a macaroon."""

    def client(status: int, content: object) -> Callable[[str], httpx.Client]:
        transport = httpx.MockTransport(lambda request: httpx.Response(status, json=content))
        return lambda place: httpx.Client(base_url=place, transport=transport)

    return link(URL, client(status, content), client(opens, None), timedelta(hours=2))


def test_a_link_holds_the_macaroon_and_nothing_of_it_is_read_as_something_else() -> None:
    told = asked(200, {"macaroon": "MDAx&evil=1"})
    assert told == "https://door.archive.test:2880/lofar/field.fits?authz=MDAx%26evil%3D1"


def test_a_link_that_does_not_open_is_not_given() -> None:
    with pytest.raises(BackendError, match="HTTP 403 Forbidden") as raised:
        asked(200, {"macaroon": "MDAxsecret"}, opens=403)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (403, {}, "HTTP 403 Forbidden"),
        (200, {}, "an answer that is none"),
        (200, {"macaroon": None}, "it gives no macaroon"),
        (200, {"macaroon": "two\nlines"}, "it gives no macaroon"),
    ],
)
def test_a_storage_that_gives_none_is_told(status: int, content: object, words: str) -> None:
    with pytest.raises(BackendError, match=f"asked door.archive.test for a link to {URL}: .*{words}"):
        asked(status, content)
