"""Beside every product a JSON that tells what it is made of, and is enough to make it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lofargrid import __version__
from lofargrid.productions.provenance import NOT_VERIFIED
from lofargrid.productions.recipes import recipe_of
from lofargrid.states import Reason
from tests.unit.engine_factories import (
    BAND,
    CALIBRATE,
    FIRST,
    GAINS,
    GROUP,
    IMAGE,
    IMAGE_JOB,
    World,
    name,
    recipe,
    subband,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def told(world: World, product: str) -> dict[str, Any]:
    return dict(json.loads((world.output / f"{product}.json").read_text()))


def run_without(world: World, *numbers: int) -> None:
    world.tick()
    for spec in world.backend.waiting():
        if spec.job in [name(number) for number in numbers]:
            world.backend.fail(spec.job, Reason.INPUT_TRUNCATED, "cut")
        else:
            world.backend.succeed(spec.job)
    world.finish()


def test_it_names_the_file_as_it_stands_the_recipe_and_the_software(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.finish()
    document = told(world, f"{IMAGE_JOB}.fits")
    [file] = world.tracker.files(world.job(IMAGE_JOB).id)
    assert (document["product"], document["size_bytes"], document["adler32"]) == (
        f"{IMAGE_JOB}.fits", file.size_bytes, file.adler32,
    )  # fmt: skip
    frozen = recipe_of(world.tracker, world.production)
    assert (document["recipe_hash"], document["recipe"]) == (frozen.hash, json.loads(json.dumps(frozen.content())))
    assert document["pipeline"] == {"name": "bands", "version": "1"}
    assert (document["lofargrid"], document["generation"]) == (__version__, 1)


def test_it_lists_all_jobs_that_the_product_rests_on_with_attempt_site_host_and_tools(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.tick()
    world.backend.lose(name(100))
    world.finish()
    jobs = {job["name"]: job for job in told(world, f"{IMAGE_JOB}.fits")["jobs"]}
    assert sorted(jobs) == sorted([name(100), name(101), GROUP, IMAGE_JOB])
    assert jobs[name(100)] == {
        "name": name(100), "generation": 1, "state": "succeeded", "reason": None,
        "attempt": world.job(name(100)).attempt, "attempts": 2, "site": "nowhere", "host": "wn1",
        "software": {"DP3": "6.3"}, "started": "t0", "ended": "t1",
    }  # fmt: skip


def test_an_input_with_a_promised_checksum_is_verified_at_its_source_and_another_was_read_only(world: World) -> None:
    world.enter(recipe([subband(100, adler32="12345678"), 101]))
    world.finish()
    assert told(world, f"{GROUP}.MS")["inputs"] == [
        {"role": "target", "subband": "L1-SAP000-SB100", "url": "file:///raw/L1_SB100.MS", "adler32": "12345678",
         "verified": "at source"},
        {"role": "target", "subband": "L1-SAP000-SB101", "url": "file:///raw/L1_SB101.MS", "adler32": "0badcafe",
         "verified": NOT_VERIFIED},
    ]  # fmt: skip


@pytest.mark.parametrize("product", [f"{GROUP}.MS", f"{IMAGE_JOB}.fits"])
def test_what_is_missing_is_named_with_its_cause_and_is_no_input(world: World, product: str) -> None:
    world.enter(recipe([100, 101, 102, 103], minimum_subbands=0.1))
    run_without(world, 101)
    document = told(world, product)
    assert document["missing_subbands"] == {"L1-SAP000-SB101": f"{name(101)}: input-truncated: cut"}
    expected = [100] if product.endswith("MS") else [100, 102, 103]
    assert [one["subband"] for one in document["inputs"]] == [f"L1-SAP000-SB{number}" for number in expected]


def test_an_input_whose_later_step_failed_is_missing_and_no_input(world: World) -> None:
    second = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    band = BAND | {"inputs": {"ms": {"from": "second.ms", "path": "{key}"}}}
    world.enter(recipe([100, 101], {"first": FIRST, "second": second, "band": band}))
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.tick()
    world.backend.fail(name(101, "second"), Reason.INPUT_UNSAFE)
    world.backend.succeed(name(100, "second"))
    world.finish()
    document = told(world, f"{GROUP}.MS")
    assert [one["subband"] for one in document["inputs"]] == ["L1-SAP000-SB100"]
    assert list(document["missing_subbands"]) == ["L1-SAP000-SB101"]


def test_a_subband_that_was_marked_before_the_start_is_missing_with_that_problem(world: World) -> None:
    merge = BAND | {"split": "all", "inputs": {"ms": {"from": "target", "path": "{key}"}}}
    bad = subband(101, reason=Reason.INPUT_UNSAFE, problem="leads out of its folder")
    world.enter(recipe([100, bad], {"merge": merge}))
    world.finish()
    document = told(world, "L1-SAP000-merge.MS")
    assert document["missing_subbands"] == {"L1-SAP000-SB101": "leads out of its folder"}
    assert [one["subband"] for one in document["inputs"]] == ["L1-SAP000-SB100"]


def test_a_subband_that_never_got_a_place_is_missing_though_its_job_succeeded(world: World) -> None:
    world.enter(recipe([100, 101], minimum_subbands=0.1))
    world.tick()
    world.backend.succeed(name(100))
    world.backend.succeed(name(101), measured={})
    world.finish()
    document = told(world, f"{IMAGE_JOB}.fits")
    assert document["missing_subbands"] == {"L1-SAP000-SB101": "it is in no group: its frequency is not known"}
    assert [one["subband"] for one in document["inputs"]] == ["L1-SAP000-SB100"]


def test_a_product_made_straight_from_raw_data_names_its_input(world: World) -> None:
    world.enter(recipe([100], {"first": FIRST | {"outputs": {"ms": BAND["outputs"]["ms"]}}}))
    world.finish()
    assert [one["subband"] for one in told(world, f"{name(100)}.MS")["inputs"]] == ["L1-SAP000-SB100"]


def test_inputs_of_another_role_are_inputs_too(world: World) -> None:
    first = FIRST | {"inputs": FIRST["inputs"] | {"gains": {"from": "gains.gains", "path": "gains.h5"}}}
    steps = {"calibrate": CALIBRATE, "gains": GAINS, "first": first, "band": BAND, "image": IMAGE}
    calibrator = subband(90, role="calibrator", observation="L2")
    world.enter(recipe([calibrator, 100, 101], steps, ("calibrator", "target")))
    world.finish()
    inputs = told(world, f"{IMAGE_JOB}.fits")["inputs"]
    assert [(one["role"], one["subband"][-5:]) for one in inputs] == [
        ("calibrator", "SB090"), ("target", "SB100"), ("target", "SB101"),
    ]  # fmt: skip
