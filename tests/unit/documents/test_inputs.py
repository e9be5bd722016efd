"""Lists of inputs as the archive hands them out: every line is a subband, or is told with its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from lofargrid.documents.inputs import inline_list, read_list, read_subbands
from lofargrid.errors import Fault
from lofargrid.model import Subband
from tests.unit.factories import faults_of

ONE = "L123456_SAP000_SB000_uv.MS_3d78b8f1.tar"
TWO = "L123456_SAP000_SB001_uv.MS_3d78b8f2.tar"
SURL = "srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar/ops/projects/lc2_038/229507/"


def read(*entries: str, many: bool = False, folders: tuple[str, ...] = ("/data",)) -> list[Subband]:
    return read_subbands("target", inline_list("list", entries), [Path(folder) for folder in folders], many)


def told(*entries: str, many: bool = False) -> list[tuple[int | None, str]]:
    return [(fault.line, fault.what) for fault in faults_of(lambda: read(*entries, many=many))]


def listed(tmp_path: Path, content: bytes) -> list[tuple[int, str]]:
    path = tmp_path / "target.surls"
    path.write_bytes(content)
    return [(line.number, line.text) for line in read_list(path)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
def test_any_line_ends_and_marks_give_the_same_lines(tmp_path: Path, mark: bytes, end: bytes, last: bool) -> None:
    lines = [b"# from the archive", b"", ONE.encode(), b"   ", b"  " + TWO.encode() + b"\t", b"  # end"]
    content = mark + end.join(lines) + (end if last else b"")
    assert listed(tmp_path, content) == [(3, ONE), (5, TWO)]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\r\n", b"\xef\xbb\xbf"])
def test_a_list_without_entries_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "target.surls"
    path.write_bytes(content)
    fault = faults_of(read_list, path)[0]
    assert (fault.file, fault.what) == (str(path), "the list is empty")
    assert "one URL a line" in fault.remedy


def test_a_list_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "none.surls"
    assert faults_of(read_list, path) == (Fault("there is no such list file", "Check the name", str(path)),)


def test_a_list_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    fault = faults_of(read_list, tmp_path)[0]
    assert (fault.file, fault.what) == (str(tmp_path), "the list cannot be read: Is a directory")
    assert "a text file with one URL a line" in fault.remedy


def test_a_list_that_is_not_text_is_told_by_name_and_line(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"# a list\n\xff\xfe\x00")
    fault = faults_of(read_list, path)[0]
    assert (fault.file, fault.line, fault.what) == (str(path), 2, "this is not text in UTF-8")


@pytest.mark.parametrize("entries", [[], ["", "  ", "# x"]])
def test_an_empty_inline_list_is_refused_too(entries: list[str]) -> None:
    assert faults_of(inline_list, "production.yaml: inputs.target", entries)[0].what == "the list is empty"


def test_each_line_is_one_subband_in_the_lists_order_with_its_place_in_the_list() -> None:
    later, first = read("# two", TWO, ONE)
    assert (later.key, first.key) == ("L123456-SAP000-SB001", "L123456-SAP000-SB000")
    assert (later.source, later.line, later.role) == ("list", 2, "target")
    assert (later.size_bytes, later.adler32, later.frequency_hz) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("L123456_SAP000_SB000_uv.MS_3d78b8f1.tar", "L123456-SAP000-SB000"),
        ("L123456_SB100_uv.dppp.MS_3d78b8f1.tar", "L123456-SAP000-SB100"),
        ("L123456_SAP002_SB243_uv.MS", "L123456-SAP002-SB243"),
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        SURL,
        "srm://lofar-srm.fz-juelich.de:8443/srm/managerv2?SFN=/pnfs/fz-juelich.de/data/lofar/ops/",
        "https://lta-download.lofar.psnc.pl/lofigrid/SRMFifoGet.py?surl=srm://lta-head.lofar.psnc.pl:8443/lofar/ops/",
        "gsiftp://gridftp.lofar.psnc.pl:2811/lofar/ops/",
        "file:///data/with%20space/",
    ],
)
def test_urls_of_every_site_keep_their_own_form(place: str, name: str, key: str) -> None:
    (one,) = read(place + name)
    assert (one.key, one.url) == (key, place + name)


def test_a_relative_path_is_looked_for_beside_production_and_then_beside_the_list(tmp_path: Path) -> None:
    desk, lists = tmp_path / "a desk", tmp_path / "lists"
    for folder, names in ((desk, [ONE]), (lists, [ONE, TWO])):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    absent = "L123456_SAP000_SB002_uv.MS_3d78b8f2.tar"
    found = read_subbands("target", inline_list("list", [ONE, TWO, absent]), [desk, lists], many=False)
    space = str(desk).replace(" ", "%20")
    assert [one.url for one in found] == [f"file://{space}/{ONE}", f"file://{lists}/{TWO}", f"file://{space}/{absent}"]


def test_an_absolute_path_may_hold_any_characters() -> None:
    (one,) = read(f"/data/ü #1/100%/{ONE}")
    assert one.url == f"file:///data/%C3%BC%20%231/100%25/{ONE}"


def test_columns_tell_what_the_name_does_not() -> None:
    line = f"{ONE}\tsize_bytes=1234\tadler32=AB12\t\tfrequency_mhz=134.375\tsap=3"
    (one,) = read(line)
    assert (one.size_bytes, one.adler32, one.frequency_hz) == (1234, "0000ab12", 134.375e6)
    assert (one.sap, one.key) == (3, "L123456-SAP003-SB000")


def test_a_column_after_a_space_is_told_that_tabs_are_meant() -> None:
    ((line, what),) = told(TWO, f"{ONE} sap=1")
    assert line == 2
    assert "a tab stands before each column" in what


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("size=3", "the column 'size=3' is not one of size_bytes=, adler32=, frequency_mhz=, sap="),
        ("sap", "the column 'sap' is not one of"),
        ("size_bytes=", "size_bytes= is not a whole number"),
        ("size_bytes=-1", "size_bytes=-1 is not a whole number"),
        ("size_bytes=1_000", "size_bytes=1_000 is not a whole number"),
        ("sap=1.5", "sap=1.5 is not a whole number"),
        ("adler32=", "adler32= is not a checksum"),
        ("adler32=0x12", "adler32=0x12 is not a checksum"),
        ("adler32=123456789", "adler32=123456789 is not a checksum"),
        ("adler32=-1", "adler32=-1 is not a checksum"),
        ("frequency_mhz=abc", "frequency_mhz=abc is not a frequency of LOFAR, 1 to 300"),
        ("frequency_mhz=nan", "frequency_mhz=nan is not a frequency"),
        ("frequency_mhz=134375000", "frequency_mhz=134375000 is not a frequency"),
        ("frequency_mhz=0", "frequency_mhz=0 is not a frequency"),
        ("sap=1\tsap=2", "the column sap= stands there twice"),
    ],
)
def test_a_column_that_makes_no_sense_is_told_with_its_line(column: str, what: str) -> None:
    ((line, told_what),) = told(TWO, f"{ONE}\t{column}")
    assert line == 2
    assert told_what.startswith(what)


@pytest.mark.parametrize(
    "entry", [f"/a\0b/{ONE}", f"file:///a%00b/{ONE}", f"srm://host/a%0ab/{ONE}", f"file:///a\nb/{ONE}"]
)
def test_a_name_with_a_control_character_is_refused_with_its_line(entry: str) -> None:
    ((line, what),) = told(TWO, entry)
    assert line == 2
    assert "holds a control character" in what


@pytest.mark.parametrize("entry", ["A" * 5_000_000, f"/{'a' * 5000}/{ONE}"])
def test_a_name_longer_than_any_is_refused_with_its_line_and_not_shown_whole(entry: str) -> None:
    ((line, what),) = told(TWO, entry)
    assert line == 2
    assert len(what) < 300


def test_every_bad_line_is_told_at_once() -> None:
    assert [line for line, _ in told("a.tar", ONE, "srm://[broken", f"{TWO} size_bytes=1", "L1_SB000.MS")] == [
        1,
        3,
        4,
        5,
    ]


def test_a_subband_given_twice_is_refused_with_both_lines_even_from_another_place() -> None:
    entries = (ONE, TWO, f"{SURL}{ONE}", ONE.replace("3d78b8f1", "00000000"))
    key = "L123456-SAP000-SB000"
    assert told(*entries) == [(3, f"{key} stands already in line 1"), (4, f"{key} stands already in line 1")]


def test_the_same_number_in_two_beams_is_no_duplicate() -> None:
    assert len(read(ONE, ONE.replace("SAP000", "SAP001"))) == 2


def test_two_beams_without_beam_in_their_names_are_told_apart_by_a_column() -> None:
    one, other = "L123456_SB000_uv.MS_00000001.tar", "L123456_SB000_uv.MS_00000002.tar"
    assert told(one, other) == [(2, "L123456-SAP000-SB000 stands already in line 1")]
    assert [found.sap for found in read(one, f"{other}\tsap=1")] == [0, 1]


def test_a_foreign_observation_is_refused_with_its_line() -> None:
    foreign = TWO.replace("L123456", "L999999")
    assert told(ONE, TWO, "", foreign) == [(4, "L999999 among subbands of L123456 (line 1)")]


def test_a_role_for_many_takes_several_observations() -> None:
    assert [one.observation for one in read(ONE, ONE.replace("L123456", "L999999"), many=True)] == [
        "L123456",
        "L999999",
    ]
