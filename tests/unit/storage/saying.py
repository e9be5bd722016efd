"""A web service that answers what the test says."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from lofargrid.storage.asking import Service

Handler = Callable[[httpx.Request], httpx.Response]


def service(handler: Handler) -> Service:
    """The service of SURF, whose server answers so."""
    return Service(
        "the tape service of SURF",
        lambda: httpx.Client(base_url="https://host/api/", transport=httpx.MockTransport(handler)),
    )


def saying(status: int, content: object, headers: dict[str, str] | None = None) -> Service:
    return service(lambda request: httpx.Response(status, json=content, headers=headers))
