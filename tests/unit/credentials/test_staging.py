"""StageIT's token is read from the file of its own client, and from nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.credentials.staging import read_token
from lofargrid.errors import InputError


def kept(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / ".stagingrc"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_token_is_what_stands_behind_api_token(tmp_path: Path) -> None:
    assert read_token(kept(tmp_path, "hostname=sdc.example\n api_token = abc=123 \n")) == "abc=123"


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("user=janneke\npassword=secret\n", 0o600, "it holds no api_token"),
        ("api_token=\n", 0o600, "it holds no api_token"),
        ("api_token=töken\n", 0o600, "it holds no api_token"),
        ("api_token=secret\n", 0o644, "others can read this file with StageIT's token"),
    ],
)
def test_what_is_wrong_is_told_and_no_secret(tmp_path: Path, text: str, mode: int, told: str) -> None:
    with pytest.raises(InputError) as raised:
        read_token(kept(tmp_path, text, mode))
    assert told in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file with StageIT's token"):
        read_token(tmp_path / ".stagingrc")
