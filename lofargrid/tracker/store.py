"""The open file: transactions, rows, and the history that every change writes."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lofargrid.errors import BackendError, Fault, TrackerError
from lofargrid.states import JobState, Reason

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# What the disk, or another process, keeps from being done; it may go well later.
_REMEDIES = {
    sqlite3.SQLITE_FULL: "Free space there",
    sqlite3.SQLITE_READONLY: "Make it writable",
    sqlite3.SQLITE_CANTOPEN: "See that its folder can be written",
    sqlite3.SQLITE_BUSY: "End the process that holds it",
    sqlite3.SQLITE_LOCKED: "End the process that holds it",
    sqlite3.SQLITE_PROTOCOL: "End the process that holds it",
    sqlite3.SQLITE_IOERR: "See that its disk is sound and not full",
}


class Store:
    """An open sqlite file. Times come as arguments: it has no clock.

    ``blocked`` tells whether the last change could not be written; the next one that can be ends that.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        connection.row_factory = sqlite3.Row
        self._connection = connection
        self.path = path
        self.id: str = self.value("SELECT value FROM meta WHERE key = 'tracker'")
        self._version: int = self.value("PRAGMA data_version")
        self.blocked = False

    def wrap(self, wrapper: Callable[[sqlite3.Connection], sqlite3.Connection]) -> None:
        """Put something between the tracker and its file, such as what lets a process die between two statements."""
        self._connection = wrapper(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all that is inside happen, or nothing; the write lock is taken at once.

        Raises
        ------
        BackendError
            The file cannot be written now: its disk is full, or another process holds it.
        """
        if self._connection.in_transaction:
            yield
            return
        before = self._connection.total_changes
        try:
            self._run("BEGIN IMMEDIATE")
            yield
            self._run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # a disk that takes no change may not take this; sqlite mends it later
                self._connection.rollback()
            raise
        if self._connection.total_changes != before:
            self.blocked = False

    def _run(self, sql: str) -> None:
        with self._sound():
            self._connection.execute(sql)

    def changed_outside(self) -> bool:
        """Whether another process changed the file since this was asked last."""
        before, self._version = self._version, self.value("PRAGMA data_version")
        return self._version != before

    def version(self) -> tuple[int, int]:
        """Another one whenever anything in the file was changed, by this process or by another."""
        return self._connection.total_changes, int(self.value("PRAGMA data_version"))

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """All rows of a query of this package."""
        with self._sound():
            return self._connection.execute(sql, values).fetchall()

    def value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        with self._sound():
            row = self._connection.execute(sql, values).fetchone()
            return row[0] if row else None

    def write(self, sql: str, *values: Any) -> int:
        """Run a statement of this package; tell how many rows it changed."""
        with self._sound():
            return self._connection.execute(sql, values).rowcount

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement of this package for each row."""
        with self._sound():
            self._connection.executemany(sql, rows)

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = error.sqlite_errorcode & 0xFF
            if code in _DAMAGED:
                remedy = f"Save what can be: sqlite3 {self.path} .recover | sqlite3 new.db; then --tracker new.db"
                raise TrackerError(Fault(f"the tracker is damaged: {error}", remedy, str(self.path))) from None
            if code not in _REMEDIES:
                raise
            self.blocked = True
            remedy = f"{_REMEDIES[code]}; the same command goes on"
            raise BackendError(f"cannot write the tracker {self.path}: {error}. {remedy}") from error

    def event(
        self, now: str, production_id: int, job_id: int | None = None, attempt: str | None = None,
        old: JobState | None = None, new: JobState | None = None, reason: Reason | None = None, text: str = "",
    ) -> None:  # fmt: skip
        """Write a line of history."""
        self.write(
            "INSERT INTO events (at, production_id, job_id, attempt, old, new, reason, text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            now, production_id, job_id, attempt, old, new, reason, text,
        )  # fmt: skip

    def events(self, job_id: int) -> list[sqlite3.Row]:
        """The history of a job."""
        return self.rows("SELECT * FROM events WHERE job_id = ? ORDER BY id", job_id)


def marks(values: Sequence[Any]) -> str:
    """As many question marks as there are values."""
    return ", ".join("?" * len(values))
