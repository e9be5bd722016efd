"""Files of storages that go on where a link broke, and are sent once more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lofargrid_runner.called import Called
from lofargrid_runner.contract import Reason
from lofargrid_runner.failure import Failure
from lofargrid_runner.remote import Client, Manner, Pace, Remote, Resumed
from lofargrid_runner.stop import Stop
from lofargrid_runner.streams import Facts
from lofargrid_runner.tools import TOOLS, Access

ACCESS = Access("/tmp/proxy", "/etc/certificates")


# A stream that goes on where it broke


class Breaking(Client):
    """Gives a file in pieces; each number in ``breaks`` is how many bytes one connection lives."""

    def __init__(self, content: bytes, *breaks: int, resumes: bool = True, reason: Reason = Reason.STORAGE_UNAVAILABLE):
        self.resumes = resumes
        self.opened: list[int] = []
        self._content = content
        self._breaks = list(breaks)
        self._reason = reason

    def open(self, url: str, span: str = "") -> Piece:
        offset = int(span.partition("-")[0] or 0)
        assert span in ("", f"{offset}-{len(self._content) - 1}")
        self.opened.append(offset)
        return Piece(self._content[offset:], self._breaks.pop(0) if self._breaks else None, self._reason)

    def facts(self, url: str) -> Facts | None:
        return Facts(len(self._content))


class Refusing(Client):
    """Takes a file only after some failures; ``left`` are the files that were begun and not removed."""

    resumes = False

    def __init__(self, *failures: Reason) -> None:
        self._failures = list(failures)
        self.left: list[str] = []

    def put(self, path: str, url: str) -> None:
        assert self.left == [], "what was begun before is removed"
        self.left.append(url)
        if self._failures:
            raise Failure(self._failures.pop(0), "it breaks")

    def remove(self, url: str) -> None:
        self.left.clear()


@pytest.mark.parametrize(("crashes", "size"), [(1, 5), (2, 5), (3, None)])
def test_a_tool_that_crashes_is_called_again_and_not_for_ever(
    manner: Manner, tmp_path: Path, crashes: int, size: int | None
) -> None:
    tool = tmp_path / "bin" / "gfal-stat"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\necho >> "$0.calls"\ntest $(wc -l < "$0.calls") -gt {crashes} || kill -s SEGV $$\necho Size: 5\n'
    )
    tool.chmod(0o755)
    with Stop() as stop:
        environment = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
        client = Called(TOOLS["gfal-copy"](ACCESS), environment, manner._replace(stop=stop))
        if size is None:
            with pytest.raises(Failure, match=r"gfal-stat: no word \(signal 11\)") as raised:
                client.size("davs://h/a")
            assert raised.value.reason is Reason.STORAGE_UNAVAILABLE
        else:
            assert client.size("davs://h/a") == size
    assert (tmp_path / "log").read_text().count("it is called again") == min(crashes, 2)


def test_what_is_stored_is_sent_once_more_where_a_link_breaks(manner: Manner, tmp_path: Path) -> None:
    client = Refusing(*[Reason.STORAGE_UNAVAILABLE] * 2)
    Remote(client, manner._replace(pause_s=0)).put("/a", "davs://h/a")
    assert client.left == ["davs://h/a"]
    assert (tmp_path / "log").read_text().count("davs://h/a: it breaks; goes on at byte 0 in ") == 2


@pytest.mark.parametrize(
    ("failures", "sends", "reason"),
    [
        ([Reason.STORAGE_UNAVAILABLE] * 3, 3, Reason.STORAGE_UNAVAILABLE),
        ([Reason.CREDENTIAL_REFUSED], 3, Reason.CREDENTIAL_REFUSED),
        ([Reason.STORAGE_UNAVAILABLE], 1, Reason.STORAGE_UNAVAILABLE),
    ],
)
def test_it_is_not_sent_for_ever_nor_where_that_would_not_help(
    manner: Manner, failures: list[Reason], sends: int, reason: Reason
) -> None:
    client = Refusing(*failures)
    with pytest.raises(Failure) as raised:
        Remote(client, manner._replace(pause_s=0, sends=sends)).put("/a", "davs://h/a")
    assert (raised.value.reason, client.left) == (reason, [])


class Piece:
    def __init__(self, content: bytes, lives: int | None, reason: Reason) -> None:
        self._content, self._lives, self._reason = content, lives, reason

    def read(self, size: int) -> bytes:
        if self._lives is not None and self._lives <= 0:
            raise Failure(self._reason, "it broke")
        size = size if self._lives is None else min(size, self._lives)
        data, self._content = self._content[:size], self._content[size:]
        self._lives = None if self._lives is None else self._lives - size
        return data

    def close(self) -> None:
        pass


def whole(stream: Resumed) -> bytes:
    return b"".join(iter(lambda: stream.read(4), b""))


def test_a_stream_that_breaks_goes_on_where_it_broke(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 3)
    with manner.stop:
        assert whole(Resumed(client, "davs://h/a", manner)) == b"0123456789"
    assert client.opened == [0, 4, 7]


def test_a_tool_that_begins_at_the_first_byte_only_passes_over_what_has_come(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 7, resumes=False)
    with manner.stop:
        assert whole(Resumed(client, "root://h/a", manner)) == b"0123456789"
    assert client.opened == [0, 0, 0]


def test_a_file_that_became_shorter_is_corrupt(manner: Manner) -> None:
    client = Breaking(b"0123456789", 6, resumes=False)
    stream = Resumed(client, "root://h/a", manner)
    with manner.stop, pytest.raises(Failure) as told:
        stream.read(6)
        client._content = b"01"
        stream.read(6)
    assert told.value.reason is Reason.INPUT_CORRUPT


def test_one_that_breaks_behind_its_last_byte_is_whole(manner: Manner) -> None:
    client = Breaking(b"0123456789", 10)
    with manner.stop:
        assert whole(Resumed(client, "davs://h/a", manner)) == b"0123456789"
    assert client.opened == [0]


def test_one_that_is_shorter_than_what_has_come_is_corrupt(manner: Manner) -> None:
    client = Breaking(b"0123456789", 6)
    stream = Resumed(client, "davs://h/a", manner)
    with manner.stop, pytest.raises(Failure, match="became shorter") as told:
        stream.read(6)
        client._content = b"01"
        stream.read(6)
    assert told.value.reason is Reason.INPUT_CORRUPT


def test_one_that_breaks_ever_again_in_one_place_is_given_up(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 0, 0, 0, 0)
    with manner.stop, pytest.raises(Failure, match="it broke"):
        whole(Resumed(client, "davs://h/a", manner))
    assert client.opened == [0, 4, 4]


def test_one_that_breaks_for_good_is_not_opened_again(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, reason=Reason.CREDENTIAL_EXPIRED)
    with manner.stop, pytest.raises(Failure, match="it broke"):
        whole(Resumed(client, "davs://h/a", manner))
    assert client.opened == [0]


# A file that comes without a stream


def fetched(client: Client, manner: Manner) -> bytes:
    path = Path(manner.folder) / "file"
    path.touch()
    with manner.stop:
        Remote(client, manner).fetch("davs://h/a", str(path))
    return path.read_bytes()


def test_a_file_whose_link_breaks_goes_on_where_it_broke(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 3)
    assert fetched(client, manner) == b"0123456789"
    assert client.opened == [0, 4, 7]


def test_where_nothing_comes_any_more_a_file_is_given_up(manner: Manner) -> None:
    client = Breaking(b"0123456789", 4, 0, 0, 0, 0)
    with pytest.raises(Failure, match="it broke"):
        fetched(client, manner)
    assert client.opened == [0, 4, 4]


TOOL = """#!/bin/sh
test -e "$0.begun" && { printf all > "$OUT"; exit 0; }
touch "$0.begun"
printf part-that-is-longer > "$OUT"
echo 'curl: (56) Recv failure: Connection reset by peer' >&2
exit 56
"""


def test_a_tool_that_cannot_go_on_begins_anew(tmp_path: Path, manner: Manner) -> None:
    (tmp_path / "tool").write_text(TOOL)
    (tmp_path / "tool").chmod(0o755)
    tool = TOOLS["xrdcp"](ACCESS)._replace(fetch=lambda *_: ("tool",))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OUT": str(tmp_path / "file")}
    assert fetched(Called(tool, environment, manner), manner) == b"all"


def test_a_long_copy_tells_how_far_it_is(manner: Manner) -> None:
    pace = Pace("davs://h/a", manner.log, every_s=0.0)
    pace.at(7_000_000)
    assert "davs://h/a: 7 MB so far" in (Path(manner.folder) / "log").read_text()


def test_a_short_copy_tells_nothing(manner: Manner) -> None:
    fetched(Breaking(b"0123456789"), manner)
    assert "so far" not in (Path(manner.folder) / "log").read_text()
