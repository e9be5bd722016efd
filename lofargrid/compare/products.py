"""Two sets of products, file by file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lofargrid.compare.images import compare_images
from lofargrid.compare.measurementsets import compare_measurement_sets
from lofargrid.compare.outcome import DifferenceError, UnreadableError, reading
from lofargrid.compare.solutions import compare_solutions
from lofargrid.compare.tars import compare_tars

CHUNK_BYTES = 1 << 20
_SCIENCE = "pip install 'lofargrid[science]'"


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


def compare_products(first: Mapping[str, Path], second: Mapping[str, Path]) -> list[Comparison]:
    """Compare two sets of products.

    Provenance (a product's name with .json behind it) tells how a product was made, which may well differ: it
    never counts, not even where only one of the two has it.

    Parameters
    ----------
    first, second
        The files by name.

    Returns
    -------
    comparisons
        One for each name, in the order of names. A file that cannot be read is not the same as anything but
        its own bytes.
    """
    names = sorted(first.keys() | second.keys())
    return [_compare_name(name, first.get(name), second.get(name), names) for name in names]


def _compare_name(name: str, first: Path | None, second: Path | None, names: list[str]) -> Comparison:
    if name.endswith(".json") and name.removesuffix(".json") in names:
        return Comparison(name, True, "provenance, not compared")
    if second is None:
        return Comparison(name, False, "only in the first")
    if first is None:
        return Comparison(name, False, "only in the second")
    try:
        return Comparison(name, True, _compare_files(name, first, second))
    except (DifferenceError, UnreadableError) as error:
        return Comparison(name, False, str(error))
    except ImportError as error:
        return Comparison(name, False, f"cannot be compared without {error.name or error}: {_SCIENCE}")


def _compare_files(name: str, first: Path, second: Path) -> str:
    difference = _first_difference(first, second)
    if not difference:
        return "identical"
    comparer = next((comparer for suffix, comparer in _KINDS.items() if name.endswith(suffix)), None)
    if comparer is None:
        raise DifferenceError(difference)
    return comparer(first, second)


def _follows(first: Path, second: Path) -> str:
    return "follows from the FITS, not compared"


# The first suffix that fits counts.
_KINDS: dict[str, Callable[[Path, Path], str]] = {
    ".fits": compare_images,
    ".h5": compare_solutions,
    ".MS.tar": compare_measurement_sets,
    ".tar": compare_tars,
    ".png": _follows,
}


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
