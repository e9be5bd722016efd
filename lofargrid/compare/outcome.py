"""How a look at two files ends when they are not the same, or cannot be read."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What the readers of damaged files raise: casacore and pytables RuntimeError and LookupError, numpy ValueError
# and TypeError, MemoryError and SystemError for a length that is nonsense.
_FAILURES = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    MemoryError,
    SystemError,
    tarfile.TarError,
)


class DifferenceError(Exception):
    """The two are not the same; the message is the first difference or the largest."""


class UnreadableError(Exception):
    """A file cannot be read as what its name says it is; the message says which and why."""


@contextmanager
def reading(path: Path, *failures: type[Exception]) -> Iterator[None]:
    """Tell that a file cannot be read, whatever its reader raises.

    Parameters
    ----------
    path
        The file, for the message.
    failures
        Further exceptions of this reader.

    Raises
    ------
    UnreadableError
        In place of what was raised.
    """
    expected: tuple[type[Exception], ...] = (*_FAILURES, *failures)
    try:
        yield
    except expected as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        # pytables puts the trace of HDF5 before what it has to say.
        lines = reason.strip().splitlines() or [type(error).__name__]
        raise UnreadableError(f"{path} cannot be read: {lines[-1]}") from error


def require_equal(what: str, first: object, second: object) -> None:
    """Demand that two short values are equal.

    Raises
    ------
    DifferenceError
        They are not; both are told.
    """
    if first != second:
        raise DifferenceError(f"{what}: {first} and {second}")


def require_same_names(what: str, first: set[str], second: set[str]) -> None:
    """Demand that two sets hold the same names.

    Raises
    ------
    DifferenceError
        They do not; the first name in one of them only is told.
    """
    for name in sorted(first ^ second):
        raise DifferenceError(f"{what} {name} is only in the {'first' if name in first else 'second'}")
