"""production.yaml and the settings of this machine. The only reader of the environment."""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from lofargrid.documents import Document, read_document, shown
from lofargrid.errors import Fault, InputError
from lofargrid.names import is_url, printable, safe_name

GapsPolicy = Literal["flag", "skip", "fail"]
BackendName = Literal["local", "htcondor", "dirac"]
PRIORITIES = range(-1000, 1001)
MOST_RUNNING = 1_000_000


class Policy(Document):
    """How much may be lacking. ``minimum_subbands`` is a fraction of the listed subbands of a SAP."""

    minimum_subbands: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.95
    gaps: GapsPolicy = "flag"
    keep_intermediates: bool = False


class ProductionDocument(Document):
    """production.yaml, as its writer wrote it.

    ``priority`` and ``max_running`` say when its jobs run and not what they make: they are no part of the recipe.
    """

    production: str
    pipeline: str
    inputs: dict[str, str | list[str]]
    parameters: dict[str, Any] = {}
    output: str
    software: str = "local"
    backend: BackendName = "local"
    sites: str | list[str] = "all"
    policy: Policy = Policy()
    priority: int = 0
    max_running: int | None = None

    @field_validator("production", "pipeline")
    @classmethod
    def _harmless(cls, name: str) -> str:
        if not safe_name(name):
            raise ValueError(f"{shown(name)} may hold letters, digits, - and _ only, 64 at most")
        return name

    @field_validator("parameters", "policy", mode="before")
    @classmethod
    def _nothing_set(cls, value: Any) -> Any:
        """A key whose lines are all commented out sets nothing."""
        return {} if value is None else value

    @field_validator("priority", "max_running", mode="before")
    @classmethod
    def _in_bounds(cls, value: Any, field: ValidationInfo) -> Any:
        if field.field_name == "max_running" and value is None:
            return value
        bounds = PRIORITIES if field.field_name == "priority" else range(1, MOST_RUNNING + 1)
        if isinstance(value, bool) or not isinstance(value, int) or value not in bounds:
            raise ValueError(f"{shown(value)} is not a whole number from {bounds[0]} to {bounds[-1]}")
        return value

    @field_validator("output")
    @classmethod
    def _known_scheme(cls, output: str) -> str:
        if not output or not printable(output):
            raise ValueError(f"{shown(output)} is no name of a folder")
        if output.startswith("file://") and not output.startswith(("file:///", "file://localhost/")):
            raise ValueError(f"{output!r} has no absolute path; three slashes begin one: file:///data/out")
        schemes = ("file://", "davs://", "root://", "gsiftp://")
        if is_url(output) and not output.startswith(schemes):
            raise ValueError(f"{output!r} is not a place to write to; it may start with {', '.join(schemes)}")
        return output


def read_production(path: Path) -> ProductionDocument:
    """Read production.yaml.

    Raises
    ------
    InputError
        It does not fit; every fault is told with its line.
    """
    return read_document(path, ProductionDocument)


@dataclass(frozen=True)
class Settings:
    """Where lofargrid keeps its things on this machine, and who uses it.

    ``slots`` is the number of payloads that the local backend runs at once, ``pipelines`` folders of the user's
    own pipelines, ``sites`` the user's own site files, a later one going before an earlier one.
    """

    data: Path
    scratch: Path | None
    slots: int
    owner: str
    contact: str
    pipelines: tuple[Path, ...] = ()
    sites: tuple[Path, ...] = ()

    @property
    def tracker(self) -> Path:
        """The tracker's file."""
        return self.data / "tracker.db"


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the machine's settings: XDG folders, LOFARGRID_DATA, LOFARGRID_SCRATCH, LOFARGRID_SLOTS,
    LOFARGRID_CONTACT, LOFARGRID_PIPELINES, LOFARGRID_SITES.

    Raises
    ------
    InputError
        LOFARGRID_SLOTS is not a number.
    """
    home = Path(environment.get("HOME") or "/")
    share = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    owner = environment.get("USER") or environment.get("LOGNAME") or pwd.getpwuid(os.getuid()).pw_name
    scratch = environment.get("LOFARGRID_SCRATCH")
    own_sites = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "lofargrid" / "sites.yaml"
    return Settings(
        data=Path(environment.get("LOFARGRID_DATA") or share / "lofargrid"),
        scratch=Path(scratch) if scratch else None,
        slots=_positive(environment.get("LOFARGRID_SLOTS")) or len(os.sched_getaffinity(0)),
        owner=re.sub(r"[^A-Za-z0-9._-]", "_", owner),
        contact=environment.get("LOFARGRID_CONTACT") or owner,
        pipelines=_paths(environment.get("LOFARGRID_PIPELINES", "")),
        # One that cannot be reached is as if it were not there; exists() would raise.
        sites=((own_sites,) if os.access(own_sites, os.F_OK) else ()) + _paths(environment.get("LOFARGRID_SITES", "")),
    )


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(one) for one in text.split(":") if one)


def _positive(text: str | None) -> int:
    """A whole number from 1; 0 where none is given."""
    if not text:
        return 0
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise InputError(Fault(f"{text!r} is not a number of slots", "Give a whole number from 1", "LOFARGRID_SLOTS"))
    return int(text)
