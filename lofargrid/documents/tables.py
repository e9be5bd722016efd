"""Tables that people write: CSV as editors and spreadsheets leave it, told by line and column."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lofargrid.documents.reading import not_utf8, shown
from lofargrid.errors import Fault, InputError

DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class TableRow:
    """The cells of a row by column, without the blanks around them. ``line`` is where the row begins, from 1."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table with its faults: rows that do not fit the head are left out and told."""

    file: str
    line: int
    head: tuple[str, ...]
    rows: tuple[TableRow, ...]
    faults: tuple[Fault, ...]


def read_table(path: Path) -> Table:
    """Read a table whose first row names its columns.

    A byte order mark, any line ends, a comma, a semicolon or a tab between cells, rows and columns that are empty,
    and lines that start with # are all right.

    Raises
    ------
    InputError
        The file cannot be read or has no head.
    """
    lines = _lines(path)
    rows, broken = _rows(path, lines)
    if not rows:
        what, remedy = "the table is empty", "Write a first line with the names of the columns"
        raise InputError(*broken, Fault(what, remedy, str(path)))
    (line, head), *below = rows
    width = max((place for place, name in enumerate(head, 1) if name), default=0)
    head = head[:width]
    faults = [*_head_faults(path, line, head), *broken]
    fitting = []
    for number, cells in below:
        fault = _misfit(path, number, cells, head)
        if fault:
            faults.append(fault)
        else:
            fitting.append(TableRow(number, {name: cell for name, cell in zip(head, cells, strict=False) if name}))
    return Table(str(path), line, tuple(name for name in head if name), tuple(fitting), tuple(faults))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(Fault("there is no such file", "Check the name", str(path))) from None
    except UnicodeDecodeError as error:
        raise InputError(not_utf8(path, error)) from None
    except OSError as error:
        raise InputError(Fault(f"cannot be read: {error.strerror}", "Name a file that can be", str(path))) from None
    return [f"{line}\n" for line in text.split("\n")]


def _rows(path: Path, lines: list[str]) -> tuple[list[tuple[int, list[str]]], list[Fault]]:
    """The rows that hold anything, each with the line that it begins in."""
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    delimiter = max(DELIMITERS, key=lambda one: len(next(csv.reader([first], delimiter=one), [])))
    found: list[tuple[int, list[str]]] = []
    line = 1

    def uncommented() -> Iterator[str]:
        # A comment may hold quotes that nothing closes; a cell may hold a line that begins like a comment.
        for number, text in enumerate(lines, 1):
            yield "\n" if number == line and text.startswith("#") else text

    reader = csv.reader(uncommented(), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                found.append((line, stripped))
            line = reader.line_num + 1
    except csv.Error as error:
        what = f"a cell that begins with a quote in this row or below is not as it should be: {error}"
        return found, [Fault(what, 'Close each quote; write a quote in a cell as ""', str(path), line)]
    return found, []


def _head_faults(path: Path, line: int, head: list[str]) -> Iterator[Fault]:
    for place, name in enumerate(head):
        if name and name in head[:place]:
            yield Fault("this column stands there twice", "Remove one of the two", str(path), line, name)


def _misfit(path: Path, line: int, cells: list[str], head: list[str]) -> Fault | None:
    """A row that is longer or shorter than the head; empty cells at its end do no harm."""
    loose = [cell for place, cell in enumerate(cells) if cell and (place >= len(head) or not head[place])]
    if loose:
        what = f"{shown(loose[0])} stands under no column: {len(cells)} cells, {len(head)} columns"
        return Fault(what, "Put a cell that holds the delimiter in quotes, or name its column", str(path), line)
    if len(cells) < len(head):
        what = f"the row ends early: {len(cells)} cells, {len(head)} columns"
        return Fault(what, "Leave a cell empty rather than out", str(path), line)
    return None
