"""LTA product names, SURLs and job ids: parse and format, round trip."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

_PRODUCT = re.compile(
    r"L(?P<sas_id>[1-9][0-9]{3,8})(?:_SAP(?P<sap>[0-9]{3}))?_SB(?P<subband>[0-9]{3})"
    r"_uv(?P<processing>\.dppp)?\.MS(?:_(?P<suffix>[0-9a-f]{8}))?(?P<tar>\.tar)?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PRODUCT_FORM = "L654321_SAP000_SB000_uv.MS_1a2b3c4d.tar"


@dataclass(frozen=True)
class ProductName:
    """The name of one subband product as the LTA gives it.

    ``sap`` is absent in names of the first years; ``processing`` is ``.dppp`` where the observatory averaged
    the data; ``suffix`` is the archive's 8 hex digits.
    """

    sas_id: int
    subband: int
    sap: int | None = None
    processing: str = ""
    suffix: str = ""
    tar: bool = True

    @property
    def observation(self) -> str:
        """``L654321``."""
        return f"L{self.sas_id}"

    def __str__(self) -> str:
        sap = "" if self.sap is None else f"_SAP{self.sap:03d}"
        suffix = f"_{self.suffix}" if self.suffix else ""
        tar = ".tar" if self.tar else ""
        return f"L{self.sas_id}{sap}_SB{self.subband:03d}_uv{self.processing}.MS{suffix}{tar}"


def parse_product(name: str) -> ProductName:
    """Read an LTA product name.

    Raises
    ------
    ValueError
        The name has not the LTA's form.
    """
    match = _PRODUCT.fullmatch(name)
    if not match:
        shown = name if len(name) <= 100 else f"{name[:97]}..."
        raise ValueError(f"{shown!r} is not the name of an LTA subband, such as {PRODUCT_FORM}")
    return ProductName(
        sas_id=int(match["sas_id"]),
        subband=int(match["subband"]),
        sap=None if match["sap"] is None else int(match["sap"]),
        processing=match["processing"] or "",
        suffix=match["suffix"] or "",
        tar=bool(match["tar"]),
    )


def is_url(text: str) -> bool:
    """Tell a URL from a path."""
    return bool(_SCHEME.match(text))


def path_of(url: str) -> str:
    """The path that a URL names on its storage, decoded.

    SRM writes it behind ``?SFN=``; the LTA's download service behind ``?surl=``.
    """
    parts = urlsplit(url)
    # A plus sign is part of a name here, not a space as in web forms.
    query = parse_qs(parts.query.replace("+", "%2B"))
    if "SFN" in query:
        return query["SFN"][0]
    if "surl" in query:
        return path_of(query["surl"][0])
    return unquote(parts.path)


def is_here(place: str) -> bool:
    """Whether a URL or an absolute path names something on this machine's disks."""
    return place.startswith(("file:", "/"))


def place_of(url: str) -> str:
    """A URL as people write it: of a file of this machine its path."""
    return path_of(url) if is_here(url) else url


def file_name(url: str) -> str:
    """The last part of the path that a URL names."""
    return path_of(url).rstrip("/").rsplit("/", 1)[-1]


def file_url(path: str) -> str:
    """A ``file://`` URL for an absolute path; spaces and the like are percent-encoded."""
    return "file://" + quote(path)


def printable(place: str) -> bool:
    """Whether a path or URL holds no control characters: line ends, tabs, NUL, encoded or not."""
    return re.search("[\0-\x1f\x7f]", place + (path_of(place) if is_url(place) else "")) is None


def safe_name(text: str) -> bool:
    """Whether a text is harmless as a file name and in the names that backends give."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text) is not None


def sap_key(observation: str, sap: int) -> str:
    """``L654321-SAP000``: one beam of one observation."""
    return f"{observation}-SAP{sap:03d}"


def group_key(observation: str, sap: int, group: int, part: int | None = None) -> str:
    """``L654321-SAP000-G0024``: a group of absolute subbands, by the number that `frequency.group_of` gives.

    Of a group that is made in parts ``L654321-SAP000-G0024p1``.
    """
    return f"{sap_key(observation, sap)}-G{group:04d}" + ("" if part is None else f"p{part}")


def group_of_key(role: str, key: str) -> tuple[tuple[str, str, int], int]:
    """The role, observation and SAP of a group's key, and the group's number."""
    observation, sap, group = key.split("-")
    return (role, observation, int(sap.removeprefix("SAP"))), int(group.removeprefix("G").partition("p")[0])


def job_name(key: str, step: str) -> str:
    """``L654321-SAP000-SB244-targ1``: what the job works on, and its step."""
    return f"{key}-{step}"


def attempt_id(tracker: str, job_id: int, number: int) -> str:
    """An id that no other tracker gives: it starts with the tracker's own random id."""
    return f"{tracker}-{job_id}-{number}"
