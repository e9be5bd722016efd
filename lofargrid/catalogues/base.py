"""The port to a catalogue: an observation in, its files out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entry:
    """A file of an observation, as a catalogue knows it.

    ``size_bytes`` is exact, ``about_bytes`` is not. ``public_from`` is a date, such as 2027-03-01.
    """

    url: str
    size_bytes: int | None = None
    about_bytes: int | None = None
    adler32: str = ""
    frequency_mhz: float | None = None
    project: str = ""
    public_from: str = ""


class Catalogue(Protocol):
    """What lofargrid asks of a catalogue. Others are found by the entry points ``lofargrid.catalogues``."""

    def files(self, observation: str) -> Iterable[Entry]:
        """Tell the files of an observation, such as L654321, and perhaps others.

        Raises
        ------
        InputError
            The catalogue cannot be read.
        BackendError
            It does not answer.
        """
        ...
