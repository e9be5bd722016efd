"""Stage-out: all outputs stand on storage, or none of this attempt does."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from .contract import JobSpec, OutputFile, Reason, StoredFile, Transfer
from .failure import FULL, Failure
from .log import Log
from .names import harmless_name, harmless_path
from .stop import Stop
from .storages import Storage, Storages
from .streams import CHUNK_BYTES, Facts, Sink, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

PLAIN_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


class Stored(NamedTuple):
    """One output on storage, and the copy that brought it there."""

    file: StoredFile
    transfer: Transfer


def stage_out(
    spec: JobSpec, folder: str, work: str, stop: Stop, log: Log, storages: Storages
) -> list[Stored]:  # fmt: skip
    """Store all outputs as ``<filename>.<attempt>`` in the job's destination, or in ``folder`` to be carried there.

    Raises
    ------
    Failure
        ``OUTPUT_MISSING``, ``STAGE_OUT_FAILED`` or ``STOPPED``; nothing of this attempt is left on storage.
    """
    for output in spec.outputs:
        _require(output, work)
    home = os.path.join(folder, harmless_name(spec.carry, "carry")) if spec.carry else spec.destination
    is_url = home.startswith("/") or ":" in home
    storage = storages.of(home if is_url else "/", os.path.join(folder, spec.token) if spec.token else "")
    stored: list[Stored] = []
    try:
        for output in spec.outputs:
            stored.append(_store(output, spec, storage, home, work, stop, log))
    except BaseException:
        for one in stored:
            _withdraw(storage, _url(home, one.file.filename), log)
        raise
    return stored


def _require(output: OutputFile, work: str) -> None:
    path = os.path.join(work, harmless_path(output.path, "path"))
    if not os.path.exists(path):
        raise Failure(Reason.OUTPUT_MISSING, f"{output.name}: the payload left no {output.path}")
    if os.path.isdir(path) != output.pack:
        found, expected = ("a file", "a folder") if output.pack else ("a folder", "a file")
        where = f"{output.name}: {output.path}"
        raise Failure(Reason.OUTPUT_MISSING, f"{where} is {found} where {expected} is expected")


def _store(
    output: OutputFile, spec: JobSpec, storage: Storage, home: str, work: str, stop: Stop, log: Log
) -> Stored:  # fmt: skip
    began = time.monotonic()
    filename = f"{output.filename}.{spec.attempt}"
    url = _url(home, filename)
    try:
        earlier = _earlier(storage, url, stop, log)
        sink = _send(storage, url, os.path.join(work, harmless_path(output.path, "path")), output.pack, stop)
    except ValueError as error:
        raise Failure(Reason.STAGE_OUT_FAILED, f"{output.name}: {error}") from error
    except OSError as error:
        raise _storage_failure(error, storage, url) from error
    if earlier not in (None, sink.adler32):
        log.line(f"stage-out: {filename} had other content before: adler32 {earlier}, now {sink.adler32}")
    _require_whole(storage, url, sink, log)
    log.line(f"stage-out: {filename}: {sink.size} bytes, adler32 {sink.adler32}")
    seconds = round(time.monotonic() - began, 3)
    url = _url(spec.destination, filename)
    return Stored(
        StoredFile(output.name, filename, url, sink.size, sink.adler32),
        Transfer(output.name, url, sink.size, seconds, sink.adler32, verified=False),
    )


def _url(folder: str, filename: str) -> str:
    is_path = folder.startswith("/") or ":" not in folder
    return f"{folder.rstrip('/')}/{filename if is_path else _quoted(filename)}"


def _send(storage: Storage, url: str, path: str, pack: bool, stop: Stop) -> Sink:
    sinks = []

    def fill(stream: BinaryIO) -> None:
        sinks.append(Sink(stream, stop))
        _filler(path, pack)(sinks[-1])

    storage.store(url, fill)
    return sinks[-1]


def _filler(path: str, pack: bool) -> Callable[[Sink], None]:
    if not pack:
        return lambda sink: _copy(path, sink)
    from . import archives

    return lambda sink: archives.pack(path, sink)


def _copy(path: str, sink: Sink) -> None:
    with open(path, "rb", buffering=0) as file:
        while True:
            data = file.read(CHUNK_BYTES)
            if not data:
                return
            sink.write(data)


def _earlier(storage: Storage, url: str, stop: Stop, log: Log) -> str | None:
    """The checksum of what an earlier run of this attempt left under our name: it is replaced, but not in silence."""
    found = storage.facts(url)
    if found is None:
        return None
    adler32 = found.adler32 or _summed(storage, url, stop)
    log.line(f"stage-out: replaces {url} of an earlier run, adler32 {adler32}")
    return adler32


def _summed(storage: Storage, url: str, stop: Stop) -> str:
    with contextlib.closing(storage.open(url)) as stream:
        source = Source(stream, url, stop)
        source.drain()
    return source.adler32


def _require_whole(storage: Storage, url: str, sent: Sink, log: Log) -> None:
    found = storage.facts(url)
    if found and found.size_bytes in (None, sent.size) and found.adler32 in (None, sent.adler32):
        return
    _withdraw(storage, url, log)
    what = f"sent were {sent.size} bytes, adler32 {sent.adler32}; there is {_shown(found)}"
    raise Failure(Reason.STAGE_OUT_FAILED, f"{url}: {what}")


def _shown(found: Facts | None) -> str:
    if found is None:
        return "nothing"
    size = [] if found.size_bytes is None else [f"{found.size_bytes} bytes"]
    return ", ".join([*size, *([f"adler32 {found.adler32}"] if found.adler32 else [])])


def _storage_failure(error: OSError, storage: Storage, url: str) -> Failure:
    free = f" ({storage.free(url)})" if error.errno in FULL else ""
    return Failure(Reason.STAGE_OUT_FAILED, f"cannot store {url}: {error.strerror or error}{free}")


def _withdraw(storage: Storage, url: str, log: Log) -> None:
    try:
        storage.remove(url)
        log.line(f"stage-out: removed {url} again")
    except (OSError, Failure) as error:
        log.line(f"stage-out: could not remove {url}: {error}")


def _quoted(filename: str) -> str:
    if PLAIN_LETTERS.issuperset(filename):
        return filename
    from urllib.parse import quote

    return quote(filename)
