"""The runner as one file. What it does on a node stands in tests/unit/pilots/test_zipapp.py."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import lofargrid_runner
import pytest

from lofargrid.zipapp import build_zipapp


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_zipapp(tmp_path_factory.mktemp("zipapp") / "new" / "runner.pyz")


def test_the_same_sources_give_the_same_bytes(zipapp: Path, tmp_path: Path) -> None:
    assert build_zipapp(tmp_path / "other.pyz").read_bytes() == zipapp.read_bytes()


def test_it_holds_every_module_of_the_runner_as_it_is(zipapp: Path) -> None:
    sources = sorted(Path(lofargrid_runner.__file__).parent.glob("*.py"))
    with zipfile.ZipFile(zipapp) as archive:
        for path in sources:
            assert archive.read(f"lofargrid_runner/{path.name}") == path.read_bytes()
        kept = {name for name in archive.namelist() if name.endswith(".py")}
    assert kept == {"__main__.py", *(f"lofargrid_runner/{path.name}" for path in sources)}


def test_the_python_that_built_it_starts_without_compiling(zipapp: Path) -> None:
    with zipfile.ZipFile(zipapp) as archive:
        compiled = [name for name in archive.namelist() if name.endswith(".pyc")]
        assert len(compiled) * 2 == len(archive.namelist())
        assert {archive.read(name)[:4] for name in compiled} == {importlib.util.MAGIC_NUMBER}


def test_it_is_an_executable_that_starts(zipapp: Path) -> None:
    assert os.access(zipapp, os.X_OK)
    assert zipapp.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    done = subprocess.run([sys.executable, "-I", "-S", zipapp, "no-such-verb"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_it_replaces_an_older_one_whole_and_leaves_nothing_beside(zipapp: Path, tmp_path: Path) -> None:
    target = tmp_path / "runner.pyz"
    target.write_bytes(b"old")
    assert build_zipapp(target) == target
    assert target.read_bytes() == zipapp.read_bytes()
    assert os.listdir(tmp_path) == ["runner.pyz"]
