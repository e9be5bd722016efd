"""Open the tracker: the right file system, permissions and schema, or a clear refusal."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlite_utils import Database

from lofargrid.errors import Fault, TrackerError
from lofargrid.tracker.schema import migrations
from lofargrid.tracker.tracker import Tracker

NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "lustre", "gpfs", "beegfs", "ceph",
                                  "fuse.sshfs", "fuse.glusterfs", "9p", "orangefs", "panfs"})  # fmt: skip


def open_tracker(path: Path, mounts: Path = Path("/proc/self/mounts")) -> Tracker:
    """Open the tracker, making or migrating it as needed; only its owner can read it.

    Raises
    ------
    TrackerError
        Its folder cannot be written, lies on a network file system, the file is no tracker, or it was made
        by a newer lofargrid.
    """
    _refuse_network(path, mounts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(path.parent):
            path.touch(mode=0o600)  # what sqlite puts beside it gets the same mode
            connection = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
            try:
                return _prepared(connection, path)
            except BaseException:
                connection.close()
                raise
    except sqlite3.DatabaseError as error:
        raise TrackerError(_unusable(path, str(error))) from None
    except OSError as error:
        raise TrackerError(_unusable(path, error.strerror or str(error))) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time in: two may make the tracker at once."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _prepared(connection: sqlite3.Connection, path: Path) -> Tracker:
    connection.execute("PRAGMA journal_mode = WAL")  # readers never wait for the tick
    connection.execute("PRAGMA synchronous = NORMAL")  # with WAL, a crash of the machine loses no consistency
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -64000")  # KiB: a tick touches many productions, each in pages of its own
    _migrate(connection, path)
    for file in (path.with_name(path.name + end) for end in ("", "-wal", "-shm")):
        with suppress(FileNotFoundError):
            file.chmod(0o600)
    return Tracker(connection, path)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    database = Database(connection)
    known = {migration.name for migration in migrations.pending(Database(memory=True))}
    applied = {migration.name for migration in migrations.applied(database)}
    if applied - known:
        what = f"it was made by a newer lofargrid (it has {', '.join(sorted(applied - known))})"
        raise TrackerError(Fault(what, "Install that version, or name another tracker with --tracker", str(path)))
    if known - applied:
        migrations.apply(database)


def _unusable(path: Path, problem: str) -> Fault:
    remedy = "See that its folder can be written and has space, or name another file with --tracker or LOFARGRID_DATA"
    return Fault(f"the tracker cannot be used: {problem}", remedy, str(path))


def _refuse_network(path: Path, mounts: Path) -> None:
    kind = file_system(path, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        local = f"/var/tmp/lofargrid-{os.getuid()}"
        remedy = f"Set LOFARGRID_DATA={local} (a local disk); sqlite's journal breaks on network file systems"
        raise TrackerError(Fault(f"the tracker's folder is on {kind}, a network file system", remedy, str(path)))


def file_system(path: Path, mounts: Path) -> str:
    """The kind of file system that a path lies on, as the kernel names it; empty if that cannot be told."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    entries = (line.split(" ") for line in lines)
    points = [(fields[1].replace("\\040", " "), fields[2]) for fields in entries if len(fields) > 2]
    resolved = path.resolve()
    under = [(len(point), kind) for point, kind in points if resolved.is_relative_to(point)]
    # The last mount on a point hides those before it.
    return max(enumerate(under), key=lambda one: (one[1][0], one[0]))[1][1] if under else ""
