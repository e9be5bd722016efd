"""What must be here for jobs to run on this machine."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lofargrid.backends.registry import lack_of
from lofargrid.cli.session import Session, now
from lofargrid.cli.text import bytes_text, time_text
from lofargrid.commands import run
from lofargrid.credentials.bearer import read_bearer
from lofargrid.documents.sites import nearest_site, web_servers
from lofargrid.documents.software import Software
from lofargrid.errors import BackendError, InputError
from lofargrid.recipes.recipe import Recipe

_PIP = "make setup, or: pip install 'lofargrid[science]'"
_PROGRAMS = {
    "DP3": ("flagging, averaging, calibration, joining", _PIP),
    "H5parm_collector.py": ("merging solutions", _PIP),
    "wsclean": (
        "imaging",
        "sudo apt-get install wsclean (Debian, Ubuntu); the PyPI name wsclean is another program",
    ),
}
MODULES = {"numpy": "checks", "casacore.tables": "checks of MeasurementSets", "tables": "checks of solutions",
            "astropy": "images", "matplotlib": "pictures", "lofarantpos": "demo-data"}  # fmt: skip

_TOKEN_S = 60


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``remedy`` brings it if it is missing."""

    what: str
    good: bool
    found: str
    remedy: str = ""


def examine(session: Session) -> list[Finding]:
    """Look at everything."""
    local = session.software("local")
    return [
        *_machine(session),
        *_tracker(session),
        *_programs(local),
        *_modules(),
        *_credentials(session),
        *_htcondor(session),
    ]


def missing_programs(recipe: Recipe, software: Software) -> list[str]:
    """What steps of a recipe start and this machine has not, a line each with the steps and the remedy."""
    users: dict[str, list[str]] = {}
    for name, step in recipe.steps.items():
        for program in step.programs:
            users.setdefault(program, []).append(name)
    return [
        f"{program} is not on PATH, so {', '.join(steps)} will fail and all else is made. "
        f"To bring it: {_PROGRAMS.get(program, ('', 'install it'))[1]}"
        for program, steps in users.items()
        if software.find(program, os.environ.get("PATH", os.defpath)) is None
    ]


def _machine(session: Session) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer, then make setup")
    yield Finding("slots", True, f"{session.settings.slots} jobs at a time (LOFARGRID_SLOTS)")
    folder = session.settings.scratch or session.tracker_path.parent
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    free = shutil.disk_usage(nearest).free
    remedy = "free space, or name another disk with LOFARGRID_SCRATCH"
    yield Finding("disk", free > 1e9, f"{bytes_text(free)} free in {nearest}", remedy)


def _tracker(session: Session) -> Iterator[Finding]:
    try:
        session.tracker().close()
        yield Finding("tracker", True, str(session.tracker_path))
    except InputError as error:
        fault = error.faults[0]
        yield Finding("tracker", False, f"{session.tracker_path}: {fault.what}", fault.remedy)


def _programs(software: Software) -> Iterator[Finding]:
    for name, (use, remedy) in _PROGRAMS.items():
        path = software.find(name, os.environ.get("PATH", os.defpath))
        yield Finding(f"{name} ({use})", path is not None, path or "not on PATH", remedy)


def _modules() -> Iterator[Finding]:
    for name, use in MODULES.items():
        result = run([sys.executable, "-c", f"import {name}"], {**os.environ, "OPENBLAS_NUM_THREADS": "1"})
        found = "there" if result.exit_code == 0 else result.stderr.strip().rpartition("\n")[2]
        yield Finding(f"python module {name} ({use})", result.exit_code == 0, found, _PIP)


def _credentials(session: Session) -> Iterator[Finding]:
    """Look at the user's tokens for storages: one that nobody reads is not missed by anything else."""
    sites, folder = session.sites(), session.settings.tokens
    try:
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        yield Finding("tokens", False, f"{folder}: {error.strerror}", f"make it yours: chmod 700 {folder}")
        return
    for path in paths:
        what = f"token {path.name}"
        if path.name not in sites:
            yield Finding(what, False, f"{path} is named after no site", nearest_site(path.name, sites))
        elif not web_servers(sites[path.name]):
            yield Finding(what, False, f"{path.name} has no door of https", "name its `davs` door in your sites.yaml")
        else:
            yield _credential(what, path)


def _credential(what: str, path: Path) -> Finding:
    remedy = "ask its storage for a new one"
    try:
        ends = read_bearer(path)
    except InputError as error:
        return Finding(what, False, f"{path}: {error.faults[0].what}", error.faults[0].remedy)
    good = ends is None or ends > now()
    found = f"good until {time_text(ends.isoformat())}" if ends else "it does not say when it ends"
    return Finding(what, good, found if good else f"{path} has ended", remedy)


def _htcondor(session: Session) -> Iterator[Finding]:
    """Look at the pool, where a site is reached through one."""
    sites = [name for name, site in session.sites().items() if site.backend == "htcondor"]
    if not sites:
        return
    lack = lack_of("htcondor")
    yield Finding("HTCondor's bindings", not lack, lack or "there", "pip install 'lofargrid[htcondor]'")
    if lack:
        return
    from lofargrid.backends.htcondor.schedd import Schedd, unprotected

    try:
        yield Finding("schedd", True, Schedd("doctor").version())
    except BackendError as error:
        yield Finding("schedd", False, str(error), "see docs/how-to/htcondor.md: CONDOR_CONFIG, or start HTCondor")
    bare = unprotected()
    found = f"not required here: {', '.join(bare)}" if bare else "authentication, encryption, integrity"
    remedy = f"{' '.join(f'{one} = REQUIRED' for one in bare)}, in the pool's configuration and in that of this machine"
    yield Finding("connections of the pool", not bare, found, remedy)
    yield from _tokens(session)


def _tokens(session: Session) -> Iterator[Finding]:
    """Look whether a token for a pilot can be had, where pilots are started from here."""
    if not session.has_pilots():
        return
    from lofargrid.pilots.pool import Pool

    remedy = "see docs/how-to/a-pool-of-your-own.md: who may have tokens, and SEC_TOKEN_FETCH_ALLOWED_SIGNING_KEYS"
    try:
        pool = Pool()
        pool.token(_TOKEN_S)
        yield Finding("tokens for pilots", True, f"{pool.collector} gives them")
    except BackendError as error:
        yield Finding("tokens for pilots", False, str(error), remedy)
