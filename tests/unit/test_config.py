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


def test_a_proxy_may_be_named_before_it_is_made() -> None:
    assert settings({"LOFARGRID_PROXY": "/tmp/x509up_u1000"}).proxy == Path("/tmp/x509up_u1000")
    assert settings({"LOFARGRID_PROXY": ""}).proxy is settings({}).proxy is None


@pytest.mark.parametrize("text", ["x509up", "/tmp/two words", "/tmp/a\nqueue 1"])
def test_a_proxy_is_named_by_an_absolute_path_without_surprises(text: str) -> None:
    with pytest.raises(InputError, match=r"LOFARGRID_PROXY[\s\S]*absolute path"):
        settings({"LOFARGRID_PROXY": text})
