"""The runner at a real GridFTP server, which knows users by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lofargrid_runner.contract import InputFile, OutputFile, Reason, Report
from lofargrid_runner.runner import Setting, run

from lofargrid.recipes.sandboxes import pack_runner
from tests.grid.authority import Holder
from tests.grid.door import commands
from tests.grid.gridftp import GridFtp
from tests.grid.voms import MEMBER, VO
from tests.unit.pilots.attempts import Attempt, adler, measurement_set, shell

pytestmark = pytest.mark.service
CONTENT = bytes(range(256)) * 20_000
OUT = OutputFile("o", "o", "o.h5")


@pytest.fixture(scope="module")
def server(vo: VO, janneke: Holder) -> Iterator[GridFtp]:
    with GridFtp(vo.authority, [janneke]) as one:
        (one.store / "a.h5").write_bytes(CONTENT)
        yield one


@dataclass(frozen=True)
class Node:
    """A node with gfal2, and a user's proxy."""

    vo: VO
    attempt: Attempt
    folder: Path

    def run(self, holder: Holder, hours: str = "", **changes: object) -> Report:
        past = {"hours": 1, "pastproxy": hours} if hours else {}
        proxy = self.vo.proxy(self.folder / "x509up", holder, MEMBER, **past)
        self.attempt.environment["X509_USER_PROXY"] = str(proxy)
        self.attempt.write(tools=("gfal-copy",), **changes)
        setting = Setting(str(self.attempt.folder), str(self.attempt.work), self.attempt.environment, pause_s=0.1)
        return run(self.attempt.spec, setting)


@pytest.fixture
def node(tmp_path: Path, vo: VO) -> Node:
    attempt = Attempt(tmp_path, pack_runner(tmp_path))
    attempt.environment |= {**vo.environment, "PATH": f"{commands(tmp_path)}:{os.environ['PATH']}"}
    return Node(vo, attempt, tmp_path)


def entry(server: GridFtp, name: str = "a.h5", **changes: object) -> InputFile:
    return InputFile("cal", "", f"{server.starts['gsiftp']}/{name}", "in/cal.h5")._replace(**changes)


def test_a_file_comes_whole_and_is_compared_with_the_checksum_that_the_server_tells(
    node: Node, server: GridFtp, janneke: Holder
) -> None:
    report = node.run(janneke, inputs=(entry(server),))
    assert report.succeeded, report.detail
    (transfer,) = report.transfers
    assert (transfer.size_bytes, transfer.adler32, transfer.verified) == (len(CONTENT), adler(CONTENT), True)


def test_a_tar_is_unpacked_and_an_output_stored_and_replaced(node: Node, server: GridFtp, janneke: Holder) -> None:
    content = measurement_set()
    (server.store / "L1.tar").write_bytes(content)
    tar = entry(server, "L1.tar", path="in.MS", unpack=True, kind="ms", adler32=adler(content))
    for text in ("solutions", "other"):
        report = node.run(
            janneke, inputs=(tar,), outputs=(OUT,), destination=f"{server.starts['gsiftp']}/out",
            commands=(shell(f"test -f in.MS/table.dat && printf {text} > o"),),
        )  # fmt: skip
        assert report.succeeded, report.detail
        assert [one.name for one in (server.store / "out").iterdir()] == ["o.h5.t1-7"]
        assert (server.store / "out" / "o.h5.t1-7").read_text() == text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"adler32": "00000001"}, Reason.INPUT_CORRUPT),
        ({"size_bytes": 1}, Reason.INPUT_CORRUPT),
        ({"name": "none.h5"}, Reason.INPUT_MISSING),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    node: Node, server: GridFtp, janneke: Holder, changes: dict[str, object], reason: Reason
) -> None:
    name = str(changes.pop("name", "a.h5"))
    report = node.run(janneke, inputs=(entry(server, name, **changes),))
    assert (report.reason, report.stage) == (reason, "stage-in"), report.detail


def test_who_is_unknown_there_and_whose_proxy_has_ended_are_told(
    node: Node, server: GridFtp, vo: VO, janneke: Holder
) -> None:
    stranger = vo.authority.user("People", "A stranger")
    assert node.run(stranger, inputs=(entry(server),)).reason == Reason.CREDENTIAL_REFUSED
    report = node.run(janneke, "2:00", inputs=(entry(server),))
    assert report.reason == Reason.CREDENTIAL_EXPIRED, report.detail
