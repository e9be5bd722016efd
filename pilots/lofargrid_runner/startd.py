"""HTCondor's startd as our child: configured, started, drained, ended, and nothing of it left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import time
from typing import NamedTuple

from .contract import STARTD_FILE, TOKEN_FILE, PilotSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .release import Release
    from .stop import Stop

PR_SET_CHILD_SUBREAPER = 36
FOLDERS = (("log", 0o755), ("spool", 0o755), ("run", 0o755), ("execute", 0o755), ("tokens.d", 0o700),
           ("passwords.d", 0o700))  # fmt: skip
DRAINED = "START = False\nLofargridDrains = True\n"
HURRIED = "MAXJOBRETIREMENTTIME = 0\n"
SWEEPS = 100
UPDATE_S = 20
"""How often a pilot tells its pool of itself at the least."""


class Offer(NamedTuple):
    """What a pilot tells its pool besides what its spec says: until when it is there, and its batch system's ids.

    ``host`` is its node's name where no name can be looked up.
    """

    ends: float
    ids: Mapping[str, str]
    host: str = ""


class Startd:
    """A startd in a work directory.

    Parameters
    ----------
    work
        The work directory. There is no space in its path: HTCondor's configuration cannot hold one.
    spec, offer
        What it offers.
    release
        HTCondor's programs.
    folder
        Holds the token and the configuration that all pilots share.
    environment
        Ours; jobs get its PATH.
    """

    def __init__(
        self, work: str, spec: PilotSpec, offer: Offer, release: Release, folder: str, environment: Mapping[str, str]
    ) -> None:
        self._work = work
        self._config = os.path.join(work, "condor_config")
        for name, mode in FOLDERS:
            os.mkdir(os.path.join(work, name))
            os.chmod(os.path.join(work, name), mode)
        with open(os.path.join(folder, STARTD_FILE), encoding="utf-8") as file:
            common = file.read()
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(preamble(work, spec, offer, release, environment) + common)
        token = os.path.join(work, "tokens.d", "pilot")
        secret = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(os.path.join(folder, TOKEN_FILE), "rb") as source, open(secret, "wb") as out:
            shutil.copyfileobj(source, out)
        adopt_orphans()
        self._pid = os.posix_spawn(
            release.startd,
            [release.startd, "-f"],
            {"CONDOR_CONFIG": self._config, "PATH": environment.get("PATH", os.defpath), "HOME": work},
            setsid=True,
            # Who starts a pilot with & or nohup lets it ignore what the startd is to hear.
            setsigdef=(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.path.join(work, "log", "out"), os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        self.exit_code: int | None = None

    def has_ended(self) -> bool:
        """Whether it has left, and took everything with it that it should."""
        if self.exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None

    def drain(self) -> None:
        """Let what runs come to its end, start nothing more, and leave then."""
        self._change(DRAINED)
        self._signal(signal.SIGTERM)

    def stop(self, grace_s: float, stop: Stop) -> None:
        """Ask what runs to end now, and leave; what does not in ``grace_s`` is ended."""
        self._change(HURRIED)
        for number in (signal.SIGTERM, signal.SIGQUIT):
            self._signal(number)
            until = time.monotonic() + grace_s / 2
            while not self.has_ended() and time.monotonic() < until:
                stop.rest(0.2)

    def sweep(self) -> None:
        """End what is still there of the startd and of whatever it has started."""
        for _ in range(SWEEPS):
            left = below(os.getpid())
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                return
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.02)

    def last_words(self, lines: int) -> list[str]:
        """The end of its log, or of what it said where it came to write none."""
        for name in ("StartLog", "out"):
            path = os.path.join(self._work, "log", name)
            with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
                return file.read().splitlines()[-lines:]
        return []

    def _change(self, line: str) -> None:
        with open(self._config, "a", encoding="utf-8") as file:
            file.write(line)
        self._signal(signal.SIGHUP)
        time.sleep(0.5)  # it has no way to say that it has read it

    def _signal(self, number: int) -> None:
        if not self.has_ended():
            os.kill(self._pid, number)


def preamble(
    work: str, spec: PilotSpec, offer: Offer, release: Release, environment: Mapping[str, str]
) -> str:  # fmt: skip
    """What the shared configuration is told of this node."""
    values = {
        "PILOT_WORK": work,
        "SBIN": release.sbin,
        "BIN": os.path.join(os.path.dirname(release.sbin), "bin"),
        "LIB": release.lib,
        "LIBEXEC": release.libexec,
        "COLLECTOR_HOST": plain(spec.collector, ":[]"),
        "PILOT_NAME": plain(spec.pilot),
        "PILOT_SITE": plain(spec.site),
        "PILOT_OWNER": plain(spec.owner, "@"),
        "PILOT_BATCH": " ".join(f"{plain(key)}={plain(one, '[]@')}" for key, one in sorted(offer.ids.items())),
        "PILOT_CORES": str(spec.cores),
        "PILOT_MEMORY_MB": str(spec.memory_mb),
        "PILOT_IDLE_S": str(spec.idle_s),
        "PILOT_UPDATE_S": str(max(1, min(UPDATE_S, spec.idle_s // 3))),
        "PILOT_WALLTIME_S": str(spec.walltime_s),
        "PILOT_ENDS": str(int(offer.ends)),
        "PILOT_PATH": ":".join(
            one for one in environment.get("PATH", os.defpath).split(":") if plain(one, "/ ,~") == one
        ),
    }
    if offer.host:
        host = plain(offer.host)
        domain = host.partition(".")[2] or "localdomain"
        values |= {"NO_DNS": "True", "NETWORK_HOSTNAME": host, "DEFAULT_DOMAIN_NAME": domain}
    return "".join(f"{key} = {value}\n" for key, value in values.items())


def plain(text: str, also: str = "") -> str:
    """A text in which HTCondor's configuration sees nothing but itself."""
    return re.sub(f"[^A-Za-z0-9._+{re.escape(also)}-]", "_", text)


def adopt_orphans() -> None:
    """Become the parent of whatever our descendants leave behind, so that it can be found and ended."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(pid: int) -> list[int]:
    """List the processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{entry}/stat", encoding="ascii",
                                                            errors="replace") as file:  # fmt: skip
            state, parent = file.read().rpartition(")")[2].split()[:2]
            if state != "Z" or parent == str(pid):
                parents.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found
