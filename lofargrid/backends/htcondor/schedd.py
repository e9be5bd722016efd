"""The schedd that jobs are handed to: every call to HTCondor is made here, and fails in one way."""

import functools
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import classad2
import htcondor2

from lofargrid.backends.htcondor.nodes import Machine
from lofargrid.backends.htcondor.token import trouble_with
from lofargrid.errors import BackendError

P = ParamSpec("P")
R = TypeVar("R")
SEPARATOR = "\x1f"
_AT_ONCE = 1000
_REMEDY = "Does condor_q work here? Its configuration counts; the same command goes on"
_ASKED = [
    "ClusterId", "ProcId", "LofargridAttempt", "JobStatus", "CurrentHosts", "RemoteHost", "LastRemoteHost",
    "HoldReason", "HoldReasonCode", "HoldReasonSubCode", "RemoveReason", "LofargridJob", "LofargridSite", "RequestCpus",
    "RequestMemory", "LofargridWalltime",
]  # fmt: skip

IDLE, RUNNING, REMOVED, COMPLETED, HELD = 1, 2, 3, 4, 5
"""The values of JobStatus that we tell apart."""
_SPOOLING = 16
"""The hold code of a job whose files are on their way to the schedd."""


@dataclass(frozen=True)
class QueuedJob:
    """What the schedd says of one attempt. One that ``spools`` waits for its files, from whoever submitted it."""

    cluster: int
    proc: int
    attempt: str
    status: int
    shadows: int = 0
    node: str = ""
    hold: str = ""
    removal: str = ""
    job: str = ""
    site: str = ""
    cores: int = 1
    memory_mb: int = 0
    walltime_s: float = 0.0
    spools: bool = False

    @property
    def id(self) -> str:
        """The id that a site admin may hold."""
        return f"{self.cluster}.{self.proc}"

    @property
    def has_left(self) -> bool:
        """Whether nothing of it runs any more, or will."""
        return self.status == COMPLETED or (self.status == REMOVED and not self.shadows)


def answered(call: Callable[P, R]) -> Callable[P, R]:
    """Let a call that HTCondor does not answer fail as one that may be made again.

    Raises
    ------
    BackendError
        No answer, or a refusal, in HTCondor's words.
    """

    @functools.wraps(call)
    def ask(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a submit description; they are for its writer, that is us
                return call(*arguments, **options)
        except (htcondor2.HTCondorException, classad2.ClassAdException, OSError, RuntimeError) as error:
            words = " ".join(str(error).split()).rstrip(".") or "no reason is given"
            raise BackendError(f"HTCondor did not do what it was asked: {words}. {_remedy()}") from None

    return ask


def _remedy() -> str:
    folder = htcondor2.param.get("SEC_TOKEN_DIRECTORY", "") or Path.home() / ".condor" / "tokens.d"
    trouble = trouble_with(Path(folder), datetime.now(UTC))
    return f"{trouble}: with a new one the same command goes on" if trouble else _REMEDY


class Schedd:
    """One tracker's jobs in the queue of the schedd that HTCondor's configuration names.

    Parameters
    ----------
    tracker
        The tracker's id.
    """

    def __init__(self, tracker: str) -> None:
        self._tracker = tracker
        self._ours = f"LofargridTracker =?= {quoted(tracker)}"
        self._elsewhere: bool | None = None

    @answered
    def is_elsewhere(self) -> bool:
        """Whether the schedd is on another machine: files then travel through its spool, and it writes no log here."""
        if self._elsewhere is None:
            machine = str(_located()["Machine"]) if htcondor2.param.get("SCHEDD_HOST", "") else ""
            self._elsewhere = machine.casefold() not in ("", str(htcondor2.param["FULL_HOSTNAME"]).casefold())
        return self._elsewhere

    @answered
    def submit(self, description: str, fields: Sequence[str], items: Path) -> tuple[int, int]:
        """Hand over a proc for each line of a file.

        Returns
        -------
        cluster, first_proc
            The procs are numbered in the order of the lines.
        """
        queue = f"{', '.join(fields)} from {items}"
        spool = self.is_elsewhere()
        schedd = _schedd()
        result = schedd.submit(htcondor2.Submit(description), queue=queue, spool=spool)
        if spool:
            schedd.spool(result)
        return result.cluster(), result.first_proc()

    @answered
    def all(self) -> list[QueuedJob]:
        """All jobs of this tracker that are in the queue."""
        return [_queued(ad) for ad in _schedd().query(self._ours, projection=_ASKED)]

    @answered
    def some(self, attempts: Sequence[str]) -> list[QueuedJob]:
        """Those of some attempts that are in the queue."""
        schedd = _schedd()
        found: list[QueuedJob] = []
        for names in _portions(attempts):
            found += [_queued(ad) for ad in schedd.query(f"{self._ours} && {_among(names)}", projection=_ASKED)]
        return found

    @answered
    def bring_home(self, jobs: Sequence[QueuedJob]) -> None:
        """Let the files of jobs that have left come from a spool elsewhere to the folders that they are for."""
        schedd = _schedd()
        for portion in _portions(one.id for one in jobs if one.status == REMOVED):
            # What came from these is no more than this, and nothing comes of any if one file is not there.
            for name, value in (("Out", "/dev/null"), ("Err", "/dev/null"), ("TransferOutput", "report.json,job.log")):
                schedd.edit(portion, name, quoted(value))
        for portion in _portions(one.id for one in jobs):
            schedd.retrieve(portion)

    @answered
    def remove(self, ids: Sequence[str]) -> None:
        """Remove jobs; a running one is asked to end first."""
        for portion in _portions(ids):
            _schedd().act(htcondor2.JobAction.Remove, portion, reason=("lofargrid does not want it any more", 0))

    @answered
    def drop(self, attempts: Sequence[str]) -> list[QueuedJob]:
        """Take attempts out of the queue whose files never came to a schedd elsewhere; tell of those that have them.

        Their files may come at the very moment: the schedd judges.
        """
        torn = f"{self._ours} && JobStatus == {HELD} && HoldReasonCode == {_SPOOLING}"
        for names in _portions(attempts):
            _schedd().act(htcondor2.JobAction.Remove, f"{torn} && {_among(names)}")
        return [one for one in self.some(attempts) if one.status != REMOVED]

    @answered
    def let_go(self, ids: Sequence[str]) -> None:
        """Let ended jobs leave the queue. Those that somebody has taken out of it are passed over."""
        for portion in _portions(ids):
            try:
                _schedd().edit(portion, "LofargridTold", "true")
            except htcondor2.HTCondorException:
                still = {one.id for one in self.all()} & set(portion)
                if still:
                    _schedd().edit(sorted(still), "LofargridTold", "true")

    @answered
    def shun(self, site: str, nodes: str) -> None:
        """Keep the jobs of a site that have not ended from some nodes, a list with commas."""
        where = f"{self._ours} && LofargridSite == {quoted(site)} && (JobStatus <= 2 || JobStatus > 4)"
        schedd = _schedd()
        if schedd.query(where, projection=["ProcId"], limit=1):
            schedd.edit(where, "LofargridShunned", quoted(nodes))

    @answered
    def machines(self) -> list[Machine]:
        """The nodes of the pool that say of which site they are."""
        asked = ["GLIDEIN_Site", "TotalSlotCpus", "TotalSlotMemory"]
        # Pilots come and go: what the next one will be counts, which sites.yaml tells.
        where = "GLIDEIN_Site isnt undefined && DynamicSlot isnt true && LofargridPilot is undefined"
        ads = htcondor2.Collector().query(htcondor2.AdType.Startd, where, projection=asked)
        return [Machine(str(ad["GLIDEIN_Site"]), int(ad["TotalSlotCpus"]), int(ad["TotalSlotMemory"])) for ad in ads]

    @answered
    def version(self) -> str:
        """Ask the schedd who it is: its name, the bindings' version, and how files get there."""
        daemon = _schedd()
        daemon.query("false", projection=["ProcId"])
        name = str(htcondor2.param.get("SCHEDD_HOST", "")) or "the schedd of this machine"
        way = ", files go through its spool" if self.is_elsewhere() else ""
        return f"{name} answers, bindings {htcondor2.version().split()[1]}{way}"

    def spool(self, cluster: int, proc: int) -> Path:
        """Where the schedd on this machine puts what comes from a job that was removed."""
        root = Path(htcondor2.param.get("SPOOL", "/var/lib/condor/spool"))
        return root / str(cluster % 10000) / str(proc % 10000) / f"cluster{cluster}.proc{proc}.subproc0"


def _schedd() -> Any:
    # Each time anew: the schedd may have come back at another port.
    return htcondor2.Schedd(_located()) if htcondor2.param.get("SCHEDD_HOST", "") else htcondor2.Schedd()


def _located() -> Any:
    name = htcondor2.param["SCHEDD_HOST"]
    found = htcondor2.Collector().locate(htcondor2.DaemonType.Schedd, name)
    if found is None:
        raise htcondor2.HTCondorException(f"the pool knows of no schedd {name}, which SCHEDD_HOST names")
    return found


def called_back() -> dict[str, str]:
    """The environment of a tool that speaks to a pilot: as connections lead outwards only, the pilot calls back."""
    return {**os.environ, "_CONDOR_USE_SHARED_PORT": "False"}


def unprotected() -> list[str]:
    """What HTCondor's configuration here does not require of every connection, of all that our jobs need."""
    wanted = ("SEC_DEFAULT_AUTHENTICATION", "SEC_DEFAULT_ENCRYPTION", "SEC_DEFAULT_INTEGRITY")
    return [one for one in wanted if str(htcondor2.param.get(one, "")).upper() != "REQUIRED"]


def quoted(text: str) -> str:
    """A text as a ClassAd literal."""
    return str(classad2.quote(text))


def _among(attempts: Sequence[str]) -> str:
    return f"stringListMember(LofargridAttempt, {quoted(','.join(attempts))})"


def _queued(ad: Mapping[str, Any]) -> QueuedJob:
    host = str(ad.get("RemoteHost") or ad.get("LastRemoteHost") or "")
    hold = ""
    if ad["JobStatus"] == HELD:
        hold = told_hold(ad.get("HoldReason", ""), ad.get("HoldReasonCode", 0), ad.get("HoldReasonSubCode", 0))
    return QueuedJob(
        cluster=int(ad["ClusterId"]),
        proc=int(ad["ProcId"]),
        attempt=str(ad["LofargridAttempt"]),
        status=int(ad["JobStatus"]),
        shadows=int(ad.get("CurrentHosts", 0)),
        node=node_of(host),
        hold=hold,
        removal=str(ad.get("RemoveReason", "")),
        job=str(ad.get("LofargridJob", "")),
        site=str(ad.get("LofargridSite", "")),
        cores=int(ad.get("RequestCpus", 1)),
        memory_mb=int(ad.get("RequestMemory", 0)),
        walltime_s=float(ad.get("LofargridWalltime", 0)),
        spools=ad["JobStatus"] == HELD and ad.get("HoldReasonCode") == _SPOOLING,
    )


def told_hold(text: str, code: int, subcode: int) -> str:
    """Why HTCondor holds a job, with the numbers that its manual lists."""
    return f"held by HTCondor: {' '.join(str(text).split()) or 'no reason given'} (code {code}, subcode {subcode})"


def node_of(slot: str) -> str:
    """The node of a slot: ``slot1_2@node.example``."""
    return slot.rpartition("@")[2]


def _portions(names: Iterable[str]) -> list[list[str]]:
    every = list(names)
    return [every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE)]
