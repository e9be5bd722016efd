"""What every storage promises."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import pytest

from lofargrid.errors import BackendError
from lofargrid.model import Site
from lofargrid.names import file_url, path_of
from lofargrid.simulation.grid import Grid
from lofargrid.storage.base import Storage
from lofargrid.storage.everywhere import Everywhere
from lofargrid.storage.grid import GridStorage
from lofargrid.storage.local import LocalStorage
from tests.grid.authority import Holder
from tests.grid.door import Door, commands
from tests.grid.gridftp import GridFtp
from tests.grid.voms import MEMBER, PRODUCTION, VO

ELSEWHERE = Path("/dev/shm")


@dataclass
class Place:
    """A storage, and two folders of it.

    Not every one ``tells_kinds``, which of files and folders has a name, ``removes_folders``, and ``takes_any_name``:
    the https of XRootD does not decode where a file is to go.
    """

    storage: Storage
    source: str
    target: str
    path: Callable[[str], Path]
    tells_kinds: bool = True
    removes_folders: bool = True
    takes_any_name: bool = True

    def put(self, name: str, content: bytes) -> str:
        url = f"{self.source}/{name}"
        self.storage.write(url, content)
        return url


OTHERS = ("xrdcp root", "gfal-copy root", "gfal-copy davs", "curl davs", "gfal-copy gsiftp")
EVERY_WAY = bool(os.environ.get("LOFARGRID_EVERY_WAY"))


def ways(*names: str) -> list[object]:
    """Tools, and the protocol that each speaks to a real door."""
    return [pytest.param(name, marks=pytest.mark.service) for name in names]


@pytest.fixture(params=["one disk", "two disks", "simulated", *ways("https davs", *(OTHERS if EVERY_WAY else ()))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Local storage, with source and target on one disk (a copy is a link) or on two (bytes move); a simulated one.

    And a real one, by one of the ways that lead to it, or by all of them.
    """
    if request.param == "simulated":
        yield _simulated(tmp_path)
        return
    if " " in request.param and "disk" not in request.param:
        yield request.getfixturevalue("at_a_door")(request.param)
        return
    with TemporaryDirectory(dir=ELSEWHERE if ELSEWHERE.is_dir() else None) as elsewhere:
        source = tmp_path / "so urce" if request.param == "one disk" else Path(elsewhere) / "so urce"
        if request.param == "two disks" and os.stat(elsewhere).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("this machine has no second disk at /dev/shm")
        target = file_url(str(tmp_path / "tar get" / "deep"))
        yield Place(LocalStorage(), file_url(str(source)), target, lambda url: Path(path_of(url)))


def _simulated(folder: Path) -> Place:
    grid = Grid({name: Site(name, prefixes=(f"davs://{name}.example/",)) for name in ("here", "there")})

    def path(url: str) -> Path:
        """Its content in a file of the test's."""
        found = folder / url.replace("/", ":")
        file = grid.files.get(url)
        if file:
            found.write_bytes(file.content.encode())
        return found

    return Place(grid.storage, "davs://here.example/so%20urce", "davs://there.example/tar%20get/deep", path)


@pytest.fixture(scope="module")
def door(vo: VO) -> Iterator[Door]:
    with Door(vo, "T1") as one:
        yield one


@pytest.fixture(scope="module")
def gridftp(vo: VO, janneke: Holder) -> Iterator[GridFtp]:
    with GridFtp(vo.authority, [janneke]) as one:
        yield one


@pytest.fixture
def at_a_door(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vo: VO,
    request: pytest.FixtureRequest,
    janneke: Holder,
    runner: Path,
) -> Callable[[str], Place]:
    proxy = vo.proxy(tmp_path / "x509up", janneke, PRODUCTION, MEMBER)
    for name, value in {**vo.environment, "PATH": f"{commands(tmp_path)}:{os.environ['PATH']}"}.items():
        monkeypatch.setenv(name, value)

    def by(way: str) -> Place:
        tool, protocol = way.split()
        door: Door | GridFtp = request.getfixturevalue("gridftp" if protocol == "gsiftp" else "door")
        start = f"{door.starts[protocol]}/{tmp_path.name}"
        storage = Everywhere(LocalStorage(), GridStorage(lambda: runner, lambda: [tool], proxy))
        source, target = ("so%20urce", "tar%20get/deep") if protocol == "root" else ("source", "target/deep")
        return Place(
            storage, f"{start}/{source}", f"{start}/{target}", lambda url: door.file(unquote(url)),
            tells_kinds=False, removes_folders=tool == "xrdcp", takes_any_name=tool == "xrdcp",
        )  # fmt: skip

    return by


def adler(content: bytes) -> str:
    return f"{zlib.adler32(content):08x}"


def test_what_is_written_is_there_with_its_size(place: Place) -> None:
    url = place.put("a.txt", b"12345")
    found = place.storage.stat(url)
    assert found
    assert (found.url, found.size_bytes) == (url, 5)
    assert place.storage.read(url) == b"12345"


def test_what_is_not_there_is_none_and_no_error(place: Place) -> None:
    assert place.storage.stat(f"{place.source}/none") is None
    assert place.storage.list(f"{place.source}/none") == []
    with pytest.raises(BackendError, match=r"cannot read .*/none: "):
        place.storage.read(f"{place.source}/none")


def test_writing_again_replaces_and_leaves_nothing_beside(place: Place) -> None:
    place.put("a.txt", b"old and long")
    url = place.put("a.txt", b"new")
    assert place.storage.list(place.source) == [url]
    found = place.storage.stat(url)
    assert found
    assert found.size_bytes == 3


def test_a_folder_lists_its_files_by_url_in_order_and_no_folders(place: Place) -> None:
    names = ("a%20c", "a%252B", "b") if place.takes_any_name else ("a.c-1_2", "b")
    for name in reversed(names):
        place.put(name, b"x")
    place.put("folder/below", b"x")
    assert place.storage.list(place.source) == [f"{place.source}/{name}" for name in names]


def test_a_copy_is_complete_and_repeating_it_does_no_harm(place: Place) -> None:
    url = place.put("a.txt", b"content")
    for _ in range(3):
        place.storage.copy(url, f"{place.target}/b.txt", adler(b"content"))
        assert place.storage.list(place.target) == [f"{place.target}/b.txt"]
        found = place.storage.stat(f"{place.target}/b.txt")
        assert found
        assert found.size_bytes == 7


def test_a_copy_replaces_what_an_earlier_generation_left(place: Place) -> None:
    place.storage.write(f"{place.target}/b.txt", b"of generation 1")
    place.storage.copy(place.put("a.txt", b"2"), f"{place.target}/b.txt", adler(b"2"))
    assert [place.path(url).read_bytes() for url in place.storage.list(place.target)] == [b"2"]


def test_a_copy_outlives_its_source(place: Place) -> None:
    url = place.put("a.txt", b"content")
    place.storage.copy(url, f"{place.target}/b.txt", adler(b"content"))
    place.storage.delete(url)
    assert place.storage.stat(f"{place.target}/b.txt") is not None


def test_what_has_another_checksum_is_not_copied(place: Place) -> None:
    url = place.put("a.txt", b"rotten")
    with pytest.raises(BackendError, match=f"a.txt: adler32 {adler(b'rotten')} where {adler(b'sound')} was stored"):
        place.storage.copy(url, f"{place.target}/b.txt", adler(b"sound"))
    assert place.storage.list(place.target) == []


def test_a_source_that_is_gone_is_an_error_that_names_it(place: Place) -> None:
    with pytest.raises(BackendError, match=r"(?i)cannot copy to .*/b\.txt: .*(no such file|not found|404)"):
        place.storage.copy(f"{place.source}/none", f"{place.target}/b.txt", "00000001")
    assert place.storage.stat(f"{place.target}/b.txt") is None


def test_deleting_twice_is_deleting_once(place: Place) -> None:
    url = place.put("a.txt", b"x")
    for _ in range(2):
        place.storage.delete(url)
        assert place.storage.stat(url) is None


def test_only_an_empty_folder_is_removed(place: Place) -> None:
    url = place.put("a.txt", b"x")
    place.storage.remove_folder(place.source)
    assert place.storage.stat(url) is not None
    place.storage.delete(url)
    for _ in range(2):
        place.storage.remove_folder(place.source)
        assert place.storage.list(place.source) == []
    if place.removes_folders:
        assert not place.path(place.source).exists()


def test_a_file_where_a_folder_is_needed_is_an_error_of_every_call_and_names_the_url(place: Place) -> None:
    url = place.put("a.txt", b"x")
    below = f"{url}/below"
    calls = [lambda: place.storage.copy(url, below, adler(b"x")), lambda: place.storage.write(below, b"y")]
    if place.tells_kinds:
        calls += [
            lambda: place.storage.stat(below),
            lambda: place.storage.list(url),
            lambda: place.storage.delete(below),
        ]
    for call in calls:
        with pytest.raises(BackendError, match=r"a\.txt"):
            call()


@pytest.mark.parametrize("way", ways(*(one for one in OTHERS if one != "gfal-copy root")))
def test_every_other_tool_does_it_too(way: str, at_a_door: Callable[[str], Place]) -> None:
    place = at_a_door(way)
    url = place.put("a.txt", b"content")
    place.put("folder/below", b"x")
    assert place.storage.list(place.source) == [url]
    for _ in range(2):
        place.storage.copy(url, f"{place.target}/b.txt", adler(b"content"))
    assert place.storage.list(place.target) == [f"{place.target}/b.txt"]
    assert place.path(f"{place.target}/b.txt").read_bytes() == b"content"
    with pytest.raises(BackendError, match=rf"a\.txt: adler32 {adler(b'content')} where 00000001 was stored"):
        place.storage.copy(url, f"{place.target}/c.txt", "00000001")
    place.storage.remove_folder(place.source)
    assert place.storage.stat(url) is not None
    for _ in range(2):
        place.storage.delete(url)
        assert place.storage.stat(url) is None
    assert place.storage.list(f"{place.source}/none") == []


@pytest.mark.service
def test_between_storages_that_will_not_speak_with_one_another_files_go_by_way_of_this_machine(
    vo: VO, at_a_door: Callable[[str], Place]
) -> None:
    place = at_a_door("gfal-copy davs")
    url = place.put("a.txt", b"content")
    with Door(vo, "T2", copies=False) as other:
        there = f"{other.davs}/a.txt"
        place.storage.copy(url, there, adler(b"content"))
        assert other.file(there).read_bytes() == b"content"
        with pytest.raises(BackendError, match=r"a\.txt: adler32 .* where 00000001 was stored"):
            place.storage.copy(url, f"{other.davs}/b.txt", "00000001")
        assert [one.name for one in other.file(there).parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("way", ways("xrdcp root", "https davs"))
def test_between_this_machine_and_a_door_files_go_both_ways(
    way: str, at_a_door: Callable[[str], Place], tmp_path: Path
) -> None:
    place = at_a_door(way)
    (tmp_path / "a.txt").write_bytes(b"content")
    folder, there = file_url(str(tmp_path / "deep")), f"{place.target}/a.txt"
    place.storage.copy(file_url(str(tmp_path / "a.txt")), there, adler(b"content"))
    place.storage.copy(there, f"{folder}/b.txt", adler(b"content"))
    assert (tmp_path / "deep" / "b.txt").read_bytes() == b"content"
    with pytest.raises(BackendError, match=rf"a\.txt: adler32 {adler(b'content')} where 00000001 was stored"):
        place.storage.copy(there, f"{folder}/c.txt", "00000001")
    assert place.storage.list(folder) == [f"{folder}/b.txt"]
