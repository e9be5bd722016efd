"""Campaigns: many productions made from one table, a row each. The table varies a production.yaml."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lofargrid.documents.pipelines import Pipeline
from lofargrid.documents.production import ProductionDocument
from lofargrid.documents.reading import read_value, shown
from lofargrid.documents.tables import Table, TableRow, read_table
from lofargrid.errors import Fault, InputError
from lofargrid.names import is_url, safe_name

COLUMNS = ("production", "output", "software", "priority", "max_running")


"""The columns that are no role and no parameter."""


@dataclass(frozen=True)
class Row:
    """One production of a campaign, as a production.yaml would say it.

    ``columns`` maps fields of production.yaml to the columns that they came from.
    """

    file: str
    line: int
    document: ProductionDocument
    columns: Mapping[str, str]

    def told_of(self, faults: Iterable[Fault], like: str) -> list[Fault]:
        """Put the faults in a field that a cell gave to that cell; ``like`` is the file that all rows vary."""
        return [
            replace(fault, file=self.file, line=self.line, field=self.columns[fault.field])
            if fault.file == like and fault.field in self.columns
            else fault
            for fault in faults
        ]


@dataclass(frozen=True)
class Campaign:
    """A table, read: rows that can be productions, and what is wrong with the others."""

    name: str
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]


def read_campaign(path: Path, document: ProductionDocument, pipeline: Pipeline, name: str = "") -> Campaign:
    """Read the table of a campaign.

    Parameters
    ----------
    path
        The table; relative paths in its cells start from its folder.
    document
        What the production.yaml says that the rows vary.
    pipeline
        The pipeline that it names.
    name
        The campaign's name, if not that of the file.

    Raises
    ------
    InputError
        It cannot be read, no column names the productions, or the name is none.
    """
    if not safe_name(name or path.stem):
        what = f"{shown(name or path.stem)} is no name for a campaign: letters, digits, - and _ only, 64 at most"
        raise InputError(Fault(what, "Name the campaign with --campaign NAME", "" if name else str(path)))
    table = read_table(path)
    fields, faults = _fields(table, pipeline)
    if "production" not in fields.values():
        what, remedy = "there is no column `production`", "Write one with a name for each row's production"
        raise InputError(*table.faults, *faults, Fault(what, remedy, str(path), table.line))
    if not table.rows and not table.faults:
        faults.append(Fault("there is no row below the head", "Write one for each production", str(path), table.line))
    rows = []
    for one in table.rows:
        try:
            rows.append(_Cells(table.file, one, fields, path.absolute().parent, pipeline).row(document))
        except InputError as error:
            faults += error.faults
    repeated = list(_repeated(table, fields))
    return Campaign(name or path.stem, tuple(rows), (*table.faults, *faults, *repeated))


def _fields(table: Table, pipeline: Pipeline) -> tuple[dict[str, str], list[Fault]]:
    """The field of production.yaml that each column gives."""
    known: dict[str, list[str]] = {}
    for field in (*(f"inputs.{one}" for one in pipeline.roles), *(f"parameters.{one}" for one in pipeline.parameters)):
        known[field] = [field]
        known.setdefault(field.partition(".")[2], []).append(field)
    known |= {name: [name] for name in COLUMNS}
    fields: dict[str, str] = {}
    faults = []
    for name in table.head:
        meant = known.get(name, [])
        if not meant:
            close = difflib.get_close_matches(name, known, n=1)
            plain = ", ".join((*COLUMNS, *pipeline.roles, *pipeline.parameters))
            remedy = f"Did you mean {close[0]!r}?" if close else f"There are {plain}"
            faults.append(Fault("unknown column", remedy, table.file, table.line, shown(name).strip("'")))
        elif len(meant) > 1:
            what = "both a role and a parameter have this name"
            faults.append(Fault(what, f"Write {' or '.join(meant)}", table.file, table.line, name))
        elif meant[0] in fields.values():
            other = next(column for column, field in fields.items() if field == meant[0])
            faults.append(Fault(f"the column {other} says the same", "Remove one", table.file, table.line, name))
        else:
            fields[name] = meant[0]
    return fields, faults


def _repeated(table: Table, fields: Mapping[str, str]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for row in table.rows:
        name = next(row.cells[column] for column, field in fields.items() if field == "production")
        if name and first.setdefault(name, row.line) != row.line:
            what = f"the production {shown(name)} stands already in line {first[name]}"
            yield Fault(what, "Give each row its own", table.file, row.line, "production")


@dataclass(frozen=True)
class _Cells:
    """The cells of one row, and how to read them."""

    file: str
    source: TableRow
    fields: Mapping[str, str]
    folder: Path
    pipeline: Pipeline

    def row(self, like: ProductionDocument) -> Row:
        """The production that the row stands for."""
        given = {self.fields[name]: (name, cell) for name, cell in self.source.cells.items() if name in self.fields}
        said = like.model_dump(exclude_unset=True)
        inputs, parameters = dict(said["inputs"]), dict(said.get("parameters", {}))
        output = ""
        faults: list[Fault] = []
        columns = {}
        for field, (name, cell) in given.items():
            if not cell:
                faults += self._lacks(field, name, inputs, parameters)
                continue
            columns[field] = name
            section, _, key = field.rpartition(".")
            try:
                if section == "inputs":
                    inputs[key] = self._list(cell)
                elif section == "parameters":
                    parameters[key] = self._parameter(key, cell)
                elif key == "output":
                    output = self._place(cell)
                else:
                    said[key] = _value(cell) if key in ("priority", "max_running") else cell
            except ValueError as error:
                faults.append(self._fault(str(error), name))
        said |= {"inputs": inputs, "parameters": parameters, "output": output or self._own_output(said)}
        try:
            document = ProductionDocument.model_validate(said)
        except ValidationError as error:
            faults += self._misfits(error, columns)
        if faults:
            raise InputError(*faults)
        return Row(self.file, self.source.line, document, columns)

    def _own_output(self, said: Mapping[str, Any]) -> str:
        """A folder for each production in the output that all rows vary; products of two do not meet."""
        output = str(said["output"])
        return f"{output}{'' if output.endswith('/') else '/'}{said['production']}"

    def _fault(self, what: str, column: str, remedy: str = "") -> Fault:
        return Fault(what, remedy, self.file, self.source.line, column)

    def _lacks(
        self, field: str, column: str, inputs: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> Iterator[Fault]:
        """An empty cell leaves things as production.yaml has them, where it has them."""
        section, _, key = field.rpartition(".")
        needed = field == "production" or (section == "inputs" and key not in inputs)
        if section == "parameters":
            needed = self.pipeline.parameters[key].required and key not in parameters
        if needed:
            yield self._fault("this cell is empty", column, "Each row needs it")

    def _list(self, cell: str) -> str:
        path = self._place(cell)
        if not os.path.isfile(path):  # noqa: PTH113 - of a name that no disk could hold, too, it says that it is none
            raise ValueError(f"there is no list file {shown(cell)}. Relative paths start from {self.folder}")
        return path

    def _place(self, cell: str) -> str:
        return cell if is_url(cell) else str(self.folder / cell)

    def _parameter(self, name: str, cell: str) -> Any:
        """The value of a cell, as YAML reads it; a text that is not in quotes is taken as it stands."""
        kind = self.pipeline.parameters[name].type
        quotes = {"str": "'\"", "file": "'\"", "command": "'\"["}.get(kind)
        value = cell if quotes and cell[0] not in quotes else _value(cell)
        if kind not in ("file", "files"):
            return value
        places = [self._place(one) if isinstance(one, str) and one else one for one in _listed(value)]
        return places if isinstance(value, list) else places[0]

    def _misfits(self, error: ValidationError, columns: Mapping[str, str]) -> Iterator[Fault]:
        """What the document does not take; all that is not from a cell is as in the production.yaml, which was sound,
        or made of the production's name.
        """
        for detail in error.errors(include_url=False):
            field = str(detail["loc"][0])
            if field in columns:
                yield self._fault(str(detail["ctx"]["error"]), columns[field])


def _value(cell: str) -> Any:
    """What YAML reads; what it cannot read is a text."""
    try:
        return read_value(cell)
    except (yaml.YAMLError, ValueError, RecursionError):
        return cell


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
