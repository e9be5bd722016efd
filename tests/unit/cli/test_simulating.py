"""sim: what it tells of a production or a campaign before it is run, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from tests.unit.cli.seat import Seat

UNMEASURED = "nothing of this pipeline has run yet, so half of what it grants is taken; `run --probe 3` lets us measure"
NARROW = {"tier": 2, "slots": 4, "cores": 1, "memory_mb": 500, "walltime_min": 600}


def own_sites(seat: Seat, **sites: dict[str, Any]) -> str:
    """A file of sites whose names begin with own."""
    (seat.desk / "own.yaml").write_text(json.dumps({"sites": sites}))
    return "own.yaml"


def remote(seat: Seat, count: int = 4, size_bytes: int | None = 2_000_000_000) -> None:
    """A list of subbands on an archive."""
    folder = "srm://srm.grid.sara.nl:8443/pnfs/grid.sara.nl/data/lofar/ops"
    size = f"\tsize_bytes={size_bytes}" if size_bytes else ""
    (seat.desk / "data.surls").write_text(
        "".join(f"{folder}/L654321_SAP000_SB{number:03d}_uv.MS_1a2b3c4d.tar{size}\n" for number in range(count))
    )


def facts(seat: Seat, *words: str, code: int = 0) -> list[dict[str, Any]]:
    found = seat("sim", "production.yaml", "--json", *words, code=code).json
    assert isinstance(found, list)
    return found


# What it tells


def test_it_tells_jobs_time_sites_and_scratch_and_changes_nothing(seat: Seat) -> None:
    remote(seat)
    seat.write()
    before = sorted(seat.folder.rglob("*"))
    said = seat("sim", "production.yaml", "--repeat", "1")
    lines = said.out.splitlines()
    assert re.fullmatch(r"field: 7 jobs, \d+ h \d+ min|field: 7 jobs, \d+ min \d+ s", lines[0])
    assert re.fullmatch(r"  core-hours  \d+, of them 0 in attempts that fail", lines[1])
    assert lines[2].startswith("  jobs at     ")
    assert "SURF" in lines[2]
    assert lines[3].startswith("  scratch     SURF ")
    assert said.err == f"{UNMEASURED}\n"
    assert sorted(seat.folder.rglob("*")) == before


def test_links_that_carry_data_are_told_with_their_caps(seat: Seat) -> None:
    remote(seat)
    said = seat("sim", seat.write(sites="Juelich"), "--repeat", "1").out
    head, *rows = [line.split() for line in said.splitlines()[-3:]]
    assert head[:4] == ["wide-area", "link", "TB", "MB/s"]
    assert {row[0]: row[-1] for row in rows} == {"SURF": "1000", "Juelich": "500"}


def test_json_holds_every_figure_of_every_seed(seat: Seat) -> None:
    remote(seat)
    seat.write()
    found = facts(seat, "--seed", "5", "--repeat", "2")
    assert [one["seed"] for one in found] == [5, 6]
    for one in found:
        assert (one["ended"], one["jobs"], one["attempts"], one["troubles"]) == (True, 7, 7, [])
        assert one["makespan_s"] > 0
        assert sum(one["jobs_at"].values()) == 7
        assert not one.keys() & {"running", "links", "scratch", "tape"}


def test_the_same_seed_tells_the_same(seat: Seat) -> None:
    remote(seat)
    seat.write()
    assert facts(seat, "--seed", "5", "--repeat", "1") == facts(seat, "--seed", "5", "--repeat", "1")


def test_of_several_seeds_the_middle_one_and_the_range_are_told(seat: Seat) -> None:
    remote(seat)
    seat.write()
    said = seat("sim", "production.yaml", "--faults", "everything").out.splitlines()[0]
    assert re.fullmatch(r"field: 7 jobs, \S+ \S+ \S+ \S+ \(\S+ \S+ \S+ \S+ to \S+ \S+ \S+ \S+\)", said)


def test_with_faults_some_attempts_are_wasted(seat: Seat) -> None:
    remote(seat, 40)
    seat.write()
    calm, some, every = (facts(seat, "--faults", how, "--repeat", "1")[0] for how in ("none", "some", "everything"))
    assert calm["wasted_core_hours"] == 0
    assert some != calm
    assert every["wasted_core_hours"] > 0


def test_what_comes_from_tape_is_told(seat: Seat) -> None:
    remote(seat)
    seat.write()
    assert facts(seat, "--repeat", "1")[0]["tape_tb"] == {"SURF": pytest.approx(0.008)}
    assert "  from tape   SURF 0.01 TB\n" in seat("sim", "production.yaml", "--repeat", "1").out


def test_inputs_of_unknown_size_are_counted_and_those_here_are_looked_at(seat: Seat) -> None:
    seat.write()
    assert "of unknown size" not in seat("sim", "production.yaml", "--repeat", "1").err
    remote(seat, size_bytes=None)
    said = seat("sim", "production.yaml", "--repeat", "1").err
    assert said.splitlines()[0] == "4 inputs of unknown size: 16.0 GB each is taken"


def test_where_a_human_looks_a_long_rehearsal_shows_the_virtual_time(seat: Seat) -> None:
    remote(seat, 100)
    seat.write()
    seat.environment["FORCE_COLOR"] = "1"  # what rich takes for a terminal
    assert "field, seed 1: " in seat("sim", "production.yaml", "--repeat", "1").err
    remote(seat, 4)
    assert "seed 1" not in seat("sim", "production.yaml", "--repeat", "1").err


# What it may rehearse


def test_backends_sites_and_storages_that_cannot_be_used_yet_can_be_rehearsed(seat: Seat) -> None:
    remote(seat)
    changes: dict[str, Any] = {"backend": "dirac", "sites": ["SURF"], "output": "davs://host.example/products"}
    seat.write(**changes)
    assert facts(seat, "--repeat", "1")[0]["jobs_at"] == {"SURF": 7}
    assert "not in this version" in seat("run", "production.yaml", code=2).err


def test_sites_of_a_file_are_there_too(seat: Seat) -> None:
    remote(seat)
    big = {"tier": 2, "slots": 9, "cores": 8, "memory_mb": 64000, "walltime_min": 2000}
    seat.write(sites=["Nijmegen"])
    assert facts(seat, "--repeat", "1", "--sites", own_sites(seat, Nijmegen=big))[0]["jobs_at"] == {"Nijmegen": 7}


@pytest.mark.parametrize(
    ("sites", "what"),
    [
        (["Surff"], "there is no site 'Surff'. Did you mean 'SURF'?"),
        ("Poznan", "Poznan is storage without compute: nothing can run there"),
        ("local", "there is no site 'local'"),
    ],
)
def test_sites_that_cannot_run_anything_are_refused(seat: Seat, sites: object, what: str) -> None:
    said = seat("sim", seat.write(sites=sites), code=2)
    assert what in said.err
    assert said.out == ""


def test_what_no_site_can_run_is_told_once_for_all_seeds(seat: Seat) -> None:
    remote(seat)
    seat.write(sites=["Narrow"])
    words = ["--sites", own_sites(seat, Narrow=NARROW), "--repeat", "2"]
    said = seat("sim", "production.yaml", *words, code=1)
    assert "jobs, stands still after " in said.out
    notes = said.err.splitlines()[1:]
    assert notes
    assert all(line.startswith("2 of 2 seeds do not come to an end: ") for line in notes)
    assert len(set(notes)) == len(notes)
    assert any("Narrow: the job asks for" in line for line in notes)
    one = seat("sim", "production.yaml", "--sites", "own.yaml", "--repeat", "1", "--seed", "9", code=1)
    assert one.err.splitlines()[1].startswith("seed 9 does not come to an end: ")


def test_a_production_that_is_wrong_is_refused_with_its_line(seat: Seat) -> None:
    seat.write(parameters={"sise": 3})
    assert "parameters.sise: the pipeline has no such parameter" in seat("sim", "production.yaml", code=2).err
    assert seat("sim", "none.yaml", code=2).err.startswith("none.yaml: ")


@pytest.mark.parametrize("words", [["--repeat", "0"], ["--seed", "-1"], ["--faults", "storm"]])
def test_senseless_options_are_refused(seat: Seat, words: list[str]) -> None:
    assert "(see --help)" in seat("sim", seat.write(), *words, code=2).err


# Campaigns


def test_the_productions_of_a_campaign_are_rehearsed_together(seat: Seat) -> None:
    table = seat.survey("p1", "p2", "p3")
    said = seat("sim", table, "--json", "--repeat", "1").json
    assert said[0]["jobs"] == 3 * (2 + 1 + 1)
    assert seat("sim", table, "--repeat", "1").out.startswith("survey: 12 jobs, ")


def test_a_campaign_of_one_goes_by_the_name_of_its_production(seat: Seat) -> None:
    assert seat("sim", seat.survey("p1"), "--repeat", "1").out.startswith("p1: 4 jobs, ")


def test_the_faults_of_a_campaign_are_told(seat: Seat) -> None:
    seat.survey("p1")
    seat.table("production,nonsense\np1,1\n")
    assert "survey.csv:1" in seat("sim", "survey.csv", code=2).err


# What steps take


def test_what_ran_before_is_measured(finished: Seat) -> None:
    said = finished("sim", "production.yaml", "--repeat", "1")
    assert said.err.splitlines()[0] == "measured in 7 jobs that ran before: all, band, one"
    assert "so half of what it grants" not in said.err


def test_measured_steps_take_what_they_took_and_not_what_is_granted(finished: Seat, seat: Seat) -> None:
    seat.write()
    declared_s = facts(seat, "--repeat", "1")[0]["makespan_s"]
    assert facts(finished, "--repeat", "1")[0]["makespan_s"] < declared_s / 2


def test_the_latest_of_the_same_pipeline_are_measured_where_it_has_not_run_itself(finished: Seat) -> None:
    finished.write("another.yaml", production="another")
    assert "measured in 7 jobs" in finished("sim", "another.yaml", "--repeat", "1").err


def test_another_pipeline_is_not_measured_whatever_its_name(finished: Seat) -> None:
    folder = finished.folder / "pipelines" / "other"
    folder.mkdir(exist_ok=True)
    text = (finished.folder / "pipelines" / "copy" / "pipeline.yaml").read_text()
    (folder / "pipeline.yaml").write_text(text.replace("pipeline: copy", "pipeline: other"))
    finished.write("other.yaml", pipeline="other")
    assert UNMEASURED in finished("sim", "other.yaml", "--repeat", "1").err


def test_the_probe_of_a_production_is_measured_before_others_alike(seat: Seat) -> None:
    seat("run", seat.write("before.yaml", production="before", output="elsewhere"))
    seat("run", seat.write(), "--probe", "3")
    assert "measured in 6 jobs that ran before" in seat("sim", "production.yaml", "--repeat", "1").err


def test_where_nothing_of_its_own_succeeded_others_alike_are_measured(seat: Seat) -> None:
    seat("run", seat.write("before.yaml", production="before", output="elsewhere"))
    seat("submit", seat.write())
    assert "measured in 7 jobs that ran before" in seat("sim", "production.yaml", "--repeat", "1").err


# The picture


def test_a_picture_is_drawn_of_the_first_seed(seat: Seat) -> None:
    pytest.importorskip("matplotlib")
    said = seat("sim", seat.write(), "--repeat", "1", "--picture", "a.png")
    assert said.err.splitlines()[-1] == "picture: a.png"
    assert (seat.desk / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["a.nonsense", "no/such/a.png"])
def test_a_picture_that_cannot_be_written_is_refused(seat: Seat, name: str) -> None:
    pytest.importorskip("matplotlib")
    said = seat("sim", seat.write(), "--repeat", "1", "--picture", name, code=2)
    assert f"{name}: --picture: cannot write the picture: " in said.err
    assert said.out.startswith("field: 7 jobs, ")


def test_without_matplotlib_a_picture_is_refused(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = seat("sim", seat.write(), "--repeat", "1", "--picture", "a.png", code=2)
    assert "pictures need matplotlib, which is not installed. Install it: pip install matplotlib" in said.err
