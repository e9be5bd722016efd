"""The processes of a test grid: unprivileged, on machines of their own as far as a job can tell, and ended whole."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PATIENCE_S = 60.0
PORTS = (20000, 32000)
AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
UNTIL_WE_DIE = ("setpriv", "--pdeathsig")
AS_MACHINE = ("unshare", "--user", "--map-root-user", "--mount", "--uts")
# Its words: the host name, how many folders are hidden, these, the command.
ENTER = """\
hostname "$1"; hidden=$2; shift 2
while [ "$hidden" -gt 0 ]; do mount -t tmpfs none "$1" || exit 1; shift; hidden=$((hidden - 1)); done
exec "$@"
"""


def on_machine(host: str, hidden: Sequence[str]) -> list[str]:
    """What goes before a command that is to run on a machine of its own, which does not see some folders."""
    return [*AS_MACHINE, "sh", "-c", ENTER, "machine", host, str(len(hidden)), *hidden]


def free_port() -> int:
    """A port of the loopback that nobody has now.

    Not one of those that the system gives to whoever connects: a server that is stopped and started again would now and
    then find its port taken.
    """
    while True:
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", random.SystemRandom().randint(*PORTS)))
            return int(one.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody answers at a port of the loopback."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that nobody else can read, not even for a moment."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def until(so: Callable[[], bool], trouble: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for what other processes do; there is nothing of ours to wait on."""
    deadline = time.monotonic() + patience_s
    while not so():
        assert time.monotonic() < deadline, trouble
        select.select([], [], [], 0.05)


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End a process and what it has started, in good order if it can."""
    left = below(process.pid)
    process.send_signal(how)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        for pid in left:
            kill(pid)
        process.kill()
        process.wait()


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have, the youngest first."""
    parents: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            after = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(after[1]), []).append(int(entry))
    found: list[int] = []
    for child in parents.get(pid, []):
        found += [*below(child), child]
    return found


def kill(pid: int) -> None:
    """End a process as a power cut does; it may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
