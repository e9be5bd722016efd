"""What must be here for jobs to run on this machine."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from lofargrid.cli.session import Session
from lofargrid.cli.text import bytes_text
from lofargrid.commands import run
from lofargrid.documents.software import Software
from lofargrid.errors import InputError
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


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``remedy`` brings it if it is missing."""

    what: str
    good: bool
    found: str
    remedy: str = ""


def examine(session: Session) -> list[Finding]:
    """Look at everything."""
    return [*_machine(session), *_tracker(session), *_programs(session.software("local")), *_modules()]


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
