"""Pure: the token that opens a pool for one pilot."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True)
class Token:
    """A token of HTCondor. ``id`` is what a pool revokes it by; the secret is not shown."""

    secret: str = field(repr=False)
    id: str
    expires: datetime


def read_token(text: str) -> Token:
    """Read what a pool issued. Its signature is for the pool to check.

    Raises
    ------
    ValueError
        It is no token that expires.
    """
    secret = text.strip()
    try:
        body = secret.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return Token(secret, str(claims["jti"]), datetime.fromtimestamp(claims["exp"], UTC))
    except (IndexError, ValueError, KeyError, TypeError):
        raise ValueError("this is no token that expires") from None
