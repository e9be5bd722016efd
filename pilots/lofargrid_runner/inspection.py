"""A look at input files before any job starts, by the rules of stage-in. Only headers are read.

What passes here can still fail on the node, where every byte is read; what fails here fails there.
"""

from __future__ import annotations

import os
import tarfile

from . import local
from .archives import DamagedError, EndsEarlyError, Header, Walk
from .contract import Reason
from .failure import Failure
from .stage_in import measurement_set_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO


def inspect(entry: Mapping[str, Any]) -> dict[str, str]:
    """Look at one tar of a MeasurementSet.

    Parameters
    ----------
    entry
        ``path``, and ``size_bytes`` that was promised or null.

    Returns
    -------
        ``reason`` and ``detail``; both empty where nothing is wrong.
    """
    try:
        _look(entry["path"], entry["size_bytes"])
    except Failure as failure:
        return {"reason": failure.reason.value, "detail": failure.detail}
    return {"reason": "", "detail": ""}


def _look(path: str, size_bytes: int | None) -> None:
    name = os.path.basename(path)
    try:
        file = local.open_file(path)
    except IsADirectoryError as error:
        raise Failure(Reason.INPUT_WRONG_KIND, f"{name}: a tar is expected: {error.strerror}") from error
    except FileNotFoundError as error:
        raise Failure(Reason.INPUT_MISSING, f"{name}: {error.strerror}") from error
    except OSError as error:
        raise Failure(Reason.INPUT_UNREADABLE, f"{name}: {error.strerror}") from error
    with file:
        found = os.fstat(file.fileno()).st_size
        if size_bytes is not None and found != size_bytes:
            raise Failure(Reason.INPUT_CORRUPT, f"{name}: {size_bytes} bytes expected, {found} found")
        _walk(file, name)


def _walk(file: BinaryIO, name: str) -> None:
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=Header) as archive:
            walk = Walk(archive, name)
            info = ""
            tables = set()
            for member in archive:
                inside = walk.checked(member)
                if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
                    raise walk.unsafe(f"{member.name!r} is a device or pipe")
                if inside.count("/") == 1 and member.isfile():
                    tables.add(os.path.basename(inside))
                    if inside.endswith("/table.info"):
                        content = archive.extractfile(member)
                        info = content.readline(200).decode("utf-8", "replace").strip() if content else ""
            walk.require_folder()
    except EndsEarlyError as error:
        raise Failure(Reason.INPUT_TRUNCATED, f"{name}: the tar ends early: {error}") from error
    except (tarfile.TarError, DamagedError, ValueError, EOFError, LookupError) as error:
        if "unexpected end of data" in str(error):
            raise Failure(Reason.INPUT_TRUNCATED, f"{name}: the tar ends early, inside a file") from error
        raise Failure(Reason.INPUT_WRONG_KIND, f"{name}: no tar, or a damaged one: {error}") from error
    except OSError as error:
        raise Failure(Reason.INPUT_UNREADABLE, f"{name}: {error.strerror}") from error
    problem = measurement_set_problem(tables, info)
    if problem:
        raise Failure(Reason.INPUT_WRONG_KIND, f"{name}: {problem}")
