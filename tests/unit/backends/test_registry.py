from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.backends import registry
from lofargrid.backends.registry import lack_of, open_backend
from lofargrid.config import Settings
from lofargrid.model import Site

HERE = {"local": Site("local", backend="local")}


def settings(data: Path) -> Settings:
    return Settings(data, None, 1, "someone", "someone@example.org")


def test_the_local_backend_brings_its_runner_with_it(tmp_path: Path) -> None:
    backend = open_backend(settings(tmp_path), "abcd1234", HERE)
    assert backend.name == "local"
    assert [path.suffix for path in (tmp_path / "runner").iterdir()] == [".pyz"]
    backend.close()


def test_the_runner_is_packed_once(tmp_path: Path) -> None:
    for _ in range(2):
        open_backend(settings(tmp_path), "abcd1234", HERE).close()
        [runner] = (tmp_path / "runner").iterdir()
    before = runner.stat()
    open_backend(settings(tmp_path), "abcd1234", HERE).close()
    assert (runner.stat().st_mtime_ns, runner.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_each_site_is_reached_by_its_own_backend(tmp_path: Path) -> None:
    sites = {**HERE, "pool": Site("pool", grid_name="LCG.POOL.nl", backend="htcondor")}
    backend = open_backend(settings(tmp_path), "abcd1234", sites)
    assert backend.name == "several"
    backend.close()


def test_what_is_lacking_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lack_of("dirac") == "the backend 'dirac' is not in this version"
    assert (lack_of("local"), lack_of("htcondor")) == ("", "")
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    assert lack_of("htcondor") == "HTCondor's Python bindings are not installed"
