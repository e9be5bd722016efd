"""The user's token for StageIT, in the file that its own client reads."""

from pathlib import Path

from lofargrid.credentials.secret import read_secret
from lofargrid.errors import Fault, InputError

_REMEDY = "Ask for a token on StageIT's page of yourself, and write api_token=... into this file"


def read_token(path: Path) -> str:
    """Read the token.

    Raises
    ------
    InputError
        There is no such file, others can read it, or it holds none.
    """
    told = read_secret(path, "file with StageIT's token", _REMEDY).decode(errors="replace")
    given = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    token = {key.strip(): value.strip() for key, value in given.items()}.get("api_token", "")
    if not token or not token.isascii() or not token.isprintable():
        raise InputError(Fault("it holds no api_token", _REMEDY, file=str(path)))
    return token
