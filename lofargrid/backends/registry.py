"""Backends by name, imported when they are asked for."""

from pathlib import Path

from lofargrid.backends.base import Backend
from lofargrid.backends.local import LocalBackend
from lofargrid.config import Settings
from lofargrid.errors import Fault, InputError
from lofargrid.recipes.sandboxes import pack_runner


def open_backend(name: str, settings: Settings) -> Backend:
    """Open a backend.

    Raises
    ------
    InputError
        This lofargrid has no such backend.
    """
    if name != "local":
        raise InputError(Fault(f"the backend {name!r} is not part of this lofargrid yet", "Use local", field="backend"))
    folder: Path = settings.data / "attempts"
    return LocalBackend(folder, pack_runner(settings.data / "runner"), settings.slots)
