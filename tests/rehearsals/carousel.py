"""A carousel: observations on tape, a rolling window, and a driver that asks the simulated tapes over its protocol.

`python -m tests.rehearsals.carousel --seeds 0:20` runs it under all faults, and tells how long it took.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from lofargrid.errors import BackendError, UncertainError
from lofargrid.model import Site, Subband, TapeService
from lofargrid.recipes.recipe import Recipe
from lofargrid.rehearsal.rehearsal import Rehearsal
from lofargrid.rehearsal.scenario import PIPELINES, pipeline_of
from lofargrid.simulation.faults import Faults
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.tape import Library
from lofargrid.simulation.work import StepCost, Work
from lofargrid.states import JobState, Reason
from lofargrid.storage.asking import Service
from lofargrid.storage.base import Locality, Pinning, Recall, Recalled
from lofargrid.storage.bulk import BulkRequests
from lofargrid.storage.stageit import StageIt
from lofargrid.storage.tape_rest import TapeRest
from lofargrid.storage.tapes import Tapes
from tests.grid import wires

HOST = "srm://t1.example:8443"
LIBRARY = Library(drives=4, mount_s=120.0, drive_mb_s=250.0, cache_mb=60e6, files_per_cartridge=50)
FILE_BYTES = 36 * 10**9
SLOTS = 40
JOB_S = 1000.0
PERIOD_S = 30.0
DRIVERS = {"tape-rest": (TapeRest, "/api/v1/tape/"), "bulk": (BulkRequests, "/api/v1/"),
           "stageit": (StageIt, "/stageit/api/staging/")}  # fmt: skip
FAULTY = Faults(
    call_refused=0.02, answer_lost=0.02, service_down_a_day=4.0, trouble_s=1200.0,
    recall_failed=0.02, recall_lied=0.02, recall_hangs=0.01, recall_forgotten=0.002, pin_short=0.01, tape_lost=0.002,
)  # fmt: skip
REFUSALS = 0.02
"""The chance of a call to be answered by 401, 429 or 503."""


@dataclass
class Archive:
    """The simulated tapes as what stands behind a protocol.

    ``released`` has when each path was let go, ``most_files`` is the size of the largest request.
    """

    grid: Grid
    url: str = "https://t1.example/api/v1/tape"
    released: dict[str, float] = field(default_factory=dict)
    most_files: int = 0
    _files: dict[str, list[str]] = field(default_factory=dict)

    def where(self, path: str) -> Locality:
        file = self.grid.files.get(f"{HOST}{path}")
        return file.locality if file else Locality.ABSENT

    def size(self, path: str) -> int:
        return FILE_BYTES

    def beside(self, folder: str) -> list[str] | None:
        there = [url.removeprefix(HOST) for url in self.grid.files.inside(f"{HOST}{folder}")]
        return there or None

    def bring(self, paths: Sequence[str], lifetime_s: float) -> str:
        self.grid.recall.how = Pinning(lifetime_s=lifetime_s)
        name = self.grid.recall.request([f"{HOST}{path}" for path in paths])
        self._files[name] = list(paths)
        self.most_files = max(self.most_files, len(paths))
        return name

    def standing(self, name: str) -> Mapping[str, Recalled] | None:
        urls = [f"{HOST}{path}" for path in self._files.get(name, ())]
        told = self.grid.recall.poll(name, urls)
        return {url.removeprefix(HOST): one for url, one in told.items()} or None

    def opening(self, paths: Sequence[str]) -> tuple[str, list[str]]:
        return "", []

    def let_go(self, name: str, paths: Sequence[str]) -> None:
        self.grid.recall.release(name, [f"{HOST}{path}" for path in paths])
        self.released |= dict.fromkeys(paths, self.grid.clock.elapsed_s)


def over_the_wire(by: str, archive: Archive, refusals: float, stream: random.Random) -> Recall:
    """The driver of a protocol, and the simulated tapes behind it."""

    def answer(request: httpx.Request) -> httpx.Response:
        if stream.random() < refusals:
            return httpx.Response(stream.choice((401, 429, 503)))
        content = json.loads(request.content) if request.content else None
        try:
            archive.grid.recall.locality([])  # the way to the service, on which a call may get lost
            told = wires.answered(archive, request.method, request.url.raw_path.decode(), content)
        except UncertainError as error:
            raise httpx.ReadTimeout(str(error)) from error
        except BackendError as error:
            raise httpx.ConnectError(str(error)) from error
        return httpx.Response(told.status, json=told.content, headers=dict(told.headers))

    kind, place = DRIVERS[by]
    transport = httpx.MockTransport(answer)
    service = Service(
        "the tape service of T1", lambda: httpx.Client(base_url=f"https://t1.example{place}", transport=transport)
    )
    driver = StageIt(service, archive.grid.clock.now) if kind is StageIt else kind(service)
    return Tapes({"T1": driver}, lambda url: "T1" if url.startswith(HOST) else "")


@dataclass(frozen=True)
class Ride:
    """How a carousel went.

    ``bound_s`` is what tapes or nodes need at least. ``released_s`` is how long after its job each file was let go.
    ``most_asked`` files were awaited at once, ``most_files`` and ``most_tb`` are of one request. ``on_nearline`` jobs
    began before their files were there.
    """

    seed: int
    ended: bool
    makespan_s: float
    bound_s: float
    peak_tb: float
    failed: int
    unreadable: int
    on_nearline: int
    released_s: Sequence[float]
    jobs: int
    most_asked: int
    most_files: int
    most_tb: float
    mounts: int
    recalled_tb: float

    @property
    def ratio(self) -> float:
        return self.makespan_s / self.bound_s


def ride(
    seed: int, by: str = "tape-rest", faults: Faults | None = None, observations: int = 10, subbands: int = 244,
    window_tb: float = 20.0, library: Library = LIBRARY,
) -> Ride:  # fmt: skip
    """Ride it to its end."""
    window = TapeService(by, "https://t1.example", window_tb * 1000, 5000)
    site = Site("T1", tier=1, slots=SLOTS, cores=4, memory_mb=16000, prefixes=(f"{HOST}/lofar",), guarded=False,
                scratch="davs://t1.example:2880/scratch", tape=True, recall=window, transfers=1000,
                bandwidth_mb_s=1e6)  # fmt: skip
    work = Work({"average": StepCost(JOB_S, 0.0, 900, 0, 0.01, 0.05)})
    grid = Grid({"T1": site}, seed, faults, work, {"T1": library})
    recipes = [observation(number, subbands) for number in range(1, observations + 1)]
    for recipe in recipes:
        for one in recipe.subbands:
            grid.add_file(one.url, FILE_BYTES, on_tape=True)
    lost = sum(file.locality is Locality.LOST for file in grid.files.all())
    archive = Archive(grid)
    recall = over_the_wire(by, archive, REFUSALS if faults else 0.0, random.Random(f"{seed}:wire"))
    most: list[int] = [0]

    with tempfile.TemporaryDirectory(prefix="lofargrid-carousel-") as folder:
        rehearsal = Rehearsal(
            grid, Path(folder) / "tracker.db", recall=recall,
            watch=lambda tracker: most.append(max(most.pop(), sum(not one.came for one in tracker.recalls()))),
        )  # fmt: skip
        rehearsal.enter(recipes)
        outcome = rehearsal.run(timedelta(days=60), 2 * PERIOD_S if faults else PERIOD_S)
        failed = [
            job for one in rehearsal.tracker.productions() for job in rehearsal.tracker.jobs(one.id, [JobState.FAILED])
        ]
        rehearsal.close()
    ends = {past.job: past.ended_s for past in grid.measure.attempts}
    paths = {f"{one.observation}-SAP000-SB{one.number:03d}-average": one.url.removeprefix(HOST)
             for recipe in recipes for one in recipe.subbands}  # fmt: skip
    files = observations * subbands
    tape = grid.tapes["T1"]
    on_tape_s = files * FILE_BYTES / 1e6 / library.drive_mb_s / library.drives
    mounts_s = files / library.files_per_cartridge * library.mount_s / library.drives
    return Ride(
        seed=seed,
        ended=outcome.ended,
        makespan_s=outcome.makespan_s,
        bound_s=max(on_tape_s + mounts_s, grid.measure.used_core_s / SLOTS),
        peak_tb=tape.peak_pinned_mb / 1e6,
        failed=len(failed),
        unreadable=lost,
        on_nearline=sum(past.reason is Reason.INPUT_NEARLINE for past in grid.measure.attempts),
        released_s=sorted(
            archive.released[path] - ends[job]
            for job, path in paths.items()
            if path in archive.released and job in ends
        ),
        jobs=files,
        most_asked=most[0],
        most_files=archive.most_files,
        most_tb=archive.most_files * FILE_BYTES / 1e12,
        mounts=tape.mounts,
        recalled_tb=sum(tape.recalled_mb.values()) / 1e6,
    )


def observation(number: int, subbands: int) -> Recipe:
    """One observation, each subband of which is averaged."""
    name = f"L{number:06d}"
    listed = tuple(
        Subband("target", name, 0, one, f"{HOST}/lofar/{name}/{name}_SB{one:03d}.tar", "list", one, FILE_BYTES)
        for one in range(subbands)
    )
    return Recipe(
        production=name.lower(), pipeline=pipeline_of("single", PIPELINES["single"]), parameters={"group_size": 4},
        subbands=listed, output=f"davs://t1.example:2880/products/{name}", software="rehearsal", backend="simulated",
        gaps="flag", minimum_subbands=0.3, keep_intermediates=False, digests={}, files={}, templates={},
    )  # fmt: skip


def told(one: Ride) -> str:
    """A line of the table."""
    late = f"{max(one.released_s):.0f} s" if one.released_s else "-"
    hours = f"{one.makespan_s / 3600:6.1f} h  {one.bound_s / 3600:6.1f} h  {one.ratio:5.2f}"
    files = f"{one.most_asked:5d}  {one.on_nearline:4d}  {one.failed:3d} of {one.unreadable:3d}"
    return (
        f"{one.seed:4d}  {hours}  {one.peak_tb:6.2f} TB {late:>7}  {files}  {one.mounts:6d}  {one.recalled_tb:.1f} TB"
    )


@contextlib.contextmanager
def as_many_told(count: int) -> Iterator[None]:
    """Let the services tell so many files at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wires, "MOST_TOLD", count)
        patch.setattr(wires, "TARGETS_A_PAGE", count)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:1")
    parser.add_argument("--by", default="tape-rest", choices=sorted(DRIVERS))
    parser.add_argument("--calm", action="store_true")
    given = parser.parse_args()
    first, _, last = given.seeds.partition(":")
    print("seed  makespan     bound  ratio     pinned release  asked  near  failed     mounts  read")
    rides = []
    with as_many_told(400):
        for seed in range(int(first), int(last)):
            rides.append(ride(seed, given.by, None if given.calm else FAULTY))
            print(told(rides[-1]), flush=True)
    print(f"median {statistics.median(one.ratio for one in rides):.2f}")
    return int(not all(one.ended for one in rides))


if __name__ == "__main__":
    sys.exit(main())
