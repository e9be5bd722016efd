"""Two sets of products, file by file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lofargrid.compare.alone import compare_alone
from lofargrid.compare.kinds import CONTENTS, Outcome, compare_content
from lofargrid.compare.outcome import UnreadableError, reading

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Comparison:
    """What became of one file.

    Attributes
    ----------
    name
        The name of the file.
    same
        Whether both sets have it, and with the same content.
    detail
        How far the two are from each other, or what is wrong.
    """

    name: str
    same: bool
    detail: str


def compare_products(first: Mapping[str, Path], second: Mapping[str, Path], isolated: bool = True) -> list[Comparison]:
    """Compare two sets of products.

    Provenance (a product's name with .json behind it) tells how a product was made, which may well differ: it
    never counts, not even where only one of the two has it.

    Parameters
    ----------
    first, second
        The files by name.
    isolated
        Read files that differ in a process of their own, so that what crashes on a damaged file is not this one.

    Returns
    -------
    comparisons
        One for each name, in the order of names. A file that cannot be read is not the same as anything but
        its own bytes.
    """
    found = []
    for name in sorted(first.keys() | second.keys()):
        if name.endswith(".json") and name.removesuffix(".json") in first.keys() | second.keys():
            outcome = Outcome(True, "provenance, not compared")
        elif name not in second:
            outcome = Outcome(False, "only in the first")
        elif name not in first:
            outcome = Outcome(False, "only in the second")
        else:
            outcome = _compare_files(name, first[name], second[name], isolated)
        found.append(Comparison(name, outcome.same, outcome.detail))
    return found


def _compare_files(name: str, first: Path, second: Path, isolated: bool) -> Outcome:
    try:
        difference = _first_difference(first, second)
    except UnreadableError as error:
        return Outcome(False, str(error))
    if not difference:
        return Outcome(True, "identical")
    if name.endswith(".png"):
        return Outcome(True, "follows from the FITS, not compared")
    suffix = next((suffix for suffix in CONTENTS if name.endswith(suffix)), None)
    if suffix is None:
        return Outcome(False, difference)
    return (compare_alone if isolated else compare_content)(suffix, first, second)


def _first_difference(first: Path, second: Path) -> str:
    """Tell where the bytes of two files differ; nothing where they do not."""
    position = 0
    for one, other in zip(_chunks(first), _chunks(second), strict=False):
        if one != other:
            common = next(
                (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
                min(len(one), len(other)),
            )
            return f"the bytes differ from byte {position + common} on"
        position += len(one)
    return ""


def _chunks(path: Path) -> Iterator[bytes]:
    """Give the content in pieces of one length, then nothing, so that the end is compared too."""
    with reading(path):
        file = path.open("rb")
    with file:
        while True:
            with reading(path):
                chunk = file.read(CHUNK_BYTES)
            yield chunk
            if not chunk:
                return
