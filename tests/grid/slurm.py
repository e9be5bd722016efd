"""A real Slurm of one node on this machine, which is a machine of its own as far as a job can tell.

Everything runs as `nobody` of a user namespace, on loopback, in one folder below /tmp.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.grid.processes import AS_NOBODY, UNTIL_WE_DIE, end, free_port, on_machine, until, write_secret
from tests.grid.service import Service
from tests.grid.unpacked import unpacked

COMMANDS = ("sbatch", "squeue", "scancel", "sinfo")
CONFIG = """\
ClusterName=university
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={daemon}
SlurmUser=nobody
SlurmdUser=nobody
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
PluginDir={prefix}/usr/lib/{machine}-linux-gnu/slurm-wlm
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/state/slurmctld.pid
SlurmdPidFile={folder}/spool/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=30
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
COMMAND = """\
#!/bin/sh
SLURM_CONF={folder}/slurm.conf exec {nobody} {prefix}/usr/bin/{name} "$@"
"""


def slurm_prefix() -> Path:
    """Where .ci/install-slurm has put Slurm."""
    return unpacked("slurm", "sbin/slurmctld-wlm")


class Slurm(Service):
    """A cluster that lives as long as the context it is opened in.

    Parameters
    ----------
    prefix
        Where Slurm was unpacked.
    host
        The host name of its node.
    hidden
        Folders that the node does not see.
    """

    def __init__(self, prefix: Path, host: str, hidden: Sequence[Path] = (), cpus: int = 2) -> None:
        super().__init__("slurm")
        self.folder.chmod(0o755)
        self.host = host
        self._prefix = self.folder / "slurm"
        self._prefix.symlink_to(prefix)
        self._hidden = [str(one) for one in hidden]
        self._cpus = cpus
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def commands(self) -> Path:
        """A folder for PATH: sbatch and its kind."""
        return self.folder / "bin"

    @property
    def logs(self) -> Path:
        """A folder that the node sees, as it sees a cluster's home folders."""
        return self.folder / "home"

    def _close(self) -> None:
        for process in reversed(self._processes):
            end(process, signal.SIGTERM)

    def _open(self) -> None:
        folder, node = self.folder, self.host.partition(".")[0]
        for name in ("munge", "state", "spool", "log", "home", "bin"):
            (folder / name).mkdir()
        write_secret(folder / "munge" / "key", secrets.token_bytes(128))
        (folder / "slurm.conf").write_text(
            CONFIG.format(
                folder=folder, prefix=self._prefix, machine=os.uname().machine, node=node, host=self.host,
                cpus=self._cpus, memory_mb=8000, control=free_port(), daemon=free_port(),
            )
        )  # fmt: skip
        for name in COMMANDS:
            command = self.commands / name
            words = COMMAND.format(folder=folder, prefix=self._prefix, name=name, nobody=" ".join(AS_NOBODY))
            command.write_text(words)
            command.chmod(0o755)
        munge, programs = folder / "munge", self._prefix / "usr" / "sbin"
        files = [f"--{name}={munge}/{value}" for name, value in (
            ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("seed-file", "seed"), ("log-file", "log"),
        )]  # fmt: skip
        self._start("munged", [str(programs / "munged"), "-F", "--force", *files], [])
        until(lambda: (munge / "socket").exists(), "munged is not there")
        self._start("slurmctld", [str(programs / "slurmctld-wlm"), "-D", "-i"], [])
        daemon = [str(programs / "slurmd-wlm"), "-D", "-N", node, "-d", str(programs / "slurmstepd-wlm")]
        self._start("slurmd", daemon, on_machine(self.host, self._hidden))
        until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), "the node is not there")

    def _start(self, name: str, words: Sequence[str], around: Sequence[str]) -> None:
        environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        with (self.folder / "log" / name).open("wb") as out:
            self._processes.append(
                subprocess.Popen(
                    [*around, *AS_NOBODY, *UNTIL_WE_DIE, "TERM", *words],
                    cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                )
            )  # fmt: skip

    def ask(self, name: str, *words: str) -> str:
        """What one of Slurm's own commands says; nothing if it fails."""
        done = subprocess.run([str(self.commands / name), *words], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def queue(self) -> list[str]:
        """The ids of all jobs that wait or run."""
        return self.ask("squeue", "--noheader", "--format=%A").split()
