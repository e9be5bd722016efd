"""init, plan, submit and run, up to where the engine takes over."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lofargrid.assets import pipeline_folders
from lofargrid.documents.production import read_production
from tests.unit.cli.seat import BANDS, Seat, command

SHIPPED = sorted(pipeline_folders())


# init


@pytest.mark.parametrize("pipeline", [*SHIPPED, "copy"])
def test_what_init_prints_is_a_production_of_that_pipeline(seat: Seat, pipeline: str) -> None:
    said = seat("init", "--pipeline", pipeline)
    (seat.desk / "new.yaml").write_text(said.out)
    document = read_production(seat.desk / "new.yaml")
    assert (document.production, document.pipeline) == (f"my-{pipeline}", pipeline)
    assert said.err == ""


@pytest.mark.parametrize("pipeline", SHIPPED)
def test_every_parameter_is_there_with_its_default_to_be_uncommented(seat: Seat, pipeline: str) -> None:
    said = seat("init", "--pipeline", pipeline).out
    uncommented = re.sub("(?m)^  # ", "  ", said)
    declared = seat("pipelines", pipeline, "--json").json[0]["parameters"]
    given = yaml.safe_load(uncommented)["parameters"]
    assert given.keys() == declared.keys()
    assert all(given[name] == one["default"] for name, one in declared.items() if f"# {name}:" in said)


def test_what_init_prints_can_be_planned_as_it_is(seat: Seat) -> None:
    (seat.desk / "new.yaml").write_text(seat("init", "--pipeline", "copy", "--data", "data.surls").out)
    assert "4 data subbands" in seat("plan", "new.yaml").out


def test_lists_name_and_output_come_from_the_words(seat: Seat) -> None:
    words = ["--pipeline", "copy", "--data=my list #1.surls", "--name", "A-1", "--output", "file:///a: b"]
    document = yaml.safe_load(seat("init", *words).out)
    assert (document["production"], document["output"]) == ("A-1", "file:///a: b")
    assert document["inputs"] == {"data": "my list #1.surls"}


@settings(max_examples=20, deadline=None)
@example(name="...")
@example(name="\x7f\U0001f52d\u2028")
@example(name="1e5")
@example(name="null # no")
@example(name="L" * 300)
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_list_of_any_name_comes_through_and_the_productions_name_is_harmless(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    seat = Seat(tmp_path_factory.mktemp("seat"))
    path = seat.desk / "new.yaml"
    path.write_text(seat("init", "--pipeline", "copy", f"--data={name}").out)
    document = read_production(path)
    assert document.inputs == {"data": name}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--pipeline", "copi"], "pipeline: there is no pipeline 'copi'. There are"),
        (["--pipeline", "copy", "--calibrator", "a"], "'--calibrator' is not an option of init for this pipeline"),
        (
            ["--pipeline", "copy", "data", "a"],
            "'data' is not an option of init for this pipeline. Its roles are --data",
        ),
        (["--pipeline", "copy", "--data"], "--data: no list is named. Write --data LIST"),
        (["--pipeline", "copy", "--name", "a b"], "--name: 'a b' may hold letters, digits, - and _ only, 64 at most"),
    ],
)
def test_init_refuses_what_would_make_no_production(seat: Seat, words: list[str], what: str) -> None:
    said = seat("init", *words, code=2)
    assert said.err.startswith(what)
    assert said.out == ""


# plan


def test_plan_tells_what_will_be_made_and_writes_nothing(seat: Seat) -> None:
    seat.write()
    before = sorted(seat.folder.rglob("*"))
    said = seat("plan", "production.yaml")
    assert said.out.startswith("field: copy, new\n  inputs   4 data subbands, 41.0 kB\n")
    assert f"  output   {seat.desk}/products\n" in said.out
    rows = [line.split() for line in said.out.splitlines()[-3:]]
    assert [row[:1] + row[-1:] for row in rows] == [["one", "4"], ["band", ".txt"], ["all", ".txt"]]
    assert sorted(seat.folder.rglob("*")) == before


def test_groups_are_counted_where_the_list_tells_the_frequencies_and_estimated_where_not(seat: Seat) -> None:
    seat.write()
    bands = seat("plan", "production.yaml", "--json").json["steps"][1]
    assert (bands["jobs"], bands["about"]) == (2, False)
    lines = (seat.desk / "data.surls").read_text().splitlines()
    (seat.desk / "data.surls").write_text("\n".join(line.split("\t")[0] for line in lines))
    bands = seat("plan", "production.yaml", "--json").json["steps"][1]
    assert (bands["jobs"], bands["about"]) == (2, True)
    assert "about 2" in seat("plan", "production.yaml").out


def test_one_subband_without_a_frequency_is_enough_to_estimate(seat: Seat) -> None:
    lines = (seat.desk / "data.surls").read_text().splitlines()
    (seat.desk / "data.surls").write_text("\n".join([lines[0].split("\t")[0], *lines[1:]]))
    assert "about 2" in seat("plan", seat.write()).out


def test_the_size_of_a_file_elsewhere_is_what_the_list_says(seat: Seat) -> None:
    name = "L654321_SAP000_SB000_uv.MS_1a2b3c4d.tar"
    (seat.desk / "data.surls").write_text(f"srm://host/a/{name}\tsize_bytes=5000000\n")
    assert seat("plan", seat.write(), "--json").json["input_bytes"] == 5_000_000


def test_all_of_a_planned_job_can_be_seen(seat: Seat) -> None:
    said = seat("plan", seat.write(), "--job", f"{BANDS[0]}-band").json
    assert said["subbands"] == ["L654321-SAP000-SB000", "L654321-SAP000-SB001"]
    assert said["definition"]["split"] == {"group": "size"}


def test_a_job_that_is_not_planned_is_told_with_some_that_are(seat: Seat) -> None:
    said = seat("plan", seat.write(), "--job", "L1", code=2)
    assert said.err.startswith("--job: no job 'L1' is planned yet. The first are L654321-SAP000-SB000-one, ")


def test_plan_tells_how_the_tracker_stands_to_it(finished: Seat) -> None:
    assert "field: copy, entered already, unchanged" in finished("plan", "production.yaml").out
    finished.write("other.yaml", production="other")
    assert "other: copy, new" in finished("plan", "other.yaml").out
    finished.write("changed.yaml", parameters={"size": 4})
    said = finished("plan", "changed.yaml").out
    assert "entered already; `run --replan` redoes what depends on: parameters.size: 2 -> 4" in said


def test_plan_says_what_it_would_go_without_and_which_programs_are_not_there(seat: Seat) -> None:
    seat.observe()[1].unlink()
    pipeline = seat.folder / "pipelines" / "copy" / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("[[touch, all.txt]]", "[[no-such-tool, all.txt]]"))
    notes = seat("plan", seat.write()).err.splitlines()
    assert notes[0].startswith(f"goes without: {seat.desk}/data.surls:2: {seat.desk}/L654321_SAP000_SB001")
    assert notes[1] == "no-such-tool is not on PATH, so all will fail and all else is made. To bring it: install it"


# submit and run


def test_submit_enters_and_starts_nothing(seat: Seat) -> None:
    said = seat("submit", seat.write())
    assert said.err == "field: 7 jobs entered, 0 kept, 0 tried again\n"
    assert said.out == ""
    assert not (seat.desk / "products").exists()
    assert seat("status", "field", code=3).out.splitlines()[1].split() == ["step", "waiting"]


def test_run_makes_the_products_and_tells_their_paths(seat: Seat) -> None:
    said = seat("run", seat.write())
    wanted = [
        f"{seat.desk}/products/{name}.txt" for name in (*(f"{band}-band" for band in BANDS), "L654321-SAP000-all")
    ]
    assert said.out.splitlines() == wanted
    assert said.err.splitlines()[0] == "field: 7 jobs entered, 0 kept, 0 tried again"
    assert said.err.splitlines()[-1] == "field: done, 3 products, 0 jobs failed"
    assert all(Path(path).exists() and Path(f"{path}.json").exists() for path in wanted)


def test_the_same_file_again_changes_nothing(seat: Seat) -> None:
    seat("run", seat.write())
    before = _attempts(seat)
    said = seat("run", "production.yaml")
    assert "jobs entered" not in said.err
    assert _attempts(seat) == before


def _attempts(seat: Seat) -> int:
    with sqlite3.connect(seat.data / "tracker.db") as tracker:
        return int(tracker.execute("SELECT count(*) FROM attempts").fetchone()[0])


def test_a_changed_file_is_refused_with_the_difference_and_replan_redoes_what_it_affects(seat: Seat) -> None:
    kept = {"policy": {"keep_intermediates": True}}
    seat("run", seat.write(**kept))
    seat.write(**kept, parameters={"size": 4})
    refused = seat("run", "production.yaml", code=2)
    assert "parameters.size: 2 -> 4" in refused.err
    assert "`run --replan` redoes what depends on the difference" in refused.err
    before = _attempts(seat)
    assert "2 jobs entered, 4 kept" in seat("run", "--replan", "production.yaml").err
    assert _attempts(seat) == before + 2
    assert [name for name in seat.products if "G0172" in name]


def test_replan_tries_again_what_failed(seat: Seat) -> None:
    stop = seat.block()
    seat("run", seat.write(parameters={"stop": str(stop)}), code=1)
    stop.unlink()
    said = seat("run", "--replan", "production.yaml")
    assert "7 kept, 7 tried again" in said.err
    assert "field: done" in said.err


def test_replan_of_what_runs_cancels_what_is_not_wanted_any_more(seat: Seat, tmp_path: Path) -> None:
    """Two attempts stand with the backend when the size of the bands and the command change."""
    gate = _gate(tmp_path)
    seat.write(parameters={"gate": str(gate)})
    environment = _environment(seat)
    going = subprocess.Popen(command("run", "production.yaml"), cwd=seat.desk, env=environment, stderr=subprocess.PIPE)
    assert going.stderr is not None
    with gate.open("w"):  # opens when the first payload reads
        going.terminate()
        assert going.wait(60) == 130
        going.stderr.close()
        seat.write(parameters={"gate": "none"})
        said = seat("run", "--replan", "production.yaml")
    assert "field: done" in said.err
    assert "cancelled" not in json.dumps(seat("status", "field", "--json").json[0]["steps"])


def _gate(folder: Path) -> Path:
    path = folder / "gate"
    os.mkfifo(path)
    return path


def _environment(seat: Seat) -> dict[str, str]:
    return {**os.environ, "LOFARGRID_DATA": str(seat.data), "LOFARGRID_SLOTS": "2",
            "LOFARGRID_PIPELINES": str(seat.folder / "pipelines")}  # fmt: skip


def test_intermediates_go_to_the_scratch_disk_that_is_named_and_nothing_stays(seat: Seat, tmp_path: Path) -> None:
    seat.environment["LOFARGRID_SCRATCH"] = str(tmp_path / "scratch")
    seat("run", seat.write())
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []
    assert not [name for name in seat.products if name.startswith(".")]


def test_what_a_killed_run_had_no_time_to_sweep_is_swept_by_the_same_command(seat: Seat) -> None:
    seat("run", seat.write())
    with contextlib.closing(sqlite3.connect(seat.data / "tracker.db", isolation_level=None)) as tracker:
        tracker.execute("UPDATE productions SET swept = 0")
        [(known,)] = tracker.execute("SELECT value FROM meta WHERE key = 'tracker'").fetchall()
    left = seat.desk / "products" / f".lofargrid-{known}-field"
    left.mkdir()
    (left / f"one.MS.{known}-1-1").touch()
    seat("run", seat.write())
    assert not left.exists()


# What is lived with, and what not.


def test_what_failed_is_told_once_with_its_remedy_and_how_many_need_it(seat: Seat) -> None:
    stop = seat.block()
    seat.observe([0])
    said = seat("run", seat.write(parameters={"stop": str(stop)}), code=1)
    lines = said.err.splitlines()
    assert lines[-3].startswith("L654321-SAP000-SB000-one: payload-failed: the payload ended with an error: test ! -e ")
    assert lines[-3].endswith("(2 other jobs needed it)")
    assert lines[-2].startswith("  read `logs`; mend the cause, then `retry`")
    assert lines[-1] == "field: not complete, 0 products, 3 jobs failed"


def test_more_causes_than_fit_are_counted(seat: Seat) -> None:
    stop = seat.block()
    seat.observe(range(12))
    said = seat("run", seat.write(parameters={"stop": str(stop)}), code=1)
    assert said.err.splitlines()[-2] == "and 2 more causes; `why` tells all"


def test_a_product_that_lacks_a_subband_is_a_product_and_says_so(lacking: Seat) -> None:
    said = lacking("run", "production.yaml")
    assert "lacking: L654321-SAP000-SB001\n" in said.err
    assert said.err.splitlines()[-1] == "field: done, 3 products, 1 job failed"


def test_a_program_that_is_not_there_gives_exit_code_2_and_all_else_is_made(seat: Seat) -> None:
    pipeline = seat.folder / "pipelines" / "copy" / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("[[touch, all.txt]]", "[[no-such-tool, all.txt]]"))
    said = seat("run", seat.write(), code=2)
    assert "L654321-SAP000-all: software-missing" in said.err
    assert len([name for name in seat.products if name.endswith("band.txt")]) == 2


def test_a_file_that_has_changed_since_it_was_entered_makes_it_another_recipe(seat: Seat) -> None:
    (seat.desk / "note").write_text("a")
    seat("submit", seat.write(parameters={"note": "note"}))
    (seat.desk / "note").write_text("b")
    said = seat("run", "production.yaml", code=2)
    assert "digests.parameters/note/note: " in said.err


# A probe


def test_a_probe_takes_a_few_subbands_through_the_whole_pipeline_and_tells_of_sim(seat: Seat) -> None:
    seat.observe(range(8))
    said = seat("run", "--probe", "3", seat.write())
    assert said.err.splitlines()[0] == "field-probe: 6 jobs entered, 0 kept, 0 tried again"
    assert said.err.splitlines()[-2:] == [
        "field-probe: done, 3 products, 0 jobs failed",
        "`sim production.yaml` tells from what field-probe took what the whole of it takes",
    ]
    assert {Path(line).parent for line in said.out.splitlines()} == {seat.desk / "products" / "probe"}
    subbands = json.loads((seat.desk / "products" / "probe" / "L654321-SAP000-all.txt.json").read_text())
    assert [number for number in range(8) if f"SB{number:03d}" in json.dumps(subbands)] == [0, 1, 7]


def test_the_same_probe_again_changes_nothing(seat: Seat) -> None:
    seat("run", "--probe", "2", seat.write())
    before = _attempts(seat)
    said = seat("run", "--probe", "2", "production.yaml")
    assert "jobs entered" not in said.err
    assert _attempts(seat) == before


def test_a_probe_of_what_lacks_a_subband_takes_others_and_again_changes_nothing(seat: Seat) -> None:
    seat.observe()[0].unlink()
    said = seat("run", "--probe", "2", seat.write())
    assert "goes without: " in said.err
    assert "field-probe: done" in said.err
    before = _attempts(seat)
    assert "jobs entered" not in seat("run", "--probe", "2", "production.yaml").err
    assert _attempts(seat) == before


def test_another_number_of_subbands_is_refused_and_replan_takes_them(seat: Seat) -> None:
    seat("run", "--probe", "2", seat.write())
    refused = seat("run", "--probe", "3", "production.yaml", code=2)
    assert "the production field-probe stands already with another recipe" in refused.err
    assert "jobs entered, " in seat("run", "--probe", "3", "--replan", "production.yaml").err


def test_a_probe_leaves_the_whole_production_alone_and_comes_before_or_after_it(seat: Seat) -> None:
    seat("run", "--probe", "1", seat.write())
    assert "field: 7 jobs entered" in seat("run", "production.yaml").err
    products = [name for name in seat.products if name != "probe"]
    assert "jobs entered" not in seat("run", "--probe", "1", "production.yaml").err
    assert [name for name in seat.products if name != "probe"] == products
    assert [one["production"] for one in seat("status", "--json").json] == ["field-probe", "field"]


def test_a_probe_is_refused_for_what_its_production_would_be(seat: Seat) -> None:
    for tar in seat.observe()[1:]:
        tar.unlink()
    whole = seat("run", seat.write(), code=2)
    probe = seat("run", "--probe", "1", "production.yaml", code=2)
    assert probe.err == whole.err
    assert seat("status").out == ""


def test_a_probe_of_which_nothing_succeeded_does_not_send_to_sim(seat: Seat) -> None:
    said = seat("run", "--probe", "2", seat.write(parameters={"stop": str(seat.block())}), code=1)
    assert "`sim" not in said.err


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("survey.csv", "--probe: survey.csv has many productions. Name a production.yaml like one of its rows"),
        ("field", "--probe: field is no file. Name its production.yaml"),
    ],
)
def test_campaigns_and_names_are_not_probed(seat: Seat, word: str, what: str) -> None:
    seat("submit", seat.write())
    seat.survey("p1")
    said = seat("run", "--probe", "2", word, code=2)
    assert said.err.startswith(what)


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_probe_of_no_subbands_is_refused(seat: Seat, number: str) -> None:
    assert "(see --help)" in seat("run", "--probe", number, seat.write(), code=2).err


def test_a_probe_whose_name_is_that_of_a_campaign_is_refused(seat: Seat) -> None:
    seat("submit", seat.survey("p1"), "--campaign", "field-probe")
    said = seat("run", "--probe", "1", seat.write(inputs={"data": "p1.surls"}), code=2)
    assert "a campaign is called 'field-probe'" in said.err
