"""What a grid identity opens, and for how long, at a real storage: nothing is begun that would be refused."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.grid.authority import Authority
from tests.grid.door import Door, commands
from tests.grid.processes import until, write_secret
from tests.grid.tape import TapeService
from tests.grid.tokens import jwt
from tests.grid.voms import MEMBER, PRODUCTION, VO
from tests.production.conftest import Desk
from tests.production.gated import SUBBANDS, Gated, gated, subband
from tests.production.soundness import asked, running

SURLS = "srm://srm.archive.test:8443/lofar"


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
    """A desk whose inputs and products lie on the storage, the second half of them closed, and a member's proxy."""
    found = {**vo.environment, "PATH": f"{commands(tmp_path)}:{os.environ['PATH']}"}
    settings = {"X509_USER_PROXY": str(desk_proxy(tmp_path)), "LOFARGRID_SITES": str(tmp_path / "own.yaml"),
                "LOFARGRID_TOKENS": str(tmp_path / "tokens")}  # fmt: skip
    vo.proxy(desk_proxy(tmp_path), vo.authority.user("People", tmp_path.name), PRODUCTION, MEMBER)
    desk = gated(tmp_path, {**found, **settings})
    for number in range(SUBBANDS):
        place = door.file(f"{door.davs}/raw/{_folder(number)}/{subband(number)}")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(desk.folder / subband(number), place)
    return desk


def desk_proxy(folder: Path) -> Path:
    return folder / "x509up"


def _folder(number: int) -> str:
    return "open" if 2 * number < SUBBANDS else "closed"


def read_from(desk: Desk, start: str, **changes: object) -> None:
    """Let the list name files below a folder URL, the closed ones with their project."""
    known = {"open": "", "closed": "\tproject=LC9_001\tpublic_from=2099-03-01"}
    lines = [f"{start}/raw/{_folder(n)}/{subband(n)}{known[_folder(n)]}\n" for n in range(SUBBANDS)]
    (desk.folder / "data.surls").write_text("".join(lines))
    desk.write(pipeline="gated", inputs={"data": "data.surls"}, parameters={"gate": str(desk.gate)}, **changes)


@dataclass(frozen=True)
class Credential:
    """What the user has, what has ended in its place, and what is good again; and what is said of it."""

    own: Path
    ended: Path
    new: Path
    told: str


@pytest.fixture
def proxy(desk: Gated, vo: VO, tmp_path: Path) -> Credential:
    own, ended, new = (tmp_path / name for name in ("x509up", "ended", "new"))
    janneke = vo.authority.user("People", "Janneke")
    for path, age in ((ended, {"hours": 1, "pastproxy": "2:00"}), (new, {})):
        vo.proxy(path, janneke, PRODUCTION, MEMBER, **age)
    told = f"the proxy {own} has ended; what needs one waits for a new one: proxy --new"
    return Credential(own, ended, new, told)


@pytest.fixture
def token(desk: Gated, vo: VO, door: Door, tmp_path: Path) -> Credential:
    """Macaroons of the storage, and no proxy."""
    (tmp_path / "tokens").mkdir()
    own, ended, new = (tmp_path / name for name in ("tokens/archive", "ended", "new"))
    may = "DOWNLOAD,UPLOAD,LIST,DELETE,MANAGE,READ_METADATA"
    for path in (own, new):
        write_secret(path, door.macaroon("", desk_proxy(tmp_path), vo.authority.certificates, "PT20H", may).encode())
    write_secret(ended, jwt(exp=10**9))  # storages sign none that has ended
    desk_proxy(tmp_path).unlink()
    told = f"the token {own} has ended; what needs one waits for a new one: ask its storage"
    return Credential(own, ended, new, told)


@pytest.mark.parametrize("kind", ["proxy", "token"])
def test_what_needs_a_credential_waits_for_a_new_one_and_goes_on_by_itself(
    desk: Gated, door: Door, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    credential: Credential = request.getfixturevalue(kind)
    own, ended, new, told = credential.own, credential.ended, credential.new, credential.told
    sites = {"local": {"slots": 1}, "archive": {"prefixes": [SURLS], "doors": door.addresses}}
    (tmp_path / "own.yaml").write_text(json.dumps({"sites": sites}))
    output = f"{door.davs}/janneke/by-{kind}"
    read_from(desk, door.davs, policy=None, output=output)
    with running(desk) as run, contextlib.ExitStack() as held:
        until(lambda: _opens(desk, held), "no payload comes to the gate")
        ended.replace(own)
        desk.wait_for(1, "state = 'succeeded'")
        desk.wait_for(SUBBANDS - 1, "state IN ('waiting', 'ready')")
        held_back = [("publish", told), ("submit", told)]
        until(lambda: asked(desk, "SELECT stage, text FROM troubles ORDER BY 1") == held_back, "nobody was told")
        assert asked(desk, "SELECT count(*) FROM files WHERE published <> ''") == [(0,)]
        new.replace(own)
        _, said = run.communicate(timeout=120)
    assert (run.returncode, said.count(told)) == (0, 1), said
    assert asked(desk, "SELECT count(*), count(reason) FROM attempts") == [(SUBBANDS, 0)], "none of them failed"
    products = {one.name: one.read_bytes() for one in door.file(output).glob("*.tar")}
    sums = asked(desk, "SELECT filename, adler32 FROM files WHERE published <> ''")
    assert sorted((name, f"{zlib.adler32(content):08x}") for name, content in products.items()) == sorted(sums)


@pytest.mark.parametrize("by", ["tape-rest", "bulk"])
def test_what_the_archive_does_not_let_one_read_is_told_before_anything_is_recalled_and_the_rest_goes_on(
    desk: Gated, vo: VO, door: Door, tmp_path: Path, by: str
) -> None:
    with TapeService(vo, door) as service:
        service.closed = {"/lofar/raw/closed"}
        place = {"tape-rest": service.url, "bulk": f"{service.host}/api/v1"}[by]
        archive = {"prefixes": [SURLS], "doors": door.addresses, "recall": {"by": by, "at": place}}
        (tmp_path / "own.yaml").write_text(json.dumps({"sites": {"archive": archive}}))
        read_from(desk, SURLS, policy=None)
        said = desk("run", "production.yaml", code=2).err
        assert (
            f"data.surls:3: /lofar/raw/closed/{subband(2)}: the storage refused this user (archive does not let you"
            in said
        )
        assert "it is of the project LC9_001, public from 2099-03-01), and 1 more like it" in said
        assert "policy: 2 of 4 subbands of data L100000 SAP000 can be used, minimum_subbands: 0.95 asks" in said
        assert service.pinned == set()
        read_from(desk, SURLS)
        with contextlib.closing(os.fdopen(desk.open_gate())):
            assert "goes without: " in desk("run", "production.yaml", code=1).err
        assert {one.rpartition("/")[0] for one in service.pinned} == {"/lofar/raw/open"}
    assert len([one for one in desk.products() if one.endswith(".tar")]) == SUBBANDS / 2


def _opens(desk: Gated, held: contextlib.ExitStack) -> bool:
    """Open the gate if a payload stands before it."""
    with contextlib.suppress(OSError):
        held.callback(os.close, os.open(desk.gate, os.O_WRONLY | os.O_NONBLOCK))
        return True
    return False
