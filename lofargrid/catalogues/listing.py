"""A list file of an observation, out of what a catalogue tells of it."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lofargrid.catalogues.base import Entry
from lofargrid.errors import Fault, InputError
from lofargrid.names import ProductName, file_name, is_url, parse_product, printable


def subbands(observation: str, entries: Iterable[Entry]) -> list[Entry]:
    """The raw subbands of an observation among files, by beam and number; of copies the first one.

    Raises
    ------
    InputError
        There are none, or several different files of a subband.
    """
    found: dict[tuple[int, int], tuple[str, Entry]] = {}
    others = 0
    for one in entries:
        product = _product(one.url)
        if product is None or f"L{product.sas_id}" != observation:
            others += 1
            continue
        name = file_name(one.url)
        key = (product.sap or 0, product.subband)
        first, _ = found.setdefault(key, (name, one))
        if first != name:
            remedy = "Take the lines that you want into a list by hand"
            raise InputError(Fault(f"SB{product.subband:03d} of {observation} is both {first} and {name}", remedy))
    if not found:
        what = f"the catalogue has no subbands of {observation}" + (f", but {others} other files" if others else "")
        raise InputError(Fault(what, "Check the number, or the query that was exported"))
    return [found[key][1] for key in sorted(found)]


def _product(url: str) -> ProductName | None:
    if not (is_url(url) or PurePosixPath(url).is_absolute()) or not printable(url):
        return None
    try:
        return parse_product(file_name(url))
    except ValueError:
        return None


def list_text(entries: Sequence[Entry]) -> str:
    """The list file."""
    return "".join("\t".join([one.url, *_columns(one)]) + "\n" for one in entries)


def _columns(one: Entry) -> list[str]:
    known = {
        "size_bytes": one.size_bytes,
        "adler32": one.adler32,
        "frequency_mhz": one.frequency_mhz,
        "project": one.project,
        "public_from": one.public_from,
    }
    # Nothing that a catalogue says may end a column or a line.
    return [f"{name}={value}" for name, value in known.items() if re.fullmatch(r"[\w.+-]+", str(value or ""))]
