"""Tokens: what they tell, what they do not show, and which of them are of no use."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lofargrid.backends.htcondor.token import read_token, trouble_with


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


NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
GOOD, ENDLESS, EXPIRED = token(exp=NOW.timestamp() + 1), token(sub="janneke"), token(exp=NOW.timestamp() - 60)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ""),
        ({"a": GOOD}, ""),
        ({"a": ENDLESS}, ""),
        ({"a": EXPIRED}, "the token {}/a expired at 2026-11-28 11:59 UTC"),
        ({"a": EXPIRED, "b": GOOD}, ""),
        ({"a": f"# mine\n{EXPIRED}{GOOD}"}, ""),
        ({"a": "a.b.c\n"}, "{}/a holds no token"),
        ({"a": "junk"}, "{}/a holds no token"),
        ({"a": "a.NQ.c"}, "{}/a holds no token"),
        ({"a": "\n"}, "{}/a is empty"),
        ({"a": "junk", "b": EXPIRED}, "{}/a holds no token"),
    ],
)
def test_why_no_token_lets_in_is_told_without_a_word_of_them(
    tmp_path: Path, files: dict[str, str], expected: str
) -> None:  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert trouble_with(tmp_path, NOW) == expected.format(tmp_path)


def test_tokens_that_are_not_there_or_cannot_be_read_are_told_too(tmp_path: Path) -> None:
    assert trouble_with(tmp_path / "none", NOW) == ""
    (tmp_path / "folder").mkdir()
    assert trouble_with(tmp_path, NOW) == f"the token {tmp_path}/folder cannot be read: Is a directory"
