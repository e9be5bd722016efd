"""Plain text for people."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime


def note(line: str) -> None:
    """Tell something that is not data."""
    print(line, file=sys.stderr)


def count(number: int, noun: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def bytes_text(size: object) -> str:
    """``1.8 MB``."""
    value = float(str(size))
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def seconds_text(seconds: float) -> str:
    """``3 min 20 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def time_text(stamp: str) -> str:
    """``2026-02-03 04:05:06 UTC``, from the tracker's way to write it."""
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M:%S} UTC"


def paragraph(text: str, indent: int) -> str:
    """A text as lines that fit the screen."""
    margin = " " * indent
    width = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(" ".join(text.split()), width, initial_indent=margin, subsequent_indent=margin)


def shorten(text: str, width: int) -> str:
    """A text in one line of some width; what is left out ends with dots."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 4]} ..."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their heads."""
    every = [list(map(str, row)) for row in (head, *rows)]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every]
    return "\n".join(lines)
