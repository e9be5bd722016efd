"""plan, submit and run of a campaign, and the operator's verbs over many productions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lofargrid.cli import campaigning
from lofargrid.cli.campaigning import Reading, read
from lofargrid.cli.session import Session
from lofargrid.config import settings
from tests.unit.cli.seat import Listener, Seat

pytestmark = pytest.mark.service  # whole runs of campaigns
HEAD = "production,data,size\n"


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Seat:
    """A campaign of three productions that went well; for tests that only look."""
    seat = Seat(tmp_path_factory.mktemp("done"))
    seat("run", seat.survey("a", "b", "c"))
    return seat


@pytest.fixture(scope="session")
def marred(tmp_path_factory: pytest.TempPathFactory) -> Seat:
    """A campaign: `a` is done without one of its subbands, `b` and `c` failed; for tests that only look."""
    seat = Seat(tmp_path_factory.mktemp("marred"))
    stop = seat.block()
    seat.survey("a", "b", "c", policy={"minimum_subbands": 0.5})
    next(seat.desk.glob("L700000_SAP000_SB001*")).unlink()
    seat.table(f"production,data,stop\na,a.surls,\nb,b.surls,{stop}\nc,c.surls,{stop}\n")
    seat("run", "survey.csv", code=1)
    return seat


def rows(text: str, head: str = "production") -> list[list[str]]:
    """The rows of the table whose head begins with a word, by cell."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head))
    found = []
    for line in lines[start + 1 :]:
        if not line or line.startswith("and "):
            break
        found.append(line.split())
    return found


def count(seat: Seat, table: str) -> int:
    with sqlite3.connect(seat.data / "tracker.db") as tracker:
        return int(tracker.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


# plan


def test_plan_has_a_line_for_each_production_and_what_all_take(seat: Seat) -> None:
    said = seat("plan", seat.survey("a", "b", subbands=4))
    lines = said.out.splitlines()
    assert lines[0] == "survey: 2 productions of copy, 2 jobs at a time"
    found = [row[:5] for row in rows(said.out)]
    assert found == [
        ["a", "4", "41.0", "kB", "7"],
        ["b", "4", "41.0", "kB", "7"],
        ["together", "8", "81.9", "kB", "14"],
    ]
    assert not seat.data.exists()


def test_plan_as_json_has_every_production_and_the_totals(seat: Seat) -> None:
    said = seat("plan", seat.survey("a", "b"), "--json").json
    assert said["campaign"] == "survey"
    assert [one["production"] for one in said["productions"]] == ["a", "b"]
    one = said["productions"][0]
    assert said["totals"]["jobs"] == 2 * sum(step["jobs"] for step in one["steps"])
    kept = said["totals"]["scratch_bytes_at_most"] - one["scratch_bytes_at_most"]
    assert kept == one["input_bytes"]  # the second one's; the work folders of the slots are there once


def test_plan_tells_how_each_production_stands(seat: Seat) -> None:
    seat.survey("a", "b", "c")
    seat.table(f"{HEAD}a,a.surls,\nb,b.surls,\n")
    seat("submit", "survey.csv")
    seat.table(f"{HEAD}a,a.surls,\nb,b.surls,4\nc,c.surls,\n")
    standing = {row[0]: " ".join(row[8:]) for row in rows(seat("plan", "survey.csv").out)}
    assert standing["a"] == "entered already, unchanged"
    assert standing["b"] == "entered already, changed"
    assert standing["c"] == "new"


# submit and run


def test_a_campaign_is_entered_with_all_its_rows(seat: Seat) -> None:
    said = seat("submit", seat.survey("a", "b"))
    assert said.err == "survey: 2 of 2 productions: 8 jobs entered, 0 kept, 0 tried again\n"
    assert said.out == ""
    assert [one["campaign"] for one in seat("status", "--json", code=3).json] == ["survey", "survey"]


def test_run_sees_all_of_it_through_and_tells_every_product(done: Seat) -> None:
    said = done("run", "survey.csv")
    assert sorted(path.removeprefix(f"{done.desk}/products/") for path in said.out.splitlines()) == [
        f"{name}/L70000{number}-SAP000-{job}.txt" for number, name in enumerate("abc") for job in ("G0344-band", "all")
    ]
    assert all(Path(path).exists() for path in said.out.splitlines())
    assert said.err.splitlines()[-1] == "survey: 3 productions: 3 done; 6 products, 0 jobs failed"


def test_run_goes_on_with_what_is_entered_by_its_name(seat: Seat) -> None:
    seat("submit", seat.survey("a", "b"))
    (seat.desk / "survey.csv").unlink()
    assert "survey: 2 productions: 2 done" in seat("run", "survey").err
    assert "a: done" in seat("run", "a").err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "surve"], "there is no campaign or production 'surve'. Did you mean 'survey'?"),
        (["run", "survey", "--replan"], "--replan: survey is no file. Name the file that has changed"),
        (["run", "survey", "--like", "x"], "--like: survey is no file. Name the file that has changed"),
        (["run", "production.yaml", "--like", "x"], "--like: production.yaml is no campaign.csv"),
        (["plan", "production.yaml", "--campaign", "x"], "--campaign: production.yaml is no campaign.csv"),
        (["plan", "survey.csv", "--job", "x"], "--job: a campaign has many jobs of a name"),
        (["submit", "other.csv"], "other.csv: there is no such file. Check the name"),
        (
            ["submit", "survey.csv", "--like", "x.yaml"],
            "there is no x.yaml, which the rows of survey.csv vary. Write it",
        ),
        (["run", "other.yaml"], "other.yaml: there is no such file. Check the name"),
    ],
)
def test_what_names_nothing_is_told(done: Seat, words: list[str], told: str) -> None:
    assert done(*words, code=2).err.startswith(told)


def test_before_anything_is_entered_a_name_is_no_file(seat: Seat) -> None:
    assert (
        seat("run", "survey", code=2).err == "there is no file 'survey', and nothing is entered yet. Check the name\n"
    )
    assert not seat.data.exists()


def test_the_same_table_again_changes_nothing(done: Seat) -> None:
    before = count(done, "events")
    said = done("submit", "survey.csv")
    assert (said.out, said.err) == ("", "")
    assert count(done, "events") == before


def test_a_table_may_vary_a_production_elsewhere_and_have_another_name(seat: Seat) -> None:
    seat.survey("a", "b")
    (seat.desk / "templates").mkdir()
    (seat.desk / "production.yaml").rename(seat.desk / "templates" / "deep.yaml")
    seat("submit", "survey.csv", "--like", "templates/deep.yaml", "--campaign", "deep-survey")
    assert seat("status", "deep-survey", code=3).out.startswith("deep-survey: going, 2 productions")
    assert seat("run", "a").out.splitlines()[0].startswith(f"{seat.desk}/templates/products/a/")


def test_only_what_changed_is_redone_and_new_rows_are_added(seat: Seat) -> None:
    seat.survey("a", "b", "c")
    seat.table(f"{HEAD}a,a.surls,\nb,b.surls,\n")
    seat("run", "survey.csv")
    attempts = count(seat, "attempts")
    seat.table(f"{HEAD}a,a.surls,\nb,b.surls,1\nc,c.surls,\n")
    refused = seat("run", "survey.csv", code=2)
    assert refused.err.startswith("survey.csv:3: the production b stands already with another recipe")
    assert len(refused.err.splitlines()) == 2
    said = seat("run", "survey.csv", "--replan")
    assert said.err.startswith("survey: 2 of 3 productions: ")
    assert "survey: 3 productions: 3 done" in said.err
    made_of_b = 2 + 2 + 1  # intermediates are gone, so subbands are made again for two bands and all
    assert count(seat, "attempts") == attempts + made_of_b + 4


def test_what_a_changed_row_makes_superfluous_is_stopped(seat: Seat) -> None:
    seat("submit", seat.survey("a"))
    with sqlite3.connect(seat.data / "tracker.db") as tracker:
        tracker.execute("UPDATE jobs SET state = 'submitted', attempt = 't-1-1' WHERE name LIKE '%SB000-one'")
    seat.table(f"production,data,stop\na,a.surls,{seat.folder}/other\n")
    seat("submit", "survey.csv", "--replan")
    found = seat("status", "survey", "--json", code=3).json
    assert found["steps"]["one"] == {"waiting": 2}
    assert found["productions"][0]["generation"] == 2


def test_rows_that_are_gone_stay_and_are_told(seat: Seat) -> None:
    seat("submit", seat.survey("a", "b", "c"))
    seat.table("production,data\na,a.surls\n")
    said = seat("submit", "survey.csv")
    assert said.err == (
        "survey: 2 productions not in the file any more; `status survey` lists them all, `cancel` ends one\n"
    )


def test_a_fault_in_the_last_row_enters_nothing_and_all_are_told(seat: Seat) -> None:
    seat.survey("a", "b", "c")
    (seat.desk / "c.surls").write_text("L1.tar\nL2.tar\n")
    seat.table(f"{HEAD}a,a.surls,x\nb,b.surls,4\nc,c.surls,0\n")
    said = seat("submit", "survey.csv", code=2)
    places = [line.partition(": ")[0].removeprefix(f"{seat.desk}/") for line in said.err.splitlines()]
    assert places == ["c.surls:1", "c.surls:2", "survey.csv:2", "survey.csv:4"]
    assert not seat.data.exists()


def test_what_the_varied_production_lacks_is_told_once(seat: Seat) -> None:
    seat.survey("a", "b", parameters={"siz": 3})
    said = seat("submit", "survey.csv", code=2)
    assert said.err.count("siz: the pipeline has no such parameter") == 1


def test_of_very_many_faults_the_first_are_told_and_the_rest_counted(seat: Seat) -> None:
    seat.survey("a")
    seat.table("production,data\n" + "".join(f"p{number},no.surls\n" for number in range(150)))
    lines = seat("submit", "survey.csv", code=2).err.splitlines()
    assert len(lines) == 101
    assert lines[-1] == "and 50 more faults"


def test_inputs_that_are_not_there_are_lived_with_or_refused_as_the_policy_says(seat: Seat) -> None:
    seat.survey("a", "b", subbands=4, policy={"minimum_subbands": 0.7})
    next(seat.desk.glob("L700001_SAP000_SB001*")).unlink()
    said = seat("submit", "survey.csv")
    (line,) = [line for line in said.err.splitlines() if line.startswith("goes without: ")]
    assert line.startswith(f"goes without: {seat.desk}/b.surls:2: ")
    assert "input-missing" in seat("why", "b/L700001-SAP000-SB001-one").out

    seat.survey("c", "d", subbands=4, policy={"minimum_subbands": 1})
    seat.table("production,data\nc,c.surls\nd,d.surls\n", "second.csv")
    next(seat.desk.glob("L700001_SAP000_SB001*")).unlink()
    said = seat("submit", "second.csv", code=2)
    assert "3 of 4 subbands of data L700001 SAP000 can be used, minimum_subbands: 1 asks for more" in said.err
    assert count(seat, "productions") == 2


def test_a_file_in_many_rows_is_looked_at_once(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    seat.survey("a", "b", "c")
    looked_at: list[str] = []
    inspect = campaigning.inspect
    monkeypatch.setattr(
        campaigning, "inspect", lambda some, runner: [looked_at.append(one.url) or one for one in inspect(some, runner)]
    )
    seat.table("production,data,size\na,a.surls,\nb,a.surls,1\nc,b.surls,\n")
    seat("submit", "survey.csv")
    assert len(looked_at) == len(set(looked_at)) == 4


def test_many_files_are_looked_at_in_portions(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    portions: list[int] = []
    inspect = campaigning.inspect
    monkeypatch.setattr(campaigning, "FEW", 2)
    monkeypatch.setattr(
        campaigning, "inspect", lambda some, runner: [portions.append(len(some)), *inspect(some, runner)][1:]
    )
    seat.survey(*"abcdef", subbands=3)
    next(seat.desk.glob("L700005_SAP000_SB002*")).unlink()
    seat("submit", "survey.csv")
    assert max(portions) == 2
    assert sum(portions) == 18
    assert "input-missing" in seat("why", "f/L700005-SAP000-SB002-one").out


def test_lists_that_promise_different_sizes_of_one_file_are_judged_each(seat: Seat) -> None:
    seat.survey("a", "b")
    tar = min(path.name for path in seat.desk.glob("L700000*.tar"))
    size = (seat.desk / tar).stat().st_size
    for name, promised in (("a", size), ("b", size + 1)):
        (seat.desk / f"{name}.surls").write_text(f"{tar}\tsize_bytes={promised}\n")
    said = seat("submit", "survey.csv", code=2)
    assert f"{seat.desk}/b.surls:1" in said.err
    assert "a.surls" not in said.err


def test_products_that_would_replace_each_other_are_refused(seat: Seat) -> None:
    seat.survey("a", "b")
    seat.table("production,data,output,size\na,a.surls,out,\nb,a.surls,out,1\nc,b.surls,out,\n")
    said = seat("submit", "survey.csv", code=2)
    assert said.err == (
        f"survey.csv:3: output: products of L700000 would replace those of line 2 in file://{seat.desk}/out. "
        "Give each production a folder of its own\n"
    )


def test_inputs_on_a_grid_storage_are_refused_without_a_proxy_and_can_be_planned(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X509_USER_PROXY", str(seat.folder / "none"))
    seat.survey("a", "b")
    (seat.desk / "b.surls").write_text("srm://host/L700001_SAP000_SB000_uv.MS_1a2b3c4d.tar\tsize_bytes=5\n")
    said = seat("submit", "survey.csv", code=2)
    assert said.err.startswith(f"{seat.folder}/none: there is no proxy")
    assert seat("plan", "survey.csv", "--json").json["productions"][1]["input_bytes"] == 5


def test_a_production_may_not_be_called_like_a_campaign(seat: Seat) -> None:
    seat("submit", seat.survey("a"))
    seat.observe()
    said = seat("submit", seat.write("other.yaml", production="survey"), code=2)
    assert said.err == (
        "other.yaml:2: production: a campaign is called 'survey'. Choose another name for the production\n"
    )
    said = seat("submit", "survey.csv", "--campaign", "a", code=2)
    assert said.err == "a production is called 'a'. Name the campaign with --campaign NAME\n"


def test_a_long_reading_says_how_far_it_is(seat: Seat, capsys: pytest.CaptureFixture[str]) -> None:
    seat.survey("a", "b", "c")
    seconds = iter(range(0, 1000, 2))
    environment = {"LOFARGRID_DATA": str(seat.data), "LOFARGRID_PIPELINES": str(seat.folder / "pipelines"), "USER": "u"}
    session = Session(settings(environment), seat.data / "tracker.db")
    found = read(session, seat.desk / "survey.csv", None, "")
    reading = Reading(session, found.like, found.pipeline, found.campaign, clock=lambda: float(next(seconds)))
    assert [row.document.production for row, _ in reading.recipes(lambda recipe: True, strict=True)] == ["a", "b", "c"]
    said = capsys.readouterr().err.splitlines()
    assert said == ["survey: 1 of 3 rows read ...", "survey: 6 files looked at ..."]


# production.yaml


def test_priority_and_bound_of_a_production_are_no_part_of_its_recipe(seat: Seat) -> None:
    seat("submit", seat.write(priority=3, max_running=2))
    (one,) = seat("status", "field", "--json", code=3).json
    assert (one["priority"], one["max_running"], one["generation"]) == (3, 2, 1)
    assert ", priority 3, at most 2 jobs at once\n" in seat("status", "field", code=3).out
    seat("submit", seat.write(priority=4))
    (one,) = seat("status", "field", "--json", code=3).json
    assert (one["priority"], one["max_running"], one["generation"]) == (4, 2, 1)


@pytest.mark.parametrize(("key", "value"), [("priority", "high"), ("priority", 1001), ("priority", True),
                                            ("max_running", 0), ("max_running", "2")])  # fmt: skip
def test_a_priority_or_bound_that_is_none_is_refused_with_its_line(seat: Seat, key: str, value: object) -> None:
    said = seat("submit", seat.write(**{key: value}), code=2)
    assert said.err.startswith(f"production.yaml:11: {key}: ")
    assert "is not a whole number from" in said.err


# status


def test_status_has_campaigns_first_and_then_what_stands_alone(seat: Seat) -> None:
    seat("submit", seat.survey("a", "b"))
    seat.observe()
    seat("submit", seat.write("field.yaml"))
    said = seat("status", code=3).out
    assert rows(said, "campaign")[0][:6] == ["survey", "going", "0/2", "0/8", "0", said.split("survey")[1].split()[4]]
    assert [row[0] for row in rows(said)] == ["field"]


def test_status_of_a_campaign_has_its_steps_causes_and_productions(marred: Seat) -> None:
    said = marred("status", "survey", code=1)
    lines = said.out.splitlines()
    assert lines[0].startswith("survey: not complete, 3 productions: 1 done, 2 not complete; entered 2")
    assert [line.split() for line in lines[1:5]] == [
        ["step", "succeeded", "failed"], ["one", "1", "5"], ["band", "1", "2"], ["all", "1", "2"],
    ]  # fmt: skip
    assert lines[5].startswith("one: 4 jobs of 2 productions payload-failed, such as b/L700001-SAP000-SB000-one: ")
    assert "a/L700000-SAP000-SB001-one: input-missing" in said.out
    assert "4 other jobs failed only because they needed these" in said.out
    assert [row[:3] for row in rows(said.out)] == [
        ["b", "not", "complete"],
        ["c", "not", "complete"],
        ["a", "done", "3/4"],
    ]


def test_lists_are_bounded_and_what_needs_attention_comes_first(seat: Seat) -> None:
    names = [f"p{number:02}" for number in range(24)]
    seat("submit", seat.survey(*names, subbands=1))
    seat("cancel", "p05")
    seat("pause", "p07")
    said = seat("status", "survey", code=3).out
    assert [row[0] for row in rows(said)] == [one for one in names if one not in ("p05", "p07")][:20]
    assert said.splitlines()[-1] == ("and 4 more (2 going, 1 paused, 1 not complete); `status survey --all` lists them")
    every = [row[0] for row in rows(seat("status", "survey", "--all", code=3).out)]
    assert len(every) == 24
    assert every[-2:] == ["p07", "p05"]
    assert len(seat("status", "survey", "--json", code=3).json["productions"]) == 24


def test_the_standing_of_a_campaign_as_json(marred: Seat) -> None:
    said = marred("status", "survey", "--json", code=1).json
    assert (said["campaign"], said["state"], said["words"]) == (
        "survey",
        "not complete",
        {"not complete": 2, "done": 1},
    )
    assert said["steps"]["one"] == {"failed": 5, "succeeded": 1}
    assert [(one["production"], one["complete"]) for one in said["productions"]] == [
        ("a", True),
        ("b", False),
        ("c", False),
    ]


def test_exit_codes_are_those_of_the_productions(seat: Seat, done: Seat, marred: Seat) -> None:
    assert done("status").code == done("status", "survey").code == done("status", "survey/one").code == 0
    assert marred("status", code=1).code == marred("status", "survey/one", code=1).code == 1
    assert marred("status", "a").code == 0
    seat("submit", seat.survey("a"))
    assert seat("status", "survey/one", code=3).code == seat("status", "a/all", code=3).code == 3


def test_a_step_shows_its_counts_and_what_failed_in_it(marred: Seat) -> None:
    said = marred("status", "survey/one", code=1).out
    assert said.startswith("survey/one: 1 of 6 jobs done\n")
    assert "payload-failed" in said
    said = marred("status", "b/one", code=1).out
    assert said.startswith("b/one: 0 of 2 jobs done\n")
    assert said.count("payload-failed") == 2
    assert marred("status", "a/one", "--json", code=1).json["counts"] == {"failed": 1, "succeeded": 1}


def test_a_job_shows_its_attempts(marred: Seat) -> None:
    said = marred("status", "survey/L700001-SAP000-SB000-one", code=1).out
    assert said.startswith("L700001-SAP000-SB000-one of b: failed since 2")
    ((number, *_, reason),) = rows(said, "attempt")
    assert (number, reason) == ("1", "payload-failed")
    (found,) = marred("status", "L700001-SAP000-SB000-one", "--json", code=1).json
    assert (found["production"], found["state"], len(found["attempts"])) == ("b", "failed", 1)
    assert "report" not in found["attempts"][0]


# why, logs


def test_why_tells_what_failed_alike_together_with_one_explained(marred: Seat) -> None:
    lines = marred("why", "survey").out.splitlines()
    assert lines[0].startswith("one: 4 jobs of 2 productions payload-failed, such as b/L700001-SAP000-SB000-one: ")
    assert lines[1].startswith("  read `logs`; mend the cause")
    assert lines[-1] == "4 other jobs failed only because they needed these"
    found = marred("why", "survey", "--json").json
    assert [(one["step"], one["reason"], one["jobs"], one["productions"]) for one in found][:1] == [
        ("one", "payload-failed", 4, 2)
    ]


def test_why_of_a_step_is_of_that_step(marred: Seat) -> None:
    assert marred("why", "survey/band").out.startswith("band: 2 jobs of 2 productions too-few-inputs, such as b/L7000")
    assert marred("why", "b/one").out.count("payload-failed") == 2


def test_why_of_what_goes_on_is_of_its_last_job(seat: Seat) -> None:
    seat("submit", seat.survey("a", "b"))
    assert seat("why", "survey").out.startswith("a/L700000-SAP000-all waiting: ")
    assert seat("why", "survey/one").out.startswith("a/L700000-SAP000-SB001-one")
    assert seat("why", "b/one").out.startswith("L700001-SAP000-SB001-one")


def test_logs_of_a_campaign_are_those_of_a_job_that_failed(marred: Seat) -> None:
    assert "job: L700001-SAP000-SB000-one" in marred("logs", "survey").out
    assert "job: L700002-SAP000-SB000-one" in marred("logs", "c/one").out


# retry, cancel, pause, priority


def test_retry_of_a_campaign_brings_back_what_failed_in_all_of_it(seat: Seat) -> None:
    stop = seat.block()
    seat("run", seat.survey("a", "b", subbands=1, parameters={"stop": str(stop)}), code=1)
    stop.unlink()
    said = seat("retry", "survey", "--reason", "payload-failed")
    assert said.out.splitlines() == [
        f"{name}/L70000{number}-SAP000-{job}"
        for number, name in enumerate("ab")
        for job in ("G0344-band", "SB000-one", "all")
    ]
    assert said.err == "6 jobs to be tried again, 0 to be made anew; `run` moves them\n"
    assert "2 done" in seat("run", "survey").err


def test_retry_of_a_step_leaves_the_others(seat: Seat) -> None:
    seat("run", seat.survey("a", "b", parameters={"stop": str(seat.block())}), code=1)
    assert seat("retry", "a/all").out.splitlines() == ["L700000-SAP000-all"]
    assert len(seat("retry", "survey/one").out.splitlines()) == 7
    assert seat("status", "survey", "--json", code=3).json["steps"]["one"] == {"waiting": 4}


def test_cancel_takes_a_campaign_or_a_step(seat: Seat) -> None:
    seat("submit", seat.survey("a", "b"))
    assert seat("cancel", "a/one").err == "2 jobs cancelled, 0 of them with the backend\n"
    assert seat("cancel", "survey/band").err == "2 jobs cancelled, 0 of them with the backend\n"
    assert seat("cancel", "survey").err == "4 jobs cancelled, 0 of them with the backend\n"
    assert seat("status", "survey", code=1).out.startswith("survey: not complete, 2 productions: 2 not complete")


def test_a_paused_campaign_starts_nothing_until_it_is_resumed(seat: Seat) -> None:
    seat("submit", seat.survey("a", "b"))
    assert seat("pause", "survey").err == "survey is paused (2 productions)\n"
    before = count(seat, "events")
    seat("pause", "survey")
    assert count(seat, "events") == before
    said = seat("run", "survey", code=1)
    assert "survey is paused; `resume survey` starts it again" in said.err
    seat("resume", "a")
    assert "a: done" in seat("run", "a").err
    assert seat("resume", "survey").err == "survey goes on (2 productions)\n"
    assert "2 done" in seat("run", "survey").err


def test_priority_and_bound_can_be_changed_at_any_time(seat: Seat) -> None:
    seat("submit", seat.survey("a", "b"))
    assert seat("priority", "survey", "-5").err == "survey has priority -5 (2 productions)\n"
    assert seat("max-running", "a", "3").err == "a may have at most 3 jobs on their way\n"
    assert "entered" in seat("status", "a", code=3).out
    found = seat("status", "--json", code=3).json
    assert [(one["priority"], one["max_running"]) for one in found] == [(-5, 3), (-5, None)]
    assert (
        seat("max-running", "survey", "none").err == "survey may have any number of jobs on their way (2 productions)\n"
    )
    assert [one["max_running"] for one in seat("status", "--json", code=3).json] == [None, None]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["priority", "survey", "high"], "Invalid value for 'NUMBER'"),
        (["priority", "survey", "1001"], "Invalid value for 'NUMBER'"),
        (["max-running", "survey", "0"], "'0' is not a number of jobs. Give a whole number from 1 to 1000000, or none"),
        (["max-running", "survey", "-1"], "No such option"),
        (["max-running", "survey", "²"], "'²' is not a number of jobs"),
        (["pause", "survey/one"], "there is no campaign or production 'survey/one'. `pause survey` is for all of it"),
        (["pause", "surveys"], "there is no campaign or production 'surveys'. Did you mean 'survey'?"),
        (["status", "survey/on"], "survey has no jobs of a step 'on'. Did you mean survey/one?"),
        (["status", "a/xyz"], "a has no jobs of a step 'xyz'. It has jobs of all, band, one"),
        (["why", "survey/L700000-SAP000-SB000-on"], "survey has no job 'L700000-SAP000-SB000-on'. Did you mean "),
        (["why", "b/L700000-SAP000-SB000-one"], "b has no job 'L700000-SAP000-SB000-one'. "),
        (["why", "nobody/one"], "there is no campaign or production 'nobody'"),
        (["get", "survey"], "there is no production 'survey'. It is a campaign; `status survey` lists its productions"),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_can(done: Seat, words: list[str], told: str) -> None:
    said = done(*words, code=2)
    assert said.err.startswith(told)
    assert said.err.count("\n") == 1


def test_a_job_of_several_productions_of_a_campaign_is_not_guessed(seat: Seat) -> None:
    seat.survey("a")
    seat.table(f"{HEAD}a,a.surls,\nb,a.surls,1\n")
    seat("submit", "survey.csv")
    job = "L700000-SAP000-SB000-one"
    said = seat("cancel", f"survey/{job}", code=2)
    assert said.err == f"'{job}' is a job of several productions: a, b. Say which, such as a/{job}\n"
    assert seat("cancel", f"b/{job}").err.startswith("1 job cancelled")


def test_a_name_goes_before_a_job_or_an_attempt_of_that_name(seat: Seat) -> None:
    """A production may be called like a job of its own."""
    seat.observe()
    seat("submit", seat.write(production="L654321-SAP000-SB000-one"))
    assert seat("status", "L654321-SAP000-SB000-one", code=3).out.startswith("L654321-SAP000-SB000-one: going")
    job = "L654321-SAP000-SB000-one/L654321-SAP000-SB000-one"
    assert seat("status", job, code=3).out.startswith("L654321-SAP000-SB000-one of L654321-SAP000-SB000-one: waiting")


def test_an_attempt_of_a_superseded_job_is_left_in_peace(seat: Seat) -> None:
    stop = seat.block()
    seat.observe([0])
    seat("run", seat.write(parameters={"stop": str(stop)}), code=1)
    with sqlite3.connect(seat.data / "tracker.db") as tracker:
        (attempt,) = tracker.execute("SELECT id FROM attempts LIMIT 1").fetchone()
    seat("submit", "--replan", seat.write())
    assert seat("retry", attempt).err.startswith("0 jobs")
    assert seat("cancel", attempt).err.startswith("0 jobs")


# The live view


def test_without_a_terminal_there_are_lines_with_how_many_productions_ended(done: Seat, seat: Seat) -> None:
    lines = [line for line in seat("run", seat.survey("a", "b")).err.splitlines() if " survey: " in line]
    assert lines
    assert all("/2 productions" in line and " one " in line for line in lines)


def test_in_a_terminal_totals_are_shown_and_no_line_for_each_production(seat: Seat) -> None:
    seat.environment |= {"FORCE_COLOR": "1", "TERM": "xterm"}
    said = seat("run", seat.survey(*[f"p{number:02}" for number in range(12)], subbands=1))
    frames = said.err.split("survey")
    last = frames[-2]
    assert "12/12 productions" in last
    assert last.count("━") > 60
    assert all(frame.count("\n") < 14 for frame in frames)
    assert "data L7" not in said.err


def test_a_campaign_that_is_stopped_goes_on(seat: Seat) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    seat.survey("a", "b")
    seat("submit", "survey.csv")
    said = seat("run", "survey", code=130, stderr=Listener("productions", stop))
    assert said.err.endswith("interrupted; nothing is lost, the same command goes on\n")
    assert "2 done" in seat("run", "survey").err


def test_a_program_that_is_not_there_is_told_once_and_is_exit_code_2(seat: Seat) -> None:
    pipeline = seat.folder / "pipelines" / "copy" / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("[[touch, all.txt]]", "[[no-such-tool, all.txt]]"))
    said = seat("run", seat.survey("a", "b"), code=2)
    assert said.err.count("no-such-tool is not on PATH") == 1
    assert "survey: 2 productions: 2 not complete; 2 products, 2 jobs failed" in said.err
