"""Tokens are kept in files of their own, for nobody else to read, until they are forgotten."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lofargrid.errors import BackendError
from lofargrid.storage.base import Way
from lofargrid.storage.keyring import Keyring

URL = "srm://srm.archive.test:8443/lofar/a"
WAY = Way("https://door.archive.test:2880/lofar/a", "MDAxsecret")


def test_a_way_is_kept_with_its_token_in_a_file_and_forgotten(tmp_path: Path) -> None:
    keys = Keyring(tmp_path / "tokens")
    assert keys.of(URL) is None
    for _ in range(2):
        keys.keep(URL, WAY)
    kept = keys.of(URL)
    assert kept
    assert (kept.url, Path(kept.token).read_text()) == (WAY.url, WAY.token)
    for path in (tmp_path / "tokens", Path(kept.token)):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    keys.forget([URL, f"{URL}b"])
    assert keys.of(URL) is None
    assert list((tmp_path / "tokens").iterdir()) == []


def test_a_way_by_ones_own_proxy_has_no_token(tmp_path: Path) -> None:
    keys = Keyring(tmp_path)
    keys.keep(URL, Way(""))
    assert keys.of(URL) == Way("")


def test_a_token_shows_in_no_text() -> None:
    assert "secret" not in repr(WAY)


def test_a_disk_that_does_not_take_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match="cannot write"):
        Keyring(tmp_path / "file" / "tokens").keep(URL, WAY)
