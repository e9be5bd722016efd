"""A proxy that ends on the way, at a real storage: what needs one waits, and nothing has failed by it."""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grid.authority import Authority
from tests.grid.door import Door, commands
from tests.grid.processes import until
from tests.grid.voms import MEMBER, PRODUCTION, VO
from tests.production.gated import SUBBANDS, Gated, gated, subband
from tests.production.soundness import asked, running


@pytest.fixture(scope="module")
def vo(tmp_path_factory: pytest.TempPathFactory) -> VO:
    folder = tmp_path_factory.mktemp("vo")
    return VO(folder, Authority(folder))


@pytest.fixture(scope="module")
def door(vo: VO) -> Iterator[Door]:
    with Door(vo, "T1") as one:
        yield one


@pytest.fixture
def desk(tmp_path: Path, vo: VO, door: Door) -> Gated:
    """A desk whose inputs and products lie on the storage, and which runs one job at a time."""
    found = {**vo.environment, "PATH": f"{commands(tmp_path)}:{os.environ['PATH']}"}
    desk = gated(
        tmp_path, {**found, "X509_USER_PROXY": str(tmp_path / "x509up"), "LOFARGRID_SITES": str(tmp_path / "one.yaml")}
    )
    (tmp_path / "one.yaml").write_text("sites: {local: {slots: 1}}\n")
    folder = door.file(f"{door.davs}/raw")
    folder.mkdir()
    for number in range(SUBBANDS):
        shutil.copyfile(desk.folder / subband(number), folder / subband(number))
    (desk.folder / "data.surls").write_text("".join(f"{door.davs}/raw/{subband(n)}\n" for n in range(SUBBANDS)))
    desk.write(
        pipeline="gated", inputs={"data": "data.surls"}, parameters={"gate": str(desk.gate)}, policy=None,
        output=f"{door.davs}/janneke/products",
    )  # fmt: skip
    return desk


def test_what_needs_a_proxy_waits_for_a_new_one_and_goes_on_by_itself(
    desk: Gated, vo: VO, door: Door, tmp_path: Path
) -> None:
    janneke = vo.authority.user("People", "Janneke")
    own, ended, new = (tmp_path / name for name in ("x509up", "ended", "new"))
    for path, age in ((own, {}), (ended, {"hours": 1, "pastproxy": "2:00"}), (new, {})):
        vo.proxy(path, janneke, PRODUCTION, MEMBER, **age)
    with running(desk) as run, contextlib.ExitStack() as held:
        until(lambda: _opens(desk, held), "no payload comes to the gate")
        ended.replace(own)
        desk.wait_for(1, "state = 'succeeded'")
        desk.wait_for(SUBBANDS - 1, "state IN ('waiting', 'ready')")
        told = f"the proxy {own} has ended; what needs one waits for a new one: proxy --new"
        held_back = [("publish", told), ("submit", told)]
        until(lambda: asked(desk, "SELECT stage, text FROM troubles ORDER BY 1") == held_back, "nobody was told")
        assert asked(desk, "SELECT count(*) FROM files WHERE published <> ''") == [(0,)]
        new.replace(own)
        _, said = run.communicate(timeout=120)
    assert (run.returncode, said.count(told)) == (0, 1), said
    assert asked(desk, "SELECT count(*), count(reason) FROM attempts") == [(SUBBANDS, 0)], "none of them failed"
    products = {one.name: one.read_bytes() for one in door.file(f"{door.davs}/janneke/products").glob("*.tar")}
    sums = asked(desk, "SELECT filename, adler32 FROM files WHERE published <> ''")
    assert sorted((name, f"{zlib.adler32(content):08x}") for name, content in products.items()) == sorted(sums)


def _opens(desk: Gated, held: contextlib.ExitStack) -> bool:
    """Open the gate if a payload stands before it."""
    with contextlib.suppress(OSError):
        held.callback(os.close, os.open(desk.gate, os.O_WRONLY | os.O_NONBLOCK))
        return True
    return False
