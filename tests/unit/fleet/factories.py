"""A fleet in a small world: a pool that says what it is told to, and a batch system of shell scripts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lofargrid_runner.contract import PILOT_REPORT, STARTD_FILE, PilotReport, to_json

from lofargrid.backends.htcondor.token import Token
from lofargrid.documents.batch import BatchDocument
from lofargrid.errors import BackendError
from lofargrid.model import Pilots, Site
from lofargrid.pilots.fleet import OUT, Fleet, Means
from lofargrid.pilots.joined import Joined
from lofargrid.states import Phase
from tests.unit.engine_factories import World, name, recipe

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
SECRET = "head.body.s3cr3t"
PILOTS = Pilots(through="fake", cores=4)
LEIDEN = Site("Leiden", backend="htcondor", slots=10, cores=2, memory_mb=4000, walltime_min=60, pilots=PILOTS)
FAKE = BatchDocument(submit=["fakesub"], living=["fakels"], cancel=["fakerm"])


def joined(pilot: str, **changes: Any) -> Joined:
    one = Joined(
        pilot, f"slot1@{pilot}@wn1.leiden.example.org", "Leiden", "wn1.leiden.example.org", "slurm=12", 4, 0,
        NOW + timedelta(hours=1), NOW, False,
    )  # fmt: skip
    return replace(one, **changes)


@dataclass
class FakePool:
    """What the pool would say."""

    pilots: list[Joined] = field(default_factory=list)
    refusal: str = ""
    drained: list[str] = field(default_factory=list)
    offered: int = 0
    collector: str = "pool.example.org:9618"

    def token(self, lifetime_s: int) -> Token:
        if self.refusal:
            raise BackendError(self.refusal)
        return Token(SECRET, "jti-1", NOW + timedelta(seconds=lifetime_s))

    def joined(self) -> list[Joined]:
        if self.refusal:
            raise BackendError(self.refusal)
        return self.pilots

    def cores(self, site: str) -> int:
        return self.offered

    def drain(self, pilots: list[Joined]) -> None:
        self.drained += [one.pilot for one in pilots]


class Berth:
    """Where a fleet lies: its folder, its programs on PATH, its tracker with jobs to wait for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(folder)
        self.world.enter(recipe(range(100, 120)))
        self.pool = FakePool()
        self.sites = {"Leiden": LEIDEN}
        self.now = NOW
        self.programs = folder / "programs"
        self.programs.mkdir()
        content = folder / "content"
        (content / "pilots").mkdir(parents=True)
        for file in ("bootstrap.sh", STARTD_FILE):
            (content / "pilots" / file).write_text(f"{file}\n")
        (folder / "runner.pyz").write_bytes(b"runner")
        self.means = Means(
            folder / "runner.pyz", content, {"fake": FAKE}, folder / "pilots", "janneke", "janneke@example.org"
        )
        self.program("fakesub", f'n=$(ls {folder}/pilots | wc -l); touch {folder}/lives-$n; echo "$n"')
        self.program("fakels", f"cd {folder}; ls | sed -n 's/^lives-//p'")
        self.program("fakerm", f'for one; do rm {folder}/lives-"$one"; echo "$one" >> {folder}/cancelled; done')

    def program(self, called: str, script: str) -> None:
        path = self.programs / called
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.world.tracker, self.sites, self.pool, self.means, lambda: self.now)  # type: ignore[arg-type]

    def queue(self, jobs: int, site: str = "Leiden") -> None:
        """Let some jobs wait for a node."""
        for number in range(100, 100 + jobs):
            self.world.tracker.write(
                "INSERT INTO attempts (id, job_id, number, phase, backend, site, intended)"
                " VALUES (?, ?, 1, ?, 'htcondor', ?, '')",
                f"a{number}", self.world.job(name(number, "first")).id, Phase.QUEUED, site,
            )  # fmt: skip

    def report(self, pilot: str, reason: str | None, detail: str) -> None:
        """Let a pilot have ended with its report."""
        report = PilotReport(pilot, True, reason, detail, "", "", {"host": "wn7"})
        (self.means.root / pilot / OUT).write_text(f"hello\n{PILOT_REPORT}{to_json(report, indent=None)}")

    def gone(self, number: int) -> None:
        """Let the batch system forget a pilot."""
        (self.folder / f"lives-{number}").unlink()

    def pilots(self, **changes: Any) -> None:
        self.sites = {"Leiden": replace(LEIDEN, pilots=replace(PILOTS, **changes))}

    @property
    def cancelled(self) -> list[str]:
        path = self.folder / "cancelled"
        return path.read_text().split() if path.exists() else []
