"""Attempts as HTCondor reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from lofargrid import assets
from lofargrid.backends.htcondor.submission import FIELDS, Description, Reach, describe, fields
from tests.contracts.backends import spec

TEMPLATE = (assets.content() / "jdl" / "htcondor.sub.j2").read_text()
PLACES: dict[str, Path | str | int] = {
    "bootstrap": "/b", "attempts": "/a", "log": "/l", "shared": "../s", "tracker": "abcd1234", "proxy": "",
}  # fmt: skip


def values(tmp_path: Path, number: int = 1, **changes: object) -> dict[str, str]:
    one = spec(tmp_path, number)._replace(**changes)
    reach = Reach("LCG.SARA-MATRIX.nl", 1200)
    return fields(one, reach, ["wn2", "wn1"], ["in0", "../../shared/sandbox-1"], ["out"])


def described(*rows: dict[str, str], **places: str) -> Description:
    return describe(TEMPLATE, {**PLACES, **places}, rows)


def macros(text: str) -> set[str]:
    return set(re.findall(r"\$\((\w+)\)", text))


def test_every_field_is_used_by_the_description_and_no_other(tmp_path: Path) -> None:
    row = values(tmp_path)
    other = {key: f"{one}x" for key, one in row.items()}
    said = described(row, other)
    assert tuple(row) == said.fields == FIELDS
    assert macros(said.text) == set(FIELDS)


def test_what_is_the_same_for_all_jobs_is_said_once_and_the_rest_listed(tmp_path: Path) -> None:
    rows = [values(tmp_path, 1), values(tmp_path, 2), values(tmp_path, 3, step="second")]
    said = described(*rows)
    assert macros(said.text) == {*said.fields} == {"attempt", "job", "step"}
    assert said.items == tuple(f"abcd1234-{n}-1\x1fjob-{n}\x1f{step}" for n, step in
                               ((1, "first"), (2, "first"), (3, "second")))  # fmt: skip
    assert '\nMy.LofargridSite = "LCG.SARA-MATRIX.nl"\n' in said.text


def test_a_single_job_is_listed_too(tmp_path: Path) -> None:
    said = described(values(tmp_path))
    assert (said.fields, said.items) == (("attempt",), ("abcd1234-1-1",))


def test_a_proxy_is_named_where_there_is_one(tmp_path: Path) -> None:
    row = values(tmp_path)
    assert "x509userproxy" not in described(row).text
    assert "\nx509userproxy = /tmp/x509up\n" in described(row, proxy="/tmp/x509up").text


def test_a_place_that_is_not_given_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        describe(TEMPLATE, {}, [values(tmp_path)])


ANY = "!stringListMember(TARGET.Machine, LofargridShunned)"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({}, ANY),
        ({"avoid": ("wn7", "wn3")}, f'{ANY} && !stringListMember(TARGET.Machine, "wn3,wn7")'),
        ({"node": "wn7"}, 'TARGET.Machine == "wn7"'),
        ({"node": "wn7", "avoid": ("wn7",)}, 'TARGET.Machine == "wn7"'),
    ],
    ids=["any", "elsewhere", "probe", "probe of a bad node"],
)
def test_a_job_says_which_nodes_of_its_site_may_run_it(tmp_path: Path, changes: dict[str, object], where: str) -> None:
    said = values(tmp_path, **changes)
    assert (said["site"], said["where"], said["shunned"]) == ("LCG.SARA-MATRIX.nl", where, "wn1,wn2")


def test_a_job_says_what_it_asks_for_and_what_travels_with_it(tmp_path: Path) -> None:
    said = values(tmp_path)
    assert (said["carried"], said["brought"]) == (",in0,../../shared/sandbox-1", ",out")
    assert (said["cores"], said["memory_mb"], said["lease_s"]) == ("1", "4000", "900")


PLAIN = '"[A-Za-z0-9._@:+-]+"'


@pytest.mark.parametrize("name", ['wn1", true', "$(attempt)", "wn1\nqueue 1000", "wn\x1f1", "wn 1", "$ENV(HOME)"])
def test_the_names_of_nodes_come_from_nodes_and_mean_nothing_else(tmp_path: Path, name: str) -> None:
    assert re.fullmatch(f"TARGET.Machine == {PLAIN}", values(tmp_path, node=name)["where"])
    others = values(tmp_path, avoid=(name,))["where"].removeprefix(f"{ANY} && ")
    assert re.fullmatch(rf"!stringListMember\(TARGET.Machine, {PLAIN}\)", others)
