"""A real HTCondor pool on this machine: a head, and nodes that are machines of their own as far as a job can tell.

A node has its own host name, and does not see the folders that are hidden from it. Everything runs as `nobody` of a
user namespace, on loopback, in one folder below /tmp: HTCondor's configuration has no way to write a space in a path.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.grid.processes import (
    AS_NOBODY,
    UNTIL_WE_DIE,
    below,
    end,
    free_port,
    kill,
    on_machine,
    until,
    write_secret,
)  # fmt: skip
from tests.grid.service import Service

DOMAIN = "lofargrid.test"
WRAPPER = """\
#!/bin/sh
echo "this worker node is broken" >&2
exit 77
"""
COMMON = """\
RELEASE_DIR = {prefix}/usr
BIN = $(RELEASE_DIR)/bin
SBIN = $(RELEASE_DIR)/sbin
LIB = $(RELEASE_DIR)/lib/condor
LIBEXEC = $(RELEASE_DIR)/libexec/condor
SHARE = $(RELEASE_DIR)/share/condor
LOCAL_DIR = {folder}
LOG = {folder}/log
SPOOL = {folder}/spool
RUN = {folder}/run
LOCK = {folder}/lock
EXECUTE = {folder}/execute
ETC = {folder}
LOCAL_CONFIG_FILE =
LOCAL_CONFIG_DIR =
DAEMON_SOCKET_DIR = auto
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:{port}
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = {domain}
UID_DOMAIN = {domain}
TRUST_DOMAIN = {domain}
FILESYSTEM_DOMAIN = {host}
NETWORK_HOSTNAME = {host}
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = {methods}
SEC_DEFAULT_ENCRYPTION = REQUIRED
SEC_DEFAULT_INTEGRITY = REQUIRED
# The newer bindings ask for it, the older pool does not know it.
SEC_FS_ENFORCE_CHANNEL_BINDING = False
SEC_PASSWORD_DIRECTORY = {folder}/passwords.d
SEC_TOKEN_POOL_SIGNING_KEY_FILE = {folder}/passwords.d/POOL
SEC_TOKEN_DIRECTORY = {folder}/tokens.d
SEC_TOKEN_SYSTEM_DIRECTORY = {folder}/tokens.d
ALLOW_READ = *@{domain}
ALLOW_WRITE = *@{domain}
ALLOW_DAEMON = nobody@{domain} condor@{domain} node@{domain}
ALLOW_ADVERTISE_STARTD = $(ALLOW_DAEMON)
ALLOW_ADVERTISE_MASTER = $(ALLOW_DAEMON)
ALLOW_ADVERTISE_SCHEDD = $(ALLOW_DAEMON)
ALLOW_NEGOTIATOR = $(ALLOW_DAEMON)
ALLOW_ADMINISTRATOR = $(ALLOW_DAEMON)
ALLOW_CLIENT = *
UPDATE_INTERVAL = 2
# What a dead node said last is believed no longer than this.
CLASSAD_LIFETIME = 10
POLLING_INTERVAL = 1
CONDOR_FSYNC = False
PREEN =
SHUTDOWN_GRACEFUL_TIMEOUT = 20
SHUTDOWN_FAST_TIMEOUT = 10
"""
HEAD = """\
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD
USE_SHARED_PORT = True
SHARED_PORT_PORT = {port}
COLLECTOR_NAME = {domain}
SCHEDD_NAME = submit@{domain}
SCHEDD_HOST = $(SCHEDD_NAME)
QUEUE_SUPER_USERS = nobody, condor
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 2
SHADOW_QUEUE_UPDATE_INTERVAL = 5
JOB_START_DELAY = 0
MAX_JOBS_SUBMITTED = 1000000
MAX_JOBS_PER_SUBMISSION = 200000
MAX_JOBS_PER_OWNER = 1000000
DELEGATE_JOB_GSI_CREDENTIALS = False
# Not when a starter sends an update: a shadow that brings it a proxy just then waits for it, and it for the shadow, for
# a minute.
SHADOW_CHECKPROXY_INTERVAL = 5
"""
NODE = """\
DAEMON_LIST = MASTER, STARTD
USE_SHARED_PORT = False
NUM_CPUS = {cpus}
MEMORY = {memory_mb}
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
START = True
SUSPEND = False
PREEMPT = False
KILL = False
WANT_SUSPEND = False
WANT_VACATE = True
RUNBENCHMARKS = 0
STARTER_UPDATE_INTERVAL = 60
STARTER_INITIAL_UPDATE_INTERVAL = 1
SEC_USE_FAMILY_SESSION = False
SINGULARITY = /bin/false
DOCKER =
STARTD_ENFORCE_DISK_LIMITS = False
USE_PID_NAMESPACES = False
CGROUP_BASE =
BASE_CGROUP =
GLIDEIN_Site = "{site}"
STARTD_ATTRS = $(STARTD_ATTRS) GLIDEIN_Site
STARTER_JOB_ENVIRONMENT = "{environment}"
"""


@dataclass(frozen=True)
class Node:
    """A worker node of a site. On a ``broken`` one every job fails at once; a ``shared`` one says that it sees the
    submit host's folders."""

    site: str
    name: str
    cpus: int = 2
    memory_mb: int = 8000
    broken: bool = False
    shared: bool = False

    @property
    def host(self) -> str:
        """Its host name, as a job sees it and as HTCondor calls the machine."""
        return f"{self.name}.{self.site.lower()}.{DOMAIN}"


class Pool(Service):
    """A pool that lives as long as the context it is opened in, or as this process.

    Parameters
    ----------
    prefix
        Where HTCondor was unpacked, by .ci/install-htcondor.
    nodes
        Its worker nodes.
    hidden
        Folders that the nodes do not see.
    job_environment
        What jobs find in their environment, beside PATH.
    domain
        The pool's name.
    """

    def __init__(
        self, prefix: Path, nodes: Sequence[Node], hidden: Sequence[Path] = (),
        job_environment: Mapping[str, str] | None = None, domain: str = DOMAIN,
    ) -> None:  # fmt: skip
        self._domain = domain
        super().__init__("pool")
        self.folder.chmod(0o755)
        self.nodes = {node.name: node for node in nodes}
        # Through a link: the configuration has no way to write a space here either.
        self._prefix = self.folder / "htcondor"
        self._prefix.symlink_to(prefix)
        self._hidden = [str(one) for one in hidden]
        self._job_environment = {"PATH": os.environ["PATH"], **(job_environment or {})}
        self._port = free_port()
        self._key = secrets.token_hex(32).encode()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def port(self) -> int:
        """The one port of its head."""
        return self._port

    @property
    def prefix(self) -> Path:
        """HTCondor's programs, by a path without a space."""
        return self._prefix

    @property
    def config(self) -> Path:
        """The configuration of whoever submits to it."""
        return self.folder / "head" / "condor_config"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs that speaks to it."""
        return {
            "CONDOR_CONFIG": str(self.config),
            "CONDOR_IDS": "65534.65534",
            "PATH": f"{self._prefix}/usr/bin:{os.environ['PATH']}",
        }

    def _open(self) -> None:
        self._configure(
            "head", f"submit.{self._domain}", "FS, IDTOKENS", HEAD.format(port=self._port, domain=self._domain)
        )
        self.start_head()
        for name in self.nodes:
            self._admit(name)
            self.start_node(name)
        self.until_nodes(set(self.nodes))

    def _close(self) -> None:
        for name in reversed(list(self._processes)):
            self._end(name, signal.SIGQUIT)

    def start_head(self) -> None:
        """Start collector, negotiator and schedd."""
        self._start("head", [])
        self._until(
            lambda: self.ask("condor_status", "-schedd", "-af", "Name").strip() != "", "the schedd is not there"
        )

    def start_node(self, name: str) -> None:
        """Start a node, or start it again."""
        node = self.nodes[name]
        self._start(name, on_machine(node.host, self._hidden))

    def environment_of(self, user: str, lifetime_s: int = 3600) -> Mapping[str, str]:
        """What a process needs that speaks to the pool from another machine, with nothing but a token."""
        folder = self.folder / user
        if not folder.exists():
            host = f"{user}.{self._domain}"
            self._configure(user, host, "IDTOKENS", f"SCHEDD_HOST = submit@{self._domain}\n")
        self.give_token(user, lifetime_s)
        return {**self.environment, "CONDOR_CONFIG": str(folder / "condor_config")}

    def give_token(self, user: str, lifetime_s: int) -> None:
        """Let a user of another machine in for so long."""
        self._write_token(user, "nobody", "-lifetime", str(lifetime_s))

    def stop(self, name: str) -> None:
        """End the head or a node in good order."""
        self._end(name, signal.SIGTERM)

    def kill(self, name: str) -> None:
        """End the head or a node as a power cut does."""
        process = self._processes.pop(name)
        for pid in [*below(process.pid), process.pid]:
            kill(pid)
        process.wait()

    def until_nodes(self, names: set[str]) -> None:
        """Return when the collector knows these nodes and no others."""
        hosts = {self.nodes[name].host for name in names}
        self._until(lambda: set(self.ask("condor_status", "-af", "Machine").split()) == hosts, f"not there: {hosts}")

    def pilots(self) -> set[str]:
        """The pilots that have joined."""
        return set(self.ask("condor_status", "-af", "LofargridPilot").split()) - {"undefined"}

    def until_empty(self) -> None:
        """Return when no job is in the queue."""
        try:
            self._until(lambda: not self.queue(), "jobs stay in the queue")
        except AssertionError as error:
            facts = ("LofargridAttempt", "JobStatus", "HoldReason", "RemoveReason", "LeaveJobInQueue")
            raise AssertionError(f"{self.ask('condor_q', '-allusers', '-af:j', *facts)}{error}") from None

    def queue(self) -> list[str]:
        """The ids of all jobs in the queue."""
        return self.ask("condor_q", "-allusers", "-af", "LofargridAttempt").split()

    def history(self, tracker: str) -> list[str]:
        """The attempts of a tracker that have left the queue, once for each job that could have run.

        One whose files never came to a schedd elsewhere could not.
        """
        torn = "LastJobStatus =?= 5 && LastHoldReasonCode =?= 16"
        of_tracker = ("-constraint", f'LofargridTracker == "{tracker}" && !({torn})')
        return self.ask("condor_history", *of_tracker, "-af", "LofargridAttempt").split()

    def ask(self, *words: str) -> str:
        """What one of HTCondor's own commands says; nothing if it fails."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def tell(self, *words: str) -> None:
        """Give the head one of HTCondor's own orders."""
        subprocess.run(
            [f"{self._prefix}/usr/sbin/{words[0]}", *words[1:]],
            env={**os.environ, **self.environment}, check=True, capture_output=True,
        )  # fmt: skip

    def _configure(self, name: str, host: str, methods: str, rest: str) -> None:
        folder = self.folder / name
        for sub, mode in (("log", 0o755), ("spool", 0o755), ("run", 0o755), ("lock", 0o755), ("execute", 0o755),
                          ("passwords.d", 0o700), ("tokens.d", 0o700)):  # fmt: skip
            (folder / sub).mkdir(parents=True)
            (folder / sub).chmod(mode)
        common = COMMON.format(
            prefix=self._prefix, folder=folder, port=self._port, domain=self._domain, host=host, methods=methods
        )
        (folder / "condor_config").write_text(common + rest)
        if name == "head":
            write_secret(folder / "passwords.d" / "POOL", self._key)

    def _admit(self, name: str) -> None:
        """Let a node be of the pool: its configuration, and a token that says so."""
        node = self.nodes[name]
        environment = " ".join(f"{name}='{value}'" for name, value in self._job_environment.items())
        rest = NODE.format(cpus=node.cpus, memory_mb=node.memory_mb, site=node.site, environment=environment)
        if node.shared:
            rest += f"FILESYSTEM_DOMAIN = submit.{self._domain}\n"
        self._configure(name, node.host, "IDTOKENS", rest)
        folder = self.folder / name
        if node.broken:
            wrapper = folder / "wrapper"
            wrapper.write_text(WRAPPER)
            wrapper.chmod(0o755)
            with (folder / "condor_config").open("a") as config:
                config.write(f"USER_JOB_WRAPPER = {wrapper}\n")
        self._write_token(name, "node")

    def _write_token(self, name: str, identity: str, *options: str) -> None:
        token = subprocess.run(
            [*AS_NOBODY, "condor_token_create", "-identity", f"{identity}@{self._domain}", "-key", "POOL", *options],
            env={**os.environ, **self.environment}, capture_output=True, check=True,
        )  # fmt: skip
        path = self.folder / name / "tokens.d" / identity
        path.unlink(missing_ok=True)
        write_secret(path, token.stdout)

    def _start(self, name: str, around: Sequence[str]) -> None:
        folder = self.folder / name
        environment = {
            "CONDOR_CONFIG": str(folder / "condor_config"), "PATH": f"{self._prefix}/usr/bin:/usr/bin:/bin:/usr/sbin",
            "USER": "nobody", "LOGNAME": "nobody", "HOME": str(folder),
        }  # fmt: skip
        with (folder / "log" / "master.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                [*around, *AS_NOBODY, *UNTIL_WE_DIE, "QUIT", f"{self._prefix}/usr/sbin/condor_master", "-f"],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def _end(self, name: str, how: signal.Signals) -> None:
        end(self._processes.pop(name), how)

    def _until(self, so: Callable[[], bool], trouble: str) -> None:
        def happened() -> bool:
            ended = [name for name, one in self._processes.items() if one.poll() is not None]
            assert not ended, f"{ended} ended by itself\n{self._last_words()}"
            return so()

        try:
            until(happened, trouble)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._last_words()}") from None

    def _last_words(self) -> str:
        logs = sorted(self.folder.glob("*/log/*Log*"))
        return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-1500:]}" for log in logs if log.is_file())
