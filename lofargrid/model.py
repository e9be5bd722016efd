"""The nouns of lofargrid as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lofargrid_runner.contract import TOOLS

from lofargrid.states import JobState, Reason


@dataclass(frozen=True)
class Subband:
    """One line of an input list: a subband of one observation in one role.

    ``frequency_hz`` is the centre. It, ``size_bytes`` and ``adler32`` are what the list promises. ``problem``
    and ``reason`` tell why it cannot be used. ``project`` and ``public_from``, a date, are what the list knows of who
    may read it; they are not kept.
    """

    role: str
    observation: str
    sap: int
    number: int
    url: str
    source: str = ""
    line: int = 0
    size_bytes: int | None = None
    adler32: str | None = None
    frequency_hz: float | None = None
    reason: Reason | None = None
    problem: str = ""
    project: str = ""
    public_from: str = ""

    @cached_property
    def key(self) -> str:
        """``L654321-SAP000-SB244``: the subband's name in job ids and files."""
        return f"{self.observation}-SAP{self.sap:03d}-SB{self.number:03d}"


@dataclass(frozen=True)
class PlannedJob:
    """A job before the tracker knows it.

    ``key`` is what it works on, ``signature`` a hash of all that its result depends on: two jobs of one
    name and one signature make the same product. ``needs`` are names of jobs; ``expansion`` names grouped
    steps whose jobs are needed and are not made yet. ``group`` is floor(ABN / N) in a grouped step, ``depth`` the
    step's place in its pipeline.
    """

    name: str
    step: str
    role: str
    sap: int
    key: str
    signature: str
    subbands: tuple[str, ...]
    needs: tuple[str, ...] = ()
    expansion: tuple[str, ...] = ()
    group: int | None = None
    depth: int = 0
    slots: tuple["Slot", ...] = ()
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True)
class Slot:
    """One absolute subband of a group. ``key`` is empty where no subband is there to fill it."""

    abn: int
    frequency_hz: float
    key: str = ""


@dataclass(frozen=True)
class Job:
    """A job as the tracker holds it. Times are ISO 8601 UTC.

    ``home`` is the site that holds most of its inputs, ``grown`` what it asks for in place of its step's
    resources, ``shunned`` the sites that it keeps away from.
    """

    id: int
    production: str
    name: str
    step: str
    role: str
    sap: int
    key: str
    generation: int
    signature: str
    state: JobState
    reason: Reason | None
    detail: str
    tries: int
    unmet: int
    stale: bool
    subbands: tuple[str, ...]
    slots: tuple[Slot, ...]
    attempt: str | None
    updated: str
    home: str = ""
    grown: Mapping[str, float] = field(default_factory=dict)
    shunned: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredOutput:
    """A file that an attempt made. ``url`` is where it stands on scratch, ``published`` its final place.

    ``state`` is ``made`` or ``deleted``; a deleted one may live on as a published product.
    """

    job_id: int
    attempt: str
    name: str
    filename: str
    url: str
    size_bytes: int
    adler32: str
    state: str = "made"
    published: str = ""

    @property
    def location(self) -> str:
        """The URL to read it from, empty if it is gone."""
        return self.url if self.state == "made" else self.published


@dataclass(frozen=True)
class Source:
    """One file that goes into a job: a raw subband, or what another job made.

    ``measurements`` is the merged JSON of the checks of the job that made it.
    """

    key: str
    url: str
    size_bytes: int | None = None
    adler32: str | None = None
    frequency_hz: float | None = None
    measurements: Mapping[str, Any] = field(default_factory=dict)
    job: str = ""


LONGEST_PILOT_MIN = 2880.0
"""How long a pilot may stay where nobody says how long."""


@dataclass(frozen=True)
class Pilots:
    """How pilots of a site come about, and what each of them offers.

    ``through`` names the batch system: one of jdl/batch.yaml, ``here`` for this machine, ``script`` if somebody else
    starts them. `run` keeps ``at_most`` of them. They go after ``walltime_min``, or when no job has come for
    ``idle_min``; 0 in ``cores`` to ``walltime_min`` is what the site grants one job, but two days at most.
    ``htcondor`` is where HTCondor's programs are on a node: empty for PATH, a folder, or a tarball with its
    ``sha256``. A node must have the folders ``needs``. ``logs`` is a folder that nodes can write, ``options`` are
    words for the batch system, ``environment`` is for its commands.
    """

    through: str = "script"
    at_most: int = 0
    cores: int = 0
    memory_mb: int = 0
    scratch_mb: int = 0
    walltime_min: float = 0.0
    idle_min: float = 10.0
    htcondor: str = ""
    sha256: str = ""
    needs: tuple[str, ...] = ()
    logs: str = ""
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TapeService:
    """What recalls files of a site: ``by`` is the protocol that it speaks, ``at`` its URL.

    At most ``window_gb`` in ``window_files`` files lie on disk for us or are on their way there (1 GB = 10^9 bytes).
    """

    by: str
    at: str
    window_gb: float = 5000.0
    window_files: int = 5000


@dataclass(frozen=True)
class Site:
    """A place on the grid: storage, compute, or both.

    ``tier`` is 1 beside an archive, 2 elsewhere. ``slots`` is how many jobs we may have there at once, 0 where there is
    no compute. ``cores`` to ``scratch_mb`` bound one job. ``prefixes`` start the URLs of the files it holds,
    ``scratch`` is the folder URL of its intermediates. ``transfers`` copies may cross its wide-area link at once,
    ``bandwidth_mb_s`` together, one takes ``stream_mb_s`` at most (1 MB = 10^6 bytes). Nodes of a ``guarded`` site are
    quarantined by evidence. With ``tape`` what it holds may be on tape only, and ``recall`` brings it to disk.
    ``backend`` is the job system that reaches its compute, empty if none does. A node that is not heard of for
    ``lost_after_min`` is given up. With ``pilots`` its nodes are those that join the pool as pilots. ``tools`` are what
    its jobs may reach grid storages by, the best first.
    """

    name: str
    tier: int = 2
    grid_name: str = ""
    slots: int = 0
    cores: int = 1
    memory_mb: int = 1_000_000
    walltime_min: float = 1e9
    scratch_mb: int = 1_000_000_000
    prefixes: tuple[str, ...] = ()
    doors: Mapping[str, str] = field(default_factory=dict)
    scratch: str = ""
    transfers: int = 100
    bandwidth_mb_s: float = 1000.0
    stream_mb_s: float = 50.0
    guarded: bool = True
    tape: bool = False
    backend: str = ""
    lost_after_min: float = 20.0
    pilots: Pilots | None = None
    tools: tuple[str, ...] = TOOLS
    recall: TapeService | None = None

    @property
    def pilot(self) -> Pilots | None:
        """How its pilots come about, with all figures; the token of one that could stay for ever would last as long."""
        plan = self.pilots
        return plan and replace(
            plan,
            cores=plan.cores or self.cores,
            memory_mb=plan.memory_mb or self.memory_mb,
            scratch_mb=plan.scratch_mb or self.scratch_mb,
            walltime_min=plan.walltime_min or min(self.walltime_min, LONGEST_PILOT_MIN),
        )


@dataclass(frozen=True)
class Demand:
    """What one attempt asks of a site. ``bytes_at`` has its input bytes by the site that holds them, "" if none."""

    cores: int
    memory_mb: int
    walltime_min: float
    scratch_mb: int
    bytes_at: Mapping[str, int] = field(default_factory=dict)

    @property
    def home(self) -> str:
        """The site that holds most of its input bytes."""
        return max(sorted(self.bytes_at), key=lambda name: self.bytes_at[name], default="")
