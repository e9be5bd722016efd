"""The programs that move files between a grid storage and a node: pure, what to call and how to read what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

Words = tuple[str, ...]

HTTP = ("davs", "https")
ROOT = ("root", "roots", "xroot", "xroots")
LONGEST_S = "86400"  # their own limits: the runner has a sharper eye


class Access(NamedTuple):
    """What opens a storage's door: the user's proxy, empty if there is none, and the folder of the authorities."""

    proxy: str
    authorities: str


class Tool(NamedTuple):
    """One program, and how it is called on a URL. The first word of each call is looked for on PATH.

    ``read`` puts the file on standard output or, if it ``resumes``, a span of it (``2-9`` are eight bytes); ``fetch``
    brings it to a path of this node. ``write`` stores a file of this node.
    ``stat`` and ``checksum`` may be the same call; what they print is for `size_in` and `adler32_in`.
    """

    schemes: tuple[str, ...]
    resumes: bool
    read: Callable[[str, str], Words]
    fetch: Callable[[str, str], Words]
    write: Callable[[str, str], Words]
    stat: Callable[[str], Words]
    checksum: Callable[[str], Words]
    remove: Callable[[str], Words]


def gfal(_: Access) -> Tool:
    """gfal2's commands, which speak every protocol of the grid."""
    times = ("-t", LONGEST_S)
    # What it tells of its work goes where errors go: standard output is for the file.
    read = ("sh", "-c", 'exec 3>&1 >&2; exec "$@" file:///dev/fd/3', "sh", "gfal-copy", "-f", *times, "-T", LONGEST_S)
    return Tool(
        schemes=("davs", "https", "root", "xroot", "gsiftp", "srm"),
        resumes=False,
        read=lambda url, _: (*read, url),
        fetch=lambda url, path: ("gfal-copy", "-f", *times, "-T", LONGEST_S, url, f"file://{path}"),
        write=lambda path, url: ("gfal-copy", "-f", "-p", *times, "-T", LONGEST_S, f"file://{path}", url),
        stat=lambda url: ("gfal-stat", *times, url),
        checksum=lambda url: ("gfal-sum", *times, url, "ADLER32"),
        remove=lambda url: ("gfal-rm", *times, url),
    )


def xrdcp(_: Access) -> Tool:
    """XRootD's own commands."""
    return Tool(
        schemes=ROOT,
        resumes=False,
        read=lambda url, _: ("xrdcp", "-s", url, "-"),
        fetch=lambda url, path: ("xrdcp", "-s", "-f", url, path),
        write=lambda path, url: ("xrdcp", "-s", "-f", path, url),
        stat=lambda url: ("xrdfs", door(url), "stat", path_at(url)),
        checksum=lambda url: ("xrdfs", door(url), "query", "checksum", f"{path_at(url)}?cks.type=adler32"),
        remove=lambda url: ("xrdfs", door(url), "rm", path_at(url)),
    )


def curl(access: Access) -> Tool:
    """The web's."""
    common = ["curl", "--disable", "--globoff", "--silent", "--show-error", "--fail", "--location"]
    common += ["--proto", "=https", "--proto-redir", "=https", "--connect-timeout", "60"]
    if access.authorities:
        common += ["--capath", access.authorities]
    if access.proxy:
        common += ["--cert", access.proxy, "--key", access.proxy]
    look = (*common, "--head", "--header", "Want-Digest: adler32")
    return Tool(
        schemes=HTTP,
        resumes=True,
        read=lambda url, span: (*common, *(("--range", span) if span else ()), web(url)),
        fetch=lambda url, path: (*common, "--output", path, web(url)),
        write=lambda path, url: (*common, "--upload-file", path, web(url)),
        stat=lambda url: (*look, web(url)),
        checksum=lambda url: (*look, web(url)),
        remove=lambda url: (*common, "--request", "DELETE", web(url)),
    )


TOOLS: Mapping[str, Callable[[Access], Tool]] = {"gfal-copy": gfal, "xrdcp": xrdcp, "curl": curl}


def web(url: str) -> str:
    """A URL as the web writes it: ``davs`` is the grid's word for https."""
    return f"https{url[len('davs') :]}" if url.startswith("davs:") else url


def door(url: str) -> str:
    """The server that a URL names: ``root://host:1094``."""
    return "/".join(url.split("/", 3)[:3])


def path_at(url: str) -> str:
    """The path that a URL names there, with one slash before it."""
    return "/" + url.split("/", 3)[3].lstrip("/")


def size_in(said: str) -> int | None:
    """The size of a file in bytes as a tool told it; of a redirection, what stands at its end."""
    found = re.findall(r"^\s*(?:Size|Content-Length):\s*(\d+)", said, re.MULTILINE | re.IGNORECASE)
    return int(found[-1]) if found else None


def adler32_in(said: str) -> str | None:
    """The checksum of a file as a tool told it, as eight hex digits."""
    found = re.search(r"adler32[= ]([0-9a-f]{1,8})\b|://\S+ ([0-9a-f]{1,8})\s*$", said, re.IGNORECASE)
    return (found[1] or found[2]).lower().zfill(8) if found else None
