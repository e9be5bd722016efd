"""The nouns: the little that they work out themselves."""

from __future__ import annotations

from dataclasses import replace

from lofargrid.model import StoredOutput
from tests.unit.factories import subband


def test_a_subband_has_the_key_that_its_jobs_are_named_after() -> None:
    assert subband(7, observation="L1000", sap=2).key == "L1000-SAP002-SB007"


def test_a_file_is_read_from_scratch_while_it_is_there_and_then_from_where_it_was_published() -> None:
    made = StoredOutput(1, "t-1-1", "ms", "a.MS.tar", "file:///scratch/a", 1, "00000001")
    assert made.location == "file:///scratch/a"
    assert replace(made, published="file:///out/a").location == "file:///scratch/a"
    assert replace(made, state="deleted", published="file:///out/a").location == "file:///out/a"
    assert replace(made, state="deleted").location == ""
