"""How tools are called, and how what they say is read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from lofargrid_runner.tools import TOOLS, Access, adler32_in, door, names_in, path_at, plain, size_in, web

ACCESS = Access("/tmp/proxy", "/etc/certificates")


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("Path:   /lofar/a\nId:     921\nSize:   20000000\nMTime:  2026", 20000000),
        ("  File: 'davs://h/a'\n  Size: 12\tregular file\n", 12),
        ("HTTP/1.1 307 Moved\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 42\r\n", 42),
        ("nothing of that", None),
    ],
)
def test_a_size_is_read_from_what_each_tool_says(said: str, size: int | None) -> None:
    assert size_in(said) == size


@pytest.mark.parametrize(
    ("said", "adler32"),
    [
        ("adler32 43aeb4d1", "43aeb4d1"),
        ("root://h:1//lofar/a c063406c\n", "c063406c"),
        ("Digest: adler32=C063406\r\n", "0c063406"),
        ("Digest: md5=1B2M2Y8AsgTpgAmY7PhCfg==,adler32=00000001\r\n", "00000001"),
        ("Content-Length: 1", None),
    ],
)
def test_a_checksum_is_read_from_what_each_tool_says(said: str, adler32: str | None) -> None:
    assert adler32_in(said) == adler32


PROPFIND = """<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns1="http://apache.org/dav/props/">
<D:response><D:href>/lofar/out/</D:href><D:propstat><D:prop><lp1:resourcetype><D:collection/></lp1:resourcetype>
</D:prop></D:propstat></D:response>
<D:response><D:href>
https://host:2880/lofar/out/a%20b.h5</D:href><D:propstat><D:prop><lp1:resourcetype/></D:prop></D:propstat></D:response>
</D:multistatus>"""


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("-rw-r--r--   1 0     0            2024 Nov 29 06:00 a b.h5\t\ndrwxr-xr-x   1 0 0 9 Nov 29  2025 folder\t\n",
         ["a b.h5"]),
        ("-rw-r--r--   1 0     0            2024 Nov  9  2025 a.h5\t\n", ["a.h5"]),
        ("-rw-r--r-- nobody nogroup 8 2026-11-29 06:00:00 /lofar/out/a b.h5\n"
         "drwxr-xr-x nobody nogroup 8 2026-11-29 06:00:00 /lofar/out/folder\n", ["a b.h5"]),
        (PROPFIND, ["a b.h5"]),
        ("", []),
    ],
)  # fmt: skip
def test_the_files_of_a_folder_are_read_from_what_each_tool_says(said: str, names: list[str]) -> None:
    assert names_in(said) == names


def test_what_a_root_url_says_is_meant_and_nothing_else_is_changed() -> None:
    assert plain("root://h//a%20b?authz=x%20y") == "root://h//a b?authz=x%20y"
    assert plain("davs://h/a%20b") == "davs://h/a%20b"
    assert path_at("root://h//a%20b") == "/a b"


def test_a_root_url_is_a_door_and_a_path() -> None:
    assert door("root://host:1094//pnfs/a b") == "root://host:1094"
    assert path_at("root://host:1094//pnfs/a b") == "/pnfs/a b"


def test_davs_is_what_the_grid_calls_https() -> None:
    assert web("davs://host/a") == "https://host/a"
    assert web("https://host/davs:") == "https://host/davs:"


@pytest.mark.parametrize("name", TOOLS)
def test_no_call_holds_more_of_a_credential_than_where_it_lies(name: str) -> None:
    tool = TOOLS[name](ACCESS)
    calls = [tool.read("davs://h/a", ""), tool.fetch("davs://h/a", "/p"), tool.write("/p", "davs://h/a"), tool.stat("davs://h/a"),
             tool.checksum("davs://h/a"), tool.remove("davs://h/a")]  # fmt: skip
    for call in calls:
        assert any("h/a" in word or word == "/a" or word.startswith("/a?") for word in call), call
        assert not {"Authorization", "Bearer"} & set(" ".join(call).split())


def test_curl_goes_on_where_it_stopped_and_never_without_encryption() -> None:
    words = TOOLS["curl"](ACCESS).read("davs://h/a", "7-9")
    assert " --range 7-9 https://h/a" in " ".join(words)
    assert ("--proto-redir", "=https") in pairwise(words)
