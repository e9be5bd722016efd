"""What steps take: seconds, memory, and the size of what they make."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lofargrid_runner.contract import JobSpec


@dataclass(frozen=True)
class StepCost:
    """What a job of a step takes on a node of speed 1.

    ``seconds`` and ``memory_mb`` are for any job, those ``_per_gb`` for each 10^9 bytes it reads. What it writes is
    ``output_ratio`` of what it reads, over all its outputs. ``spread`` is the standard deviation of the natural
    logarithm of both time and memory between jobs. No job takes more than
    ``most_seconds`` and ``most_memory_mb``.
    """

    seconds: float = 600.0
    seconds_per_gb: float = 300.0
    memory_mb: float = 1000.0
    memory_mb_per_gb: float = 200.0
    output_ratio: float = 0.5
    spread: float = 0.1
    most_seconds: float = math.inf
    most_memory_mb: float = math.inf


class Toll(NamedTuple):
    """What one job truly takes on a node of speed 1, whatever it was granted."""

    seconds: float
    memory_mb: float
    output_bytes: int


@dataclass(frozen=True)
class Work:
    """The costs of steps by name; a step that is not named takes ``other``."""

    steps: Mapping[str, StepCost] = field(default_factory=dict)
    other: StepCost = StepCost()

    def toll(self, spec: JobSpec, read_bytes: int, stream: random.Random) -> Toll:
        """What a job takes. The stream is the job's own, so that each attempt at it finds the same."""
        cost = self.steps.get(spec.step, self.other)
        read_gb = read_bytes / 1e9
        slower, larger = (math.exp(stream.gauss(0.0, cost.spread)) for _ in range(2))
        return Toll(
            min((cost.seconds + cost.seconds_per_gb * read_gb) * slower, cost.most_seconds),
            min((cost.memory_mb + cost.memory_mb_per_gb * read_gb) * larger, cost.most_memory_mb),
            max(round(read_bytes * cost.output_ratio), 1),
        )


SUBBAND_HZ = 195312.5
_FIRST_HZ = 100e6


def look(spec: JobSpec) -> Mapping[str, Mapping[str, float]]:
    """What the check of a job over one subband finds: its place in the spectrum, SB000 at 100 MHz, 200 MHz clock."""
    number = spec.job.partition("-SB")[2][:3]
    if not number.isdecimal():
        return {}
    return {"look": {"centre_frequency_hz": _FIRST_HZ + int(number) * SUBBAND_HZ, "clock_mhz": 200}}
