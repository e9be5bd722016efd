"""Which files are compared as what."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lofargrid.compare.images import compare_images
from lofargrid.compare.measurementsets import compare_measurement_sets
from lofargrid.compare.outcome import DifferenceError, UnreadableError
from lofargrid.compare.solutions import compare_solutions
from lofargrid.compare.tars import compare_tars

_SCIENCE = "pip install 'lofargrid[science]'"


@dataclass(frozen=True)
class Outcome:
    """Whether two files are the same, and how far they are from each other or what is wrong."""

    same: bool
    detail: str


def compare_content(suffix: str, first: Path, second: Path) -> Outcome:
    """Compare two files as what their suffix, one of `CONTENTS`, says they are."""
    try:
        return Outcome(True, CONTENTS[suffix](first, second))
    except (DifferenceError, UnreadableError) as error:
        return Outcome(False, str(error))
    except ImportError as error:
        return Outcome(False, f"cannot be compared without {error.name}: {_SCIENCE}")


# The first suffix that fits counts.
CONTENTS: dict[str, Callable[[Path, Path], str]] = {
    ".fits": compare_images,
    ".h5": compare_solutions,
    ".MS.tar": compare_measurement_sets,
    ".tar": compare_tars,
}
