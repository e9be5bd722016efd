"""A pilot as the pool knows it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Joined:
    """A pilot as the pool knows it.

    ``batch`` holds the ids of its batch system, ``heard`` its last sign of life, ``jobs`` the ids that HTCondor knows
    its jobs by.
    """

    pilot: str
    slot: str
    site: str
    node: str
    batch: str
    cores: int
    running: int
    ends: datetime
    heard: datetime
    draining: bool
    jobs: tuple[str, ...] = ()
