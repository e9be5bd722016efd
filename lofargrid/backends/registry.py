"""Backends by name, imported when they are asked for."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lofargrid import assets
from lofargrid.backends.base import Backend
from lofargrid.backends.local import LocalBackend
from lofargrid.backends.several import SeveralBackends
from lofargrid.config import Settings
from lofargrid.model import Site
from lofargrid.recipes.sandboxes import pack_runner

if TYPE_CHECKING:
    from lofargrid.backends.htcondor.submission import Reach

Opener = Callable[[Settings, str, Mapping[str, Site]], Backend]


def _local(settings: Settings, tracker: str, sites: Mapping[str, Site]) -> Backend:
    runner = pack_runner(settings.data / "runner")
    return LocalBackend(settings.data / "attempts", runner, settings.slots, settings.proxy)


def _htcondor(settings: Settings, tracker: str, sites: Mapping[str, Site]) -> Backend:
    from lofargrid.backends.htcondor.backend import open_htcondor

    reached = {name: _reach(site) for name, site in sites.items()}
    runner = pack_runner(settings.data / "runner")
    return open_htcondor(settings.data / "htcondor", runner, tracker, reached, assets.content(), settings.proxy)


def _reach(site: Site) -> "Reach":
    from lofargrid.backends.htcondor.nodes import Machine
    from lofargrid.backends.htcondor.submission import Reach

    name = site.grid_name or site.name
    plan = site.pilot
    pilot = Machine(name, plan.cores, plan.memory_mb, plan.walltime_min * 60) if plan else None
    return Reach(name, round(site.lost_after_min * 60), pilot)


_OPENERS: dict[str, Opener] = {"local": _local, "htcondor": _htcondor}
NAMES = tuple(_OPENERS)
"""The backends of this version."""


def lack_of(name: str) -> str:
    """What keeps a backend from being used on this machine; empty if nothing does."""
    if name not in _OPENERS:
        return f"the backend {name!r} is not in this version"
    if name == "htcondor" and not find_spec("htcondor2"):
        return "HTCondor's Python bindings are not installed"
    return ""


def open_backend(settings: Settings, tracker: str, sites: Mapping[str, Site]) -> Backend:
    """Open the backends that reach some sites, as one.

    Parameters
    ----------
    settings
        The machine's settings; ``data`` is the folder of the tracker.
    tracker
        The tracker's id.
    sites
        The sites that are to be reached.

    Raises
    ------
    BackendError
        One of them cannot be used.
    """
    of_site = {name: site.backend for name, site in sites.items()}
    opened = {
        name: opener(settings, tracker, {site: sites[site] for site, by in of_site.items() if by == name})
        for name, opener in _OPENERS.items()
        if name in of_site.values()
    }
    return next(iter(opened.values())) if len(opened) == 1 else SeveralBackends(opened, of_site)
