"""Stage-in: every input on the node's scratch, whole, verified and of the kind the job expects."""

from __future__ import annotations

import contextlib
import os
import time

from . import local
from .contract import InputFile, Reason, Transfer
from .failure import Failure, scratch_failure
from .names import harmless_path
from .stop import Stop
from .storages import Storage, Storages
from .streams import CHUNK_BYTES, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEASUREMENT_SET = "Type = Measurement Set"


def stage_in(entry: InputFile, folder: str, work: str, stop: Stop, storages: Storages) -> Transfer:
    """Bring one input to its place in the work directory, from its URL or from where it was carried in ``folder``.

    Without a checksum in ``entry`` it is compared with the one that its storage keeps, if that keeps any.

    Raises
    ------
    Failure
        One of the ``INPUT_*`` reasons, or what the node's scratch says.
    """
    began = time.monotonic()
    label = f"{entry.name} ({entry.url})"
    path = os.path.join(work, harmless_path(entry.path, "path"))
    place = os.path.join(folder, harmless_path(entry.carried, "carried")) if entry.carried else entry.url
    try:
        storage = storages.of(place, os.path.join(folder, entry.token) if entry.token else "")
        if entry.adler32 is None and not entry.carried:
            with _told(label):
                known = storage.facts(place)
            entry = entry._replace(adler32=known.adler32 if known else None)
        source = _bring(entry, storage, place, work, path, stop)
    except Failure as failure:  # a storage knows its cause, and not for what it was asked
        told = failure.detail if failure.detail.startswith(label) else f"{label}: {failure.detail}"
        raise Failure(failure.reason, told) from failure
    if entry.carried:  # it would take its space twice
        os.unlink(place)
    if entry.kind == "ms":
        _require_measurement_set(path, label)
    seconds = round(time.monotonic() - began, 3)
    return Transfer(entry.name, entry.url, source.size, seconds, source.adler32, entry.adler32 is not None)


def _bring(entry: InputFile, storage: Storage, place: str, work: str, path: str, stop: Stop) -> Source:
    label = f"{entry.name} ({entry.url})"
    if storage.fetch and not entry.unpack:
        return _fetch(entry, storage.fetch, place, path, stop)
    with _told(label):
        opened = storage.open(place)
    with contextlib.closing(opened) as stream:
        source = Source(stream, label, stop)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if entry.unpack:
                _unpack(entry, source, label, work, path)
            else:
                _copy(source, path)
                verify(entry, source, label)
        except OSError as error:
            raise scratch_failure(error, work) from error
    return source


def _fetch(entry: InputFile, fetch: Callable[[str, str], None], place: str, path: str, stop: Stop) -> Source:
    """Let the storage's tool write the file; its bytes are summed where they are now."""
    label = f"{entry.name} ({entry.url})"
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, "xb"):
            pass
        try:
            fetch(place, path)
        except Failure:
            _require_room(path)
            raise
        with local.open_file(path) as file:
            source = Source(file, label, stop)
            source.drain()
    except OSError as error:
        raise scratch_failure(error, folder) from error
    verify(entry, source, label)
    return source


def _require_room(path: str) -> None:
    """Ask the disk itself: not every tool says that it was the disk which did not take the file."""
    with open(path, "ab", buffering=0) as file:
        file.write(bytes(CHUNK_BYTES))
        os.fsync(file.fileno())


@contextlib.contextmanager
def _told(label: str) -> Iterator[None]:
    """Name the cause where a storage does not know its own."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Failure(Reason.INPUT_MISSING, f"{label}: {error.strerror}") from error
    except IsADirectoryError as error:
        raise Failure(Reason.INPUT_WRONG_KIND, f"{label}: a file is expected: {error.strerror}") from error
    except OSError as error:
        raise Failure(Reason.INPUT_UNREADABLE, f"{label}: {error.strerror}") from error


def _copy(source: Source, path: str) -> None:
    # A copy and not a link: the payload may write into its input.
    with open(path, "xb", buffering=0) as file:
        while True:
            rest = memoryview(source.read())
            if not rest:
                return
            while rest:
                rest = rest[file.write(rest) :]


def _unpack(entry: InputFile, source: Source, label: str, work: str, path: str) -> None:
    from . import archives

    folder = os.path.join(work, ".lofargrid-unpack")
    os.makedirs(folder, exist_ok=True)
    try:
        top = archives.unpack(source, folder, label)
    except archives.DamagedError as error:
        # With a checksum we know whether the copy is damaged or was never a tar.
        seen = source.size
        source.drain()
        verify(entry, source, label)
        at_start = seen <= CHUNK_BYTES and not os.listdir(folder)
        reason = Reason.INPUT_WRONG_KIND if at_start else Reason.INPUT_CORRUPT
        raise Failure(reason, f"{label}: {'no tar' if at_start else 'a damaged tar'}: {error}") from error
    verify(entry, source, label)
    os.rename(top, path)
    os.rmdir(folder)


def verify(entry: InputFile, source: Source, label: str) -> None:
    """Compare what was read with what the archive says, where it says it.

    Raises
    ------
    Failure
        ``INPUT_CORRUPT``.
    """
    if entry.size_bytes is not None and entry.size_bytes != source.size:
        numbers = f"{entry.size_bytes} bytes expected, {source.size} found"
        raise Failure(Reason.INPUT_CORRUPT, f"{label}: {numbers}")
    if entry.adler32 is not None and entry.adler32.lower() != source.adler32:
        numbers = f"adler32 {entry.adler32} expected, {source.adler32} found"
        raise Failure(Reason.INPUT_CORRUPT, f"{label}: {numbers}")


def _require_measurement_set(path: str, label: str) -> None:
    info = ""
    names = {entry.name for entry in os.scandir(path) if entry.is_file()} if os.path.isdir(path) else set()
    if "table.info" in names:
        with open(os.path.join(path, "table.info"), encoding="utf-8", errors="replace") as file:
            info = file.readline(200).strip()
    problem = measurement_set_problem(names, info)
    if problem:
        raise Failure(Reason.INPUT_WRONG_KIND, f"{label}: {problem}")


def measurement_set_problem(names: set[str], info: str) -> str:
    """Say why a folder with these files, and this first line of table.info, is no MeasurementSet."""
    missing = [name for name in ("table.dat", "table.info") if name not in names]
    if missing:
        return f"no MeasurementSet: {', '.join(missing)} missing"
    return "" if MEASUREMENT_SET in info else f"no MeasurementSet: table.info says {info!r}"
