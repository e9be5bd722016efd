"""``report.json``: the truth about an attempt, there at once or not at all."""

from __future__ import annotations

import contextlib
import os

from .contract import REPORT_FILE, Report, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def write_report(folder: str, report: Report) -> None:
    """Write ``report.json`` so that a reader finds a whole one or none, also after a power cut.

    Raises
    ------
    OSError
        It could not be written; the folder holds no part of it.
    """
    path = os.path.join(folder, REPORT_FILE)
    temporary = f"{path}.part"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(to_json(report))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        forget(temporary)
        raise


def forget_report(folder: str) -> None:
    """Empty the report of an earlier run of this attempt: it would speak for this one.

    The file itself stays: batch systems make much of one that they are to bring home and that is not there.
    """
    with contextlib.suppress(FileNotFoundError):
        os.truncate(os.path.join(folder, REPORT_FILE), 0)


def forget(path: str) -> None:
    """Remove a file that may not be there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def readable(value: Any) -> Any:
    """Make measurements fit for every JSON reader: NaN and infinities become texts, lone surrogates ``?``."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {readable(key): readable(element) for key, element in value.items()}
    if isinstance(value, list):
        return [readable(element) for element in value]
    return value
