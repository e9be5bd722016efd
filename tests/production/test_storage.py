"""The main job with inputs and products on a real XRootD storage, which lets members of the VO in."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.grid.authority import Authority
from tests.grid.door import Door, commands
from tests.grid.opening import opened_pool
from tests.grid.pool import Node
from tests.grid.processes import write_secret
from tests.grid.tape import TOKEN, TapeService
from tests.grid.voms import MEMBER, PRODUCTION, VO
from tests.production.conftest import Desk
from tests.production.soundness import asked, is_sound
from tests.production.test_crash import is_the_same_as, small

CALIBRATOR, TARGET = "L900001", "L900002"
SURLS = f"srm://srm.archive.test:8443/lofar/{CALIBRATOR}"
OTHERS = f"srm://srm.others.test:8443/lofar/{TARGET}"
INPUTS = 6
"""Three subbands of calibrator and target each."""
TRACKER_MARK = ".lofargrid-"
COMPUTE = {"backend": "htcondor", "slots": 2, "cores": 2, "memory_mb": 8000, "scratch_mb": 20000}


@dataclass(frozen=True)
class Archive:
    """A storage with the inputs, a member's proxy, and what the clients on a node need."""

    vo: VO
    door: Door
    proxy: Path
    environment: dict[str, str]


@pytest.fixture(scope="module")
def archive(observations: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("a grid")
    vo = VO(folder, Authority(folder))
    janneke = vo.authority.user("People", "Janneke")
    proxy = vo.proxy(tmp_path_factory.mktemp("proxies") / "x509up", janneke, PRODUCTION, MEMBER)
    environment = {**vo.environment, "PATH": f"{commands(folder)}:{os.environ['PATH']}"}
    with Door(vo, "T1") as door, pytest.MonkeyPatch.context() as patch:
        for name, value in {**environment, "X509_USER_PROXY": str(proxy)}.items():
            patch.setenv(name, value)
        for tar in observations.glob("*.tar"):
            place = door.file(f"{door.root}/{tar.name[:7]}/{tar.name}")
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(tar, place)
        yield Archive(vo, door, proxy, environment)


@pytest.fixture(scope="module")
def undisturbed(observations: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = small(observations, tmp_path_factory.mktemp("undisturbed"))
    desk("run", "production.yaml")
    return desk


def read_from(desk: Desk, calibrator: str, target: str) -> Desk:
    """Let the lists name folders of a storage, that of the target without its checksums, and nothing lie here."""
    for name, folder in (("L900001.surls", calibrator), ("L900002.surls", target)):
        rows = [line.split("\t") for line in (desk.folder / name).read_text().splitlines() if line[:1] not in "#"]
        there = [[f"{folder}/{Path(url).name}", *known] for url, *known in rows]
        text = "\n".join("\t".join(row if folder == calibrator else row[:1]) for row in there)
        (desk.folder / name).unlink()
        (desk.folder / name).write_text(f"{text}\n")
    for tar in desk.folder.glob("*.tar"):
        tar.unlink()
    return desk


def change(desk: Desk, **changes: object) -> None:
    document = json.loads((desk.folder / "production.yaml").read_text())
    (desk.folder / "production.yaml").write_text(json.dumps({**document, **changes}))


def are_brought(desk: Desk, archive: Archive, output: str) -> None:
    """The products lie on the storage, each with its checksum and provenance, and nothing else; `get` brings them."""
    there = {one.name: one for one in archive.door.file(output).iterdir() if one.is_file()}
    sums = dict(asked(desk, "SELECT filename, adler32 FROM files WHERE published <> ''"))
    assert there.keys() == {*sums, *(f"{name}.json" for name in sums)}
    assert {name: f"{zlib.adler32(there[str(name)].read_bytes()):08x}" for name in sums} == sums
    left = [one for one in archive.door.store.rglob(f"*{TRACKER_MARK}*") if one.is_file()]
    assert left == []
    assert f"{output}/{min(there)}" in desk("status", "field").out
    for _ in range(2):
        said = desk("get", "field", "products").err
    assert said.count("there already, verified") == len(sums)


def is_done(desk: Desk, undisturbed: Desk, *read: str) -> None:
    """The same products, from inputs that were read through these doors, and no checksum left out."""
    is_sound(desk)
    is_the_same_as(desk, undisturbed.folder / "products")
    reports = [json.loads(str(text)) for (text,) in asked(desk, "SELECT report FROM attempts WHERE reason IS NULL")]
    written = {one["url"] for report in reports for one in report["outputs"]}
    came = [one for report in reports for one in report["transfers"] if one["url"] not in written or one["verified"]]
    far = [one for one in came if not one["url"].startswith("file:")]
    assert {one["url"].partition("://")[0] for one in far} == set(read)
    assert all(one["verified"] for one in far)


def test_the_demo_reads_through_both_doors_and_leaves_its_products_on_the_storage(
    archive: Archive, observations: Path, tmp_path: Path, undisturbed: Desk
) -> None:
    desk = read_from(
        small(observations, tmp_path), f"{archive.door.root}/{CALIBRATOR}", f"{archive.door.davs}/{TARGET}"
    )
    output = f"{archive.door.davs}/janneke/by-hand"
    change(desk, output=output)
    desk("run", "production.yaml")
    are_brought(desk, archive, output)
    links = desk("get", "field", "--link", "--for", "1").out.split()
    trusting = ssl.create_default_context(capath=archive.vo.authority.certificates)
    opened = {urlsplit(link).path.rpartition("/")[2]: httpx.get(link, verify=trusting).content for link in links}
    assert opened == {name: (archive.door.file(output) / name).read_bytes() for name in opened}
    assert len(opened) == len(asked(desk, "SELECT 1 FROM files WHERE published <> ''"))
    is_done(desk, undisturbed, "root", "davs")


def test_what_lies_on_the_tapes_of_two_archives_is_made_into_products_by_a_pool_at_a_t1_and_a_t2(
    archive: Archive, observations: Path, tmp_path: Path, undisturbed: Desk
) -> None:
    desk = read_from(small(observations, tmp_path), SURLS, f"{OTHERS}/")
    token = tmp_path / ".stagingrc"
    write_secret(token, f"api_token={TOKEN}\n".encode())
    settings = {"LOFARGRID_SITES": str(tmp_path / "sites.yaml"), "LOFARGRID_STAGINGRC": str(token)}
    desk = replace(desk, settings=settings)
    output = f"{archive.door.davs}/janneke/by-grid"
    change(desk, output=output, backend="htcondor", sites=["archive", "university"])
    given: list[str] = []
    with TapeService(archive.vo, archive.door, 1.0, partial(macaroon_of, archive, given)) as service:
        service.answers, service.forgets = [503, 429], 1
        (tmp_path / "sites.yaml").write_text(json.dumps({"sites": sites(archive, service)}))
        nodes = [Node("archive", "wn1"), Node("university", "wn2")]
        with opened_pool(nodes, [tmp_path], archive.environment) as pool:
            assert f"export LOFARGRID_PROXY={archive.proxy}" in desk("run", "production.yaml", code=2).err
            desk = replace(desk, settings={**settings, "LOFARGRID_PROXY": str(archive.proxy)})
            desk("run", "production.yaml")
            holds_no_secret([tmp_path, pool.folder], archive.proxy, TOKEN, *given)
        read = asked(desk, "SELECT DISTINCT job_id FROM events WHERE new = 'recalling'")
        assert len(read) == len(service.pinned) == INPUTS
        assert (service.answers, service.forgets) == ([], 0), "it was away, and has forgotten a request"
        assert service.online() == set(), "nothing stays pinned"
    assert {site for (site,) in asked(desk, "SELECT DISTINCT site FROM attempts")} == {"archive", "university"}
    are_brought(desk, archive, output)
    is_done(desk, undisturbed, "root", "https", "davs")


def test_a_token_of_stageit_and_no_certificate_are_enough(
    archive: Archive, observations: Path, tmp_path: Path, undisturbed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X509_USER_PROXY", str(tmp_path / "none"))
    desk = read_from(small(observations, tmp_path), SURLS, OTHERS)
    token = tmp_path / ".stagingrc"
    write_secret(token, f"api_token={TOKEN}\n".encode())
    desk = replace(desk, settings={"LOFARGRID_SITES": str(tmp_path / "sites.yaml"), "LOFARGRID_STAGINGRC": str(token)})
    given: list[str] = []
    with TapeService(archive.vo, archive.door, macaroon=partial(macaroon_of, archive, given)) as service:
        by_stageit = {"by": "stageit", "at": f"{service.host}/stageit/api/staging"}
        one = {"tier": 1, "prefixes": [SURLS, OTHERS], "recall": by_stageit}
        (tmp_path / "sites.yaml").write_text(json.dumps({"sites": {"archive": one}}))
        desk("run", "production.yaml")
        assert service.online() == set()
    is_done(desk, undisturbed, "https")
    assert given, "there were macaroons"
    holds_no_secret([tmp_path], archive.proxy, TOKEN, *given)


def test_a_macaroon_that_lets_one_write_and_no_certificate_are_enough_for_a_pool(
    archive: Archive, observations: Path, tmp_path: Path, undisturbed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs, intermediates and products: all lie at one storage, whose root:// door is for others."""
    monkeypatch.setenv("X509_USER_PROXY", str(tmp_path / "none"))
    davs, root = archive.door.davs, archive.door.addresses["root"]
    desk = read_from(small(observations, tmp_path), SURLS, f"{davs}/{TARGET}")
    may = "DOWNLOAD,UPLOAD,LIST,DELETE,MANAGE,READ_METADATA"
    token = archive.door.macaroon("", archive.proxy, archive.vo.authority.certificates, "PT20H", may)
    (tmp_path / "tokens").mkdir(mode=0o700)
    write_secret(tmp_path / "tokens" / "archive", token.encode())
    doors = {"root": root, "davs": archive.door.addresses["davs"]}
    one = {**COMPUTE, "tier": 1, "prefixes": [SURLS], "doors": doors, "scratch": f"{davs}/janneke/scratch"}
    (tmp_path / "sites.yaml").write_text(json.dumps({"sites": {"archive": one}}))
    settings = {"LOFARGRID_SITES": str(tmp_path / "sites.yaml"), "LOFARGRID_TOKENS": str(tmp_path / "tokens")}
    desk = replace(desk, settings=settings)
    output = f"{davs}/janneke/by-token"
    change(desk, output=output, backend="htcondor", sites=["archive"])
    nobodys = {**archive.environment, "X509_USER_PROXY": str(tmp_path / "none")}
    with opened_pool([Node("archive", "wn1")], [tmp_path], nobodys) as pool:
        desk("run", "production.yaml")
        (tmp_path / "tokens" / "archive").rename(tmp_path / ".stagingrc")  # the one place that may hold it
        holds_no_secret([tmp_path, pool.folder], archive.proxy, token)
        (tmp_path / ".stagingrc").rename(tmp_path / "tokens" / "archive")
    are_brought(desk, archive, output)
    is_done(desk, undisturbed, "davs")


def macaroon_of(archive: Archive, given: list[str], folder: str) -> str:
    """A macaroon to read what is in a folder, as an archive makes them."""
    given.append(archive.door.macaroon(folder, archive.proxy, archive.vo.authority.certificates))
    return given[-1]


def sites(archive: Archive, service: TapeService) -> dict[str, object]:
    """An archive with compute, one without, each with a tape service of its own, and a T2."""
    doors = archive.door.addresses
    by_rest = {"by": "tape-rest", "at": service.url}
    by_stageit = {"by": "stageit", "at": f"{service.host}/stageit/api/staging"}
    return {
        "archive": {**COMPUTE, "tier": 1, "prefixes": [SURLS], "doors": {"root": doors["root"]}, "recall": by_rest},
        "others": {"tier": 1, "prefixes": [OTHERS], "doors": {"davs": doors["davs"]}, "recall": by_stageit},
        "university": {**COMPUTE, "tier": 2},
    }


def holds_no_secret(folders: Sequence[Path], proxy: Path, *secrets: str) -> None:
    """No file that a run left, read by others or not, has the proxy's key or a token in it, but the user's own two."""
    pem = proxy.read_text()
    key = pem[pem.index("PRIVATE KEY-----") :].splitlines()[1]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != ".stagingrc"]
    assert {".db", ".json", ".log"} <= {path.suffix for path in files}
    for path in files:
        content = path.read_bytes()
        assert not [one for one in (key, *secrets) if one.encode() in content], path
