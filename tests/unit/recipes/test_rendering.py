"""A job and its sources become the runner's job.json; an unknown name is an error and no empty text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lofargrid_runner.contract import Expectation, JobSpec, Limits, job_from_json, to_json

from lofargrid.documents.pipelines import StepInput, read_pipeline
from lofargrid.documents.production import read_production
from lofargrid.documents.software import Software, Values, read_software
from lofargrid.frequency import AbsoluteSubband
from lofargrid.model import Demand, Job, PlannedJob, Slot, Source
from lofargrid.productions.jobs import plan
from lofargrid.recipes.freezing import read_recipe
from lofargrid.recipes.recipe import Recipe
from lofargrid.recipes.rendering import Surroundings, grid, input_path, render, slots
from lofargrid.recipes.sandboxes import freeze
from tests.unit.factories import AVERAGE, BANDS, CONTENT, JOIN, SHIPPED, Desk, at, faults_of, job, pipeline_data

SOFTWARE = Software("local", ("/sw/bin",), {"LIBRARY": "1"}, {"casarc": "data"}, Values(), {"DP3": "DP3.py"}, {})
OFFSETS = (-73_242.1875, -24_414.0625, 24_414.0625, 73_242.1875)
DEMAND = Demand(cores=3, memory_mb=300, walltime_min=1.5, scratch_mb=6, bytes_at={"here": 2_000_000})
AROUND = Surroundings(
    "t-1-1", "janneke", "j@x", "here", "/frozen", "file:///scratch", SOFTWARE, {"dp3": "6.6"}, DEMAND
)  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def key(number: int) -> str:
    return f"L654321-SAP000-SB{number:03d}"


def source(number: int, **measured: Any) -> Source:
    centre = at(600 + number).frequency_hz
    channels = {"frequencies_hz": [centre + offset for offset in OFFSETS]}
    return Source(key(number), f"file:///made/{number}", 1000, "0000abcd", centre, {**channels, **measured}, "maker")


def band(*numbers: int, **changes: Any) -> Job:
    """A band from the first to the last of these; the others have no subband."""
    every = range(min(numbers), max(numbers) + 1)
    made = [Slot(at(600 + n).abn, at(600 + n).frequency_hz, key(n) if n in numbers else "") for n in every]
    return job("L654321-SAP000-G0060", subbands=[key(n) for n in numbers], slots=made, **changes)


def step(desk: Desk, name: str = "average", **changes: Any) -> None:
    desk.content["steps"][name] = {**desk.content["steps"][name], **changes}


def one(desk: Desk, **document: Any) -> JobSpec:
    """The rendered job of subband 3."""
    raw = Source(key(3), "file:///raw/3.tar", 2_000_000, "0000abcd", 1.5e8)
    return render(desk.recipe(**document), job(key(3), "average"), {"raw": [raw]}, AROUND)


def fault(desk: Desk, **document: Any) -> tuple[str, str]:
    (found,) = faults_of(lambda: one(desk, **document))
    return found.file, found.what


# What goes into job.json


def test_a_job_is_rendered_whole(desk: Desk) -> None:
    step(
        desk,
        inputs={"raw": {"from": "target", "path": "raw.MS", "unpack": True, "kind": "ms"}},
        outputs={"ms": {"path": "{{ observation }}.MS", "suffix": ".MS.tar", "pack": True}},
    )
    spec = one(desk)
    assert (spec.attempt, spec.job, spec.production, spec.step) == (
        "t-1-1",
        "L654321-SAP000-SB003-average",
        "field",
        "average",
    )
    assert (spec.owner, spec.contact, spec.site) == ("janneke", "j@x", "here")
    assert (spec.sandbox, spec.destination) == ("/frozen", "file:///scratch")
    assert spec.commands == (("average", "1"),)
    assert spec.limits == Limits(walltime_s=90, memory_mb=300, scratch_mb=6, cores=3)
    (given,) = spec.inputs
    assert (given.name, given.key, given.path, given.unpack, given.kind) == ("raw", key(3), "raw.MS", True, "ms")
    assert (given.url, given.size_bytes, given.adler32) == ("file:///raw/3.tar", 2_000_000, "0000abcd")
    (left,) = spec.outputs
    assert (left.path, left.filename, left.pack) == ("L654321.MS", "L654321-SAP000-SB003-average.MS.tar", True)
    assert (spec.path, spec.environment, spec.aliases) == (("/sw/bin",), {"LIBRARY": "1"}, {"DP3": "DP3.py"})
    assert (spec.files, spec.software) == ({"casarc": "data"}, {"dp3": "6.6"})
    assert job_from_json(to_json(spec)) == spec


def test_templates_know_the_parameters_the_job_and_its_surroundings(desk: Desk) -> None:
    words = ("strength", "job", "production", "observation", "sap", "resources.cores", "software.aoflagger_strategy")
    names = [*words, "inputs.raw[0].path", "inputs.raw[0].key"]
    (desk.pipeline / "x.j2").write_text(" ".join(f"{{{{ {name} }}}}" for name in names) + "\n")
    step(desk, files={"x.parset": "x.j2"})
    text = one(desk, parameters={"strength": 7}).files["x.parset"]
    assert text == f"7 {key(3)}-average field L654321 0 1  raw.MS {key(3)}\n"


def test_a_job_that_has_grown_may_take_more_and_is_rendered_as_before(desk: Desk) -> None:
    """What tools are told of memory may change what they make: it stays the same from attempt to attempt."""
    step(desk, resources={"memory_mb": 100}, commands=[["x", "{{ resources.memory_mb }}"]])
    grown = replace(AROUND, demand=replace(DEMAND, memory_mb=9000))
    raw = Source(key(3), "file:///raw/3.tar")
    spec = render(desk.recipe(), job(key(3), "average"), {"raw": [raw]}, grown)
    assert (spec.limits.memory_mb, spec.commands) == (9000, (("x", "100"),))


def test_a_starred_word_becomes_the_paths_of_an_input(desk: Desk) -> None:
    step(desk, "join", split="all", commands=[["join", "*inputs.ms", "-o", "all inputs.ms"]])
    spec = render(desk.recipe(), job("L654321-SAP000"), {"ms": [source(1), source(0)]}, AROUND)
    assert spec.commands == (("join", f"in/{key(1)}.MS", f"in/{key(0)}.MS", "-o", "all inputs.ms"),)


def test_the_users_command_gets_its_words_filled_in_and_no_template(desk: Desk) -> None:
    desk.content["parameters"] |= {
        "mine": {"type": "command", "description": "x"},
        "scripts": {"type": "files", "default": [], "description": "x"},
    }
    meant = {
        "command": "mine",
        "input": "raw.MS",
        "output": "{{ job }}.h5",
        "name": "{{ job }}",
        "files": "parameters/scripts",
    }
    step(desk, commands=[meant])
    (desk.folder / "run.py").touch()
    words = ["python3", "{files}/run.py", "msin={input}", "{output}", "{name}", "{{ job }}", "{other}"]
    spec = one(desk, parameters={"mine": words, "scripts": ["run.py"]})
    name = f"{key(3)}-average"
    files = "sandbox/parameters/scripts"
    assert spec.commands == (("python3", f"{files}/run.py", "msin=raw.MS", f"{name}.h5", name, "{{ job }}", "{other}"),)


def test_the_users_files_lie_where_the_command_looks_for_them(desk: Desk, tmp_path: Path) -> None:
    test_the_users_command_gets_its_words_filled_in_and_no_template(desk)
    recipe = desk.recipe()
    assert (freeze(recipe, tmp_path / "frozen") / "parameters" / "scripts" / "run.py").is_file()
    assert recipe.parameters["scripts"] == ["sandbox/parameters/scripts/run.py"]


# Expectations


def expected(desk: Desk, **expect: Any) -> Expectation:
    step(desk, checks={"c": {"command": ["look", "{{ job }}"], "expect": {"value": expect}}})
    (check,) = one(desk).checks
    assert (check.name, check.command) == ("c", ("look", f"{key(3)}-average"))
    return check.expect["value"]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"equals": True}, Expectation(True)),
        ({"equals": "{{ strength * 2 }}"}, Expectation(2)),
        ({"equals": "[{{ strength }}, 2.5]"}, Expectation((1, 2.5))),
        ({"equals": [1, 2]}, Expectation([1, 2])),
        ({"equals": "{{ strength == 1 }}"}, Expectation(True)),
        ({"equals": "text"}, Expectation("text")),
        ({"minimum": "{{ strength or '' }}", "maximum": 3.5}, Expectation(minimum=1, maximum=3.5)),
        ({"minimum": "{{ '' }}"}, Expectation()),
        ({"equals": 1, "within": "{{ strength * 0.00001 }}"}, Expectation(1, 1e-05)),
        ({"equals": "{{ [0.00000000000001, 1] | tojson }}"}, Expectation((1e-14, 1))),
    ],
)
def test_expectations_are_values_and_no_texts(desk: Desk, given: dict[str, Any], value: Expectation) -> None:
    found = expected(desk, **given)
    assert found == value
    assert type(found.equals) is type(value.equals)


@pytest.mark.parametrize("which", ["within", "minimum", "maximum"])
@pytest.mark.parametrize("text", ["much", "{{ strength == 1 }}", "[1]", "{{ 'a' }}"])
def test_a_bound_that_is_no_number_is_told_and_not_compared_with(desk: Desk, which: str, text: str) -> None:
    (found,) = faults_of(lambda: expected(desk, **{which: text}))
    assert (found.file, found.field) == ("bands: steps.average", which)
    assert found.what.endswith("is not a number to compare with")


# What cannot be rendered


@pytest.mark.parametrize(
    "text",
    [
        "{{ strenth }}",
        "{{ inputs.none }}",
        "{{ inputs.raw[0].measurements.rows }}",
        "{{ 1 / 0 }}",
        "{{ 'a' + 1 }}",
        "{{ [] | max }}",
    ],
)
def test_an_unknown_name_or_a_broken_sum_is_told_with_pipeline_and_step(desk: Desk, text: str) -> None:
    step(desk, commands=[["x", text]])
    place, what = fault(desk)
    assert place == "bands: steps.average"
    assert what.startswith(f"cannot render {text!r}: ")


def test_a_long_template_is_told_shortly(desk: Desk) -> None:
    step(desk, commands=[["x", "{{ nothing }}" + "y" * 200]])
    assert len(fault(desk)[1]) < 150


def test_a_value_that_is_no_yaml_is_told(desk: Desk) -> None:
    step(desk, checks={"c": {"command": ["look"], "expect": {"value": {"equals": "[1, {{ strength }}"}}}})
    assert fault(desk)[1].startswith("'[1, {{ strength }}' gives no value")


def test_a_parset_that_hits_an_unknown_name_is_no_half_empty_parset(desk: Desk) -> None:
    (desk.pipeline / "x.j2").write_text("msin={{ raw }}\n")
    step(desk, files={"x.parset": "x.j2"})
    assert "'raw' is undefined" in fault(desk)[1]


# Groups

MS = StepInput(**{"from": "average.ms", "path": "in/{key}.MS"})


def test_slots_stand_in_frequency_order_and_absent_ones_name_nothing_that_exists() -> None:
    found = slots(band(0, 1, 3).slots, [source(3), source(0)], MS, "flag")
    assert [slot["path"] for slot in found] == [
        f"in/{key(0)}.MS",
        "absent/ABN089.MS",
        "absent/ABN090.MS",
        f"in/{key(3)}.MS",
    ]
    assert [slot["present"] for slot in found] == [True, False, False, True]
    assert [slot["key"] for slot in found] == [key(0), key(1), "", key(3)]
    assert [slot["abn"] for slot in found] == [88, 89, 90, 91]


def test_gaps_skip_leaves_absent_slots_out() -> None:
    found = slots(band(0, 1, 3).slots, [source(3), source(0)], MS, "skip")
    assert [slot["key"] for slot in found] == [key(0), key(3)]


def joined(numbers: Sequence[int], there: Sequence[int], gaps: str = "flag") -> dict[str, Any]:
    sources = [source(number) for number in there]
    return grid(slots(band(*numbers).slots, sources, MS, gaps), sources)


def test_the_grid_is_that_of_the_parts_with_absent_ones_filled_in() -> None:
    found = joined((0, 1, 2), (0, 2))
    centres = [at(600 + number).frequency_hz for number in range(3)]
    assert found["frequencies_hz"] == [centre + offset for centre in centres for offset in OFFSETS]
    assert (found["channels"], found["absent_channels"], found["regular"]) == (12, 4, True)


def test_a_skipped_gap_makes_the_grid_irregular() -> None:
    found = joined((0, 1, 2), (0, 2), "skip")
    assert (found["channels"], found["absent_channels"], found["regular"]) == (8, 0, False)
    assert joined((0, 1, 2), (0, 1), "skip")["regular"]


def test_a_group_of_nothing_has_no_channels() -> None:
    assert joined((0,), ()) == {"frequencies_hz": [], "channels": 0, "absent_channels": 0, "regular": True}


@pytest.mark.parametrize("order", [("ms", "gains"), ("gains", "ms")])
def test_slots_follow_the_input_that_has_a_file_a_subband_whatever_stands_first(
    desk: Desk, order: tuple[str, str]
) -> None:
    collect = {
        **AVERAGE,
        "split": "all",
        "inputs": {"ms": {"from": "average.ms", "path": "{key}"}},
        "outputs": {"gains": {"path": "g", "suffix": ".h5"}},
    }
    inputs = {
        "ms": {"from": "average.ms", "path": "in/{key}.MS"},
        "gains": {"from": "collect.gains", "path": "gains.h5"},
    }
    ordered = {name: inputs[name] for name in order}
    joining = {**JOIN, "inputs": ordered, "commands": [["x", "{{ slots | map(attribute='path') | join(',') }}"]]}
    desk.content = pipeline_data({"average": AVERAGE, "collect": collect, "join": joining})
    sources = {"ms": [source(0), source(1)], "gains": [Source("L654321-SAP000", "file:///gains")]}
    spec = render(desk.recipe(), band(0, 1), {name: sources[name] for name in order}, AROUND)
    assert spec.commands == (("x", f"in/{key(0)}.MS,in/{key(1)}.MS"),)


def test_a_step_over_groups_alone_still_renders(desk: Desk) -> None:
    polish = {
        **JOIN,
        "inputs": {"ms": {"from": "join.ms", "path": "in.MS"}},
        "commands": [["x", "{{ grid.channels }}"]],
    }
    desk.content = pipeline_data({**BANDS, "polish": polish})
    joined_band = Source("L654321-SAP000-G0060", "file:///band")
    spec = render(desk.recipe(), band(0, 1, step="polish"), {"ms": [joined_band]}, AROUND)
    assert (spec.commands, spec.inputs[0].path) == ((("x", "0"),), "in.MS")


def test_the_key_tells_many_files_apart() -> None:
    assert input_path(MS, "L1-SAP000-SB001") == "in/L1-SAP000-SB001.MS"


# Every shipped pipeline

MEASURED: dict[str, Any] = {
    "rows": 450,
    "times": 10,
    "channel_rms": [1.0, 2.0, 3.0, 4.0],
    "rms": 0.5,
    "flagged_fraction": 0.1,
    "fully_flagged_channels": 0,
    "solution_times": 5,
    "solution_stations": 9,
    "solution_tables": ["amplitude000", "phase000"],
    "amplitude_by_frequency": [1.5],
    "phase_by_frequency": [0.00001],
}
REQUIRED: dict[str, dict[str, Any]] = {
    "calibrate-image": {"calibrator_skymodel": "a.txt", "target_skymodel": "a.txt"},
    "custom": {"command": "python3 {files}/a.txt {input} {output}", "files": ["a.txt"]},
    "flag-average": {},
}
CHOICES = [
    *[
        ("calibrate-image", {"flag": flag, "compress": not flag, "min_time_coverage": int(flag)})
        for flag in (True, False)
    ],
    *[
        ("flag-average", {"flag": flag, "compress": not flag, "flag_strategy": "a.txt" * flag})
        for flag in (True, False)
    ],
    *[("custom", {"kind": kind, "merge": merge}) for kind in ("ms", "h5parm", "other") for merge in ("none", "tar")],
    ("custom", {"kind": "ms", "merge": "concat"}),
    ("custom", {"kind": "h5parm", "merge": "h5parm"}),
]


def shipped(folder: Path, name: str, parameters: Mapping[str, Any], gaps: str) -> Recipe:
    desk = Desk(folder)
    pipeline_folder = CONTENT / "sandbox" / name
    (desk.folder / "a.txt").touch()
    desk.document |= {
        "pipeline": name,
        "inputs": {
            role: [f"L{number}_SAP000_SB{n:03d}_uv.MS" for n in range(4)]
            for number, role in enumerate(read_pipeline(pipeline_folder).roles, 5000)
        },
        "parameters": {"group_size": 4, **REQUIRED[name], **parameters},
        "policy": {"gaps": gaps},
    }
    if "group_size" not in read_pipeline(pipeline_folder).parameters:
        del desk.document["parameters"]["group_size"]
    desk.write()
    return read_recipe(read_production(desk.file), desk.file, pipeline_folder, CONTENT / "sandbox" / "common")


def made(recipe: Recipe, planned: PlannedJob, jobs: Mapping[str, PlannedJob], lost: int) -> dict[str, list[Source]]:
    """What goes into a job when all it needs succeeded but one subband."""
    found: dict[str, list[Source]] = {}
    for name, wanted in recipe.steps[planned.step].inputs.items():
        makers = [jobs[need] for need in planned.needs if jobs[need].step == wanted.step]
        keys = [maker.key for maker in makers] if wanted.step else list(planned.subbands)
        if len(keys) > 1:
            keys = [one for one in keys if not one.endswith(f"SB{lost:03d}")]
        found[name] = [
            Source(one, f"file:///x/{one}", 10, None, None, measured(one) if wanted.step else {}) for one in keys
        ]
    return found


def measured(one: str) -> dict[str, Any]:
    centre = at(600 + int(one[-3:])).frequency_hz if "-SB" in one else 1.5e8
    channels = {"frequencies_hz": [centre + offset for offset in OFFSETS], "solution_frequencies_hz": [centre]}
    return {**MEASURED, **channels, "centre_frequency_hz": centre}


@pytest.mark.parametrize("gaps", ["flag", "skip"])
@pytest.mark.parametrize(("name", "parameters"), CHOICES)
def test_every_step_of_every_shipped_pipeline_renders(
    tmp_path: Path, name: str, parameters: dict[str, Any], gaps: str
) -> None:
    recipe = shipped(tmp_path, name, parameters, gaps)
    known = {
        role: {one.key: AbsoluteSubband(200, 600 + one.number) for one in recipe.subbands if one.role == role}
        for role in recipe.pipeline.roles
    }
    jobs = {planned.name: planned for planned in plan(recipe, known)}
    assert {planned.step for planned in jobs.values()} == set(recipe.steps)
    software = read_software(CONTENT / "cvmfs" / "software.yaml", "local")
    sandbox = freeze(recipe, tmp_path / "frozen")
    for planned in jobs.values():
        entry = job(planned.key, planned.step, subbands=planned.subbands, slots=planned.slots, name=planned.name)
        around = Surroundings("t-1-1", "o", "c", "s", str(sandbox), "file:///d", software, {}, DEMAND)
        spec = render(recipe, entry, made(recipe, planned, jobs, lost=1), around)
        assert job_from_json(to_json(spec)).job == planned.name
        texts = [*spec.files.values(), *(word for command in spec.commands for word in command)]
        assert not [text for text in texts if "{{" in text or "{%" in text or "Undefined" in text]
        assert len({given.path for given in spec.inputs}) == len(spec.inputs)
        for words in [*spec.commands, *(check.command for check in spec.checks)]:
            for word in words:
                if word.startswith("sandbox/"):
                    assert (sandbox / word.removeprefix("sandbox/")).is_file()


def test_every_shipped_pipeline_and_every_step_of_it_is_rendered_here() -> None:
    assert sorted(REQUIRED) == SHIPPED
    for name in SHIPPED:
        read = read_pipeline(CONTENT / "sandbox" / name)
        defaults = {key: declared.default for key, declared in read.parameters.items()}
        chosen = [read.active({**defaults, **parameters}) for choice, parameters in CHOICES if choice == name]
        assert set(read.steps) == {step for active in chosen for step in active}


def test_an_absent_subband_is_expected_flagged_and_the_rest_where_it_stands(tmp_path: Path) -> None:
    recipe = shipped(tmp_path, "flag-average", {}, "flag")
    known = {"target": {one.key: AbsoluteSubband(200, 600 + one.number) for one in recipe.subbands}}
    jobs = {planned.name: planned for planned in plan(recipe, known)}
    (planned,) = [one for one in jobs.values() if one.step == "join"]
    entry = job(planned.key, "join", subbands=planned.subbands, slots=planned.slots)
    spec = render(recipe, entry, made(recipe, planned, jobs, lost=1), AROUND)
    expect = spec.checks[0].expect
    assert "msin=[in/L5000-SAP000-SB000.MS,absent/ABN089.MS,in/L5000-SAP000-SB002.MS,in/" in spec.files["join.parset"]
    assert (expect["channels"].equals, expect["fully_flagged_channels"].equals) == (16, 4)
    assert expect["channel_rms"].equals == (1, 2, 3, 4, 0, 0, 0, 0, 1, 2, 3, 4, 1, 2, 3, 4)
    assert expect["channel_rms"].within == pytest.approx(5e-6)
    assert expect["flagged_fraction"].equals == pytest.approx((3 * 0.1 + 1) / 4)
    assert expect["regular"].equals is True
