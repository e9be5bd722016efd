"""The runner at the doors of a real XRootD storage, with real proxies, through every tool."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from lofargrid_runner.contract import InputFile, OutputFile, Reason, Report
from lofargrid_runner.expiry import has_expired
from lofargrid_runner.runner import Setting, run

from lofargrid.errors import BackendError
from lofargrid.recipes.sandboxes import pack_runner
from lofargrid.storage.links import link
from lofargrid.storage.web import plain_client, web_client
from tests.grid.authority import Holder
from tests.grid.disk import DISK_MB, NEEDS_MOUNT, small_disk
from tests.grid.door import Door, commands
from tests.grid.processes import until
from tests.grid.proxies import signed, voms_extension, written
from tests.grid.trouble import answering, breaking
from tests.grid.voms import MEMBER, PRODUCTION, VO
from tests.unit.pilots.attempts import Attempt, adler, measurement_set, shell, tar

pytestmark = pytest.mark.service

WAYS = [("gfal-copy", "root"), ("gfal-copy", "davs"), ("xrdcp", "root"), ("curl", "davs"), ("https", "davs")]
LARGE = bytes(range(256)) * 20_000
SHORT_S = 8
"""How long a proxy lives that is to end while a file is read: long enough for every tool to begin."""
OUT = OutputFile("o", "o", "o.h5")


@pytest.fixture(scope="module")
def door(vo: VO) -> Iterator[Door]:
    with Door(vo, "T1") as one:
        yield one


@pytest.fixture(scope="module")
def proxies(vo: VO, janneke: Holder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("proxies")
    return {
        "production": vo.proxy(folder / "production", janneke, PRODUCTION, MEMBER),
        "member": vo.proxy(folder / "member", janneke, MEMBER),
        "none": folder / "none",
        "nobody": vo.proxy(folder / "nobody", janneke),
        "expired": vo.proxy(folder / "expired", janneke, MEMBER, hours=1, pastproxy="2:00"),
        "expired VO": vo.proxy(folder / "expired-vo", janneke, MEMBER, vomslife=1, pastac="2:00"),
    }


@pytest.fixture(scope="module")
def server(vo: VO) -> Holder:
    return vo.authority.server("web.test")


@dataclass(frozen=True)
class Way:
    """A node with one tool, and the URLs that it speaks."""

    tool: str
    start: str
    attempt: Attempt
    proxies: dict[str, Path]

    def run(
        self, holder: str = "member", stall_s: float = 60, work: Path | None = None, pause_s: float = 0.1,
        **changes: object,
    ) -> Report:  # fmt: skip
        attempt = self.attempt
        attempt.environment["X509_USER_PROXY"] = str(self.proxies[holder])
        attempt.write(tools=(self.tool,), **changes)
        place = str(work or attempt.work)
        setting = Setting(str(attempt.folder), place, attempt.environment, pause_s=pause_s, stall_s=stall_s)
        return run(attempt.spec, setting)

    def url(self, name: str) -> str:
        return f"{self.start}/{name}"


@pytest.fixture(params=WAYS, ids=" ".join)
def way(request: pytest.FixtureRequest, tmp_path: Path, vo: VO, door: Door, proxies: dict[str, Path]) -> Way:
    return _way(*request.param, tmp_path, vo, door, proxies)


@pytest.fixture(params=[tool for tool, protocol in WAYS if protocol == "davs"])
def web(request: pytest.FixtureRequest, tmp_path: Path, vo: VO, door: Door, proxies: dict[str, Path]) -> Way:
    return _way(request.param, "davs", tmp_path, vo, door, proxies)


def _way(tool: str, protocol: str, tmp_path: Path, vo: VO, door: Door, proxies: dict[str, Path]) -> Way:
    attempt = Attempt(tmp_path, pack_runner(tmp_path))
    attempt.environment |= {**vo.environment, "PATH": f"{commands(tmp_path)}:{os.environ['PATH']}"}
    return Way(tool, door.root if protocol == "root" else door.davs, attempt, proxies)


def put(door: Door, name: str, content: bytes) -> None:
    path = door.file(f"/lofar/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def plain(url: str, **changes: object) -> InputFile:
    return InputFile("cal", "", url, "in/cal.h5")._replace(**changes)


def test_a_file_comes_whole_and_is_compared_with_the_checksum_that_the_storage_keeps(way: Way, door: Door) -> None:
    put(door, "a.h5", LARGE)
    report = way.run(inputs=(plain(way.url("a.h5")),), commands=(shell(f"test $(wc -c < in/cal.h5) = {len(LARGE)}"),))
    assert report.succeeded, report.detail
    (transfer,) = report.transfers
    assert (transfer.size_bytes, transfer.adler32, transfer.verified) == (len(LARGE), adler(LARGE), True)


def test_a_tar_is_unpacked_as_it_comes(way: Way, door: Door) -> None:
    content = measurement_set()
    put(door, "L1.tar", content)
    entry = InputFile("one", "SB000", way.url("L1.tar"), "in.MS", True, "ms", len(content), adler(content))
    assert way.run(inputs=(entry,), commands=(shell("test -f in.MS/table.dat"),)).succeeded


def test_an_output_is_stored_under_the_attempts_name_and_stands_there_with_its_checksum(way: Way, door: Door) -> None:
    folder = f"out-{way.tool}-{way.start[:4]}"
    report = way.run(
        "production", outputs=(OUT,), commands=(shell("printf solutions > o"),), destination=way.url(folder)
    )
    assert report.succeeded, report.detail
    (stored,) = report.outputs
    assert stored.url == way.url(f"{folder}/o.h5.t1-7")
    assert door.file(stored.url).read_bytes() == b"solutions"
    again = way.run("production", outputs=(OUT,), commands=(shell("printf other > o"),), destination=way.url(folder))
    assert again.succeeded, again.detail
    assert door.file(stored.url).read_bytes() == b"other"
    assert "had other content before" in way.attempt.log


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"adler32": "00000001"}, Reason.INPUT_CORRUPT), ({"size_bytes": 1}, Reason.INPUT_CORRUPT)],
)
def test_what_is_not_what_the_list_says_is_corrupt(
    way: Way, door: Door, changes: dict[str, object], reason: Reason
) -> None:
    put(door, "a.h5", LARGE)
    report = way.run(inputs=(plain(way.url("a.h5"), **changes),))
    assert (report.reason, report.stage) == (reason, "stage-in")


@NEEDS_MOUNT
@pytest.mark.parametrize("unpack", [False, True])
def test_a_scratch_that_is_full_is_told_as_the_nodes_fault(way: Way, door: Door, tmp_path: Path, unpack: bool) -> None:
    content = tar(("L1.MS/", None), ("L1.MS/table.dat", bytes(2 * DISK_MB << 20)))
    put(door, "large.tar", content)
    entry = plain(way.url("large.tar"), unpack=unpack, adler32=adler(content))
    with small_disk(tmp_path / "small") as disk:
        report = way.run(work=disk.folder / "work", inputs=(entry,))
        assert not (disk.folder / "work").exists()
    assert (report.reason, report.stage) == (Reason.SCRATCH_FULL, "stage-in"), report.detail


def test_a_file_that_is_not_there_is_missing(way: Way) -> None:
    report = way.run(inputs=(plain(way.url("none.h5"), adler32="00000001"),))
    assert report.reason == Reason.INPUT_MISSING, report.detail
    assert "cal (" in report.detail


@pytest.mark.parametrize("holder", ["nobody", "expired VO"])
def test_who_is_not_of_the_vo_is_refused(way: Way, door: Door, holder: str) -> None:
    put(door, "a.h5", LARGE)
    report = way.run(holder, inputs=(plain(way.url("a.h5"), adler32=adler(LARGE)),))
    assert report.reason == Reason.CREDENTIAL_REFUSED, report.detail


def test_a_proxy_that_expired_is_told_as_one(way: Way, door: Door) -> None:
    put(door, "a.h5", LARGE)
    report = way.run("expired", inputs=(plain(way.url("a.h5"), adler32=adler(LARGE)),))
    assert report.reason == Reason.CREDENTIAL_EXPIRED, report.detail


def test_a_member_without_the_role_may_not_store_and_leaves_nothing(way: Way, door: Door) -> None:
    folder = f"refused-{way.tool}-{way.start[:4]}"
    report = way.run("member", outputs=(OUT,), commands=(shell("echo > o"),), destination=way.url(folder))
    assert (report.reason, report.stage) == (Reason.CREDENTIAL_REFUSED, "stage-out"), report.detail
    assert not door.file(way.url(folder)).exists()


def test_a_door_that_says_nothing_is_unavailable(way: Way, door: Door) -> None:
    put(door, "a.h5", LARGE)
    door.pause()
    try:
        report = way.run(stall_s=1, inputs=(plain(way.url("a.h5"), adler32=adler(LARGE)),))
    finally:
        door.go_on()
    assert report.reason == Reason.STORAGE_UNAVAILABLE, report.detail


def test_a_door_that_is_closed_is_unavailable(way: Way) -> None:
    host = way.start.split("/")[2]
    url = way.url("a.h5").replace(host, "localhost:1")
    patience = {"XRD_CONNECTIONWINDOW": "1", "XRD_CONNECTIONRETRY": "1"}
    way.attempt.environment.update(patience)
    report = way.run(inputs=(plain(url, adler32="00000001"),))
    assert report.reason == Reason.STORAGE_UNAVAILABLE, report.detail


@pytest.mark.parametrize("unpack", [False, True])
def test_a_link_that_breaks_in_the_middle_is_taken_up_and_the_file_is_whole(way: Way, door: Door, unpack: bool) -> None:
    content = tar(("L1.MS/", None), ("L1.MS/table.dat", LARGE))
    put(door, "long.tar", content)
    port = int(way.start.split("/")[2].partition(":")[2])
    with breaking(port, len(content) // 2) as begins:
        url = way.url("long.tar").replace(f":{port}/", f":{begins}/")
        report = way.run(inputs=(plain(url, unpack=unpack, adler32=adler(content)),))
    assert report.succeeded, report.detail
    if way.tool in ("curl", "https"):  # the others may mend it by themselves
        assert "goes on at byte" in way.attempt.log


def test_a_link_that_breaks_while_an_output_is_stored_costs_nothing_but_time(way: Way, door: Door) -> None:
    port = int(way.start.split("/")[2].partition(":")[2])
    folder = f"sent-{way.tool}-{way.start[:4]}"
    broke: list[bool] = []
    with breaking(port, len(LARGE) // 2, then=partial(broke.append, True), upwards=True) as begins:
        report = way.run(
            "production", outputs=(OUT,), commands=(shell(f"head -c {len(LARGE)} /dev/zero > o"),),
            destination=way.url(folder).replace(f":{port}/", f":{begins}/"),
        )  # fmt: skip
    assert report.succeeded, report.detail
    assert broke
    (stored,) = door.file(way.url(folder)).iterdir()
    assert stored.read_bytes() == bytes(len(LARGE))


def test_a_storage_that_is_started_again_in_the_middle_costs_no_file(way: Way, door: Door) -> None:
    put(door, "a.h5", LARGE)
    port = int(way.start.split("/")[2].partition(":")[2])

    def restart() -> None:
        door.stop()
        door.start()

    with breaking(port, len(LARGE) // 2, then=restart) as begins:
        url = way.url("a.h5").replace(f":{port}/", f":{begins}/")
        report = way.run(pause_s=2.0, inputs=(plain(url, adler32=adler(LARGE)),))
    assert report.succeeded, report.detail


def test_a_proxy_that_ends_in_the_middle_is_told_as_one(way: Way, door: Door, tmp_path: Path, janneke: Holder) -> None:
    put(door, "a.h5", LARGE)
    port = int(way.start.split("/")[2].partition(":")[2])
    said = voms_extension(x509.load_pem_x509_certificates(way.proxies["member"].read_bytes()))
    short = signed(janneke, hours=SHORT_S / 3600, voms=said)
    own = written(tmp_path / "own", short, janneke)
    over = partial(until, lambda: datetime.now(UTC) > short.certificate.not_valid_after_utc, "its time is not over")
    with breaking(port, len(LARGE) // 2, then=over) as begins:
        url = way.url("a.h5").replace(f":{port}/", f":{begins}/")
        report = replace(way, proxies={"member": own}).run(inputs=(plain(url, adler32=adler(LARGE)),))
    assert (report.reason, report.stage) == (Reason.CREDENTIAL_EXPIRED, "stage-in"), report.detail


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.CREDENTIAL_REFUSED),
        (403, Reason.CREDENTIAL_REFUSED),
        (404, Reason.INPUT_MISSING),
        (500, Reason.STORAGE_UNAVAILABLE),
        (503, Reason.STORAGE_UNAVAILABLE),
    ],
)
def test_each_refusal_of_a_web_server_has_its_reason(
    web: Way, server: Holder, status: int, reason: Reason
) -> None:  # fmt: skip
    with answering(status, server) as port:
        report = web.run(inputs=(plain(f"davs://localhost:{port}/lofar/a.h5", adler32="00000001"),))
    assert (report.reason, report.stage) == (reason, "stage-in"), report.detail


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, Reason.CREDENTIAL_REFUSED),
        (409, Reason.STAGE_OUT_FAILED),
        (500, Reason.STORAGE_UNAVAILABLE),
        (507, Reason.STORAGE_FULL),
    ],
)
def test_each_refusal_to_store_has_its_reason(web: Way, server: Holder, status: int, reason: Reason) -> None:
    with answering(status, server) as port:
        destination = f"davs://localhost:{port}/lofar/out"
        report = web.run(outputs=(OUT,), commands=(shell("echo > o"),), destination=destination)
    assert (report.reason, report.stage) == (reason, "stage-out"), report.detail


# Macaroons


def test_a_macaroon_opens_its_folder_and_nothing_else_and_only_for_its_time(
    tmp_path: Path, vo: VO, door: Door, proxies: dict[str, Path]
) -> None:
    put(door, "open/a.h5", LARGE)
    put(door, "closed/a.h5", LARGE)
    way = _way("https", "davs", tmp_path, vo, door, proxies)
    token = str(tmp_path / "macaroon")

    def read(folder: str, validity: str = "PT1H") -> Report:
        made = door.macaroon("open", proxies["member"], vo.authority.certificates, validity)
        Path(token).write_text(made)
        until(lambda: validity == "PT1H" or has_expired(token), "its time is not over")
        report = way.run("none", inputs=(plain(way.url(f"{folder}/a.h5"), token=token),))
        assert made not in way.attempt.log
        return report

    assert read("open").succeeded
    refused = read("closed")
    assert (refused.reason, refused.stage) == (Reason.CREDENTIAL_REFUSED, "stage-in")
    assert "HTTP 403" in refused.detail
    assert read("open", "PT1S").reason == Reason.CREDENTIAL_EXPIRED


def test_a_link_opens_one_file_for_a_while_to_those_without_a_certificate(
    tmp_path: Path, vo: VO, door: Door, proxies: dict[str, Path]
) -> None:
    for name in ("field.fits", "other.fits"):
        put(door, f"products/{name}", b"content")
    trusting = ssl.create_default_context(capath=vo.authority.certificates)
    opened = partial(web_client, proxy=proxies["member"], authorities=vo.authority.certificates)

    def status(url: str) -> int:
        return httpx.get(url, verify=trusting).status_code

    unknown = partial(plain_client, authorities=vo.authority.certificates)
    made = link(f"{door.davs}/products/field.fits", opened, unknown, timedelta(hours=1))
    assert httpx.get(made, verify=trusting).content == b"content"
    assert status(made.replace("field.fits", "other.fits")) == 403
    assert status(made.partition("?")[0]) == 403
    assert httpx.put(made, content=b"more", verify=trusting).status_code == 403
    short = link(f"{door.davs}/products/other.fits", opened, unknown, timedelta(seconds=2))
    until(lambda: status(short) == 403, "its time is not over")
    nobody = partial(opened, proxy=proxies["nobody"])
    with pytest.raises(BackendError, match="asked localhost for a link to davs://"):
        link(f"{door.davs}/products/other.fits", nobody, unknown, timedelta(hours=1))
