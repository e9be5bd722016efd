"""status, why, logs, pipelines: what they tell, and that a program can read it."""

from __future__ import annotations

import sqlite3

import pytest

from lofargrid.ticking import hold_tick
from tests.unit.cli.seat import BANDS, Seat

# status


def test_without_productions_the_way_to_the_first_is_told(seat: Seat) -> None:
    said = seat("status")
    assert (said.out, said.err) == ("", "no productions yet; `init` writes a first production.yaml\n")
    assert seat("status", "--json").json == []


def test_all_productions_are_listed_with_their_word(finished: Seat) -> None:
    head, row = finished("status").out.splitlines()
    assert head.split("  ")[0] == "production"
    assert row.split()[:4] == ["field", "done", "7/7", "0"]
    assert row.endswith(" UTC")


def test_a_done_production_shows_its_steps_and_products(finished: Seat) -> None:
    lines = finished("status", "field").out.splitlines()
    assert lines[0].startswith("field: done, generation 1, entered 2")
    assert [line.split() for line in lines[1:5]] == [["step", "succeeded"], ["one", "4"], ["band", "2"], ["all", "1"]]
    assert lines[-1] == f"{finished.desk}/products/L654321-SAP000-all.txt"
    assert len(lines) == 8


def test_a_production_that_lives_with_what_it_lacks_is_done(lacking: Seat) -> None:
    said = lacking("status", "field")
    assert said.out.startswith("field: done, ")
    assert "L654321-SAP000-SB001-one: input-missing" in said.out


def test_a_failed_production_is_exit_code_1_and_tells_each_cause_once(failed: Seat) -> None:
    said = failed("status", "field", code=1)
    assert said.out.startswith("field: not complete, ")
    assert said.out.count("payload-failed") == 4
    assert "(2 other jobs needed it)" in said.out
    assert "not complete" in failed("status", code=1).out


def test_what_is_still_to_do_is_exit_code_3(seat: Seat) -> None:
    seat("submit", seat.write())
    assert "field: going" in seat("status", "field", code=3).out
    seat("pause", "field")
    assert "field: paused" in seat("status", "field", code=3).out


def test_a_cancelled_production_is_not_complete(seat: Seat) -> None:
    seat("submit", seat.write())
    seat("cancel", "field")
    assert "field: not complete" in seat("status", "field", code=1).out


def test_a_stale_product_is_told_with_its_remedy(seat: Seat) -> None:
    lost = seat.observe()[1]
    content = lost.read_bytes()
    lost.unlink()
    seat("run", seat.write())
    lost.write_bytes(content)
    seat("retry", "L654321-SAP000-SB001-one")
    seat("run", "production.yaml")
    said = seat("status", "field")
    assert f"{BANDS[0]}-band: stale, more has come since it was made; `retry field` makes it again" in said.out
    assert f"{BANDS[0]}-band" in seat("status", "field", "--json").json[0]["stale"]


def test_the_standing_as_json_has_the_word_and_the_counts(failed: Seat) -> None:
    (standing,) = failed("status", "--json", code=1).json
    assert (standing["state"], standing["unfinished"], standing["failed"]) == ("not complete", 0, 7)
    assert standing["steps"] == {"one": {"failed": 4}, "band": {"failed": 2}, "all": {"failed": 1}}


# why


def test_the_true_cause_stands_on_the_first_line_and_what_to_do_on_the_second(failed: Seat) -> None:
    first, second, *_ = failed("why", "L654321-SAP000-SB000-one").out.splitlines()
    assert first.startswith("L654321-SAP000-SB000-one failed: payload-failed: the payload ended with an error")
    assert second.startswith("  read `logs`; mend the cause, then `retry`")


def test_a_job_that_only_needed_it_names_the_job_at_fault(failed: Seat) -> None:
    first, _ = failed("why", "L654321-SAP000-all").out.splitlines()
    assert first.startswith("L654321-SAP000-all failed: L654321-SAP000-SB000-one failed: payload-failed")
    assert "0 of 4 subbands" in first


def test_a_production_tells_each_cause_once(failed: Seat) -> None:
    lines = failed("why", "field").out.splitlines()
    assert len(lines) == 8
    assert sum("needed it" in line for line in lines) == 2


def test_what_succeeded_says_so_once(finished: Seat) -> None:
    (first, _) = finished("why", "L654321-SAP000-all").out.splitlines()
    assert first.startswith("L654321-SAP000-all: succeeded at ")


def test_what_waits_says_for_what_while_a_run_is_going(seat: Seat) -> None:
    seat("submit", seat.write())
    with hold_tick(seat.data / "tracker.db"):
        first, second, *_ = seat("why", "L654321-SAP000-all").out.splitlines()
    assert first.startswith(f"L654321-SAP000-all waiting: waits for {BANDS[0]}-band (waiting)")
    assert second.startswith("  nothing to do")


def test_without_a_run_that_is_why_nothing_moves(seat: Seat) -> None:
    seat("submit", seat.write())
    first, second, *_ = seat("why", "L654321-SAP000-all").out.splitlines()
    assert first.startswith("L654321-SAP000-all waiting: no `run` is going")
    assert "`run" in second


def test_an_attempt_and_a_batch_id_name_their_job(finished: Seat) -> None:
    with sqlite3.connect(finished.data / "tracker.db") as tracker:
        attempt, batch = tracker.execute("SELECT id, batch_id FROM attempts ORDER BY job_id LIMIT 1").fetchone()
    by_attempt, by_batch = finished("why", attempt), finished("why", batch)
    assert by_attempt.out.startswith("L654321-SAP000-SB000-one: ")
    assert "L654321-SAP000-SB000-one: " in by_batch.out


def test_causes_as_json_name_their_root(failed: Seat) -> None:
    found = failed("why", "field", "--json").json
    assert len(found) == 7
    assert found[-1]["root"] == "L654321-SAP000-SB000-one"
    assert {"job", "state", "cause", "remedy", "root", "since", "details"} == set(found[0])


@pytest.mark.parametrize(
    ("verb", "name", "what"),
    [
        ("why", "L654321-SAP000-SB003-oen", "Did you mean 'L654321-SAP000-SB003-one'?"),
        ("why", "feild", "Did you mean 'field'?"),
        ("status", "feild", "there is no campaign, production, job or attempt 'feild'. Did you mean 'field'?"),
        ("logs", "zzz", "no campaign, production, job or attempt 'zzz'. `status` lists the campaigns and productions"),
        ("get", "L654321-SAP000-all", "there is no production 'L654321-SAP000-all'"),
        ("pause", "x'; DROP TABLE jobs; --", "there is no campaign or production"),
        ("retry", "%", "there is no campaign, production, job or attempt '%'"),
        ("cancel", "", "there is no campaign, production, job or attempt ''"),
    ],
)
def test_a_name_that_is_nobodys_is_told_with_the_nearest(finished: Seat, verb: str, name: str, what: str) -> None:
    said = finished(verb, name, code=2)
    assert what in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_an_error_is_never_mixed_into_json(finished: Seat) -> None:
    for words in (["status", "nix"], ["why", "nix"], ["plan", "nix"], ["compare", "nix", "field"], ["pipelines", "x"]):
        said = finished(*words, "--json", code=2)
        assert said.out == ""
        assert said.err


# logs


def test_the_log_of_a_job_is_data_as_it_is(failed: Seat) -> None:
    said = failed("logs", "L654321-SAP000-SB000-one")
    assert said.out.splitlines()[0] == "owner: janneke"
    assert "exit code 1" in said.out
    assert failed("logs", "L654321-SAP000-SB000-one", "--tail", "1").out == said.out.splitlines(keepends=True)[-1]
    assert failed("logs", "L654321-SAP000-SB000-one", "--attempt", "1").out == said.out


def test_an_attempt_that_was_never_made_is_told(failed: Seat) -> None:
    said = failed("logs", "L654321-SAP000-SB000-one", "--attempt", "7", code=1)
    assert said.err.startswith("L654321-SAP000-SB000-one has no such attempt; payload-failed")


def test_a_job_that_was_never_started_has_no_log_and_the_cause_is_told(failed: Seat) -> None:
    said = failed("logs", "L654321-SAP000-all", code=1)
    assert said.err.startswith("L654321-SAP000-all has no such attempt; L654321-SAP000-SB000-one failed")


def test_an_attempt_that_waits_for_a_slot_has_no_log_yet(seat: Seat) -> None:
    """Intended by a run that ended before anything was handed over."""
    seat("submit", seat.write())
    with sqlite3.connect(seat.data / "tracker.db") as tracker:
        tracker.execute(
            "INSERT INTO attempts (id, job_id, number, phase, backend, site, intended)"
            " SELECT 'x-1', id, 1, 'intended', 'local', 'local', updated FROM jobs LIMIT 1"
        )
    said = seat("logs", "L654321-SAP000-SB000-one", code=1)
    assert said.err == "L654321-SAP000-SB000-one: attempt 1 has not started yet\n"


# pipelines


def test_own_pipelines_stand_beside_the_shipped_ones(seat: Seat) -> None:
    lines = seat("pipelines").out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["calibrate-image", "copy", "custom", "flag-average"]
    assert max(map(len, lines)) <= 80


def test_a_pipeline_is_explained_with_roles_parameters_and_steps(seat: Seat) -> None:
    lines = seat("pipelines", "copy").out.splitlines()
    assert lines[:2] == ["copy 1", "    Copies every subband, joins them to bands, and counts the bands."]
    assert "  data: Any subbands" in lines
    assert "  size (int, default 2 subbands)" in lines
    steps = [" ".join(line.split()) for line in lines[-4:]]
    assert steps == ["step a job for needs",
                     "one each data subband Copy one subband",
                     "band each group of size data subbands one Join one band",
                     "all all data subbands band"]  # fmt: skip


def test_what_must_be_given_is_told(seat: Seat) -> None:
    assert "  command (command, needed)\n" in seat("pipelines", "custom").out


def test_pipelines_as_json_are_what_their_files_say(seat: Seat) -> None:
    (found,) = seat("pipelines", "copy", "--json").json
    assert found["steps"]["one"]["inputs"]["raw"]["from"] == "data"
    assert len(seat("pipelines", "--json").json) == 4


def test_an_own_pipeline_that_is_wrong_is_told_with_its_line(seat: Seat) -> None:
    pipeline = seat.folder / "pipelines" / "copy" / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("over: data", "ober: data"))
    said = seat("pipelines", "copy", code=2)
    line = 1 + pipeline.read_text().splitlines().index("    ober: data")
    assert f"{pipeline}:{line}: steps.one.ober: unknown key. Did you mean 'over'?" in said.err
