"""What a diagnosis says, and what a rule finds."""

from dataclasses import dataclass

from lofargrid.states import JobState


@dataclass(frozen=True)
class Diagnosis:
    """``cause`` and ``remedy`` are a line each; ``root`` is the job that the cause lies in.

    ``since`` is when the cause began, ISO 8601 UTC. ``details`` are further lines: what else is known, and the
    attempts that failed.
    """

    job: str
    state: JobState
    cause: str
    remedy: str
    root: str
    since: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a rule found. Without a ``root`` the cause lies in the job itself."""

    cause: str
    remedy: str
    since: str
    root: str = ""
    details: tuple[str, ...] = ()
