"""Rows of the tracker as values."""

import json
import sqlite3
from dataclasses import dataclass

from lofargrid.decisions.splitting import Beam
from lofargrid.model import Job, Slot, StoredOutput, Subband
from lofargrid.states import JobState, Phase, Reason


@dataclass(frozen=True)
class ProductionRecord:
    """A production as the tracker holds it; its recipe is asked for by itself, as it is long."""

    id: int
    name: str
    generation: int
    recipe_hash: str
    paused: bool
    created: str
    campaign: str | None
    priority: int
    max_running: int | None


@dataclass(frozen=True)
class Expansion:
    """A grouped step over one SAP whose jobs are still to be made."""

    production_id: int
    step: str
    beam: Beam


@dataclass(frozen=True)
class AttemptRecord:
    """One try at a job. Times are ISO 8601 UTC; ``report`` is what the runner wrote, as JSON."""

    id: str
    job_id: int
    number: int
    phase: Phase
    backend: str
    site: str
    node: str
    batch_id: str
    intended: str
    started: str | None
    ended: str | None
    reason: Reason | None
    detail: str
    report: str | None
    blamed: bool
    remote_from: str
    copy_s: float
    pilot: str


@dataclass(frozen=True)
class PilotRecord:
    """A pilot that was started from here. Times are ISO 8601 UTC; ``jobs`` counts the attempts seen in it."""

    id: str
    site: str
    through: str
    batch_id: str
    asked: str
    token: str
    token_expires: str
    node: str
    joined: str | None
    ended: str | None
    reason: str | None
    detail: str
    jobs: int


@dataclass(frozen=True)
class Ran:
    """An attempt as whoever looks at a node sees it: of which job, where, and whether it has ended."""

    attempt: str
    production: str
    job: str
    number: int
    site: str
    node: str
    pilot: str
    batch_id: str
    started: str | None
    ended: str | None
    reason: Reason | None


@dataclass(frozen=True)
class Kind:
    """Ready jobs that ask for the same and have their inputs at the same site. ``first`` is the id of one."""

    production_id: int
    step: str
    home: str
    grown: str | None
    shunned: str | None
    count: int
    first: int


@dataclass(frozen=True)
class Load:
    """How many attempts a backend has at a site, and how many of them copy, or will, from another one."""

    site: str
    remote_from: str
    attempts: int
    copies: int

    @property
    def burden(self) -> tuple[str, list[str], int, int]:
        """What it is to placement: the site, those it copies from, attempts and copies."""
        return self.site, self.remote_from.split(","), self.attempts, self.copies


@dataclass(frozen=True)
class QuarantineRecord:
    """A node, or with an empty ``node`` a site, that gets no jobs. Times are ISO 8601 UTC."""

    site: str
    node: str
    state: str
    since: str
    until: str
    strikes: int
    reason: str
    probe: str


@dataclass(frozen=True)
class RecallRecord:
    """A file that was asked for from tape, or may still be on disk because it was.

    ``request`` stands for it, "" if none does; what that brought stays until ``until``. The jobs ``waiting`` for it
    are not yet told that it is online; it ``came`` at that time, "" if it has not. ``readers`` are the productions that
    have jobs which read it and have not ended.
    """

    url: str
    size_bytes: int
    request: str
    since: str
    until: str
    came: str
    failures: int
    waiting: tuple[int, ...] = ()
    readers: tuple[int, ...] = ()

    def is_held(self, now: str) -> bool:
        """Whether it takes, or will take, space on the disks before the tapes."""
        return bool(self.request) or self.until > now


@dataclass(frozen=True)
class RecallLevel:
    """What the tapes of a site had on disk for us at a time, were to bring, and had brought in all."""

    site: str
    at: str
    on_disk_bytes: int
    awaited_bytes: int
    brought_bytes: int


def production(row: sqlite3.Row) -> ProductionRecord:
    """A row of productions."""
    return ProductionRecord(**{**dict(row), "paused": bool(row["paused"])})


def subband(row: sqlite3.Row) -> Subband:
    """A row of subbands."""
    return Subband(
        role=row["role"],
        observation=row["observation"],
        sap=row["sap"],
        number=row["number"],
        url=row["url"],
        source=row["source"],
        line=row["line"],
        size_bytes=row["size_bytes"],
        adler32=row["adler32"],
        frequency_hz=row["listed_frequency_hz"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        problem=row["problem"],
    )


def job(row: sqlite3.Row) -> Job:
    """A row of jobs, with the production's name."""
    return Job(
        id=row["id"],
        production=row["production"],
        name=row["name"],
        step=row["step"],
        role=row["role"],
        sap=row["sap"],
        key=row["key"],
        generation=row["generation"],
        signature=row["signature"],
        state=JobState(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        detail=row["detail"],
        tries=row["tries"],
        unmet=row["unmet"],
        stale=bool(row["stale"]),
        subbands=tuple(json.loads(row["subbands"])) if row["subbands"] else (row["key"],),
        slots=tuple(Slot(**slot) for slot in json.loads(row["slots"] or "[]")),
        attempt=row["attempt"],
        updated=row["updated"],
        home=row["home"],
        grown=json.loads(row["grown"] or "{}"),
        shunned=tuple(json.loads(row["shunned"] or "[]")),
    )


def attempt(row: sqlite3.Row) -> AttemptRecord:
    """A row of attempts."""
    reason = Reason(row["reason"]) if row["reason"] else None
    return AttemptRecord(**{**dict(row), "phase": Phase(row["phase"]), "reason": reason, "blamed": bool(row["blamed"])})


def quarantine(row: sqlite3.Row) -> QuarantineRecord:
    """A row of quarantine."""
    return QuarantineRecord(**dict(row))


def file(row: sqlite3.Row) -> StoredOutput:
    """A row of files."""
    return StoredOutput(
        job_id=row["job_id"],
        attempt=row["attempt"],
        name=row["name"],
        filename=row["filename"],
        url=row["url"],
        size_bytes=row["size_bytes"],
        adler32=row["adler32"],
        state=row["state"],
        published=row["published"],
    )
