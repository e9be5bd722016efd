"""What lofargrid adds to HTCondor: jobs handed over, run from end to end, and looked at again, beside its bindings.

On a pool of its own, in turn. Handing over stands beside one submit call of htcondor2 from a file, each job with a
folder and a file of its own there too; running beside the same runner submitted bare with the outputs named; a look at
100 changes beside a query of all jobs.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from lofargrid_runner.contract import JobSpec, Limits, to_json
from side_by_side import MEMORY, compare

from lofargrid import assets
from lofargrid.backends.base import Backend
from lofargrid.backends.htcondor.backend import HTCondorBackend, open_htcondor
from lofargrid.backends.htcondor.submission import Reach
from lofargrid.recipes.sandboxes import pack_runner
from lofargrid.states import Phase
from tests.grid.opening import opened_pool
from tests.grid.pool import Node

HANDED_OVER, END_TO_END, REFRESH = 1.25, 1.3, 1 / 20
SITE = "here"
FULL = Node("elsewhere", "wn2")
"""A node that gets no jobs: only the queue is filled."""


def spec(number: int, folder: Path, site: str) -> JobSpec:
    """An empty job."""
    return JobSpec(
        attempt=f"abcd1234-{number}-1", job=f"L1-SAP000-SB{number:06d}-empty", production="benchmark", step="empty",
        owner="someone", contact="someone", site=site, sandbox="", commands=(), limits=Limits(60, 100),
        destination=(folder / "out").as_uri(),
    )  # fmt: skip


class Bench:
    """A pool's schedd, and folders that are new each time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runner = pack_runner(root / "runner")
        self.count = 0

    def fresh(self) -> Path:
        """A new folder."""
        self.count += 1
        folder = self.root / str(self.count)
        folder.mkdir()
        return folder

    def backend(self, folder: Path) -> HTCondorBackend:
        """Our backend, with a tracker of its own."""
        sites = {name: Reach(name, 1200) for name in (SITE, FULL.site)}
        backend = open_htcondor(folder / "ours", self.runner, f"{self.count:08x}", sites, assets.content())
        backend.avoid({FULL.site: [FULL.host]})
        return backend

    def bare(self, folder: Path, jobs: Sequence[JobSpec]) -> int:
        """Hand over the same jobs by the bindings alone; their files are there already."""
        import htcondor2

        items = folder / "items"
        items.write_text("".join(f"{number}\n" for number in range(len(jobs))))
        description = htcondor2.Submit({
            "universe": "vanilla",
            "executable": str(assets.content() / "pilots" / "bootstrap.sh"),
            "arguments": "run job.json",
            "initialdir": f"{folder}/$(number)",
            "log": str(folder / "log"),
            "output": "runner.out",
            "error": "runner.log",
            "should_transfer_files": "YES",
            "when_to_transfer_output": "ON_EXIT",
            "transfer_input_files": f"job.json,{folder}/runner.pyz",
            "transfer_output_files": "report.json,job.log",
            "request_cpus": "1",
            "request_memory": "100",
            "request_disk": "1",
            "requirements": f'TARGET.GLIDEIN_Site =?= "{jobs[0].site}"',
        })  # fmt: skip
        return int(schedd().submit(description, queue=f"number from {items}").cluster())

    def written(self, jobs: Sequence[JobSpec]) -> Path:
        """A folder for each job, as whoever uses the bindings must make them too."""
        folder = self.fresh()
        (folder / "runner.pyz").symlink_to(self.runner)
        for number, one in enumerate(jobs):
            (folder / str(number)).mkdir()
            with (folder / str(number) / "job.json").open("w") as file:
                file.write(to_json(one, indent=None))
        return folder


def schedd() -> Any:
    """The pool's schedd, by the bindings."""
    import htcondor2

    name = htcondor2.param["SCHEDD_HOST"]
    return htcondor2.Schedd(htcondor2.Collector().locate(htcondor2.DaemonType.Schedd, name))


def seconds(act: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def clear() -> None:
    """Empty the queue."""
    import htcondor2

    one = schedd()
    if one.query("true", projection=["ClusterId"], limit=1):
        one.edit("true", "LeaveJobInQueue", "false")
        one.act(htcondor2.JobAction.Remove, "true")
    while one.query("true", projection=["ClusterId"], limit=1):
        time.sleep(0.1)  # the schedd removes them in its own time


def handing_over(bench: Bench, count: int, rounds: int) -> float:
    """Jobs that no node takes: only the queue is filled."""
    print(f"\n{count} jobs handed over")

    def ours() -> float:
        folder = bench.fresh()
        jobs = [spec(number, folder, FULL.site) for number in range(count)]
        backend = bench.backend(folder)
        backend.changes(None)
        taken = seconds(lambda: backend.submit(jobs))
        backend.close()
        clear()
        return taken

    def bare() -> float:
        folder = bench.fresh()
        jobs = [spec(number, folder, "nowhere") for number in range(count)]
        taken = seconds(lambda: bench.bare(bench.written(jobs), jobs))
        clear()
        return taken

    return compare(ours, bare, rounds, ("lofargrid", "htcondor2"))


def end_to_end(bench: Bench, count: int, rounds: int) -> float:
    """Empty jobs with the true runner, until the last one is known to have ended."""
    print(f"\n{count} empty jobs on 2 slots, until all are known to have ended")

    def ours() -> float:
        folder = bench.fresh()
        jobs = [spec(number, folder, SITE) for number in range(count)]
        backend = bench.backend(folder)
        cursor = backend.changes(None).cursor
        return seconds(lambda: until_over(backend, jobs, cursor))

    def bare() -> float:
        folder = bench.fresh()
        jobs = [spec(number, folder, SITE) for number in range(count)]
        return seconds(lambda: until_gone(bench, jobs))

    return compare(ours, bare, rounds, ("lofargrid", "htcondor2"))


def until_over(backend: Backend, jobs: Sequence[JobSpec], cursor: str) -> None:
    """Hand jobs over and follow them to their ends, as the engine does."""
    backend.submit(jobs)
    left = {one.attempt for one in jobs}
    while left:
        changes = backend.changes(cursor)
        cursor = changes.cursor
        for one in changes.observations:
            if one.phase in (Phase.ENDED, Phase.LOST):
                assert one.report, one.detail
                assert one.report.succeeded, one.report.detail
                left.discard(one.attempt)
        backend.wait(1.0)
    backend.changes(cursor)
    backend.close()


def until_gone(bench: Bench, jobs: Sequence[JobSpec]) -> None:
    """The same by the bindings: the reports are there when the event log has told the last end."""
    import htcondor2

    folder = bench.written(jobs)
    (folder / "log").touch()
    bench.bare(folder, jobs)
    left = len(jobs)
    for event in htcondor2.JobEventLog(str(folder / "log")).events(stop_after=None):
        left -= event.type == htcondor2.JobEventType.JOB_TERMINATED
        if not left:
            break
    for number in range(len(jobs)):
        assert "succeeded" in (folder / str(number) / "report.json").read_text()


def refresh(bench: Bench, count: int, rounds: int) -> float:
    """A look at what has changed for 100 of many jobs, beside a query of all of them."""
    print(f"\na look at 100 changes of {count} jobs")
    folder = bench.fresh()
    backend = bench.backend(folder)
    cursor = backend.changes(None).cursor
    backend.submit([spec(number, folder, FULL.site) for number in range(count)])
    cursor = backend.changes(cursor).cursor
    looked = [backend.changes(cursor).cursor]
    one = schedd()

    def ours() -> float:
        import htcondor2

        ads = one.query("JobStatus == 1", projection=["ClusterId", "ProcId"], limit=100)
        one.act(htcondor2.JobAction.Hold, [f"{ad['ClusterId']}.{ad['ProcId']}" for ad in ads])
        backend.wait(30.0)
        began = time.perf_counter()
        changes = backend.changes(looked[-1])
        taken = time.perf_counter() - began
        assert len(changes.observations) == 100, len(changes.observations)
        looked.append(changes.cursor)
        return taken

    def bare() -> float:
        return seconds(lambda: one.query("true", projection=["ClusterId", "ProcId", "JobStatus", "HoldReason"]))

    ratio = compare(ours, bare, rounds, ("lofargrid", "query of all"))
    backend.close()
    clear()
    return ratio


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--empty", type=int, default=200)
    parser.add_argument("--many", type=int, default=100_000)
    options = parser.parse_args()
    nodes = [Node(SITE, "wn1", cpus=2, memory_mb=4000), FULL]
    with opened_pool(nodes), tempfile.TemporaryDirectory(dir=MEMORY) as root:
        bench = Bench(Path(root))
        ratios = {
            "handing over": (handing_over(bench, options.jobs, options.rounds), HANDED_OVER),
            "end to end": (end_to_end(bench, options.empty, options.rounds), END_TO_END),
            "a look": (refresh(bench, options.many, options.rounds), REFRESH),
        }
    print(f"\n{'':>14} {'median':>8} {'target':>8}")
    for name, (ratio, target) in ratios.items():
        print(f"{name:>14} {ratio:>8.3f} {target:>8.3f}")
    worst = max(ratios.values(), key=lambda one: one[0] / one[1])
    print(f"{worst[0]:.3f} {worst[1]:.3f}")
    return int(worst[0] > worst[1])


if __name__ == "__main__":
    sys.exit(main())
