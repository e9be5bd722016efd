"""What every recall service promises."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from lofargrid.errors import BackendError, UncertainError
from lofargrid.model import Site
from lofargrid.model import TapeService as TapeSettings
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.tape import Library
from lofargrid.storage.base import Locality, Recall, RecallState
from lofargrid.storage.drivers import driver
from tests.grid.authority import Holder
from tests.grid.door import Door, commands, gfal2_environment
from tests.grid.tape import TOKEN, TapeService
from tests.grid.voms import MEMBER, VO

WEEK_S = 7 * 86400.0


class Archive(Protocol):
    """A recall service, some files on its tapes, one on disk, and one that is not there."""

    recall: Recall
    taped: list[str]
    on_disk: str
    absent: str

    def patience(self) -> None:
        """Let happen what is on its way."""


@dataclass
class SimulatedArchive:
    def __post_init__(self) -> None:
        sites = {name: Site(name, prefixes=(f"davs://{name}.example/",)) for name in ("archive", "disks")}
        self.grid = Grid(sites, libraries={"archive": Library()})
        self.recall = self.grid.recall
        self.taped = [f"davs://archive.example/L1/{number}" for number in range(4)]
        self.on_disk, self.absent = "davs://disks.example/L1/0", "davs://archive.example/L1/none"
        for url in (*self.taped, self.on_disk):
            self.grid.add_file(url, 10**9, on_tape=True)

    def patience(self) -> None:
        self.grid.clock.advance(self.grid.clock.elapsed_s + 3600.0)


@dataclass
class DoubledArchive:
    """A driver, and a double of a service that takes its time."""

    recall: Recall
    taped: list[str]
    on_disk: str
    absent: str
    service: TapeService

    def patience(self) -> None:
        self.service.hurry()


@pytest.fixture(scope="module")
def door(vo: VO) -> Iterator[Door]:
    with Door(vo, "T1") as one:
        yield one


@pytest.fixture(scope="module")
def gfal2() -> Iterator[None]:
    """What gfal2 is found by where it is unpacked."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in gfal2_environment().items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def doubled(
    vo: VO, door: Door, janneke: Holder, gfal2: None, tmp_path: Path
) -> Iterator[Callable[[str], DoubledArchive]]:
    proxy = vo.proxy(tmp_path / "x509up", janneke, MEMBER)
    start = f"srm://srm.archive.test:8443/srm/managerv2?SFN=/lofar/{tmp_path.name}"
    urls = [f"{start}/{number}" for number in range(5)]
    for number in range(5):
        path = door.file(f"/lofar/{tmp_path.name}/{number}")
        path.parent.mkdir(exist_ok=True)
        path.write_text("content")
    with ExitStack() as stack:

        def speaking(by: str) -> DoubledArchive:
            service = stack.enter_context(TapeService(vo, door, gsi=by == "srm"))
            recall = driver("archive", settings(service, by), proxy, lambda: TOKEN, vo.authority.certificates)
            recall.request(urls[4:])
            service.delay_s = WEEK_S
            return DoubledArchive(recall, urls[:4], urls[4], f"{start}/none", service)

        yield speaking


PLACES = {"tape-rest": "/api/v1/tape", "bulk": "/api/v1", "stageit": "/stageit/api/staging", "gfal2": "",
          "srm": "/srm/managerv2?SFN="}  # fmt: skip
GFAL2 = {"gfal2": "davs", "srm": "srm"}
"""What gfal2 speaks to a service: that of davs finds Tape REST by itself."""


def settings(service: TapeService, by: str) -> TapeSettings:
    """What a driver is told of a service."""
    if by in GFAL2:
        return TapeSettings("gfal2", f"{service.host.replace('https', GFAL2[by])}{PLACES[by]}")
    return TapeSettings(by, f"{service.host}{PLACES[by]}")


KINDS = ["simulated", *(pytest.param(one, marks=pytest.mark.service) for one in PLACES)]


@pytest.fixture(params=KINDS)
def archive(request: pytest.FixtureRequest) -> Archive:
    if request.param == "simulated":
        return SimulatedArchive()
    made: Archive = request.getfixturevalue("doubled")(request.param)
    return made


def states(archive: Archive, request: str) -> list[RecallState]:
    return [seen.state for _, seen in sorted(archive.recall.poll(request, archive.taped).items())]


def test_where_files_are_is_told_of_each(archive: Archive) -> None:
    urls = [archive.taped[0], archive.on_disk, archive.absent]
    archive.recall.request([archive.absent])  # some know only then that it is not there
    told = archive.recall.locality(urls)
    assert [told[url] for url in urls] == [Locality.NEARLINE, Locality.ONLINE, Locality.ABSENT]


def test_what_is_asked_for_comes_online_and_the_rest_stays_where_it_is(archive: Archive) -> None:
    request = archive.recall.request(archive.taped[:2])
    assert states(archive, request) == [RecallState.QUEUED] * 2
    archive.patience()
    assert states(archive, request) == [RecallState.ONLINE] * 2
    told = archive.recall.locality(archive.taped)
    assert [told[url] for url in archive.taped] == [Locality.ONLINE] * 2 + [Locality.NEARLINE] * 2


def test_asking_again_is_another_request_for_the_same_file(archive: Archive) -> None:
    first = archive.recall.request(archive.taped[:1])
    archive.patience()
    second = archive.recall.request(archive.taped[:1])
    archive.patience()
    assert first != second
    assert states(archive, first) == states(archive, second) == [RecallState.ONLINE]


def test_a_file_on_disk_is_there_and_one_that_is_not_fails_with_its_cause(archive: Archive) -> None:
    request = archive.recall.request([archive.on_disk, archive.absent])
    archive.patience()
    told = archive.recall.poll(request, [archive.on_disk, archive.absent])
    assert told[archive.on_disk].state is RecallState.ONLINE
    assert told[archive.absent].state is RecallState.FAILED
    assert told[archive.absent].detail


def test_of_an_unknown_request_nothing_is_told_and_releasing_it_does_nothing(archive: Archive) -> None:
    assert dict(archive.recall.poll("no such request", archive.taped)) == {}
    archive.recall.release("no such request", archive.taped)


def test_what_is_released_before_it_came_does_not_come(archive: Archive) -> None:
    request, _ = (archive.recall.request([url]) for url in archive.taped[:2])
    for _ in range(2):
        archive.recall.release(request, archive.taped[:1])
    archive.patience()
    told = archive.recall.locality(archive.taped[:2])
    assert [told[url] for url in archive.taped[:2]] == [Locality.NEARLINE, Locality.ONLINE]


def test_releasing_takes_back_nothing_that_another_request_has_or_waits_for(archive: Archive) -> None:
    first = archive.recall.request(archive.taped[:1])
    archive.patience()
    second, third = (archive.recall.request(archive.taped[:2]) for _ in range(2))
    archive.recall.release(first, archive.taped[:1])
    archive.recall.release(second, archive.taped[:2])
    archive.patience()
    told = archive.recall.locality(archive.taped[:2])
    assert [told[url] for url in archive.taped[:2]] == [Locality.ONLINE] * 2
    assert states(archive, third) == [RecallState.ONLINE] * 2


def test_a_file_stays_as_long_as_one_request_is_for_it(archive: Archive) -> None:
    first, second = (archive.recall.request(archive.taped[:1]) for _ in range(2))
    archive.patience()
    archive.recall.release(first, archive.taped[:1])
    assert archive.recall.locality(archive.taped[:1])[archive.taped[0]] is Locality.ONLINE
    assert states(archive, second) == [RecallState.ONLINE]


def test_releasing_may_be_repeated_and_passes_over_the_unknown(archive: Archive) -> None:
    request = archive.recall.request(archive.taped[:1])
    archive.patience()
    for _ in range(2):
        archive.recall.release(request, [*archive.taped, archive.absent])
    archive.recall.release("no such request", archive.taped[:1])
    assert archive.recall.locality(archive.taped)[archive.taped[3]] is Locality.NEARLINE


# Who may recall


@pytest.mark.service
def test_who_is_not_of_the_vo_is_told_so_and_recalls_nothing(
    vo: VO, door: Door, janneke: Holder, gfal2: None, tmp_path: Path
) -> None:
    revoked = vo.authority.user("People", "Mallory")
    vo.authority.revoke(revoked)
    url = "srm://srm.archive.test:8443/lofar/guarded"
    door.file("/lofar/guarded").write_text("content")
    proxies = {
        "HTTP 403 Forbidden: Permission denied": vo.proxy(tmp_path / "nobody", janneke),
        "revoked": vo.proxy(tmp_path / "revoked", revoked, MEMBER),
        "No such file or directory": tmp_path / "none",
    }
    with TapeService(vo, door) as service:
        for words, proxy in proxies.items():
            for by in ("tape-rest", "bulk"):
                recall = driver("archive", settings(service, by), proxy, lambda: TOKEN, vo.authority.certificates)
                with pytest.raises(BackendError, match=words):
                    recall.request([url])
        at, token = settings(service, "stageit"), "a made-up token"
        recall = driver("archive", at, tmp_path / "none", lambda: token, vo.authority.certificates)
        with pytest.raises(BackendError, match="HTTP 401 Unauthorized: Invalid token"):
            recall.request([url])
        assert service.online() == set()


# What gfal2 says of services in trouble


@pytest.mark.service
@pytest.mark.parametrize("by", GFAL2)
def test_gfal2s_words_on_a_call_that_failed_are_not_taken_for_words_on_files(
    by: str, doubled: Callable[[str], DoubledArchive]
) -> None:
    archive = doubled(by)
    recall, service, urls = archive.recall, archive.service, archive.taped[:2]
    request = recall.request(urls)
    calls: tuple[Callable[[], object], ...] = (
        lambda: recall.poll(request, urls), lambda: recall.locality(urls), lambda: recall.release(request, urls),
        lambda: recall.request(urls),
    )  # fmt: skip
    for code in (401, 403, 429, 500, 503):
        for call in calls:
            service.answers = [code]
            with pytest.raises(BackendError, match=str(code) if by == "gfal2" else "HTTP Error|SOAP error") as raised:
                call()
            refused = by == "gfal2" and code != 500  # over SRM gfal2 does not tell what kind of error it was
            assert isinstance(raised.value, UncertainError) == (call is calls[-1] and not refused)
    service.forgets = 1
    assert dict(recall.poll(request, urls)) == {}


# What others see


@pytest.mark.service
@pytest.mark.parametrize("by", sorted(PLACES.keys() - {"srm"}))
def test_gfal2_sees_what_was_brought_and_what_was_let_go(
    by: str, doubled: Callable[[str], DoubledArchive], vo: VO, tmp_path: Path
) -> None:
    archive = doubled(by)
    programs = commands(tmp_path)
    environment = {**os.environ, **vo.environment, "X509_USER_PROXY": str(tmp_path / "x509up")}

    def status() -> str:
        url = f"davs{archive.service.host.removeprefix('https')}/lofar/{tmp_path.name}/0"
        words = [str(programs / "gfal-xattr"), url, "user.status"]
        said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return said.stdout.strip()

    assert status() == "NEARLINE"
    request = archive.recall.request(archive.taped[:1])
    archive.patience()
    assert status() == "ONLINE_AND_NEARLINE"
    archive.recall.release(request, archive.taped[:1])
    assert status() == "NEARLINE"
