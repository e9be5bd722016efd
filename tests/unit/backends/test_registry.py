from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.backends.registry import open_backend
from lofargrid.config import Settings
from lofargrid.errors import InputError


def settings(data: Path) -> Settings:
    return Settings(data, None, 1, "someone", "someone@example.org")


def test_the_local_backend_brings_its_runner_with_it(tmp_path: Path) -> None:
    backend = open_backend("local", settings(tmp_path))
    assert backend.name == "local"
    assert [path.suffix for path in (tmp_path / "runner").iterdir()] == [".pyz"]
    backend.close()


def test_the_runner_is_packed_once(tmp_path: Path) -> None:
    for _ in range(2):
        open_backend("local", settings(tmp_path)).close()
        [runner] = (tmp_path / "runner").iterdir()
    before = runner.stat()
    open_backend("local", settings(tmp_path)).close()
    assert (runner.stat().st_mtime_ns, runner.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_backend_that_is_not_part_of_this_version_is_refused_with_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"backend: the backend 'dirac' is not part .*\. Use local"):
        open_backend("dirac", settings(tmp_path))
