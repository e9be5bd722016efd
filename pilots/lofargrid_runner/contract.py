"""The wire contract between the submit host and the runner: ``job.json`` in, ``report.json`` out.

The only file of the runner that lofargrid imports. Standard library, Python >= 3.9, nothing else,
so that both sides read and write the same names, once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, Union

Number = Union[int, float]
Value = Union[bool, int, float, str, "tuple[Any, ...]", None]

CONTRACT_VERSION = 1

JOB_FILE = "job.json"
REPORT_FILE = "report.json"
LOG_FILE = "job.log"
LOCK_FILE = "lock"
WORK_MARK = ".lofargrid-work"  # says whose directory it is: nothing else may ever be removed
PILOT_FILE = "pilot.json"
TOKEN_FILE = "token"
STARTD_FILE = "startd.config"
TOOLS = ("gfal-copy", "xrdcp", "curl", "https")
PILOT_REPORT = "lofargrid pilot report: "
"""Begins the last line that a pilot prints; its report follows as JSON."""


class Reason(str, Enum):
    """Why an attempt or a job is where it is. Reasons explain and select a retry rule; they never drive."""

    NODE_UNFIT = "node-unfit"
    SCRATCH_FULL = "scratch-full"
    INPUT_MISSING = "input-missing"
    INPUT_UNREADABLE = "input-unreadable"
    INPUT_CORRUPT = "input-corrupt"
    INPUT_TRUNCATED = "input-truncated"
    INPUT_UNSAFE = "input-unsafe"
    INPUT_WRONG_KIND = "input-wrong-kind"
    INPUT_NEARLINE = "input-nearline"
    STORAGE_UNAVAILABLE = "storage-unavailable"
    STORAGE_FULL = "storage-full"
    CREDENTIAL_EXPIRED = "credential-expired"
    CREDENTIAL_REFUSED = "credential-refused"
    SOFTWARE_MISSING = "software-missing"
    SOFTWARE_UNREACHABLE = "software-unreachable"
    PAYLOAD_FAILED = "payload-failed"
    PAYLOAD_KILLED = "payload-killed"
    PAYLOAD_CRASHED = "payload-crashed"
    OUT_OF_MEMORY = "out-of-memory"
    OUT_OF_TIME = "out-of-time"
    CHECK_FAILED = "check-failed"
    CHECK_BROKEN = "check-broken"
    OUTPUT_MISSING = "output-missing"
    STAGE_OUT_FAILED = "stage-out-failed"
    STOPPED = "stopped"
    EVICTED = "evicted"
    HELD = "held"
    NOT_STARTED = "not-started"
    RUNNER_ERROR = "runner-error"
    LOST = "lost"
    SUBMIT_FAILED = "submit-failed"
    NEED_FAILED = "need-failed"
    TOO_FEW_INPUTS = "too-few-inputs"
    GAP = "gap"
    FREQUENCY_UNKNOWN = "frequency-unknown"
    FREQUENCY_CLASH = "frequency-clash"
    CANCELLED = "cancelled"

    def __str__(self) -> str:
        return self.value


class Stage(str, Enum):
    """What the runner does, in this order; a report names the stage it ended in."""

    PROBE = "probe"
    STAGE_IN = "stage-in"
    SETUP = "setup"
    PAYLOAD = "payload"
    CHECKS = "checks"
    STAGE_OUT = "stage-out"
    DONE = "done"


class InputFile(NamedTuple):
    """A file to bring to the node before the payload starts.

    ``path`` is relative to the work directory. With ``unpack`` the file is a tar that holds exactly one
    folder, which becomes ``path``. ``kind`` ``ms`` asks for a casacore table of type Measurement Set.
    ``size_bytes`` and ``adler32`` (8 lower-case hex digits) are compared where known. ``carried`` is where the
    batch system has put a copy of it, relative to the attempt directory; the copy is read, and then removed.
    ``token`` is a file with the bearer token that opens it at its storage, in place of a proxy: absolute, or relative
    to the attempt directory.
    """

    name: str
    key: str
    url: str
    path: str
    unpack: bool = False
    kind: str = ""
    size_bytes: int | None = None
    adler32: str | None = None
    carried: str = ""
    token: str = ""


class OutputFile(NamedTuple):
    """A file or folder that the payload leaves at ``path``; stored as ``<filename>.<attempt>``.

    With ``pack`` it is a folder, stored as one tar.
    """

    name: str
    path: str
    filename: str
    pack: bool = False


class Expectation(NamedTuple):
    """What a measured value must be.

    ``within`` is the absolute tolerance of ``equals``, also for each element of a list.
    """

    equals: Value = None
    within: Number = 0
    minimum: Number | None = None
    maximum: Number | None = None


class Check(NamedTuple):
    """A command that prints one JSON object of measurements, and what they must be."""

    name: str
    command: tuple[str, ...]
    expect: Mapping[str, Expectation] = {}


class Limits(NamedTuple):
    """What the payload may take. Memory is the resident set of its whole process group."""

    walltime_s: Number
    memory_mb: int
    scratch_mb: int = 0
    cores: int = 1


class JobSpec(NamedTuple):
    """One attempt at one job, complete: what the runner reads from ``job.json``.

    ``sandbox`` is a folder with the pipeline's scripts, linked into the work directory as ``sandbox``.
    ``files`` are small texts (rendered parsets) written into the work directory before the payload.
    ``path`` is put before PATH, ``aliases`` are commands that go by another name on this node.
    ``destination`` is the folder URL that takes the outputs. With ``carry`` they are put into that folder of the
    attempt directory, from which the batch system brings them to ``destination``. ``token`` is a file with the bearer
    token that opens ``destination``, as with inputs.
    ``node`` is the only node that may run it, ``avoid`` nodes that may not; empty means any and none. A runner that
    fails sooner than after ``linger_s`` seconds keeps its slot until then, so that a broken node gets few jobs. For
    ``patience_s`` it tries again to store outputs. A payload that still works when its walltime is over may go on for
    ``overtime_s``; a batch system is asked for both.
    ``tools`` may be used to reach grid storages, the best first: ``gfal-copy``, ``xrdcp``, ``curl`` where the node has
    them, and ``https`` for the runner's own client.
    An attempt without commands and outputs is a probe: it looks at the node.
    """

    attempt: str
    job: str
    production: str
    step: str
    owner: str
    contact: str
    site: str
    sandbox: str
    commands: tuple[tuple[str, ...], ...]
    limits: Limits
    destination: str
    inputs: tuple[InputFile, ...] = ()
    files: Mapping[str, str] = {}
    checks: tuple[Check, ...] = ()
    outputs: tuple[OutputFile, ...] = ()
    environment: Mapping[str, str] = {}
    path: tuple[str, ...] = ()
    aliases: Mapping[str, str] = {}
    software: Mapping[str, str] = {}
    node: str = ""
    avoid: tuple[str, ...] = ()
    linger_s: Number = 0
    patience_s: Number = 0
    overtime_s: Number = 0
    carry: str = ""
    token: str = ""
    tools: tuple[str, ...] = TOOLS
    contract: int = CONTRACT_VERSION


class Transfer(NamedTuple):
    """One copy to or from the node. ``verified`` says that a reference checksum was there and agreed."""

    name: str
    url: str
    size_bytes: int
    seconds: float
    adler32: str
    verified: bool


class StoredFile(NamedTuple):
    """An output as it now stands on storage."""

    name: str
    filename: str
    url: str
    size_bytes: int
    adler32: str


class Report(NamedTuple):
    """What happened to one attempt. Written whatever happens; the exit code is only a hint.

    ``node`` says host, cpus, cpu_model, cpu_flags, memory_mb, scratch_free_mb, python, kernel and cvmfs;
    ``ids`` every id a site admin may hold; ``measurements`` holds each check's JSON by its name;
    ``seconds`` the wall time of each stage.
    """

    attempt: str
    job: str
    outcome: str
    stage: str
    reason: str | None = None
    detail: str = ""
    exit_code: int | None = None
    signal: int | None = None
    started: str = ""
    ended: str = ""
    seconds: Mapping[str, float] = {}
    peak_memory_mb: float = 0.0
    cpu_s: float = 0.0
    node: Mapping[str, Any] = {}
    ids: Mapping[str, str] = {}
    software: Mapping[str, str] = {}
    transfers: tuple[Transfer, ...] = ()
    outputs: tuple[StoredFile, ...] = ()
    measurements: Mapping[str, Mapping[str, Any]] = {}
    contract: int = CONTRACT_VERSION

    @property
    def succeeded(self) -> bool:
        """Whether all outputs stand on storage and every check held."""
        return self.outcome == "succeeded"


class PilotSpec(NamedTuple):
    """A pilot to be: what ``join`` reads from ``pilot.json``. The file ``token`` beside it opens the pool's door.

    ``site`` is what its jobs ask for, ``collector`` the pool's address, ``htcondor`` where HTCondor's programs are
    (empty: on PATH; a folder; a tarball as a path or an https:// URL, of that ``sha256``). It offers ``cores`` and
    ``memory_mb``, and wants ``scratch_mb`` free and the folders ``needs`` to be there. It goes after ``walltime_s``,
    or when no job has come for ``idle_s``.
    """

    pilot: str
    site: str
    owner: str
    contact: str
    collector: str
    cores: int
    memory_mb: int
    scratch_mb: int
    walltime_s: int
    idle_s: int
    htcondor: str = ""
    sha256: str = ""
    needs: tuple[str, ...] = ()
    contract: int = CONTRACT_VERSION


class PilotReport(NamedTuple):
    """How a pilot ended. Printed whatever happens, on one line.

    ``joined`` says whether it got so far as to offer itself to the pool. ``reason`` is None if it left because no
    job came, its time was up, or it was drained.
    """

    pilot: str
    joined: bool
    reason: str | None
    detail: str
    started: str
    ended: str
    node: Mapping[str, Any] = {}
    ids: Mapping[str, str] = {}
    contract: int = CONTRACT_VERSION


def to_json(value: JobSpec | Report | PilotSpec | PilotReport, indent: int | None = 1) -> str:
    """Write a job, pilot or report as JSON, keys in declared order; without ``indent`` in one line, and faster."""
    return json.dumps(_plain(value), indent=indent) + "\n"


def _plain(value: Any) -> Any:
    """Turn records into dictionaries, all the way down: JSON would take them for lists."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def job_from_json(text: str) -> JobSpec:
    """Read ``job.json``.

    Raises
    ------
    ValueError
        The text is not JSON, lacks a field, or is of another contract version.
    """
    data = _object(text)
    try:
        return JobSpec(
            **{
                **data,
                "commands": tuple(tuple(command) for command in data["commands"]),
                "limits": Limits(**data["limits"]),
                "inputs": tuple(InputFile(**entry) for entry in data["inputs"]),
                "checks": tuple(_check(entry) for entry in data["checks"]),
                "outputs": tuple(OutputFile(**entry) for entry in data["outputs"]),
                "path": tuple(data["path"]),
                "avoid": tuple(data.get("avoid", ())),
                "tools": tuple(data.get("tools", TOOLS)),
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a job of contract {CONTRACT_VERSION}: {error}") from error


def report_from_json(text: str) -> Report:
    """Read ``report.json``.

    Raises
    ------
    ValueError
        The text is not JSON, lacks a field, or is of another contract version.
    """
    data = _object(text)
    try:
        return Report(
            **{
                **data,
                "transfers": tuple(Transfer(**entry) for entry in data["transfers"]),
                "outputs": tuple(StoredFile(**entry) for entry in data["outputs"]),
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a report of contract {CONTRACT_VERSION}: {error}") from error


def pilot_from_json(text: str) -> PilotSpec:
    """Read ``pilot.json``.

    Raises
    ------
    ValueError
        The text is not JSON, lacks a field, or is of another contract version.
    """
    data = _object(text)
    try:
        return PilotSpec(**{**data, "needs": tuple(data["needs"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a pilot of contract {CONTRACT_VERSION}: {error}") from error


def pilot_report_from_json(text: str) -> PilotReport:
    """Read the report of a pilot.

    Raises
    ------
    ValueError
        The text is not JSON, lacks a field, or is of another contract version.
    """
    try:
        return PilotReport(**_object(text))
    except TypeError as error:
        raise ValueError(f"not a pilot's report of contract {CONTRACT_VERSION}: {error}") from error


def _check(entry: dict[str, Any]) -> Check:
    expect = {key: _expectation(value) for key, value in entry["expect"].items()}
    return Check(entry["name"], tuple(entry["command"]), expect)


def _expectation(entry: dict[str, Any]) -> Expectation:
    return Expectation(**{**entry, "equals": _frozen(entry.get("equals"))})


def _frozen(value: Any) -> Any:
    """Turn JSON's lists into the tuples they were written from."""
    return tuple(_frozen(element) for element in value) if isinstance(value, list) else value


def _object(text: str) -> dict[str, Any]:
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("contract") != CONTRACT_VERSION:
        found = data.get("contract") if isinstance(data, dict) else None
        raise ValueError(f"contract {found!r} where {CONTRACT_VERSION} is spoken")
    return data
