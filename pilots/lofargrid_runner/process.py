"""A program in its own session: started, listened to, measured, and ended with all it started."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

PIPE_BYTES = 1 << 16
SWEEPS = 1000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_A_S = os.sysconf("SC_CLK_TCK")


class Program(NamedTuple):
    """What to start: the executable, its arguments (the first is its name), environment and folder."""

    path: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str


class Watchman(NamedTuple):
    """A process that ends a program whose runner was killed; ``ear`` is the descriptor that it listens to."""

    pid: int
    ear: int


class Process:
    """A running program and everything that its session holds.

    Parameters
    ----------
    program
        What to start.
    output
        Takes the bytes of standard output as they come.
    errors
        Takes standard error; None sends it the way of ``output``.
    announce
        A descriptor that gets the number of the session before the program starts.
    """

    def __init__(
        self,
        program: Program,
        output: Callable[[bytes], None],
        errors: Callable[[bytes], None] | None = None,
        announce: int | None = None,
    ) -> None:
        self._sinks: dict[int, Callable[[bytes], None]] = {}
        self._poll = select.poll()
        out = self._pipe(output)
        err = self._pipe(errors) if errors else out
        try:
            files = (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), out, err)
            self.pid = spawn(program, files, announce=announce)
        except OSError:
            self.close()
            raise
        self._reaped = False
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.cpu_s = 0.0
        self.peak_bytes = 0

    def _pipe(self, sink: Callable[[bytes], None]) -> int:
        read, write = os.pipe()
        os.set_blocking(read, False)
        self._sinks[read] = sink
        self._poll.register(read, select.POLLIN)
        return write

    def pump(self, timeout_s: float, wake: int) -> None:
        """Hand on output, until ``timeout_s`` passed, ``wake`` is readable or something came."""
        self._poll.register(wake, select.POLLIN)
        for file, _ in self._poll.poll(timeout_s * 1000):
            if file != wake:
                self._read(file)

    @property
    def open_outputs(self) -> int:
        """How many of standard output and standard error may still bring something."""
        return len(self._sinks)

    def _read(self, file: int) -> bool:
        try:
            data = os.read(file, PIPE_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._sinks[file](data)
        else:
            self._forget(file)
        return bool(data)

    def ended(self) -> bool:
        """Whether the program itself has ended. It stays a zombie, so that nobody else gets its number."""
        return self._reaped or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _reap(self) -> None:
        _, status, usage = os.wait4(self.pid, 0)
        self._reaped = True
        code = os.waitstatus_to_exitcode(status)
        self.exit_code, self.signal = (code, None) if code >= 0 else (None, -code)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.peak_bytes = max(self.peak_bytes, usage.ru_maxrss * 1024)

    def sample(self, limit_bytes: float) -> int:
        """Measure the memory of the whole session now, in bytes.

        Pages that processes share count once for each; only where that would break ``limit_bytes`` is the
        costlier fair share (PSS) taken, so that a forking program is not killed for what it does not use.
        """
        pids = members(self.pid)
        used = sum(resident_bytes(pid) for pid in pids)
        if used > limit_bytes:
            used = sum(fair_share_bytes(pid) for pid in pids)
        self.peak_bytes = max(self.peak_bytes, used)
        return used

    def used_cpu_s(self) -> float:
        """Measure the CPU time of the whole session so far, with the children that it has waited for."""
        return sum(cpu_seconds(pid) for pid in members(self.pid))

    def living(self) -> list[int]:
        """List what of the session is more than a zombie."""
        pids = [pid for pid in members(self.pid) if not _is_zombie(pid)]
        # In its first instants the program is not yet the leader of its session.
        return pids if self.pid in pids or self.ended() else [self.pid, *pids]

    def kill(self, number: int) -> int:
        """Send a signal to every process of the session; return how many there were."""
        pids = self.living()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(pids)

    def sweep(self) -> int:
        """End whatever the session still holds, take the last output; return how many were left."""
        left = self.kill(signal.SIGKILL)
        # Bounded: who hangs in a dead file system cannot die, and must not keep the report from leaving.
        for _ in range(SWEEPS if left else 0):
            if not self.kill(signal.SIGKILL):
                break
            select.select([], [], [], 0.005)
        self._reap()
        for file in list(self._sinks):
            # Bounded: a process that escaped the session may hold the pipe and write for ever.
            for _ in range(256):
                if not self._read(file):
                    break
        self.close()
        return left

    def close(self) -> None:
        """Stop listening."""
        for file in list(self._sinks):
            self._forget(file)

    def _forget(self, file: int) -> None:
        self._poll.unregister(file)
        del self._sinks[file]
        os.close(file)


def spawn(
    program: Program, files: tuple[int, int, int], keep: tuple[int, ...] = (), announce: int | None = None
) -> int:
    """Start a program as the leader of a new session; ``files`` become its stdin, stdout and stderr.

    ``files`` are closed here, ``keep`` stay open in the program under their own numbers. ``announce`` gets a
    line with the number of the session once there is one, before the program starts.
    """
    try:
        pid = os.fork()
        if pid == 0:  # pragma: no cover - the child's few lines before it becomes the program
            _become(program, files, keep, announce)
        return pid
    finally:
        for file in set(files):
            os.close(file)


def _become(  # pragma: no cover - runs in the forked child, which becomes the program: no coverage comes back
    program: Program, files: tuple[int, int, int], keep: tuple[int, ...], announce: int | None
) -> NoReturn:
    try:
        # Away from 0, 1 and 2 first, so that no dup2 below overwrites one that is still needed.
        files_away = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 3) for file in files]
        for target, file in enumerate(files_away):
            os.dup2(file, target)
        os.setsid()
        if announce is not None:
            with contextlib.suppress(OSError):  # nobody listens any more
                os.write(announce, b"%d\n" % os.getpid())
        os.chdir(program.folder)
        for file in keep:
            os.set_inheritable(file, True)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these; a program must not
            signal.signal(number, signal.SIG_DFL)
        os.execve(program.path, list(program.arguments), dict(program.environment))
    except BaseException as error:
        os.write(2, f"lofargrid: error: cannot start {program.path}: {error}\n".encode("utf-8", "replace"))
    os._exit(127)


def members(session: int) -> list[int]:
    """List the processes of a session, also those that moved to a process group of their own."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _session(pid) == session]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _is_zombie(pid: int) -> bool:
    # The state follows the name, which stands in brackets and may hold anything.
    return _proc(pid, "stat").rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"], [])


def resident_bytes(pid: int) -> int:
    """Measure the resident memory of one process; 0 where it is gone."""
    fields = _proc(pid, "statm").split()
    return int(fields[1]) * PAGE_BYTES if fields else 0


def cpu_seconds(pid: int) -> float:
    """Measure the CPU time of one process and of its children that have ended; 0 where it is gone."""
    fields = _proc(pid, "stat").rpartition(b")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS_A_S  # utime, stime, cutime, cstime


def fair_share_bytes(pid: int) -> int:
    """Measure one process with shared pages divided among those that share them, where the kernel can."""
    for line in _proc(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)


def _proc(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
            return file.read(4096)
    except OSError:
        return b""


def guard(keep: tuple[int, ...]) -> Watchman | None:
    """Start a watchman that kills a program's group if we die without a word (SIGKILL).

    He stands before the program does, which tells him its number itself: no instant is without him. He holds
    ``keep`` (the lock of the attempt): no second runner starts beside a payload that outlived its first one.
    None where the node cannot start one more process, which is no reason to run nothing.
    """
    read, write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    script = 'read -r session; read -r _ || kill -s KILL -- "-$session"'
    watchman = Program("/bin/sh", ("sh", "-c", script, "lofargrid-guard"), {}, "/")
    try:
        return Watchman(spawn(watchman, (read, null, null), keep), write)
    except OSError:
        os.close(write)
        return None


def dismiss(watchman: Watchman) -> None:
    """Send the watchman home."""
    with contextlib.suppress(OSError):  # somebody may have shot him
        os.write(watchman.ear, b"done\n")
    os.close(watchman.ear)
    os.waitpid(watchman.pid, 0)
