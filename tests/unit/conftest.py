"""Somebody with a certificate, for the tests of what it is good for."""

from __future__ import annotations

import pytest

from tests.grid.authority import Authority, Holder


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that revokes nobody."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def janneke(authority: Authority) -> Holder:
    return authority.user("People", "Janneke")
