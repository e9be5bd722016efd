"""The token of a pilot: what it tells, and what it does not show."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from lofargrid.pilots.token import read_token


def token(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{body}.s3cr3t\n"


def test_it_tells_its_id_and_its_end() -> None:
    found = read_token(token(jti="08b6", exp=0))
    assert (found.id, found.expires, found.secret) == ("08b6", datetime(1970, 1, 1, tzinfo=UTC), found.secret.strip())


def test_its_secret_is_not_shown() -> None:
    assert "s3cr3t" not in repr(read_token(token(jti="08b6", exp=0)))


@pytest.mark.parametrize("text", ["", "junk", "a.b.c", token(jti="x"), token(exp=5), token(jti="x", exp="soon")])
def test_what_is_no_token_that_expires_is_refused_unseen(text: str) -> None:
    with pytest.raises(ValueError, match=r"^this is no token that expires$"):
        read_token(text)
