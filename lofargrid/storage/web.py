"""Clients of web services, known by the user's proxy."""

import ssl
from pathlib import Path

import httpx

PATIENCE_S = 60.0


def web_client(url: str, proxy: Path, authorities: Path) -> httpx.Client:
    """Open a client for one call or a few: a proxy that is renewed meanwhile is shown by the next one.

    Raises
    ------
    OSError
        The proxy cannot be read, or is none.
    """
    context = ssl.create_default_context()
    if authorities.is_dir():
        context.load_verify_locations(capath=authorities)
    context.load_cert_chain(proxy)
    return httpx.Client(base_url=f"{url.rstrip('/')}/", verify=context, timeout=PATIENCE_S, trust_env=False)
