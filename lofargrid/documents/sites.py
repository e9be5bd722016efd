"""Pure: sites.yaml to sites, from a URL to the site that holds it, and from a production's words to sites."""

import difflib
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qs, quote, urlsplit

from lofargrid_runner.contract import TOOLS
from pydantic import Field, ValidationInfo, field_validator, model_validator

from lofargrid.documents.reading import Document, MisfitError, located, read_document, shown
from lofargrid.errors import Fault, InputError
from lofargrid.model import Pilots, Site, TapeService
from lofargrid.names import is_url, path_of, printable, safe_name

SHIPPED = Path(__file__).parents[1] / "sites.yaml"
"""The sites that come with lofargrid."""

ALL = "all"
LOCAL = "local"
"""The site that this machine is."""
WEB = ("davs", "https")
SCHEMES = ("srm", "gsiftp", "davs", "https", "root", "xroot", "file")

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Address = tuple[str, str]

# Stands for the host of file:// URLs; no host has such a name.
_HERE = "file:"


class PilotsDocument(Document):
    """How pilots of a site come about; what is left out is as `Pilots` says."""

    through: Annotated[str, Field(pattern="^[a-z0-9-]{1,40}$")] = Pilots.through
    at_most: Annotated[int, Field(ge=0)] = Pilots.at_most
    cores: Count | None = None
    memory_mb: Count | None = None
    scratch_mb: Count | None = None
    walltime_min: Annotated[float, Field(ge=5, le=43200, allow_inf_nan=False)] | None = None
    idle_min: Positive = Pilots.idle_min
    htcondor: str = Pilots.htcondor
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = Pilots.sha256
    needs: list[str] = []
    logs: str = Pilots.logs
    options: list[str] = []
    environment: dict[str, str] = {}

    @field_validator("htcondor", "logs")
    @classmethod
    def _somewhere(cls, place: str) -> str:
        if place and not re.fullmatch(r"(https:/)?/[A-Za-z0-9._/+@~%-]*", place):
            raise ValueError(f"{shown(place)} is no absolute path, nor an https:// URL")
        return place

    @model_validator(mode="after")
    def _proven(self) -> Self:
        if self.htcondor.startswith("https:") and not self.sha256:
            raise MisfitError("what is downloaded is trusted by its SHA-256 only: give sha256", "htcondor")
        return self

    def made(self) -> Pilots:
        """The same, as the engine's noun."""
        given: dict[str, Any] = {key: getattr(self, key) for key in self.model_fields_set}
        for key in {"needs", "options"} & given.keys():
            given[key] = tuple(given[key])
        return Pilots(**given)


class TapeServiceDocument(Document):
    """What recalls files of a site."""

    by: Literal["tape-rest", "bulk", "stageit", "gfal2"]
    at: str
    window_gb: Positive = TapeService.window_gb
    window_files: Count = TapeService.window_files

    @field_validator("at")
    @classmethod
    def _service(cls, place: str, given: ValidationInfo) -> str:
        server = r"[A-Za-z0-9.-]+(:[0-9]{1,5})?"
        # What is wrong is not repeated: somebody may have put a password into it.
        if given.data.get("by") == "gfal2":
            if not re.fullmatch(rf"(srm|davs)://{server}(/[A-Za-z0-9._/-]*\?SFN=)?", place):
                raise ValueError("it is no plain srm:// or davs:// URL of a server, such as srm://srm.example.org:8443")
        elif not re.fullmatch(rf"https://{server}(/[A-Za-z0-9._/-]*)?", place):
            raise ValueError("it is no plain https:// URL, such as https://dcache.example.org:3880/api/v1/tape")
        return place


class SiteDocument(Document):
    """One site of sites.yaml. What is left out stays as an earlier file says, else it is as `Site` says."""

    tier: Literal[1, 2] = 2
    grid_name: str = Site.grid_name
    slots: Annotated[int, Field(ge=0)] = Site.slots
    cores: Count = Site.cores
    memory_mb: Count = Site.memory_mb
    walltime_min: Positive = Site.walltime_min
    scratch_mb: Count = Site.scratch_mb
    prefixes: list[str] = []
    doors: dict[str, str] = {}
    scratch: str = Site.scratch
    transfers: Count = Site.transfers
    bandwidth_mb_s: Positive = Site.bandwidth_mb_s
    stream_mb_s: Positive = Site.stream_mb_s
    guarded: bool = Site.guarded
    tape: bool = Site.tape
    backend: Literal["", "local", "htcondor", "dirac"] = ""
    lost_after_min: Positive = Site.lost_after_min
    pilots: PilotsDocument | None = None
    tools: Annotated[list[str], Field(min_length=1)] = list(Site.tools)
    recall: TapeServiceDocument | None = None

    @field_validator("grid_name")
    @classmethod
    def _harmless(cls, name: str) -> str:
        if not re.fullmatch("[A-Za-z0-9._-]{0,128}", name):
            raise ValueError(f"{shown(name)} may hold letters, digits, dots, - and _ only, 128 at most")
        return name

    @field_validator("prefixes")
    @classmethod
    def _places(cls, prefixes: list[str]) -> list[str]:
        for index, prefix in enumerate(prefixes):
            _demand(_fault_in(prefix), index)
        return prefixes

    @field_validator("tools")
    @classmethod
    def _known_tools(cls, tools: list[str]) -> list[str]:
        for index, tool in enumerate(tools):
            _demand("" if tool in TOOLS else f"{shown(tool)} is none of {', '.join(TOOLS)}", index)
        return tools

    @field_validator("scratch")
    @classmethod
    def _place_or_none(cls, scratch: str) -> str:
        if scratch:
            _demand(_fault_in(scratch))
        return scratch

    @field_validator("doors")
    @classmethod
    def _doors(cls, doors: dict[str, str]) -> dict[str, str]:
        for protocol, door in doors.items():
            _demand(_fault_in(door) or _fault_in_door(protocol, door), protocol)
        return doors

    def over(self, site: Site) -> Site:
        """The site, changed where this document says so."""
        given: dict[str, Any] = {key: getattr(self, key) for key in self.model_fields_set}
        for key in {"prefixes", "tools"} & given.keys():
            given[key] = tuple(given[key])
        if self.pilots is not None:
            given["pilots"] = self.pilots.made()
        if self.recall is not None:
            given |= {"recall": TapeService(**self.recall.model_dump()), "tape": True}
        return replace(site, **given)


class SitesDocument(Document):
    """sites.yaml."""

    sites: dict[str, SiteDocument]

    @field_validator("sites")
    @classmethod
    def _named(cls, sites: dict[str, SiteDocument]) -> dict[str, SiteDocument]:
        for name in sites:
            if not safe_name(name):
                raise MisfitError(f"{shown(name)} may hold letters (A to Z), digits, - and _ only, 64 at most", name)
            if name == ALL:
                raise MisfitError(f"{ALL!r} stands for every site; give it another name", name)
        return sites


def read_sites(*files: Path) -> dict[str, Site]:
    """Read the sites of some files; a later one adds sites, or changes fields of those that are there.

    Raises
    ------
    InputError
        A file cannot be read or does not fit, two sites claim one folder, or a site is good for nothing.
    """
    sites: dict[str, Site] = {}
    for file in files:
        document = read_document(file, SitesDocument)
        sites |= {name: one.over(sites.get(name, Site(name))) for name, one in document.sites.items()}
        faults = [*_idle(file, document, sites), *_claimed_twice(file, document, sites)]
        if faults:
            raise InputError(*located(file, faults))
    return sites


def site_of(url: str, sites: Mapping[str, Site]) -> str:
    """The site that holds a file.

    All spellings of a place are one: with a port or without, behind ``?SFN=`` or in the path, through any door. Where
    the folder of one site lies inside that of another, the inner one counts.

    Returns
    -------
    name
        Empty if no site holds it.
    """
    try:
        host, folder = _address(url)
    except ValueError:  # no URL that anything could open
        return ""
    claims = {name: _claims_of(site) for name, site in sites.items()}
    while True:
        for name, claimed in claims.items():
            if (host, folder) in claimed:
                return name
        if folder == "/":
            return ""
        folder = posixpath.dirname(folder)


def web_servers(site: Site) -> frozenset[str]:
    """The servers that speak https for a site, each with its port as it is written."""
    places = (*site.doors.values(), *site.prefixes, site.scratch)
    return frozenset(parts.netloc for parts in map(urlsplit, places) if parts.scheme in WEB)


def locator(sites: Mapping[str, Site]) -> Callable[[str], str]:
    """`site_of` for many files: those of one folder are looked for once."""
    known: dict[str, str] = {}

    def site(url: str) -> str:
        folder = url.rpartition("/")[0]
        if folder not in known:
            known[folder] = site_of(f"{folder}/", sites)
        return known[folder]

    return site


def transfer_url(url: str, sites: Mapping[str, Site], token: Callable[[str], object] = lambda site: None) -> str:
    """The TURL of a SURL: the same file through the first door that its site names; any other URL as it is.

    Where there is a ``token`` of the site a door of https is taken, if there is one.
    """
    site = sites.get(site_of(url, sites)) if urlsplit(url).scheme == "srm" else None
    doors = list(site.doors.values()) if site else []
    web = bool(site and token(site.name))
    door = next((one for one in doors if web and urlsplit(one).scheme in WEB), next(iter(doors), ""))
    if not door:
        return url
    # Two slashes begin a path where a single one would mean the user's own folder.
    slashes = "//" if urlsplit(door).scheme in ("root", "xroot", "gsiftp") else "/"
    return f"{door.rstrip('/')}{slashes}{quote(path_of(url).lstrip('/'))}"


def choose(wanted: str | Sequence[str], sites: Mapping[str, Site]) -> list[str]:
    """The sites whose compute a production may use, from its ``sites: all``, a name, or a list of names.

    Raises
    ------
    InputError
        A name that is not there, or of a site without compute; no site at all.
    """
    able = [name for name, site in sites.items() if site.slots]
    if wanted == ALL:
        names: list[str] = able
        faults: list[Fault] = []
    elif isinstance(wanted, str):
        names, faults = [wanted], _unusable(wanted, "sites", sites)
    else:
        names = list(dict.fromkeys(wanted))
        faults = [fault for index, name in enumerate(wanted) for fault in _unusable(name, f"sites.{index}", sites)]
    if not names:
        faults = [Fault("no site that could run anything is named", _known(able), field="sites")]
    if faults:
        raise InputError(*faults)
    return names


def _unusable(name: str, field: str, sites: Mapping[str, Site]) -> list[Fault]:
    able = [one for one, site in sites.items() if site.slots]
    if name not in sites:
        return [Fault(f"there is no site {shown(name)}", nearest_site(name, sites), field=field)]
    if name not in able:
        return [Fault(f"{name} is storage without compute: nothing can run there", _known(able), field=field)]
    return []


def nearest_site(name: str, sites: Mapping[str, Site]) -> str:
    """What to tell somebody who named a site that is not there."""
    folded = {one.casefold(): one for one in sites}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"Did you mean {folded[close[0]]!r}?" if close else _known(list(sites))


def _known(names: Sequence[str]) -> str:
    return f"There are {', '.join(names)}" if names else "Add one to your sites.yaml"


def _address(url: str) -> Address:
    """The host and the folder or file on it that a URL means, whatever its spelling.

    Raises
    ------
    ValueError
        It is no URL.
    """
    parts = urlsplit(url)
    # The LTA's download service names a SURL; a plus sign is part of a name here.
    wrapped = parse_qs(parts.query.replace("+", "%2B")).get("surl")
    if wrapped:
        return _address(wrapped[0])
    host = parts.hostname or ""
    if parts.scheme == "file":
        host = _HERE + host.removeprefix("localhost")
    # Two slashes begin a path in root:// and gsiftp:// URLs, and mean no more than one.
    return host, posixpath.normpath("/" + path_of(url).lstrip("/"))


@lru_cache(maxsize=1024)
def _claims(prefixes: tuple[str, ...], doors: tuple[str, ...], scratch: str) -> frozenset[Address]:
    """All folders of a site under all its hosts: each door opens the whole of its storage."""
    held = [_address(prefix) for prefix in prefixes]
    hosts = {host for host, _ in [*held, *map(_address, doors)]} - {_HERE}
    folders = [*held, _address(scratch)] if scratch else held
    return frozenset((one, path) for host, path in folders for one in ({host} if host == _HERE else {host, *hosts}))


def _claims_of(site: Site) -> frozenset[Address]:
    return _claims(site.prefixes, tuple(site.doors.values()), site.scratch)


def _idle(file: Path, document: SitesDocument, sites: Mapping[str, Site]) -> Iterator[Fault]:
    for name in document.sites:
        if not sites[name].slots and not sites[name].prefixes:
            remedy = "Give it slots to compute, prefixes to store, or both"
            yield Fault("nothing can run there and nothing lies there", remedy, str(file), field=f"sites.{name}")


def _claimed_twice(file: Path, document: SitesDocument, sites: Mapping[str, Site]) -> Iterator[Fault]:
    """Folders that two sites claim; each pair is told once, where the later one stands."""
    told: set[str] = set()
    for name in document.sites:
        told.add(name)
        others = [one for one in sites if one != name and (one in told or one not in document.sites)]
        for other in others:
            both = _claims_of(sites[name]) & _claims_of(sites[other])
            if both:
                field, url = _claimant(sites[name], {path for _, path in both})
                what = f"{url} belongs to {other} already"
                yield Fault(what, "Each folder belongs to one site", str(file), field=f"sites.{name}.{field}")


def _claimant(site: Site, paths: set[str]) -> tuple[str, str]:
    """The field, and the URL in it, that claims one of these paths."""
    fields = {f"prefixes.{index}": prefix for index, prefix in enumerate(site.prefixes)} | {"scratch": site.scratch}
    return next((field, url) for field, url in fields.items() if url and _address(url)[1] in paths)


def _demand(fault: str, *location: int | str) -> None:
    if fault:
        raise MisfitError(fault, *location)


def _fault_in(url: str) -> str:
    """Why a URL names no place of a storage; empty if it does. What might be a secret is not repeated."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        return "this URL holds a user's name or password, and a credential belongs in its own file; take it out"
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it raises ValueError where it is no port
        if not is_url(url) or not printable(url):
            return f"{shown(url)} is no URL; one begins with {_SCHEMES_TEXT}"
    except ValueError as error:
        return f"{shown(url)} is no URL: {error}"
    if parts.fragment or set(parse_qs(parts.query, keep_blank_values=True)) - {"SFN"}:
        return "what stands behind the ? or # of this URL is no part of a place; take it out"
    if parts.scheme not in SCHEMES:
        return f"{shown(url)} begins with {parts.scheme}://; it may be {_SCHEMES_TEXT}"
    if parts.scheme == "file":
        absolute = parts.hostname in (None, "localhost") and (parts.path.startswith("/") or not parts.path)
        return "" if absolute else f"{shown(url)} has no absolute path; three slashes begin one: file:///data"
    return "" if _HOST.fullmatch(parts.hostname or "") else f"{shown(url)} names no host"


_SCHEMES_TEXT = ", ".join(f"{scheme}://" for scheme in SCHEMES)
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f.:]*:[0-9a-f.:]*")


def _fault_in_door(protocol: str, door: str) -> str:
    parts = urlsplit(door)
    if protocol != parts.scheme or protocol == "file":
        return f"{shown(door)} is no door for {shown(protocol)}: it begins with its protocol, such as {protocol}://"
    if parts.path.strip("/") or parts.query:
        return f"{shown(door)} is more than a door: leave out what follows the host and the port"
    return ""
