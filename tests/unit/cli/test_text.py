from __future__ import annotations

import pytest

from lofargrid.cli.text import bytes_text, note, paragraph, seconds_text, shorten, table, time_text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_820_000, "1.8 MB"), (2.5e9, "2.5 GB"), (4e15, "4000.0 TB")],
)
def test_bytes_are_told_in_the_unit_that_people_use(size: float, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3600, "1 h 0 min"), (90061, "25 h 1 min")],
)
def test_times_are_told_in_two_units_at_most(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_a_stamp_is_told_in_universal_time_to_the_second() -> None:
    assert time_text("2026-02-03T04:05:06.789+00:00") == "2026-02-03 04:05:06 UTC"


def test_columns_are_as_wide_as_their_widest_cell_and_nothing_trails() -> None:
    assert table(["a", "b", "c"], [["long", "", "x"], ["s", "yy", ""]]) == "a     b   c\nlong      x\ns     yy"


def test_a_paragraph_fits_the_screen_and_no_more_than_people_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert paragraph("one two\n   three four five", 4) == "    one two three\n    four five"
    monkeypatch.setenv("COLUMNS", "500")
    assert max(map(len, paragraph("word " * 100, 0).splitlines())) <= 100


def test_notes_do_not_mix_with_data(capsys: pytest.CaptureFixture[str]) -> None:
    note("a")
    assert tuple(capsys.readouterr()) == ("", "a\n")


def test_what_is_too_long_for_a_column_ends_with_dots() -> None:
    assert shorten("one\n two", 7) == "one two"
    assert shorten("one two three", 12) == "one two  ..."
