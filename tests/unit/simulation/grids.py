"""A small grid for tests of the simulation: two sites with nodes, one with tapes, and attempts to run there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lofargrid_runner.contract import InputFile, JobSpec, Limits, OutputFile

from lofargrid.backends.base import Observation
from lofargrid.model import Site
from lofargrid.simulation.faults import Faults, Flaw
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.work import StepCost, Work
from lofargrid.states import Phase

NEAR = Site("NEAR", 1, slots=4, memory_mb=16000, prefixes=("davs://near.example/data",),
            scratch="davs://near.example/scratch", bandwidth_mb_s=100.0, stream_mb_s=50.0)  # fmt: skip
FAR = Site("FAR", 2, slots=2, memory_mb=8000, scratch="davs://far.example/scratch", bandwidth_mb_s=100.0,
           stream_mb_s=20.0)  # fmt: skip
SIZE_BYTES = 2_000_000_000
PAYLOAD_S = 1000.0
WORK = Work(other=StepCost(seconds=PAYLOAD_S, seconds_per_gb=0.0, memory_mb=2000.0, memory_mb_per_gb=0.0, spread=0.0))


def grid(faults: Faults | None = None, near: Mapping[str, Any] | None = None, **changes: Any) -> Grid:
    """The two sites; NEAR holds the data."""
    sites = {"NEAR": replace(NEAR, **(near or {})), "FAR": FAR}
    return Grid(sites, **{"seed": 1, "faults": faults, "work": WORK, "keep_trace": True} | changes)


def url(number: int) -> str:
    return f"davs://near.example/data/L1/SB{number:03d}.tar"


def add_input(one: Grid, number: int, flaw: Flaw | None = None, **changes: Any) -> InputFile:
    """Place a raw subband and say how a job reads it."""
    adler32 = one.add_file(url(number), SIZE_BYTES, flaw=flaw, **changes)
    return InputFile("raw", f"SB{number:03d}", url(number), "raw.MS", size_bytes=SIZE_BYTES, adler32=adler32)


def spec(
    number: int, inputs: Sequence[InputFile] = (), site: str = "NEAR", attempt: int = 1, **changes: Any
) -> JobSpec:
    """An attempt of a job over one subband."""
    one = JobSpec(
        attempt=f"abcd1234-{number}-{attempt}", job=f"L1-SAP000-SB{number:03d}-first", production="field", step="first",
        owner="someone", contact="someone@example.org", site=site, sandbox="/sandbox", commands=(("average",),),
        limits=Limits(3600, 4000), destination="davs://near.example/scratch/field", inputs=tuple(inputs),
        outputs=(OutputFile("ms", "first.MS", f"L1-SAP000-SB{number:03d}-first.MS"),),
    )  # fmt: skip
    return one._replace(**changes)


def submit(one: Grid, *numbers: int, flaw: Flaw | None = None, **changes: Any) -> list[JobSpec]:
    """Hand over attempts at jobs over these subbands."""
    specs = [spec(number, [add_input(one, number, flaw)], **changes) for number in numbers]
    one.backend.submit(specs)
    return specs


def later(one: Grid, seconds: float) -> None:
    one.clock.advance(one.clock.elapsed_s + seconds)


def told(one: Grid) -> dict[str, Observation]:
    """What is known of each attempt now."""
    return {observation.attempt: observation for observation in one.backend.changes(None).observations}


def history(one: Grid, attempt: str) -> list[Phase]:
    """What was told of an attempt since the beginning."""
    return [seen.phase for seen in one.backend.changes("0").observations if seen.attempt == attempt]


def run(one: Grid, *specs: JobSpec, most_s: float = 100_000.0) -> list[Observation]:
    """Let attempts come to their end, and tell how each did."""
    while one.clock.elapsed_s < most_s:
        known = told(one)
        if all(known[given.attempt].phase in (Phase.ENDED, Phase.LOST) for given in specs):
            return [known[given.attempt] for given in specs]
        one.backend.wait(100.0)
    raise AssertionError(f"no end: {told(one)}")


def reason(observation: Observation) -> str | None:
    assert observation.report, observation
    return observation.report.reason
