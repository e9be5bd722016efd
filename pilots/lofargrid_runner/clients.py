"""The client that speaks a protocol on this node: through the first tool that is here, or by our own means."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from .called import Called
from .contract import Reason
from .failure import Failure
from .remote import Client, Manner
from .tools import HTTP, TOOLS, Access

OWN = "https"
"""Stands among the tools for our own client."""
PROGRAMS = {"xrdcp": ("xrdcp", "xrdfs"), "gfal-copy": ("gfal-copy", "gfal-stat"), "curl": ("curl",)}
AUTHORITIES = "/etc/grid-security/certificates"
# XRootD's own patience is 20 minutes for a server that is not there.
PATIENCE = {"XRD_CONNECTIONWINDOW": "30", "XRD_CONNECTIONRETRY": "2", "XRD_REQUESTTIMEOUT": "120"}


def client_of(
    scheme: str, tools: Sequence[str], environment: Mapping[str, str], manner: Manner, token: str = ""
) -> Client:
    """Choose a client. A token is for our own alone: there is no way to give it to the tools that others cannot see.

    Raises
    ------
    Failure
        ``SOFTWARE_MISSING``: there is none.
    """
    access = access_of(environment)
    if token:
        access, tools = Access("", access.authorities, token), (OWN,)
    manner = manner._replace(proxy=access.token or access.proxy)
    path = environment.get("PATH", os.defpath)
    for name in tools:
        if name == OWN and scheme in HTTP:
            from .https import Https

            return Https(access, manner)
        tool = TOOLS[name](access) if name in TOOLS else None
        if tool and scheme in tool.schemes and all(shutil.which(one, path=path) for one in PROGRAMS[name]):
            return Called(tool, {**PATIENCE, **environment}, manner)
    here = f"of {', '.join(tools)}" if tools else "as no tool is named"
    raise Failure(Reason.SOFTWARE_MISSING, f"this node cannot speak {scheme}://, {here}")


def access_of(environment: Mapping[str, str]) -> Access:
    """What opens a storage's door here, from where all grid commands look for it."""
    proxy = environment.get("X509_USER_PROXY") or f"/tmp/x509up_u{os.getuid()}"
    authorities = environment.get("X509_CERT_DIR") or AUTHORITIES
    return Access(
        proxy if os.path.exists(proxy) else "",
        authorities if os.path.isdir(authorities) else "",
    )
