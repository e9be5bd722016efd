"""Input lists: one subband a line, as the LTA hands them out, checked line by line.

A line is a ``file://`` URL, a path or a SURL, and after tabs columns ``key=value``: ``size_bytes``,
``adler32``, ``frequency_mhz``, ``sap``, ``project``, ``public_from``. Blank lines and lines that start with # are
passed over.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from lofargrid.documents.reading import not_utf8, shown
from lofargrid.errors import Fault, InputError
from lofargrid.model import Subband
from lofargrid.names import PRODUCT_FORM, file_name, file_url, is_url, parse_product, printable

COLUMNS = ("size_bytes", "adler32", "frequency_mhz", "sap", "project", "public_from")


@dataclass(frozen=True)
class Line:
    """One entry of a list, and where it was written."""

    source: str
    number: int
    text: str


def read_list(path: Path) -> list[Line]:
    """Read a list file; any line ends, with or without a byte order mark.

    Raises
    ------
    InputError
        The file cannot be read or holds no entry.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(Fault("there is no such list file", "Check the name", str(path))) from None
    except UnicodeDecodeError as error:
        raise InputError(not_utf8(path, error)) from None
    except OSError as error:
        remedy = f"Name a text file with one URL a line, such as {PRODUCT_FORM}"
        raise InputError(Fault(f"the list cannot be read: {error.strerror}", remedy, str(path))) from None
    return _entries(str(path), text.splitlines())


def inline_list(source: str, entries: Sequence[str]) -> list[Line]:
    """Take the entries that stand in production.yaml itself."""
    return _entries(source, entries)


def _entries(source: str, lines: Iterable[str]) -> list[Line]:
    stripped = ((number, line.strip()) for number, line in enumerate(lines, 1))
    entries = [Line(source, number, text) for number, text in stripped if text and not text.startswith("#")]
    if not entries:
        raise InputError(Fault("the list is empty", f"Write one URL a line, such as {PRODUCT_FORM}", source))
    return entries


def read_subbands(role: str, lines: Sequence[Line], folders: Sequence[Path], many: bool) -> list[Subband]:
    """Turn the lines of one role into subbands, in the list's order.

    Parameters
    ----------
    role
        The role that the list is given to.
    lines
        The entries.
    folders
        Where a relative path is looked for, in this order.
    many
        Whether the role may hold several observations.

    Raises
    ------
    InputError
        A name that is not the LTA's, a subband given twice, a second observation; all with their lines.
    """
    faults: list[Fault] = []
    subbands: list[Subband] = []
    for line in lines:
        try:
            subbands.append(_subband(role, line, folders))
        except ValueError as error:
            faults.append(Fault(str(error), "", line.source, line.number))
        except OSError as error:
            faults.append(Fault(f"{shown(line.text)}: {error.strerror}", "", line.source, line.number))
    faults += _duplicates(subbands)
    faults += [] if many else _foreign(role, subbands)
    if faults:
        raise InputError(*faults)
    return subbands


def _subband(role: str, line: Line, folders: Sequence[Path]) -> Subband:
    entry, columns = _split(line.text)
    if not printable(entry):
        raise ValueError(f"{shown(entry)} holds a control character, which no name has")
    if any(f" {column}=" in entry for column in COLUMNS):
        raise ValueError(f"{shown(entry)} has a column after a space; a tab stands before each column")
    name = parse_product(file_name(entry) if is_url(entry) else Path(entry).name)
    sap = columns.get("sap", name.sap)
    subband = Subband(
        role=role,
        observation=name.observation,
        sap=_whole("sap", sap) if sap is not None else 0,
        number=name.subband,
        url=entry if is_url(entry) else file_url(str(_locate(entry, folders))),
        source=line.source,
        line=line.number,
    )
    return replace(
        subband,
        size_bytes=_whole("size_bytes", columns["size_bytes"]) if "size_bytes" in columns else None,
        adler32=_adler32(columns["adler32"]) if "adler32" in columns else None,
        frequency_hz=_megahertz(columns["frequency_mhz"]) if "frequency_mhz" in columns else None,
        project=_name(columns.get("project", "")),
        public_from=_day(columns["public_from"]) if "public_from" in columns else "",
    )


def _split(text: str) -> tuple[str, dict[str, str]]:
    entry, *rest = (part.strip() for part in text.split("\t"))
    columns = {}
    for part in filter(None, rest):
        key, equals, value = part.partition("=")
        if key not in COLUMNS or not equals:
            raise ValueError(f"the column {part!r} is not one of {'=, '.join(COLUMNS)}=")
        if key in columns:
            raise ValueError(f"the column {key}= stands there twice")
        columns[key] = value
    return entry, columns


def _locate(entry: str, folders: Sequence[Path]) -> Path:
    candidates = [(folder / entry).absolute() for folder in folders]
    return next((path for path in candidates if path.exists()), candidates[0])


def _whole(column: str, value: str | int) -> int:
    if not re.fullmatch("[0-9]+", str(value)):
        raise ValueError(f"{column}={value} is not a whole number")
    return int(value)


def _adler32(value: str) -> str:
    if not re.fullmatch("[0-9A-Fa-f]{1,8}", value):
        raise ValueError(f"adler32={value} is not a checksum of up to 8 hexadecimal digits")
    return value.lower().zfill(8)


def _name(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_.-]{0,100}", value):
        raise ValueError(f"project={shown(value)} is not the name of a project, such as LC9_001")
    return value


def _day(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError(f"public_from={shown(value)} is not a date, such as 2026-03-01") from None


def _megahertz(value: str) -> float:
    try:
        frequency_mhz = float(value)
    except ValueError:
        frequency_mhz = 0.0
    if not 1 <= frequency_mhz < 300:
        raise ValueError(f"frequency_mhz={value} is not a frequency of LOFAR, 1 to 300")
    return frequency_mhz * 1e6


def _duplicates(subbands: Sequence[Subband]) -> Iterator[Fault]:
    first: dict[str, Subband] = {}
    for subband in subbands:
        earlier = first.setdefault(subband.key, subband)
        if earlier is not subband:
            what = f"{subband.key} stands already in line {earlier.line}"
            yield Fault(what, "Remove one of the two", subband.source, subband.line)


def _foreign(role: str, subbands: Sequence[Subband]) -> Iterator[Fault]:
    for subband in subbands:
        if subband.observation != subbands[0].observation:
            what = f"{subband.observation} among subbands of {subbands[0].observation} (line {subbands[0].line})"
            remedy = f"The role {role!r} takes one observation: make a production for each"
            yield Fault(what, remedy, subband.source, subband.line)
