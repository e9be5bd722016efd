"""production.yaml, as its writer wrote it."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from lofargrid.documents.reading import Document, read_document, shown
from lofargrid.names import is_url, printable, safe_name

_PLAIN_URL = r"[a-z]+://[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._/+-]*"

GapsPolicy = Literal["flag", "skip", "fail"]


BackendName = Literal["local", "htcondor", "dirac"]


PRIORITIES = range(-1000, 1001)


MOST_RUNNING = 1_000_000


class Policy(Document):
    """How much may be lacking. ``minimum_subbands`` is a fraction of the listed subbands of a SAP."""

    minimum_subbands: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.95
    gaps: GapsPolicy = "flag"
    keep_intermediates: bool = False


class CredentialDocument(Document):
    """What a production asks of its user's proxy; ``hours`` is how long it is to be good for at least."""

    vo: Annotated[str, Field(pattern="^[A-Za-z0-9._-]{0,100}$")] = ""
    role: Annotated[str, Field(pattern="^[A-Za-z0-9._-]{0,100}$")] = ""
    hours: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)] = 0.0


class ProductionDocument(Document):
    """production.yaml, as its writer wrote it.

    ``priority``, ``max_running`` and ``credential`` say when and by whose leave its jobs run and not what they make:
    they are no part of the recipe.
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
    credential: CredentialDocument = CredentialDocument()
    priority: int = 0
    max_running: int | None = None

    @field_validator("production", "pipeline")
    @classmethod
    def _harmless(cls, name: str) -> str:
        if not safe_name(name):
            raise ValueError(f"{shown(name)} may hold letters, digits, - and _ only, 64 at most")
        return name

    @field_validator("parameters", "policy", "credential", mode="before")
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
        if is_url(output) and not output.startswith("file://") and not re.fullmatch(_PLAIN_URL, output):
            # Storages do not agree on how such a path is read: by some it is decoded twice, by some never.
            raise ValueError("it is no plain URL of a folder, such as davs://door.example.org:2880/lofar/me/out-1")
        return output


def read_production(path: Path) -> ProductionDocument:
    """Read production.yaml.

    Raises
    ------
    InputError
        It does not fit; every fault is told with its line.
    """
    return read_document(path, ProductionDocument)
