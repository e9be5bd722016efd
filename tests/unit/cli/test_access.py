"""Inputs on grid storages: what must be there before anything is entered."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from lofargrid.cli import access, progress
from lofargrid.cli.session import now
from tests.grid.authority import Holder
from tests.grid.processes import write_secret
from tests.grid.proxies import signed, written
from tests.grid.tokens import jwt
from tests.unit.cli.seat import Listener, Seat

NAME = "L654321_SAP000_SB000_uv.MS_1a2b3c4d.tar"


def listed(seat: Seat, url: str, **changes: object) -> Path:
    (seat.desk / "data.surls").write_text(f"# of the archive\n{url}/{NAME}\n")
    return seat.write(**changes)


@pytest.mark.parametrize("start", ["ftp://host/a", "SRM://host/a"])
def test_a_protocol_that_nothing_reads_is_refused_with_its_line(seat: Seat, proxy: Path, start: str) -> None:
    said = seat("run", listed(seat, start), code=2).err
    assert f"data.surls:2: nothing reads {start}/{NAME} (1 such lines). A URL begins with one of srm://, " in said
    assert seat("status").out == ""


@pytest.mark.parametrize("start", ["srm://host/a", "davs://host/a", "root://host//a", "gsiftp://host/a"])
def test_without_a_proxy_guarded_inputs_are_refused_before_anything_is_entered(
    seat: Seat, proxy: Path, start: str
) -> None:
    said = seat("submit", listed(seat, start), code=2).err
    assert f"{proxy}: there is no proxy. Make one with: proxy --new" in said
    assert seat("status").out == ""


def test_a_proxy_that_has_ended_is_refused(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke, hours=-1), janneke)
    said = seat("submit", listed(seat, "davs://host/a"), code=2).err
    assert f"{proxy}: /C=NL/O=Test/OU=People/CN=Janneke/CN=1: certificate has expired" in said


def test_with_a_good_one_they_are_entered(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke), janneke)
    seat("submit", listed(seat, "davs://host/a"))
    assert "waiting" in seat("status", "field", "--json", code=3).out


def test_what_is_open_to_everybody_needs_none(seat: Seat, proxy: Path) -> None:
    seat("submit", listed(seat, "https://host/a"))


# Tokens of storages


@pytest.fixture
def archive(seat: Seat, proxy: Path) -> Path:
    """Where the user keeps the token of a site that holds davs://host/a."""
    (seat.folder / "sites.yaml").write_text("sites:\n  archive: {prefixes: ['davs://host/a']}\n")
    (seat.folder / "tokens").mkdir()
    seat.environment |= {
        "LOFARGRID_SITES": str(seat.folder / "sites.yaml"), "LOFARGRID_TOKENS": str(seat.folder / "tokens"),
    }  # fmt: skip
    return seat.folder / "tokens" / "archive"


def test_with_a_token_of_its_storage_an_input_needs_no_proxy(seat: Seat, archive: Path) -> None:
    write_secret(archive, b"abc")
    seat("submit", listed(seat, "davs://host/a"))


def test_a_token_of_another_storage_opens_nothing(seat: Seat, archive: Path) -> None:
    write_secret(archive, b"abc")
    assert "there is no proxy" in seat("submit", listed(seat, "davs://other/a"), code=2).err


@pytest.mark.parametrize(("hours", "told"), [(-1, "has ended"), (0.5, "is good for .* more")])
def test_a_token_that_ends_before_the_longest_job_is_refused(
    seat: Seat, archive: Path, hours: float, told: str
) -> None:
    write_secret(archive, jwt(exp=(now() + timedelta(hours=hours)).timestamp()))
    said = seat("submit", listed(seat, "davs://host/a"), code=2).err
    assert re.search(f"{archive}: this token {told}; the longest job may take ", said)
    assert "Ask its storage for one that lasts" in said
    assert seat("status").out == ""


def test_a_token_that_others_can_read_is_refused(seat: Seat, archive: Path) -> None:
    archive.write_text("abc")
    archive.chmod(0o644)
    said = seat("submit", listed(seat, "davs://host/a"), code=2).err
    assert f"{archive}: others can read this file with a token" in said


# What a production asks of a proxy


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"vo": "lofar"},
            "credential.vo: the proxy is of no VO, not of lofar. Make one with: proxy --new --vo lofar",
        ),
        (
            {"role": "production"},
            "credential.role: the proxy does not have the role production. Make one with: proxy --new"
            " --role production",
        ),
        ({"hours": 48}, "credential.hours: the proxy is good for 11 h 59 min more, not for 48 h 0 min, as it asks for"),
    ],
)
def test_what_a_production_asks_of_a_proxy_is_looked_at_before_anything_is_entered(
    seat: Seat, proxy: Path, janneke: Holder, asked: dict[str, object], told: str
) -> None:
    written(proxy, signed(janneke, hours=11.99), janneke)
    seat.write(credential=asked)
    assert re.search(rf"production\.yaml:\d+: {re.escape(told)}", seat("submit", "production.yaml", code=2).err)
    assert seat("status").out == ""


def test_a_proxy_that_ends_before_the_longest_job_may_is_refused(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke, hours=0.095), janneke)
    said = seat("submit", listed(seat, "davs://host/a"), code=2).err
    assert "the proxy is good for 5 min" in said
    assert "which its longest job may take. Make one with: proxy --new --valid " in said


def test_what_a_production_asks_of_a_proxy_makes_no_other_recipe(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke), janneke)
    seat.write()
    seat("submit", "production.yaml")
    seat.write(credential={"hours": 1})
    seat("submit", "production.yaml")


# Products on a storage


def test_without_a_proxy_an_output_on_a_storage_is_refused_with_its_line(seat: Seat, proxy: Path) -> None:
    seat.write(output="davs://localhost:1/lofar/out")
    said = seat("submit", "production.yaml", code=2).err
    assert f"{proxy}: there is no proxy. Make one with: proxy --new" in said
    assert seat("status").out == ""


def test_an_output_that_cannot_be_written_is_refused_with_its_line(
    seat: Seat, proxy: Path, janneke: Holder
) -> None:  # fmt: skip
    written(proxy, signed(janneke), janneke)
    seat.write(output="davs://localhost:1/lofar/out")
    said = seat("submit", "production.yaml", code=2).err
    assert "production.yaml:7: output: davs://localhost:1/lofar/out cannot be written: cannot copy to davs://" in said
    assert "Show a proxy with the role of your VO that may, or a token, or name another folder" in said
    assert seat("status").out == ""


def test_a_storage_that_takes_its_time_is_told_to_be_waited_for(
    seat: Seat, proxy: Path, janneke: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_LONG_S", 0.0)
    written(proxy, signed(janneke), janneke)
    seat.write(output="davs://localhost:1/lofar/out")
    said = seat("submit", "production.yaml", code=2).err
    assert said.startswith("waiting for the storage of davs://localhost:1/lofar/out ...\n")


def test_all_productions_of_a_campaign_are_told_of_it_by_their_cells(seat: Seat, proxy: Path, janneke: Holder) -> None:
    written(proxy, signed(janneke), janneke)
    seat.write()
    table = seat.desk / "campaign.csv"
    table.write_text("production,output\na,davs://localhost:1/x/a\nb,davs://localhost:1/x/b\n")
    said = seat("submit", "campaign.csv", "--like", "production.yaml", code=2).err
    assert [line.partition(" cannot be")[0] for line in said.splitlines()] == [
        "campaign.csv:2: output: davs://localhost:1/x/a", "campaign.csv:3: output: davs://localhost:1/x/b"
    ]  # fmt: skip


# Files on tape


@pytest.fixture
def by_stageit(seat: Seat, proxy: Path) -> Path:
    """An archive that is recalled by StageIT, and where the user's token for it is to be; he has no proxy."""
    site = {"prefixes": ["srm://host/a"], "recall": {"by": "stageit", "at": "https://localhost:1/stageit"}}
    (seat.desk / "own.yaml").write_text(json.dumps({"sites": {"archive": site}}))
    token = seat.desk / ".stagingrc"
    seat.environment |= {"LOFARGRID_SITES": str(seat.desk / "own.yaml"), "LOFARGRID_STAGINGRC": str(token)}
    return token


def test_a_token_of_stageit_opens_what_a_proxy_would(seat: Seat, by_stageit: Path) -> None:
    assert "there is no proxy" in seat("submit", listed(seat, "srm://host/a"), code=2).err
    by_stageit.touch(mode=0o600)
    by_stageit.write_text("api_token=abc\n")
    seat("submit", listed(seat, "srm://host/a"))
    assert "there is no proxy" in seat("submit", listed(seat, "srm://other/a", production="more"), code=2).err


def test_a_token_that_is_not_needed_is_not_looked_at(seat: Seat, by_stageit: Path) -> None:
    by_stageit.touch(mode=0o644)
    seat.write()
    seat("submit", "production.yaml")


def test_a_token_that_others_can_read_is_refused_before_anything_is_entered(seat: Seat, by_stageit: Path) -> None:
    by_stageit.touch(mode=0o644)
    said = seat("submit", listed(seat, "srm://host/a"), code=2).err
    assert f"{by_stageit}: others can read this file with StageIT's token. chmod 600" in said
    assert seat("status").out == ""


def test_a_tape_service_that_does_not_answer_is_told_and_waited_for(
    seat: Seat, proxy: Path, janneke: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PAUSE_S", 0.01)
    written(proxy, signed(janneke), janneke)
    site = {"prefixes": ["srm://host/a"], "recall": {"by": "tape-rest", "at": "https://localhost:1/api/v1/tape"}}
    (seat.desk / "own.yaml").write_text(json.dumps({"sites": {"archive": site}}))
    seat.environment["LOFARGRID_SITES"] = str(seat.desk / "own.yaml")
    interrupt = Listener("; jobs that run go on", partial(os.kill, os.getpid(), 2))  # told, and not the end
    said = seat("run", listed(seat, "srm://host/a"), code=130, stderr=interrupt).err
    assert "asked the tape service of archive where files are: " in said
    (status,) = json.loads(seat("status", "field", "--json", code=3).out)
    assert {"recalling": 1} in status["steps"].values()
