"""This machine's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.config import settings
from lofargrid.errors import InputError


def test_settings_come_from_the_environment_alone() -> None:
    found = settings(
        {
            "HOME": "/home/a",
            "USER": "a b/é",
            "LOFARGRID_DATA": "/data",
            "LOFARGRID_SCRATCH": "/scratch",
            "LOFARGRID_SLOTS": "3",
            "LOFARGRID_CONTACT": "a@b",
            "LOFARGRID_PIPELINES": "/p::/q",
        }
    )
    assert (found.tracker, found.scratch, found.slots) == (Path("/data/tracker.db"), Path("/scratch"), 3)
    assert (found.owner, found.contact) == ("a_b__", "a@b")
    assert found.pipelines == (Path("/p"), Path("/q"))


@pytest.mark.parametrize(
    ("environment", "data"),
    [
        ({"HOME": "/home/a"}, "/home/a/.local/share/lofargrid"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "/xdg"}, "/xdg/lofargrid"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "", "LOFARGRID_DATA": ""}, "/home/a/.local/share/lofargrid"),
        ({}, "/.local/share/lofargrid"),
    ],
)
def test_the_tracker_stands_in_the_xdg_folder(environment: dict[str, str], data: str) -> None:
    found = settings(environment)
    assert found.data == Path(data)
    assert (found.scratch, found.pipelines) == (None, ())
    assert found.owner


@pytest.mark.parametrize("text", ["0", "-1", "many", "²", "1.5"])
def test_slots_that_are_no_count_are_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match=r"LOFARGRID_SLOTS.*whole number"):
        settings({"LOFARGRID_SLOTS": text})


def test_no_slots_asked_for_are_those_of_the_machine() -> None:
    assert settings({"LOFARGRID_SLOTS": ""}).slots == settings({}).slots >= 1


def test_the_owner_is_the_contact_if_no_other_is_named() -> None:
    found = settings({"LOGNAME": "janneke"})
    assert (found.owner, found.contact) == ("janneke", "janneke")


def test_a_proxy_is_a_file_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    proxy = tmp_path / "x509up_u1000"
    proxy.touch(mode=0o600)
    assert settings({"LOFARGRID_PROXY": str(proxy)}).proxy == proxy
    assert settings({"LOFARGRID_PROXY": ""}).proxy is settings({}).proxy is None


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        ("gone", None, "No such file"),
        ("x509up", 0o644, "nobody else can read"),
        ("x509up", 0o640, "chmod 600"),
        ("two words", 0o600, "absolute path"),
        ("a\nqueue 1", None, "absolute path"),
    ],
)
def test_a_proxy_that_is_none_is_refused_by_name(tmp_path: Path, name: str, mode: int | None, expected: str) -> None:
    if mode is not None:
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    with pytest.raises(InputError, match=rf"LOFARGRID_PROXY[\s\S]*{expected}|{expected}[\s\S]*LOFARGRID_PROXY"):
        settings({"LOFARGRID_PROXY": str(tmp_path / name)})


def test_a_proxy_is_named_by_an_absolute_path() -> None:
    with pytest.raises(InputError, match="absolute path"):
        settings({"LOFARGRID_PROXY": "x509up"})
