"""What this worker node is, and by which ids its site admin knows us."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from .contract import Limits, Reason
from .failure import Failure, free_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MIB = 1 << 20  # "MB" of limits and reports: what the batch systems mean by it

# Variable of the batch environment -> the key of Report.ids.
BATCH_IDS = {
    "SLURM_JOB_ID": "slurm",
    "SLURM_ARRAY_JOB_ID": "slurm_array",
    "SLURM_ARRAY_TASK_ID": "slurm_array_task",
    "PBS_JOBID": "pbs",
    "LSB_JOBID": "lsf",
    "OAR_JOB_ID": "oar",
    "JOB_ID": "sge",
    "CREAM_JOBID": "cream",
    "GRID_GLOBAL_JOBID": "arc",
    "GRID_GLOBAL_JOBURL": "arc_url",
    "GLITE_WMS_JOBID": "glite_wms",
    "HTCONDOR_JOBID": "htcondor_ce",
    "DIRACJOBID": "dirac",
    "JOBID": "dirac",
    "DIRAC_PILOT_STAMP": "dirac_pilot",
}
CONDOR_ATTRIBUTES = {"ClusterId": "htcondor_cluster", "ProcId": "htcondor_proc", "GlobalJobId": "htcondor"}
PILOT_ATTRIBUTES = {"LofargridPilot": "pilot", "LofargridBatch": "batch"}


def probe(folder: str) -> dict[str, Any]:
    """Describe this node; what cannot be found out is left empty.

    Parameters
    ----------
    folder
        The work directory, whose disk is the scratch we speak of.
    """
    system = os.uname()
    cpu = _cpu()
    return {
        "host": system.nodename,
        "cpus": len(os.sched_getaffinity(0)),
        "cpu_model": cpu.get("model name", ""),
        "cpu_flags": cpu.get("flags", cpu.get("Features", "")),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB,
        "scratch_free_mb": free_bytes(folder) // MIB,
        "python": "{}.{}.{} {}".format(*sys.version_info[:3], sys.executable),
        "kernel": system.release,
        "cvmfs": os.path.isdir("/cvmfs"),
    }


def batch_ids(environment: Mapping[str, str]) -> dict[str, str]:
    """Collect every id that a site admin may hold."""
    ids: dict[str, str] = {}
    for variable, key in BATCH_IDS.items():
        if environment.get(variable):
            ids.setdefault(key, environment[variable])
    if "_CONDOR_JOB_AD" in environment:
        ids.update(_ad_values(environment["_CONDOR_JOB_AD"], CONDOR_ATTRIBUTES))
    if "_CONDOR_MACHINE_AD" in environment:
        machine = _ad_values(environment["_CONDOR_MACHINE_AD"], PILOT_ATTRIBUTES)
        # What the batch system calls the pilot that we run in: `slurm=12 pbs=3`.
        pairs = (one.partition("=") for one in machine.pop("batch", "").split())
        ids.update(machine)
        ids.update({key: value for key, _, value in pairs})
    return ids


def require_scratch(limits: Limits, folder: str) -> None:
    """Refuse a node whose scratch cannot hold the job.

    Raises
    ------
    Failure
        ``SCRATCH_FULL`` where the disk is large enough but in use: waiting may help. ``NODE_UNFIT`` where
        it never could hold the job.
    """
    disk = os.statvfs(folder)
    total, free = (blocks * disk.f_frsize // MIB for blocks in (disk.f_blocks, disk.f_bavail))
    if free >= limits.scratch_mb:
        return
    reason = Reason.NODE_UNFIT if total < limits.scratch_mb else Reason.SCRATCH_FULL
    numbers = f"the job needs {limits.scratch_mb} MB of scratch, {free} MB of {total} MB are free"
    raise Failure(reason, f"{numbers} in {folder} on {os.uname().nodename}")


def _cpu() -> dict[str, str]:
    # The first processor stands in the first block; a whole /proc/cpuinfo of 256 takes 20 ms to read.
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            block = file.read(8192).decode("ascii", "replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _ad_values(path: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """Read some attributes of a ClassAd that HTCondor has written, under other names."""
    ids = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                attribute, _, value = (part.strip() for part in line.partition("="))
                if attribute in wanted:
                    ids[wanted[attribute]] = value.strip('"')
    except OSError:
        return {}
    return ids
