"""Rows of tables, as archives and the Virtual Observatory write them: which column means what.

Source: IVOA recommendation "Observation Data Model Core Components" (ObsCore) 1.1 for its names; others are those
that people give to such columns.
"""

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from lofargrid.catalogues.base import Entry

_NAMES = {
    "url": ("accessurl", "surl", "srmurl", "url", "uri"),
    "size_bytes": ("sizebytes", "filesize", "size"),
    "about_kb": ("accessestsize",),
    "adler32": ("adler32", "checksumadler32", "hashadler32"),
    "frequency_mhz": ("frequencymhz", "centralfrequencymhz", "centralfrequency"),
    "project": ("proposalid", "project", "projectid"),
    "public_from": ("obsreleasedate", "releasedate", "publicfrom"),
}
URL_COLUMNS = "access_url, surl, srm_url, url or uri"


def entry_of(row: Mapping[str, Any]) -> Entry | None:
    """The file that a row is of; None if it names none.

    Raises
    ------
    ValueError
        What stands in a column is not what its name says.
    """
    plain = {re.sub("[^a-z0-9]", "", str(name).lower()): str(value).strip() for name, value in row.items()}
    found = {key: next((plain[one] for one in names if plain.get(one)), "") for key, names in _NAMES.items()}
    if not found["url"]:
        return None
    about_kb = _number("access_estsize", found["about_kb"])
    size = _number("size", found["size_bytes"])
    return Entry(
        url=found["url"],
        size_bytes=None if size is None else int(size),
        about_bytes=None if about_kb is None else int(about_kb * 1000),
        adler32=found["adler32"].lower(),
        frequency_mhz=_number("frequency", found["frequency_mhz"]),
        project=found["project"],
        public_from=_day(found["public_from"]),
    )


def _number(name: str, text: str) -> float | None:
    if text in ("", "--", "nan"):
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{name}: {text[:50]!r} is not a number from 0")
    return number


def _day(text: str) -> str:
    if text in ("", "--"):
        return ""
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        raise ValueError(f"release date: {text[:50]!r} is not a date, such as 2027-03-01") from None
