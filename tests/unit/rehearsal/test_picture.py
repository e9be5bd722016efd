"""A forecast as a picture, and what it refuses."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from lofargrid.rehearsal import lofar
from lofargrid.rehearsal.forecast import Forecast, Series, forecast
from lofargrid.rehearsal.picture import draw
from tests.unit.factories import faults_of
from tests.unit.rehearsal.rehearsals import recipe

pytest.importorskip("matplotlib")


@cache
def told() -> Forecast:
    """One whose data are copied, over links that bear little more."""
    sites = lofar.sites(1, 1, slots=3)
    storage = replace(sites["T1-1"], slots=0, bandwidth_mb_s=60.0)
    return forecast([recipe()], sites | {"T1-1": storage}, lofar.WORK.steps, 1)


def test_the_ending_of_the_name_tells_the_format(tmp_path: Path) -> None:
    draw(told(), "field", tmp_path / "a.png")
    draw(told(), "field", tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "a.svg").read_text()


def test_the_title_the_axes_the_sites_and_the_caps_that_were_neared_are_written(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(replace(told(), cap_mb_s={"T1-1": 60.0, "T2-1": 500.0}), "field, seed 1", tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for word in ("field, seed 1", "jobs running", "wide-area MB/s", "TB written and kept", "hours", "T2-1", "cap T1-1"):
        assert word in text
    assert "cap T2-1" not in text
    assert "from tape" not in text


def test_what_comes_from_tape_has_a_panel_of_its_own(tmp_path: Path) -> None:
    import matplotlib

    tape = (Series("T1-1", ((0.0, 100.0), (1.0, 0.0))),)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(replace(told(), tape=tape), "field", tmp_path / "a.svg")
    assert "MB/s from tape" in (tmp_path / "a.svg").read_text()


def test_what_never_happened_has_no_panel(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(replace(told(), links=(), cap_mb_s={}), "field", tmp_path / "a.svg")
    assert "wide-area" not in (tmp_path / "a.svg").read_text()


def test_a_forecast_of_nothing_is_a_picture_too(tmp_path: Path) -> None:
    draw(replace(told(), running=(), links=(), scratch=(), tape=(), cap_mb_s={}), "nothing", tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize("name", ["a.nonsense", "no/such/folder/a.png", "a", "."])
def test_a_name_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (fault,) = faults_of(draw, told(), "field", tmp_path / name)
    assert fault.field == "--picture"
    assert fault.what.startswith("cannot write the picture: ")
    assert fault.file == str(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_it_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (fault,) = faults_of(draw, told(), "field", tmp_path / "a.png")
    assert fault.remedy == "Install it: pip install matplotlib"
