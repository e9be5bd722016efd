from __future__ import annotations

from lofargrid.simulation.clock import Clock
from lofargrid.simulation.files import Files, fingerprint


def files(clock: Clock | None = None) -> Files:
    return Files(clock or Clock(), lambda url: url.split("/")[2])


def test_what_is_written_counts_at_its_site_and_what_was_placed_does_not() -> None:
    one = files()
    one.put("davs://A/raw/1", 1000, "ad", "raw", placed=True)
    one.put("davs://A/tmp/1", 10, "ad", "x")
    one.put("davs://A/tmp/2", 30, "ad", "y")
    one.put("davs://B/tmp/1", 5, "ad", "x")
    one.remove("davs://A/tmp/2")
    one.remove("davs://A/tmp/2")
    one.remove("davs://A/raw/1")
    assert (one.held_bytes, one.peak_bytes) == ({"A": 10, "B": 5}, {"A": 40, "B": 5})


def test_the_level_of_each_minute_is_what_it_ended_with() -> None:
    clock = Clock()
    one = files(clock)
    for moment, size in ((0.0, 10), (30.0, 20), (150.0, 40)):
        clock.advance(moment)
        one.put(f"davs://A/{moment}", size, "ad", "x")
    clock.advance(200.0)
    one.remove("davs://A/0.0")
    assert one.levels == {"A": {0: 30, 2: 70, 3: 60}}


def test_a_file_takes_the_place_of_what_stood_there() -> None:
    one = files()
    half = one.put("davs://A/tmp/1", 5, "ad", "half", complete=False)
    whole = one.put("davs://A/tmp/1", 10, "ad", "whole")
    assert one.get("davs://A/tmp/1") is whole is not half
    assert (one.held_bytes["A"], len(one.all())) == (10, 1)


def test_a_folder_holds_what_is_right_in_it() -> None:
    one = files()
    for name in ("b", "a", "deep/er"):
        one.put(f"davs://A/tmp/{name}", 1, "ad", name)
    assert one.inside("davs://A/tmp/") == one.inside("davs://A/tmp") == ["davs://A/tmp/a", "davs://A/tmp/b"]
    assert one.inside("davs://A/none") == []


def test_contents_differ_when_anything_that_went_in_differs() -> None:
    parts = [("job", "out", "a", "b"), ("job", "out", "b"), ("job", "out", "a", "b", "b"), ("job", "outa", "b")]
    assert len({fingerprint(*part) for part in parts}) == 4
