"""Who holds the tick: one process moves all jobs of a tracker, others follow."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_held(tracker: Path) -> bool:
    """Whether a process holds the tick now."""
    try:
        with tracker.with_name(f"{tracker.name}.tick").open() as lock:
            # Shared, so that two who ask at once are not taken for one who holds it.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def hold_tick(tracker: Path) -> Iterator[bool]:
    """Take the tick if nobody has it; it falls when this process ends, however it ends.

    Yields
    ------
    held
        False if another process has it.
    """
    with tracker.with_name(f"{tracker.name}.tick").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
