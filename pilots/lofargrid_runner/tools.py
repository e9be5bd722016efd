"""The programs that move files between a grid storage and a node: pure, what to call and how to read what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

Words = tuple[str, ...]

HTTP = ("davs", "https")
ROOT = ("root", "roots", "xroot", "xroots")
LONGEST_S = "86400"  # their own limits: the runner has a sharper eye
LISTED = r"\d\d:\d\d:\d\d|[A-Z][a-z]{2}\s+\d{1,2}\s+[\d:]{4,5}"  # when a file was changed, before its name


class Access(NamedTuple):
    """What opens a storage's door: the user's proxy, empty if there is none, and the folder of the authorities.

    A ``token`` is a file with a bearer token, which is shown instead.
    """

    proxy: str
    authorities: str
    token: str = ""


class Tool(NamedTuple):
    """One program, and how it is called on a URL. The first word of each call is looked for on PATH.

    ``read`` puts the file on standard output or, if it ``resumes``, a span of it (``2-9`` are eight bytes); ``fetch``
    brings it to a path of this node. ``write`` stores a file of this node.
    ``stat`` and ``checksum`` may be the same call; what they print is for `size_in` and `adler32_in`. What ``names``
    prints of a folder is for `names_in`. ``copy`` lets two storages copy among themselves, ``remove_folder`` removes
    one that is empty; None where the program has no such call.
    """

    schemes: tuple[str, ...]
    resumes: bool
    read: Callable[[str, str], Words]
    fetch: Callable[[str, str], Words]
    write: Callable[[str, str], Words]
    stat: Callable[[str], Words]
    checksum: Callable[[str], Words]
    remove: Callable[[str], Words]
    rename: Callable[[str, str], Words]
    names: Callable[[str], Words]
    remove_folder: Callable[[str], Words] | None = None
    copy: Callable[[str, str], Words] | None = None


def gfal(_: Access) -> Tool:
    """gfal2's commands, which speak every protocol of the grid."""
    times = ("-t", LONGEST_S)
    # What it tells of its work goes where errors go: standard output is for the file.
    read = ("sh", "-c", 'exec 3>&1 >&2; exec "$@" file:///dev/fd/3', "sh", "gfal-copy", "-f", *times, "-T", LONGEST_S)
    return Tool(
        schemes=("davs", "https", "root", "xroot", "gsiftp", "srm"),
        resumes=False,
        read=lambda url, _: (*read, plain(url)),
        fetch=lambda url, path: ("gfal-copy", "-f", *times, "-T", LONGEST_S, plain(url), f"file://{path}"),
        write=lambda path, url: ("gfal-copy", "-f", "-p", *times, "-T", LONGEST_S, f"file://{path}", plain(url)),
        stat=lambda url: ("gfal-stat", *times, plain(url)),
        checksum=lambda url: ("gfal-sum", *times, plain(url), "ADLER32"),
        remove=lambda url: ("gfal-rm", *times, plain(url)),
        rename=lambda url, other: ("gfal-rename", *times, plain(url), plain(other)),
        names=lambda url: ("gfal-ls", "-l", *times, plain(url)),
        copy=lambda url, other: ("gfal-copy", "-f", "-p", *times, "-T", LONGEST_S, plain(url), plain(other)),
    )


def xrdcp(_: Access) -> Tool:
    """XRootD's own commands."""
    return Tool(
        schemes=ROOT,
        resumes=False,
        read=lambda url, _: ("xrdcp", "-s", plain(url), "-"),
        fetch=lambda url, path: ("xrdcp", "-s", "-f", plain(url), path),
        write=lambda path, url: ("xrdcp", "-s", "-f", path, plain(url)),
        stat=lambda url: ("xrdfs", door(url), "stat", path_at(url)),
        checksum=lambda url: ("xrdfs", door(url), "query", "checksum", f"{path_at(url)}?cks.type=adler32"),
        remove=lambda url: ("xrdfs", door(url), "rm", path_at(url)),
        rename=lambda url, other: ("xrdfs", door(url), "mv", path_at(url), path_at(other)),
        names=lambda url: ("xrdfs", door(url), "ls", "-l", path_at(url)),
        remove_folder=lambda url: ("xrdfs", door(url), "rmdir", path_at(url)),
        copy=lambda url, other: ("xrdcp", "-s", "-f", "--tpc", "delegate", "first", plain(url), plain(other)),
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
        rename=lambda url, other: (*common, "--request", "MOVE", "--header", f"Destination: {web(other)}", web(url)),
        names=lambda url: (*common, "--request", "PROPFIND", "--header", "Depth: 1", web(url)),
    )


TOOLS: Mapping[str, Callable[[Access], Tool]] = {"gfal-copy": gfal, "xrdcp": xrdcp, "curl": curl}


def web(url: str) -> str:
    """A URL as the web writes it: ``davs`` is the grid's word for https."""
    return f"https{url[len('davs') :]}" if url.startswith("davs:") else url


def plain(url: str) -> str:
    """A URL as XRootD's clients read it: its path is what it says, nothing in it is encoded."""
    place, question, rest = url.partition("?")
    if "%" not in place or place.partition(":")[0] not in ROOT:
        return url
    from urllib.parse import unquote

    return unquote(place) + question + rest


def door(url: str) -> str:
    """The server that a URL names: ``root://host:1094``."""
    return "/".join(url.split("/", 3)[:3])


def path_at(url: str) -> str:
    """The path that a URL names there, with one slash before it."""
    return "/" + plain(url).split("/", 3)[3].lstrip("/")


def size_in(said: str) -> int | None:
    """The size of a file in bytes as a tool told it; of a redirection, what stands at its end."""
    found = re.findall(r"^\s*(?:Size|Content-Length):\s*(\d+)", said, re.MULTILINE | re.IGNORECASE)
    return int(found[-1]) if found else None


def adler32_in(said: str) -> str | None:
    """The checksum of a file as a tool told it, as eight hex digits."""
    found = re.search(r"adler32[= ]([0-9a-f]{1,8})\b|://\S+ ([0-9a-f]{1,8})\s*$", said, re.IGNORECASE)
    return (found[1] or found[2]).lower().zfill(8) if found else None


def names_in(said: str) -> list[str]:
    """The names of the files in a folder, and not of folders in it, as a tool told them."""
    if said.lstrip().startswith("<"):
        return _names_of_answers(said)
    names = re.findall(rf"^-\S+ .*?(?:{LISTED})\s+(.*?)\s*$", said, re.MULTILINE)
    return [name.rsplit("/", 1)[-1] for name in names]


def _names_of_answers(said: str) -> list[str]:
    """Names in what WebDAV says of a folder: a ``response`` for it and for each thing in it."""
    from urllib.parse import unquote

    answers = re.findall(r"<(?:\w+:)?response\b.*?</(?:\w+:)?response>", said, re.DOTALL)
    files = [one for one in answers if not re.search(r"<(?:\w+:)?collection\b", one)]
    places = [found[1] for one in files if (found := re.search(r"<(?:\w+:)?href>\s*([^<]*?)\s*</", one))]
    return [unquote(place).rsplit("/", 1)[-1] for place in places]
