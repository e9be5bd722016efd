"""A list out of what a catalogue tells: the raw subbands of one observation, in order, each once."""

from __future__ import annotations

import pytest

from lofargrid.catalogues.base import Entry
from lofargrid.catalogues.listing import list_text, subbands
from lofargrid.errors import InputError


def entry(number: int, observation: str = "L654321", folder: str = "srm://host/a", mark: str = "1a2b3c4d") -> Entry:
    return Entry(f"{folder}/{observation}_SAP000_SB{number:03d}_uv.MS_{mark}.tar")


def test_other_observations_other_files_and_copies_are_passed_over() -> None:
    first, second = entry(0), entry(1)
    others = [entry(2, "L654322"), Entry("srm://host/a/L654321_B000_P000_bf.h5.tar"), entry(0, folder="srm://other/b")]
    strange = [Entry("no url"), Entry("srm://host/a\n"), Entry("")]
    assert subbands("L654321", [second, first, *others, *strange]) == [first, second]


def test_two_files_of_a_subband_are_told() -> None:
    with pytest.raises(InputError, match=r"SB000 of L654321 is both L654321_.*_1a2b3c4d.tar and L654321_.*_ffffffff"):
        subbands("L654321", [entry(0), entry(0, mark="ffffffff")])


@pytest.mark.parametrize(("entries", "more"), [([], ""), ([entry(0, "L1")], ", but 1 other files")])
def test_an_observation_that_it_does_not_know_is_told(entries: list[Entry], more: str) -> None:
    with pytest.raises(InputError, match=f"the catalogue has no subbands of L654321{more}. Check the number"):
        subbands("L654321", entries)


def test_what_is_known_stands_in_columns_and_nothing_breaks_out_of_one() -> None:
    known = Entry("srm://h/a", 1000, None, "0badcafe", 134.375, "LC9_001", "2027-03-01")
    odd = Entry("srm://h/b", project="LC9\tsize_bytes=1\nfile:///etc/passwd", adler32="")
    assert list_text([known, odd]) == (
        "srm://h/a\tsize_bytes=1000\tadler32=0badcafe\tfrequency_mhz=134.375\tproject=LC9_001\tpublic_from=2027-03-01\n"
        "srm://h/b\n"
    )
