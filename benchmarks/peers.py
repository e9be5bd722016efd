"""What a user could pick instead: the same jobs on the same pool by DAGMan, parsl, dask-jobqueue and snakemake.

For each the time from the command to its end, the memory of the client with all that it starts, and what it costs if
the client is killed half-way with -9 and started again: jobs that ran twice, jobs that never ran, and whether somebody
had to remove a lock or what was left in the queue. lofargrid's jobs have an input, a checksum, a check, a report and an
output; the others' have nothing but their command. It is judged by how often its jobs ran for each job that there was.
"""

import argparse
import contextlib
import math
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from runner import make_inputs
from side_by_side import verdict

from tests.grid.opening import opened_pool
from tests.grid.pool import Node, Pool
from tests.grid.processes import AS_NOBODY, below

HERE = Path(__file__).resolve().parent
SITE = "here"
TARGET = 1.0
PATIENCE_S = 900
HAND_S = 60
"""After this time somebody looks at the queue, and removes what the killed client has left there."""
WORK = """\
#!/bin/sh
# Says that it ran: the words are the file to say so in, the seconds that it takes, and who it is.
echo "$3" >> "$1"
sleep "$2"
"""
PIPELINE = """\
pipeline: beside
version: "1"
description: The command that the others run too.
roles:
  data: {{description: Any tars}}
steps:
  work:
    description: Run it
    over: data
    split: subband
    inputs:
      raw: {{from: data, path: raw.tar}}
    commands:
      - [sh, -c, '{command} "${{LOFARGRID_ATTEMPT%-*}}"']
    outputs:
      copy: {{path: raw.tar, suffix: .tar}}
    resources: {{cores: 1, memory_mb: 100, walltime_min: 5, scratch_factor: 2}}
"""
NODE = """\
executable = /bin/sh
arguments = "{command} $(number)"
transfer_executable = false
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
transfer_output_files = ""
output = $(number).out
error = $(number).err
request_cpus = 1
request_memory = 100MB
request_disk = 1MB
log = nodes.log
queue
"""


@dataclass(frozen=True)
class Task:
    """So many jobs, each of which says that it ran."""

    folder: Path
    count: int
    seconds: float

    @property
    def ran(self) -> Path:
        """Where they say so."""
        return self.folder / "ran"

    @property
    def command(self) -> str:
        """What one is, but for its number."""
        return f"{self.folder}/work.sh {self.ran} {self.seconds}"

    def runs(self) -> Counter[str]:
        """How often each ran so far."""
        return Counter(self.ran.read_text().split())


@dataclass(frozen=True)
class Tool:
    """One of those to pick from.

    ``words`` writes what the user would write, and gives the command; ``again`` is what must be said before the same
    command goes on after a crash; ``client`` finds the process that is killed.
    """

    name: str
    packages: tuple[str, ...]
    words: Callable[[Task], list[str]]
    again: tuple[str, ...] = ()
    client: Callable[[subprocess.Popen[bytes]], int] = lambda process: process.pid


def lofargrid(task: Task) -> list[str]:
    """A production over tars."""
    if not (task.folder / "production.yaml").exists():
        make_inputs(task.folder, task.count, pipeline="beside")
        with (task.folder / "production.yaml").open("a") as file:
            file.write("backend: htcondor\n")
        pipeline = task.folder / "pipelines" / "beside"
        pipeline.mkdir(parents=True)
        (pipeline / "pipeline.yaml").write_text(PIPELINE.format(command=task.command))
        (task.folder / "sites.yaml").write_text(
            f"sites: {{{SITE}: {{backend: htcondor, slots: {task.count}, cores: 2, memory_mb: 4000,"
            " scratch_mb: 1000, walltime_min: 60}}\n"
        )
    return [sys.executable, "-m", "lofargrid.cli", "run", "production.yaml"]


def dagman(task: Task) -> list[str]:
    """A node for each job."""
    dag = task.folder / "jobs.dag"
    if dag.exists():
        return ["condor_wait", "jobs.dag.dagman.log"]
    (task.folder / "node.sub").write_text(NODE.format(command=task.command))
    # It does not like its logs to be below /tmp.
    (task.folder / "strict").write_text("DAGMAN_USE_STRICT = 0\n")
    dag.write_text(
        "CONFIG strict\n"
        + "".join(f'JOB N{number} node.sub\nVARS N{number} number="{number}"\n' for number in range(task.count))
    )
    return ["sh", "-c", "condor_submit_dag -f jobs.dag && exec condor_wait jobs.dag.dagman.log"]


def dagman_of(_: subprocess.Popen[bytes]) -> int:
    """DAGMan is a job of the schedd."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == "condor_dagman":
                return int(entry.name)
    sys.exit("DAGMan does not run")


def snakemake(task: Task) -> list[str]:
    """A rule."""
    return ["snakemake", "--snakefile", str(HERE / "others" / "Snakefile"), "--executor", "htcondor", "--jobs", "1000",
            "--rerun-incomplete", "--htcondor-jobdir", "jobs",
            "--config", f"count={task.count}", f"folder={task.folder}", f"seconds={task.seconds}"]  # fmt: skip


def script(name: str) -> Callable[[Task], list[str]]:
    """A script in Python."""
    return lambda task: ["python", str(HERE / "others" / name), str(task.count), task.command]


TOOLS = (
    Tool("lofargrid", (), lofargrid),
    Tool("DAGMan", (), dagman, client=dagman_of),
    Tool("parsl", ("parsl==2026.10.26",), script("with_parsl.py")),
    Tool("dask-jobqueue", ("dask-jobqueue==0.9.0",), script("with_dask.py")),
    Tool(
        "snakemake", ("snakemake==9.27.1", "snakemake-executor-plugin-htcondor==0.3.0"), snakemake,
        again=("--unlock",),
    ),
)  # fmt: skip


class Bench:
    """New folders on the pool, and an environment for each tool."""

    def __init__(self, root: Path, ask: Callable[..., str]) -> None:
        self.root = root
        self.ask = ask
        self.count = 0

    def task(self, count: int, seconds: float) -> Task:
        """A folder with nothing but the command."""
        self.count += 1
        task = Task(self.root / str(self.count), count, seconds)
        task.folder.mkdir()
        task.ran.touch()
        (task.folder / "work.sh").write_text(WORK)
        (task.folder / "work.sh").chmod(0o755)
        return task

    def environment(self, tool: Tool, task: Task) -> Mapping[str, str]:
        """What a tool runs in; its packages are installed the first time."""
        path = os.environ["PATH"]
        if tool.packages:
            home = self.root / tool.name
            if not home.exists():
                venv.create(home, with_pip=True)
                subprocess.run([home / "bin" / "pip", "install", "-qq", *tool.packages], check=True)
            path = f"{home}/bin:{path}"
        ours = {"LOFARGRID_DATA": "tracker", "LOFARGRID_PIPELINES": "pipelines", "LOFARGRID_SITES": "sites.yaml"}
        return {**os.environ, **{key: str(task.folder / value) for key, value in ours.items()}, "PATH": path}

    def start(self, tool: Tool, task: Task) -> "subprocess.Popen[bytes]":
        """Start a tool on a task, or start it again."""
        words = tool.words(task)
        with (task.folder / "said").open("ab") as out:
            return subprocess.Popen(
                [*AS_NOBODY, *words], cwd=task.folder, env=self.environment(tool, task), stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def whole(self, tool: Tool, count: int) -> tuple[float, float]:
        """Seconds and megabytes that a tool takes for so many jobs that take no time."""
        task = self.task(count, 0)
        self.environment(tool, task)
        began, peak = time.monotonic(), 0.0
        process = self.start(tool, task)
        while process.poll() is None:
            peak = max(peak, sum(map(memory_mb, [process.pid, *below(process.pid)])))
            self.patient(began, tool, task)
            pause(process, 0.1)
        self.finish(process, tool, task)
        if len(task.runs()) < count:
            sys.exit(f"{tool.name} did {len(task.runs())} of {count}:\n{said(task)}")
        return time.monotonic() - began, peak

    def killed(self, tool: Tool, count: int) -> tuple[int, int, bool]:
        """How many jobs ran twice and how many never, where the client is killed half-way and started again.

        Also whether somebody had to help.
        """
        task = self.task(count, 0.3)
        process = self.start(tool, task)
        began = time.monotonic()
        while len(task.runs()) < count // 2:
            self.patient(began, tool, task)
            if process.poll():
                self.finish(process, tool, task)
            pause(process, 0.02)
        client = tool.client(process)
        os.kill(client, 9)
        if client == process.pid:
            process.wait()
        left = self.ask("condor_q", "-allusers", "-af", "ClusterId").split()
        if tool.again:
            environment = self.environment(tool, task)
            subprocess.run([*AS_NOBODY, *tool.words(task), *tool.again], cwd=task.folder, env=environment, check=True,
                           capture_output=True)  # fmt: skip
        process = self.start(tool, task)
        helped = bool(tool.again)
        try:
            process.wait(HAND_S)
        except subprocess.TimeoutExpired:
            if set(left) & set(self.ask("condor_q", "-allusers", "-af", "ClusterId").split()):
                self.ask("condor_rm", *left)
                helped = True
        self.finish(process, tool, task)
        runs = task.runs()
        return sum(runs.values()) - len(runs), count - len(runs), helped

    def finish(self, process: "subprocess.Popen[bytes]", tool: Tool, task: Task) -> None:
        """Let a tool come to its end."""
        if process.wait(PATIENCE_S):
            sys.exit(f"{tool.name} failed:\n{said(task)}")

    def patient(self, began: float, tool: Tool, task: Task) -> None:
        """Give up on a tool that gets nowhere."""
        if time.monotonic() - began > PATIENCE_S:
            sys.exit(f"{tool.name} does not end:\n{said(task)}")


def said(task: Task) -> str:
    """The end of what a tool has said."""
    return (task.folder / "said").read_text()[-2000:]


def memory_mb(pid: int) -> float:
    """The memory of a process; none if it is gone."""
    with contextlib.suppress(OSError):
        return int(Path("/proc", str(pid), "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--killed", type=int, default=40)
    parser.add_argument("--tools", nargs="+", default=[one.name for one in TOOLS])
    options = parser.parse_args()
    print(f"{options.jobs} jobs on 2 slots; {options.killed} where the client is killed half-way and started again")
    print(f"{'':>14} {'seconds':>8} {'MB':>6} {'ran twice':>10} {'never ran':>10} {'by hand':>8}")
    runs_for_each = math.inf
    with (
        opened_pool([Node(SITE, "wn1", cpus=2, memory_mb=4000, shared=True)]) as pool,
        tempfile.TemporaryDirectory(dir="/tmp", prefix="peers-") as root,
    ):
        Path(root).chmod(0o755)
        bench = Bench(Path(root), pool.ask)
        for tool in (one for one in TOOLS if one.name in options.tools):
            seconds, peak = bench.whole(tool, options.jobs)
            clear(pool)
            twice, never, helped = bench.killed(tool, options.killed)
            clear(pool)
            hand = "yes" if helped else "no"
            print(f"{tool.name:>14} {seconds:>8.1f} {peak:>6.0f} {twice:>10} {never:>10} {hand:>8}", flush=True)
            if tool.name == "lofargrid":
                runs_for_each = (options.killed + twice) / (options.killed - never)
    if "lofargrid" not in options.tools:
        return 0
    return verdict(runs_for_each, TARGET)


def pause(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Let a tool work for a while, but no longer than it does."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def clear(pool: Pool) -> None:
    """Let the next one have both slots, whatever the last one has left behind."""
    pool.ask("condor_rm", "-all")
    pool.ask("condor_rm", "-all", "-forcex")
    pool.until_empty()


if __name__ == "__main__":
    sys.exit(main())
