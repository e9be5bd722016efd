"""Links that let whoever has them read a file for a while, without a certificate: macaroons in URLs.

Source: dCache's user guide, "Authorization in dCache: macaroons"; XRootD's XrdMacaroons.
"""

import json
from collections.abc import Callable
from datetime import timedelta

import httpx

from lofargrid.storage.asking import MisfitError, Service


def link(
    url: str, opened: Callable[[str], httpx.Client], unknown: Callable[[str], httpx.Client], lasts: timedelta
) -> str:
    """Ask a storage for a link to read one file. It is tried: some give macaroons also to those who have no rights.

    Parameters
    ----------
    url
        The file, ``davs://`` or ``https://``.
    opened
        Gives a client for a URL that shows the user's proxy.
    unknown
        Gives one that shows nothing.
    lasts
        How long the link is good for.

    Raises
    ------
    BackendError
        The storage gives none.
    """
    place = f"https{url.removeprefix('davs').removeprefix('https')}"
    wanted = {"caveats": ["activity:DOWNLOAD"], "validity": f"PT{lasts.total_seconds():.0f}S"}
    kind = {"Content-Type": "application/macaroon-request"}
    service = Service(httpx.URL(place).host, lambda: opened(place))
    with service.asking(f"for a link to {url}"):
        answer = service.answer("POST", place, json.dumps(wanted), headers=kind)
        macaroon = answer.json()["macaroon"]
        if not isinstance(macaroon, str) or not macaroon.isascii() or not macaroon.isprintable():
            raise MisfitError("it gives no macaroon")
        made = str(httpx.URL(place, params={"authz": macaroon}))
        Service("", lambda: unknown(place)).answer("GET", made, headers={"Range": "bytes=0-0"})
    return made
