"""HTCondor's tokens: one opens a pool for a pilot, and one is what lets us in."""

import base64
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


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
        claims = _claims(secret)
        return Token(secret, str(claims["jti"]), datetime.fromtimestamp(claims["exp"], UTC))
    except (ValueError, KeyError, TypeError):
        raise ValueError("this is no token that expires") from None


def trouble_with(folder: Path, now: datetime) -> str:
    """Why none of a user's tokens can let anybody in; nothing if one might, or there are none.

    Parameters
    ----------
    folder
        SEC_TOKEN_DIRECTORY of HTCondor's configuration. Each file holds a token in each line.
    now
        The time to judge by.
    """
    troubles = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            lines = [line for line in path.read_text().split("\n") if line.strip() and line[:1] != "#"]
            ends = [float(_claims(line.strip()).get("exp", math.inf)) for line in lines]
        except OSError as error:
            troubles.append(f"the token {path} cannot be read: {error.strerror}")
        except (ValueError, TypeError):
            troubles.append(f"{path} holds no token")
        else:
            last = max(ends, default=0.0)
            if last > now.timestamp():
                return ""
            when = datetime.fromtimestamp(last, UTC)
            troubles.append(f"the token {path} expired at {when:%Y-%m-%d %H:%M} UTC" if ends else f"{path} is empty")
    return troubles[0] if troubles else ""


def _claims(text: str) -> dict[str, Any]:
    parts = text.split(".")
    if len(parts) != 3:
        raise ValueError("no token")
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(claims, dict):
        raise ValueError("no token")
    return claims
