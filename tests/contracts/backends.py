"""Backends for the contract suite, each behind the same few words: start, finish, fail, look again."""

from __future__ import annotations

import os
import secrets
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lofargrid_runner.contract import InputFile, JobSpec, Limits, Reason, report_from_json

from lofargrid import assets
from lofargrid.backends.base import Backend, Observation
from lofargrid.backends.local import LocalBackend
from lofargrid.model import Site
from lofargrid.simulation.faults import Flaw
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.work import StepCost, Work
from lofargrid.states import Phase
from tests.unit.engine_factories import ScriptedBackend

SITE = "here"
PATIENCE_S = 30.0
LOST_AFTER_S = 40
OVER = (Phase.ENDED, Phase.LOST)


def spec(folder: Path, number: int = 1, script: str = "true") -> JobSpec:
    """An attempt whose payload is a shell script."""
    (folder / "sandbox").mkdir(exist_ok=True)
    return JobSpec(
        attempt=f"abcd1234-{number}-1",
        job=f"job-{number}",
        production="field",
        step="first",
        owner="someone",
        contact="someone@example.org",
        site="here",
        sandbox=str(folder / "sandbox"),
        commands=(("sh", "-c", script),),
        limits=Limits(walltime_s=60, memory_mb=4000),
        destination=(folder / "out put").as_uri(),
    )


class Harness(Protocol):
    """One implementation under test."""

    backend: Backend

    def job(self, number: int) -> JobSpec:
        """An attempt that runs until it is told how to end."""

    def underway(self, one: JobSpec) -> None:
        """Return when the payload of an attempt works."""

    def end(self, one: JobSpec, exit_code: int = 0) -> None:
        """Let the payload of an attempt end so."""

    def starts(self, one: JobSpec) -> int:
        """How often the payload of an attempt was started."""

    def reopen(self) -> Backend:
        """Another process opens the same backend."""

    def close(self) -> None:
        """Clear up."""


class Scripted:
    """The scripted fake of the engine's tests: it must keep the promises that it plays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend = ScriptedBackend()

    def job(self, number: int) -> JobSpec:
        return spec(self.folder, number)

    def underway(self, one: JobSpec) -> None:
        self.backend.run(one.job)

    def end(self, one: JobSpec, exit_code: int = 0) -> None:
        if exit_code:
            self.backend.fail(one.job, Reason.PAYLOAD_FAILED)
        else:
            self.backend.succeed(one.job, measured={})

    def starts(self, one: JobSpec) -> int:
        return self.backend.started.count(one.job)

    def reopen(self) -> Backend:
        return self.backend

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Local:
    """The local backend with the true runner: payloads say that they began, and wait on a pipe for their end."""

    folder: Path
    runner: Path
    slots: int = 2
    pipes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.opened: list[Backend] = []
        self.backend = self.reopen()

    def reopen(self) -> Backend:
        self.opened.append(LocalBackend(self.folder / "attempts", self.runner, self.slots))
        return self.opened[-1]

    def job(self, number: int) -> JobSpec:
        for kind in ("began", "end"):
            path = self.folder / f"{kind}-{number}"
            os.mkfifo(path)
            self.pipes[f"job-{number} {kind}"] = os.open(path, os.O_RDWR)
        script = (
            f"echo begun >> '{self.folder}/starts-{number}'; echo begun > '{self.folder}/began-{number}';"
            f" read code < '{self.folder}/end-{number}'; exit $code"
        )
        return spec(self.folder, number, script)

    def underway(self, one: JobSpec) -> None:
        pipe = self.pipes[f"{one.job} began"]
        assert select.select([pipe], [], [], PATIENCE_S)[0], "the payload did not begin"
        os.read(pipe, 100)

    def end(self, one: JobSpec, exit_code: int = 0) -> None:
        os.write(self.pipes[f"{one.job} end"], f"{exit_code}\n".encode())

    def starts(self, one: JobSpec) -> int:
        path = self.folder / f"starts-{one.job.removeprefix('job-')}"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def close(self) -> None:
        for pipe in self.pipes.values():
            os.write(pipe, b"1\n")
        for backend in self.opened:
            backend.close()
        for pipe in self.pipes.values():
            os.close(pipe)


class Condor(Local):
    """A real HTCondor pool with the true runner."""

    proxy: Path | None = None

    def __post_init__(self) -> None:
        self.tracker = secrets.token_hex(4)
        super().__post_init__()

    def reopen(self) -> Backend:
        from lofargrid.backends.htcondor.backend import open_htcondor
        from lofargrid.backends.htcondor.submission import Reach

        root, sites = self.folder / "attempts", {SITE: Reach(SITE, LOST_AFTER_S)}
        self.opened.append(open_htcondor(root, self.runner, self.tracker, sites, assets.content(), self.proxy))
        return self.opened[-1]

    def close(self) -> None:
        from lofargrid.backends.htcondor.schedd import Schedd

        # The pool outlives a test, and its jobs would hold the nodes.
        schedd = Schedd(self.tracker)
        schedd.remove([one.id for one in schedd.all()])
        super().close()


class Simulated:
    """The grid in a box: each payload takes ten times as long as the one before, and time passes when it is told to."""

    def __init__(self, folder: Path, nodes: int = 4) -> None:
        self.folder = folder
        self.input = f"davs://{SITE}.example/data/in"
        site = Site(SITE, slots=nodes, prefixes=(f"davs://{SITE}.example/data",))
        steps = {f"step{number}": StepCost(seconds=100.0 * 10**number, spread=0.0) for number in range(1, 6)}
        self.grid = Grid({SITE: site}, work=Work(steps), keep_trace=True)
        self.backend = self.grid.backend
        self.nodes = [node.host for node in self.grid.nodes[SITE]]

    def job(self, number: int) -> JobSpec:
        url = f"{self.input}/{number}"
        self.grid.add_file(url, 1000)
        source = InputFile("raw", f"{number}", url, "raw")
        one = spec(self.folder, number)
        limits = one.limits._replace(walltime_s=1e9)
        return one._replace(site=SITE, step=f"step{number}", inputs=(source,), limits=limits)

    def underway(self, one: JobSpec) -> None:
        self.grid.clock.advance(self.grid.clock.elapsed_s + 60.0)

    def end(self, one: JobSpec, exit_code: int = 0) -> None:
        if exit_code:
            self.grid.files.flaws[one.inputs[0].url] = Flaw.CHOKING
        while one.attempt not in [past.attempt for past in self.grid.measure.attempts]:
            self.grid.clock.step(float("inf"))

    def starts(self, one: JobSpec) -> int:
        return sum(" start " in line and one.attempt.partition("-")[2] in line for line in self.grid.trace.lines)

    def reopen(self) -> Backend:
        return self.backend

    def close(self) -> None:
        """Nothing is open."""


class Watcher:
    """Follows a backend as the engine does, from cursor to cursor."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.cursor: str | None = None
        self.told: list[Observation] = []

    @property
    def latest(self) -> dict[str, Observation]:
        return {one.attempt: one for one in self.told}

    def look(self) -> None:
        changes = self.backend.changes(self.cursor)
        self.cursor = changes.cursor
        self.told += changes.observations

    def until(
        self, wanted: Callable[[dict[str, Observation]], bool], patience_s: float = PATIENCE_S
    ) -> dict[str, Observation]:
        """Look until it is as wanted."""
        deadline = time.monotonic() + patience_s
        self.look()
        while not wanted(self.latest):
            assert time.monotonic() < deadline, f"not so: {self.latest}"
            self.backend.wait(1.0)
            self.look()
        return self.latest

    def until_over(self, *jobs: JobSpec) -> dict[str, Observation]:
        """Look until these attempts are over."""
        return self.until(lambda latest: all(job.attempt in latest and latest[job.attempt].phase in OVER
                                             for job in jobs))  # fmt: skip

    def phases(self, job: JobSpec) -> list[Phase]:
        """What was told of an attempt, in order."""
        return [one.phase for one in self.told if one.attempt == job.attempt]


def reason(observation: Observation) -> str | None:
    """Why an attempt failed, from the report as it came."""
    return report_from_json(observation.report_text).reason
