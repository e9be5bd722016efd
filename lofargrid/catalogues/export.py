"""A catalogue in a file: the table of a query, exported as CSV or VOTable."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lofargrid.catalogues.base import Entry
from lofargrid.catalogues.rows import URL_COLUMNS, entry_of
from lofargrid.errors import Fault, InputError


class Export:
    """The rows of a file; those of other observations may be among them.

    Parameters
    ----------
    path
        A CSV with a line of names first, separated by commas, semicolons or tabs; or a VOTable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def files(self, observation: str) -> Iterable[Entry]:
        """See `Catalogue.files`."""
        try:
            content = self._path.read_bytes()
        except OSError as error:
            remedy = "Name the file of an export, or the https:// address of a TAP service"
            raise InputError(
                Fault(f"the catalogue cannot be read: {error.strerror}", remedy, str(self._path))
            ) from None
        rows = self._votable(content) if b"<VOTABLE" in content[:4096].upper() else self._csv(content)
        return list(self._entries(rows))

    def _entries(self, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[Entry]:
        names: Iterable[str] = ()
        some = False
        for line, row in rows:
            names = row.keys()
            try:
                entry = entry_of(row)
            except ValueError as error:
                raise InputError(Fault(str(error), "", str(self._path), line)) from None
            if entry:
                some = True
                yield entry
        if not some:
            what = f"it names no files: its columns are {', '.join(list(map(str, names))[:20]) or 'none'}"
            raise InputError(Fault(what, f"One column must be {URL_COLUMNS}", str(self._path)))

    def _csv(self, content: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            remedy = "Export it as CSV or VOTable"
            raise InputError(Fault("it is neither a CSV nor a VOTable", remedy, str(self._path))) from None
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        reader = csv.DictReader(io.StringIO(text), delimiter=separator, restkey="", restval="")
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise InputError(Fault(f"it is no CSV: {error}", "", str(self._path), reader.line_num)) from None

    def _votable(self, content: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
        try:
            from astropy.io.votable import parse_single_table
        except ImportError:
            remedy = "Install it: pip install 'lofargrid[catalogue]', or export it as CSV"
            raise InputError(Fault("a VOTable is read with astropy", remedy, str(self._path))) from None
        try:
            table = parse_single_table(io.BytesIO(content), verify="ignore").to_table()
        except Exception as error:  # its parser raises many kinds, and whatever it is the file is no VOTable
            what = f"it is no VOTable: {' '.join(str(error).split())[:200] or type(error).__name__}"
            raise InputError(Fault(what, "Export it once more", str(self._path))) from None
        for number, row in enumerate(table, 1):
            yield number, {name: row[name] for name in table.colnames}
