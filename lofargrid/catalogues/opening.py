"""Which catalogue a place is: a file, a TAP service, or what a plug-in knows."""

from importlib.metadata import entry_points
from pathlib import Path

from lofargrid.catalogues.base import Catalogue
from lofargrid.catalogues.export import Export
from lofargrid.catalogues.tap import Tap
from lofargrid.errors import Fault, InputError

GROUP = "lofargrid.catalogues"
"""The entry points of plug-ins: each is called with what follows its name."""


def open_catalogue(place: str) -> Catalogue:
    """Open a catalogue.

    Parameters
    ----------
    place
        A file, the https:// address of a TAP service, or ``NAME:...`` for the plug-in NAME.

    Raises
    ------
    InputError
        It is none of these.
    """
    if not place:
        remedy = "Name the file of an export or the https:// address of a TAP service: --catalogue, LOFARGRID_CATALOGUE"
        raise InputError(Fault("no catalogue is named", remedy, field="--catalogue"))
    if place.startswith("https://"):
        return Tap(place)
    name, colon, rest = place.partition(":")
    plug_ins = {one.name: one for one in entry_points(group=GROUP)}
    if colon and name in plug_ins:
        made: Catalogue = plug_ins[name].load()(rest)
        return made
    if "://" in place:
        raise InputError(
            Fault(f"{place} is no catalogue", "A TAP service has an https:// address", field="--catalogue")
        )
    return Export(Path(place))
