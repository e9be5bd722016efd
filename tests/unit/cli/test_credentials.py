"""`proxy`: whose it is, how long it is good for, and an exit code that scripts can ask."""

from __future__ import annotations

import json
import re
from pathlib import Path

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
    assert seat("proxy", code=2).err == f"{proxy}: there is no proxy. Make one by voms-proxy-init\n"


def test_the_one_that_goes_with_jobs_is_the_one_that_is_told_of(seat: Seat, proxy: Path, janneke: Holder) -> None:
    ours = written(proxy.with_name("ours"), signed(janneke), janneke)
    seat.environment["LOFARGRID_PROXY"] = str(ours)
    assert seat("proxy").out.startswith(f"{ours}\n")
