"""What every storage promises."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lofargrid.errors import BackendError
from lofargrid.model import Site
from lofargrid.names import file_url, path_of
from lofargrid.simulation.grid import Grid
from lofargrid.storage.base import Storage
from lofargrid.storage.local import LocalStorage

ELSEWHERE = Path("/dev/shm")


@dataclass
class Place:
    """A storage, and two folders of it."""

    storage: Storage
    source: str
    target: str
    read: Callable[[str], bytes]

    def put(self, name: str, content: bytes) -> str:
        url = f"{self.source}/{name}"
        self.storage.write(url, content)
        return url


@pytest.fixture(params=["one disk", "two disks", "simulated"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Local storage, with source and target on one disk (a copy is a link) or on two (bytes move); a simulated one."""
    if request.param == "simulated":
        yield _simulated()
        return
    with TemporaryDirectory(dir=ELSEWHERE if ELSEWHERE.is_dir() else None) as elsewhere:
        source = tmp_path / "so urce" if request.param == "one disk" else Path(elsewhere) / "so urce"
        if request.param == "two disks" and os.stat(elsewhere).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("this machine has no second disk at /dev/shm")
        target = file_url(str(tmp_path / "tar get" / "deep"))
        yield Place(LocalStorage(), file_url(str(source)), target, lambda url: Path(path_of(url)).read_bytes())


def _simulated() -> Place:
    grid = Grid({name: Site(name, prefixes=(f"davs://{name}.example/",)) for name in ("here", "there")})

    def read(url: str) -> bytes:
        file = grid.files.get(url)
        assert file
        return file.content.encode()

    return Place(grid.storage, "davs://here.example/so%20urce", "davs://there.example/tar%20get/deep", read)


def adler(content: bytes) -> str:
    return f"{zlib.adler32(content):08x}"


def test_what_is_written_is_there_with_its_size(place: Place) -> None:
    url = place.put("a.txt", b"12345")
    found = place.storage.stat(url)
    assert found
    assert (found.url, found.size_bytes) == (url, 5)


def test_what_is_not_there_is_none_and_no_error(place: Place) -> None:
    assert place.storage.stat(f"{place.source}/none") is None
    assert place.storage.list(f"{place.source}/none") == []


def test_writing_again_replaces_and_leaves_nothing_beside(place: Place) -> None:
    place.put("a.txt", b"old and long")
    url = place.put("a.txt", b"new")
    assert place.storage.list(place.source) == [url]
    found = place.storage.stat(url)
    assert found
    assert found.size_bytes == 3


def test_a_folder_lists_its_files_by_url_in_order_and_no_folders(place: Place) -> None:
    for name in ("b", "a%20c", "a%252B"):
        place.put(name, b"x")
    place.put("folder/below", b"x")
    assert place.storage.list(place.source) == [f"{place.source}/{name}" for name in ("a%20c", "a%252B", "b")]


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
    assert [place.read(url) for url in place.storage.list(place.target)] == [b"2"]


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
    with pytest.raises(BackendError, match=r"cannot copy to .*/b\.txt: No such file"):
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
        assert not Path(path_of(place.source)).exists()


def test_a_file_where_a_folder_is_needed_is_an_error_of_every_call_and_names_the_url(place: Place) -> None:
    url = place.put("a.txt", b"x")
    below = f"{url}/below"
    calls = [
        lambda: place.storage.stat(below),
        lambda: place.storage.list(url),
        lambda: place.storage.copy(url, below, adler(b"x")),
        lambda: place.storage.write(below, b"y"),
        lambda: place.storage.delete(below),
    ]
    for call in calls:
        with pytest.raises(BackendError, match=r"a\.txt"):
            call()
