"""The main job, whole and real: subbands in, image out, held against the truth and not against ourselves."""

import json
import sqlite3

from tests.production.conftest import Desk


def attempts(desk: Desk) -> int:
    with sqlite3.connect(desk.tracker / "tracker.db") as tracker:
        return int(tracker.execute("SELECT count(*) FROM attempts").fetchone()[0])


def steps_with_attempts(desk: Desk, after: int) -> dict[str, int]:
    """How many attempts each step has had beyond the first ``after``."""
    with sqlite3.connect(desk.tracker / "tracker.db") as tracker:
        rows = tracker.execute(
            "SELECT j.step, count(*) FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.job_id > ? GROUP BY j.step",
            [after],
        ).fetchall()
    return dict(rows)


def last_job(desk: Desk) -> int:
    with sqlite3.connect(desk.tracker / "tracker.db") as tracker:
        return int(tracker.execute("SELECT max(id) FROM jobs").fetchone()[0])


def test_modelled_sources_are_found_within_one_percent_and_half_an_arcsecond(reference: Desk) -> None:
    said = reference("demo-result", ".")
    assert "field0" in said.out
    assert "hidden" in said.out


def test_every_product_has_its_picture_table_or_data_and_its_provenance(reference: Desk) -> None:
    products = set(reference.products())
    for suffix in ("image.fits", "image.png", "residual.fits", "residual.png"):
        assert {f"L900002-SAP000-{suffix}", f"L900002-SAP000-{suffix}.json"} <= products
    assert (reference.products()["L900002-SAP000-image.png"].read_bytes())[:4] == b"\x89PNG"
    provenance = reference.provenance("L900002-SAP000-image.fits")
    assert provenance["missing_subbands"] == {}
    assert len(provenance["inputs"]) == 16
    assert {one["verified"] for one in provenance["inputs"]} == {"at source"}
    assert all("DP3" in job["software"]["dp3"] for job in provenance["jobs"])


def test_nothing_is_left_on_scratch(reference: Desk) -> None:
    assert [name for name in reference.products() if name.startswith(".")] == []


def test_a_second_run_does_nothing(reference: Desk) -> None:
    before = attempts(reference)
    assert "done" in reference("run", "production.yaml").err
    assert attempts(reference) == before


def test_plan_writes_nothing(desk: Desk) -> None:
    desk.write()
    before = sorted(desk.folder.iterdir())
    said = desk("plan", "production.yaml")
    assert "about 2" in said.out
    assert sorted(desk.folder.iterdir()) == before
    assert not desk.tracker.exists()


def test_the_status_of_a_done_production_is_exit_code_0_and_its_jobs_are_explained(reference: Desk) -> None:
    assert reference("status", "field").code == 0
    assert "succeeded" in reference("why", "L900002-SAP000-image").out.splitlines()[0]
    assert "DP3 targ1.parset" in reference("logs", "L900002-SAP000-SB000-targ1").out


def test_get_brings_verified_products_once(reference: Desk) -> None:
    first = reference("get", "field", "brought")
    again = reference("get", "field", "brought")
    assert "verified" in first.err
    assert all("there already" in line for line in again.err.splitlines())
    assert reference("compare", "products", "brought").out.count("identical") >= 8


def test_a_changed_parameter_is_refused_with_the_difference_and_replan_redoes_only_what_depends_on_it(
    desk: Desk,
) -> None:
    desk.write()
    desk("run", "production.yaml")
    kept = {"calibrator_skymodel": "calibrator.skymodel", "target_skymodel": "target.skymodel", "group_size": 4}
    desk.write("changed.yaml", parameters={**kept, "image_robust": 0.5})
    refused = desk("run", "changed.yaml", code=2)
    assert "parameters.image_robust: 0.0 -> 0.5" in refused.err
    before = last_job(desk)
    desk("run", "--replan", "changed.yaml")
    redone = steps_with_attempts(desk, before)
    assert redone == {"image": 1, "residual": 1}
    assert json.loads(desk("status", "field", "--json").out)[0]["generation"] == 2
