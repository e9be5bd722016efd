"""`proxy`: whose it is, how long it is good for, and an exit code that scripts can ask."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.grid.authority import Holder
from tests.grid.proxies import signed, written
from tests.unit.cli.seat import Seat


def test_a_good_one_is_told_and_its_secret_is_not(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke, hours=11.9), janneke)
    said = seat("proxy")
    lines = said.out.splitlines()
    assert lines[0] == str(proxy)
    assert lines[1:4] == [
        "  identity  /C=NL/O=Test/OU=People/CN=Janneke",
        "  VO        none",
        "  key       2048 bits, impersonation",
    ]
    assert re.fullmatch(r"  good for  11 h 5\d min, until 20.* UTC", lines[4])
    assert said.err == ""


def test_it_can_be_asked_to_be_good_for_some_time(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke, hours=11.9), janneke)
    seat("proxy", "--valid", "11")
    said = seat("proxy", "--valid", "24", code=1).err
    assert re.fullmatch(r"not good: it is good for 11 h 5\d min more, not for 24 h\n", said)


def test_one_that_has_ended_is_told_and_fails(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke, hours=-1), janneke)
    said = seat("proxy", code=1)
    assert "good for  nothing: it ended 20" in said.out
    assert "not good: /C=NL/O=Test/OU=People/CN=Janneke/CN=1: certificate has expired" in said.err


def test_programs_get_json(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke, hours=1), janneke)
    found = json.loads(seat("proxy", "--valid", "2", "--json", code=1).out)
    assert (found["identity"], found["vo"], found["fqans"]) == ("/C=NL/O=Test/OU=People/CN=Janneke", "", [])
    assert 3500 < found["seconds_left"] <= 3600
    assert found["doubts"][0].endswith(" more, not for 2 h")


def test_where_there_is_none_it_says_how_to_make_one(seat: Seat, proxy: Path) -> None:
    assert seat("proxy", code=2).err == f"{proxy}: there is no proxy. Make one with: proxy --new\n"


def test_the_one_that_goes_with_jobs_is_the_one_that_is_told_of(seat: Seat, proxy: Path, janneke: Holder) -> None:
    ours = written(proxy.with_name("ours"), signed(janneke), janneke)
    seat.environment["LOFARGRID_PROXY"] = str(ours)
    assert seat("proxy").out.startswith(f"{ours}\n")


# New ones; those of a real server are in tests/contracts/test_new_proxies.py


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A voms-proxy-init that does what a shell is told."""
    path = folder / "bin" / "voms-proxy-init"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Error: lofar: User unknown to this VO.", "User unknown to this VO. Ask to be made a member of the VO, or n"),
        (
            "Error: lofar: Unable to satisfy B/lofar:production request!",
            "production request. Ask your VO for that rol",
        ),
        ("VOMS Server for lofar not known!", "VOMS Server for lofar not known. The VO's address belongs in /etc/voms"),
        ("ERROR: Couldn't find valid credentials to generate a proxy.", "Your certificate belongs in ~/.globus/userce"),
        ("Enter GRID pass phrase:\nunable to get passphrase", "unable to get passphrase. Type the pass phrase of your"),
        ("Function: \n.....++++*\nsomething odd", "has made no proxy: something odd. The old one was kept"),
        ("", "has made no proxy: exit code 3. The old one was kept"),
    ],
)
def test_why_none_was_made_is_told_with_what_helps_and_the_old_one_stays(
    seat: Seat, proxy: Path, janneke: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    before = written(proxy, signed(janneke), janneke).read_bytes()
    (tmp_path / "said").write_text(f"{said}\n")
    program(tmp_path, monkeypatch, f"cat '{tmp_path}/said' >&2; exit 3")
    error = seat("proxy", "--new", code=2).err
    assert error.startswith("voms-proxy-init has made no proxy: ")
    assert told in error
    assert proxy.read_bytes() == before
    assert not list(tmp_path.glob(".lofargrid-*"))


def test_one_that_may_not_be_believed_does_not_take_the_place_of_the_old_one(
    seat: Seat, proxy: Path, janneke: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(proxy, signed(janneke), janneke).read_bytes()
    ended = written(tmp_path / "ended", signed(janneke, hours=-1), janneke)
    program(tmp_path, monkeypatch, f"for last; do true; done; cp -p '{ended}' \"$last\"")
    error = seat("proxy", "--new", code=2).err
    assert "the new proxy is not good: /C=NL/O=Test/OU=People/CN=Janneke/CN=1: certificate has expired" in error
    assert proxy.read_bytes() == before


def test_where_the_program_is_not_it_says_what_brings_it(
    seat: Seat, proxy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = seat("proxy", "--new", code=2).err
    assert error.startswith("voms-proxy-init is not on this machine. Install it (Debian: voms-clients), or copy a")


@pytest.mark.parametrize(
    "words", [("--vo", "lofar"), ("--role", "production"), ("--new", "--vo", "-x"), ("--new", "--role", "a b")]
)
def test_a_vo_and_a_role_are_of_a_new_one_and_plain_names(seat: Seat, proxy: Path, words: tuple[str, ...]) -> None:
    error = seat("proxy", *words, code=2).err
    assert "Add --new" in error or "is no name of a VO or a role" in error


def test_a_place_that_cannot_be_written_is_told(seat: Seat, proxy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X509_USER_PROXY", "/proc/x509up")
    assert "/proc/x509up: no proxy can be written there: " in seat("proxy", "--new", code=2).err
