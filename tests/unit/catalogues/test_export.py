"""A catalogue in a file: the same rows as CSV and as VOTable, whatever the columns are called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from astropy.table import Table

from lofargrid.catalogues.base import Entry
from lofargrid.catalogues.export import Export
from lofargrid.errors import InputError

URL = "srm://srm.grid.sara.nl:8443/pnfs/lofar/L654321_SAP000_SB000_uv.MS_1a2b3c4d.tar"


def read(path: Path, text: str) -> list[Entry]:
    path.write_text(text)
    return list(Export(path).files("L654321"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_of_any_separator_is_read(tmp_path: Path, separator: str, mark: str) -> None:
    rows = [["SURL", "File Size", "adler32", "Project", "releaseDate", "more"],
            [URL, "1000", "0BADCAFE", "LC9_001", "2027-03-01T00:00:00", "-"]]  # fmt: skip
    text = mark + "".join(separator.join(row) + "\r\n" for row in rows)
    known = Entry(URL, 1000, adler32="0badcafe", project="LC9_001", public_from="2027-03-01")
    assert read(tmp_path / "export.csv", text) == [known]


def test_obscore_tells_sizes_roughly(tmp_path: Path) -> None:
    text = f"access_url,access_estsize,proposal_id\n{URL},36000000,\n"
    assert read(tmp_path / "export.csv", text) == [Entry(URL, about_bytes=36 * 10**9)]


def test_a_votable_is_read_and_empty_cells_tell_nothing(tmp_path: Path) -> None:
    table = Table({"access_url": [URL, URL], "size_bytes": [1000, 2], "proposal_id": ["LC9_001", ""]}, masked=True)
    table["size_bytes"].mask = [False, True]
    table.write(tmp_path / "export.xml", format="votable")
    found = list(Export(tmp_path / "export.xml").files("L654321"))
    assert found == [Entry(URL, 1000, project="LC9_001"), Entry(URL)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"name,size\na,1\n", r"export: it names no files: its columns are name, size. One column must be access_url"),
        (b"", "it names no files: its columns are none"),
        (f"surl,size\n{URL},1\n{URL},much\n".encode(), "export:3: size: 'much' is not a number"),
        (f"surl,size\n{URL},inf\n".encode(), "export:2: size: 'inf' is not a number from 0"),
        (f"surl,size\n{URL},{'9' * 200_000}\n".encode(), "export:1: it is no CSV: field larger than field limit"),
        (
            f"surl,releasedate\n{URL},soon\n".encode(),
            "export:2: release date: 'soon' is not a date, such as 2027-03-01",
        ),
        (b"\xff\xfe\x00", "export: it is neither a CSV nor a VOTable. Export it as CSV or VOTable"),
        (b"<?xml version='1.0'?><VOTABLE><not", "export: it is no VOTable: "),
    ],
)
def test_what_is_none_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "export").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(told)):
        Export(tmp_path / "export").files("L654321")


def test_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the catalogue cannot be read: No such file or directory"):
        Export(tmp_path / "none").files("L654321")
