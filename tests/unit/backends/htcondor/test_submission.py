"""Attempts as HTCondor reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from lofargrid import assets
from lofargrid.backends.htcondor.submission import FIELDS, SEPARATOR, Reach, describe, line
from tests.contracts.backends import spec

TEMPLATE = (assets.content() / "jdl" / "htcondor.sub.j2").read_text()
PLACES: dict[str, Path | str | int] = {
    "bootstrap": "/b", "attempts": "/a", "log": "/l", "shared": "../s", "tracker": "abcd1234", "proxy": "",
}  # fmt: skip


def values(tmp_path: Path, **changes: object) -> dict[str, str]:
    one = spec(tmp_path)._replace(**changes)  # type: ignore[arg-type]
    written = line(one, Reach("LCG.SARA-MATRIX.nl", 1200), ["wn2", "wn1"], ["in0", "../../shared/sandbox-1"], ["out"])
    return dict(zip(FIELDS, written.split(SEPARATOR), strict=True))


def test_every_field_of_the_list_is_used_by_the_description_and_no_other() -> None:
    described = describe(TEMPLATE, PLACES)
    assert {one for one in FIELDS if f"$({one})" not in described} == set()
    assert described.count("$(") == sum(described.count(f"$({one})") for one in FIELDS)


def test_a_proxy_is_named_where_there_is_one() -> None:
    assert "x509userproxy" not in describe(TEMPLATE, PLACES)
    assert "\nx509userproxy = /tmp/x509up\n" in describe(TEMPLATE, {**PLACES, "proxy": "/tmp/x509up"})


def test_a_place_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        describe(TEMPLATE, {})


def test_a_line_says_where_the_job_may_run_and_what_travels_with_it(tmp_path: Path) -> None:
    said = values(tmp_path, avoid=("wn7",))
    assert (said["site"], said["avoid"], said["shunned"], said["node"]) == ("LCG.SARA-MATRIX.nl", "wn7", "wn1,wn2", "")
    assert (said["carried"], said["brought"]) == (",in0,../../shared/sandbox-1", ",out")
    assert (said["cores"], said["memory_mb"], said["lease_s"]) == ("1", "4000", "900")


@pytest.mark.parametrize("name", ['wn1", true', "$(attempt)", "wn1\nqueue 1000", "wn\x1f1", "wn 1", "$ENV(HOME)"])
def test_the_names_of_nodes_come_from_nodes_and_mean_nothing_else(tmp_path: Path, name: str) -> None:
    for said in (values(tmp_path, node=name), values(tmp_path, avoid=(name,))):
        assert not set('"$()\n\x1f; ') & set(said["node"] + said["avoid"])
