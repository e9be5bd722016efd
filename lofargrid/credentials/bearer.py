"""Bearer tokens that open storages: macaroons, tokens of the WLCG. A file for each site, which bears its name.

Source: "Macaroons: Cookies with Contextual Caveats" and libmacaroons' format; RFC 7519; the WLCG Common JWT Profiles.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from lofargrid.credentials.secret import read_secret
from lofargrid.documents.sites import WEB
from lofargrid.errors import Fault, InputError

_REMEDY = "Ask its storage for a new one, and write it into this file"
_BEFORE = re.compile(rb"before:([0-9T:.-]+)Z")


class Bearers:
    """The user's tokens. Each is shown to the servers of its site alone.

    Parameters
    ----------
    folder
        Holds a file with the token of each site that there is one for.
    servers
        For each site the servers that speak https for it, with their ports.
    """

    def __init__(self, folder: Path, servers: Mapping[str, Collection[str]]) -> None:
        self._folder = folder
        self._servers = servers

    def __bool__(self) -> bool:
        """Whether there is a folder for them."""
        return self._folder.is_dir()

    def at(self, site: str) -> Path | None:
        """The file with the token of a site; None if it has none."""
        place = self._folder / site
        return place if site in self._servers and place.parent == self._folder and os.access(place, os.F_OK) else None

    def of(self, url: str) -> str:
        """The file with the token that opens a URL; "" if none does.

        The server decides, and not which file it may be that a URL means: lists come from others.
        """
        parts = urlsplit(url)
        if parts.scheme not in WEB:
            return ""
        places = (self.at(site) for site, servers in self._servers.items() if parts.netloc in servers)
        return next((str(place.absolute()) for place in places if place), "")


def read_bearer(path: Path) -> datetime | None:
    """Look at a token, and tell when it ends, if it says so.

    Raises
    ------
    InputError
        There is no such file, others can read it, or it holds no token.
    """
    token = read_secret(path, "file with a token", _REMEDY).strip()
    if not re.fullmatch(rb"[A-Za-z0-9._~+/=-]+", token):  # RFC 6750
        raise InputError(Fault("it holds no token", _REMEDY, file=str(path)))
    return min(_ends(token), default=None)


def _ends(token: bytes) -> list[datetime]:
    """When a token says that it ends: the claim ``exp`` of a JWT, all caveats ``before`` of a macaroon."""
    head, _, rest = token.partition(b".")
    try:
        if rest:
            claims = json.loads(_decoded(rest.partition(b".")[0]))
            return [datetime.fromtimestamp(float(claims["exp"]), UTC)]
        found = _BEFORE.findall(_decoded(head))
        return [datetime.fromisoformat(one.decode()).replace(tzinfo=UTC) for one in found]
    except (ValueError, LookupError, TypeError, OverflowError, binascii.Error):
        return []


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4))
