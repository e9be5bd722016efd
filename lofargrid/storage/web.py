"""Clients of web services, known by the user's proxy or token. Each is for one call or a few."""

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

PATIENCE_S = 60.0


def web_client(url: str, proxy: Path, authorities: Path) -> httpx.Client:
    """Open a client that shows a proxy, as it is now: one that is renewed meanwhile is shown by the next client.

    Raises
    ------
    OSError
        The proxy cannot be read, or is none.
    """
    context = _trusting(authorities)
    context.load_cert_chain(proxy)
    return _client(url, context, {})


def plain_client(url: str, authorities: Path) -> httpx.Client:
    """Open a client that shows nothing of the user."""
    return _client(url, _trusting(authorities), {})


def token_client(url: str, token: Callable[[], str], authorities: Path) -> httpx.Client:
    """Open a client that shows a token, as it is now, in the way of Django's services."""
    return _client(url, _trusting(authorities), {"Authorization": f"Token {token()}"})


def _trusting(authorities: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities.is_dir():
        context.load_verify_locations(capath=authorities)
    return context


def _client(url: str, context: ssl.SSLContext, headers: dict[str, str]) -> httpx.Client:
    base_url = f"{url.rstrip('/')}/"
    return httpx.Client(base_url=base_url, verify=context, headers=headers, timeout=PATIENCE_S, trust_env=False)
