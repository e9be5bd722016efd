"""Tables as editors and spreadsheets leave them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lofargrid.documents.tables import Table, read_table
from tests.unit.factories import faults_of

PLAIN = "production,data\na,a.surls\nb,b.surls\n"


def table(folder: Path, content: str | bytes) -> Table:
    path = folder / "survey.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path)


def told(folder: Path, content: str | bytes) -> list[str]:
    """The faults, without the folder."""
    return [str(fault).replace(f"{folder}/", "") for fault in table(folder, content).faults]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        f"\ufeff{PLAIN}",
        f"\n\n{PLAIN}\n\n",
        f'# my "survey, see the log\n{PLAIN}#b,c\n',
        PLAIN.replace("\n", ",,\n"),
        PLAIN + ",,,\n , \n",
        ' production , data\n a ,"a.surls "\n"b",b.surls',
    ],
    ids=["comma", "semicolon", "tab", "windows", "old-mac", "bom", "blank-lines", "comments", "empty-columns",
         "empty-rows", "blanks"],
)  # fmt: skip
def test_what_spreadsheets_leave_is_the_same_table(tmp_path: Path, content: str) -> None:
    found = table(tmp_path, content)
    assert found.head == ("production", "data")
    assert [row.cells for row in found.rows] == [
        {"production": "a", "data": "a.surls"},
        {"production": "b", "data": "b.surls"},
    ]
    assert found.faults == ()


def test_a_row_has_the_line_that_it_begins_in(tmp_path: Path) -> None:
    found = table(tmp_path, '\n# of 2024\nproduction,data\n\na,"x\ny"\nb,z\n')
    assert found.line == 3
    assert [(row.line, row.cells["data"]) for row in found.rows] == [(5, "x\ny"), (7, "z")]


def test_a_cell_in_quotes_may_hold_the_delimiter(tmp_path: Path) -> None:
    (row,) = table(tmp_path, 'production;data\na;"x;y, ""z"""\n').rows
    assert row.cells["data"] == 'x;y, "z"'


def test_rows_that_do_not_fit_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    content = "production,data\na\nb,b.surls\nc,c.surls,1,5\n"
    assert [row.cells["production"] for row in table(tmp_path, content).rows] == ["b"]
    assert told(tmp_path, content) == [
        "survey.csv:2: the row ends early: 1 cells, 2 columns. Leave a cell empty rather than out",
        "survey.csv:4: '1' stands under no column: 4 cells, 2 columns. "
        "Put a cell that holds the delimiter in quotes, or name its column",
    ]


def test_a_cell_under_a_column_without_a_name_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, "production,,data\na,,x\nb,y,z\n")[0].startswith("survey.csv:3: 'y' stands under no column")


def test_a_column_that_stands_twice_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, "production,data,data\n") == [
        "survey.csv:1: data: this column stands there twice. Remove one of the two"
    ]


def test_a_quote_that_nothing_closes_is_told_with_its_row(tmp_path: Path) -> None:
    (said,) = told(tmp_path, 'production,data\na,x\nb,"y\nc,z\n')
    assert said.startswith("survey.csv:3: a cell that begins with a quote in this row or below is not as it should be")


@pytest.mark.parametrize("content", ["", "\n\n", "# production\n", ",,\n", b"\xef\xbb\xbf"])
def test_an_empty_table_is_refused(tmp_path: Path, content: str | bytes) -> None:
    (fault,) = faults_of(table, tmp_path, content)
    assert fault.what == "the table is empty"


def test_what_is_no_text_is_refused_with_its_line(tmp_path: Path) -> None:
    (fault,) = faults_of(table, tmp_path, b"production\na\n\xff\xfe")
    assert (fault.what, fault.line) == ("this is not text in UTF-8", 3)
    (fault,) = faults_of(table, tmp_path, PLAIN.encode("utf-16"))
    assert fault.what == "this is not text in UTF-8"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert faults_of(read_table, tmp_path / "none.csv")[0].what == "there is no such file"
    assert faults_of(read_table, tmp_path)[0].what == "cannot be read: Is a directory"


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=4),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
@example(rows=[["#a", "b\n#c"]], delimiter=",", end="\n")
@example(rows=[["\x85a\u2028b", "c"]], delimiter=";", end="\n")
def test_any_text_that_csv_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, end: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["production", "data"], *rows])
    found = table(tmp_path_factory.mktemp("any"), text.getvalue())
    wanted = [[cell.replace("\r\n", "\n").strip() for cell in row] for row in rows]
    assert [list(row.cells.values()) for row in found.rows] == [row for row in wanted if any(row)]
    assert found.faults == ()
