"""A recipe freezes what a production makes: the same gives the same hash, a change touches what depends on it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lofargrid.errors import InputError
from lofargrid.frequency import AbsoluteSubband
from lofargrid.model import Subband
from lofargrid.productions.jobs import plan
from lofargrid.recipes.freezing import read_recipe, sha256
from lofargrid.recipes.recipe import Listing, Recipe
from lofargrid.recipes.storing import differences, from_json, to_json
from lofargrid.states import Reason
from tests.unit.factories import CALIBRATED, Desk, faults_of, pipeline_data

ROOT = Path(__file__).parents[3]
CHECKED = {"look": {"command": ["python3", "sandbox/common/look.py", "x"], "expect": {"finite": {"equals": True}}}}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A calibrated pipeline whose steps use a parameter, a template, scripts and files, each its own."""
    desk = Desk(tmp_path)
    steps = json.loads(json.dumps(CALIBRATED))
    steps["solve"] |= {"commands": [["solve", "{{ skymodel }}"]], "checks": CHECKED, "retry": {"tries": 2}}
    steps["average"] |= {"files": {"average.parset": "average.j2"}}
    steps["join"] |= {"commands": [["python3", "sandbox/join.py"]], "resources": {"cores": 2}}
    steps["image"] |= {"commands": [{"command": "mine", "files": "parameters/scripts"}, ["image", "*inputs.ms"]]}
    parameters = {
        **pipeline_data()["parameters"],
        "skymodel": {"type": "file", "description": "Sky model"},
        "mine": {"type": "command", "default": ["true"], "description": "Command"},
        "scripts": {"type": "files", "default": [], "description": "Scripts"},
    }
    desk.content = pipeline_data(steps, parameters=parameters)
    for name, text in {
        desk.pipeline / "average.j2": "{{ strength }} sandbox/rfi.lua\n",
        desk.pipeline / "rfi.lua": "strategy",
        desk.pipeline / "join.py": "import os, helper\n",
        desk.pipeline / "helper.py": "from deeper import x\n",
        desk.pipeline / "deeper.py": "import helper\n",
        desk.pipeline / "unused.py": "",
        desk.common / "look.py": "import json\nfrom tell import tell\n",
        desk.common / "tell.py": "",
        desk.common / "broken.py": "not python (",
        desk.folder / "a.skymodel": "stars",
        desk.folder / "run.py": "print()",
    }.items():
        name.write_text(text)
    desk.document |= {
        "inputs": {"target": "target.surls", "calibrator": "calibrator.surls"},
        "parameters": {"skymodel": "a.skymodel", "scripts": ["run.py"]},
        "policy": {"gaps": "flag"},
    }
    return desk


def signatures(recipe: Recipe) -> dict[str, str]:
    """Of each job; four subbands a role, in bands of two."""
    known = {
        role: {one.key: AbsoluteSubband(200, 600 + one.number) for one in recipe.subbands if one.role == role}
        for role in recipe.pipeline.roles
    }
    return {job.name: job.signature for job in plan(recipe, known)}


def touched(before: Recipe, after: Recipe) -> set[str]:
    """The steps of which any job changed."""
    old, new = signatures(before), signatures(after)
    return {name.rpartition("-")[2] for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


# Reading


def test_a_production_is_frozen_with_its_files_templates_and_inputs(desk: Desk) -> None:
    recipe = desk.recipe()
    assert recipe.parameters["skymodel"] == "sandbox/parameters/skymodel/a.skymodel"
    assert recipe.parameters["scripts"] == ["sandbox/parameters/scripts/run.py"]
    assert recipe.files["parameters/skymodel/a.skymodel"] == str(desk.folder / "a.skymodel")
    assert recipe.files["common/look.py"] == str(desk.common / "look.py")
    assert recipe.digests["rfi.lua"] == sha256(desk.pipeline / "rfi.lua")
    assert recipe.digests.keys() == recipe.files.keys()
    assert recipe.templates == {"average.j2": "{{ strength }} sandbox/rfi.lua\n"}
    assert {one.role for one in recipe.subbands} == {"target", "calibrator"}
    assert recipe.subbands[0].url == f"file://{desk.folder}/{desk.subbands[0]}"


def test_compiled_python_is_no_part_of_a_recipe(desk: Desk) -> None:
    (desk.common / "__pycache__").mkdir()
    (desk.common / "__pycache__" / "look.cpython-311.pyc").write_bytes(b"x")
    assert not [name for name in desk.recipe().files if "pycache" in name]


@pytest.mark.parametrize(
    ("output", "url"),
    [
        ("out", "file://{desk}/out"),
        ("../a b", "file://{up}/a%20b"),
        ("/data/out/", "file:///data/out"),
        ("file:///data/out/", "file:///data/out"),
        ("davs://host/out", "davs://host/out"),
    ],
)
def test_output_is_a_url_relative_to_production_yaml(desk: Desk, output: str, url: str) -> None:
    expected = url.format(desk=desk.folder, up=desk.folder.parent)
    assert desk.recipe(output=output).output == expected


def test_an_inline_list_is_read_like_a_file(desk: Desk) -> None:
    listed = desk.recipe()
    inline = desk.recipe(inputs={**desk.document["inputs"], "target": desk.subbands})
    assert [one.url for one in inline.subbands] == [one.url for one in listed.subbands]
    assert inline.hash == listed.hash


def test_a_list_in_another_folder_is_read_and_so_are_the_files_beside_it(desk: Desk) -> None:
    archive = desk.folder / "archive"
    archive.mkdir()
    (archive / desk.subbands[0]).touch()
    (archive / "t.surls").write_text(desk.subbands[0] + "\r\n")
    recipe = desk.recipe(inputs={**desk.document["inputs"], "target": "archive/t.surls"})
    assert [one.url for one in recipe.subbands if one.role == "target"] == [f"file://{archive}/{desk.subbands[0]}"]


# Bad input


def refused(desk: Desk, **document: Any) -> dict[str, tuple[int | None, str]]:
    """The faults by field, with their lines; each stands where production.yaml has its field."""
    faults = faults_of(lambda: desk.recipe(**document))
    lines = desk.file.read_text().splitlines()
    for fault in faults:
        if fault.file == str(desk.file):
            assert fault.line is not None
            named = fault.field.split(".")
            assert any(part in lines[fault.line - 1] for part in named)
    return {fault.field: (fault.line, fault.what) for fault in faults}


def test_everything_wrong_is_told_at_once_with_lines(desk: Desk) -> None:
    document = {
        "inputs": {"targt": "target.surls", "calibrator": "none.surls"},
        "parameters": {"skymodl": "x", "group_size": "ten", "strength": 1},
    }
    found = refused(desk, **document)
    assert found.keys() == {
        "inputs.targt",
        "inputs.target",
        "",
        "parameters.skymodl",
        "parameters.skymodel",
        "parameters.group_size",
    }
    lines = {field: line for field, (line, _) in found.items()}
    assert lines == {
        "inputs.target": 3,
        "inputs.targt": 4,
        "": None,
        "parameters.skymodel": 7,
        "parameters.skymodl": 8,
        "parameters.group_size": 9,
    }


@pytest.mark.parametrize(
    ("document", "field", "what"),
    [
        ({"inputs": {"target": "target.surls"}}, "inputs.calibrator", "this input is missing"),
        ({"inputs": {"target": [], "calibrator": "calibrator.surls"}}, "", "the list is empty"),
        ({"parameters": {}}, "parameters.skymodel", "this parameter is missing"),
        ({"parameters": {"skymodel": ""}}, "parameters.skymodel", "no file is named"),
        ({"parameters": {"skymodel": "no.such"}}, "parameters.skymodel", "there is no file 'no.such'"),
        ({"parameters": {"skymodel": "."}}, "parameters.skymodel", "there is no file '.'"),
        ({"parameters": {"skymodel": 3}}, "parameters.skymodel", "3 is not the name of a file"),
        ({"parameters": {"skymodel": "a.skymodel", "mine": "a 'b"}}, "parameters.mine", '"a \'b" cannot be split'),
        ({"parameters": {"skymodel": "a.skymodel", "colour": 1}}, "parameters.colour", "the pipeline has no such"),
    ],
)
def test_bad_input_is_told_with_its_field(desk: Desk, document: dict[str, Any], field: str, what: str) -> None:
    found = refused(desk, **document)
    assert list(found) == [field]
    assert found[field][1].startswith(what)


def test_two_files_of_one_name_would_overwrite_each_other(desk: Desk) -> None:
    (desk.folder / "other").mkdir()
    (desk.folder / "other" / "run.py").write_text("another")
    parameters = {"skymodel": "a.skymodel", "scripts": ["run.py", "other/run.py"]}
    assert refused(desk, parameters=parameters)["parameters.scripts"][1].startswith("two files are called 'run.py'")
    assert desk.recipe(parameters={**parameters, "scripts": ["run.py", "./run.py"]}).files


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert faults_of(sha256, tmp_path)[0].what == "cannot be read: Is a directory"


def test_an_unknown_pipeline_folder_is_told(desk: Desk) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_recipe(desk.write(), desk.file, desk.pipeline / "none", desk.common)


# The hash and the signatures


def test_the_same_production_has_the_same_hash_in_any_order_of_keys_and_lines(desk: Desk) -> None:
    first = desk.recipe()
    desk.subbands.reverse()
    desk.document = {key: desk.document[key] for key in reversed(desk.document)}
    desk.document["parameters"] = dict(reversed(desk.document["parameters"].items()))
    second = desk.recipe()
    assert second.hash == first.hash
    assert signatures(second) == signatures(first)
    assert touched(first, second) == set()


def test_a_value_that_equals_the_default_changes_nothing(desk: Desk) -> None:
    first = desk.recipe()
    assert desk.recipe(parameters={**desk.document["parameters"], "strength": 1}).hash == first.hash


def edit(name: str) -> Callable[[Desk], None]:
    def change(desk: Desk) -> None:
        path = next(path for folder in (desk.pipeline, desk.common, desk.folder) if (path := folder / name).exists())
        path.write_text(path.read_text() + "\n# more\n")

    return change


def setting(**parameters: Any) -> Callable[[Desk], None]:
    return lambda desk: desk.document.update(parameters={**desk.document["parameters"], **parameters})


def document(**changes: Any) -> Callable[[Desk], None]:
    return lambda desk: desk.document.update(changes)


def in_step(name: str, **changes: Any) -> Callable[[Desk], None]:
    return lambda desk: desk.content["steps"][name].update(changes)


SOLVE_ON = {"solve", "collect", "average", "join", "image"}
COLLECT_ON = {"collect", "average", "join", "image"}
AVERAGE_ON = {"average", "join", "image"}
JOIN_ON = {"join", "image"}


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (setting(strength=2), AVERAGE_ON),
        (setting(group_size=2), JOIN_ON),
        (setting(mine="false"), {"image"}),
        (setting(scripts=[]), {"image"}),
        (edit("average.j2"), AVERAGE_ON),
        (edit("rfi.lua"), AVERAGE_ON),
        (edit("join.py"), JOIN_ON),
        (edit("helper.py"), JOIN_ON),
        (edit("deeper.py"), JOIN_ON),
        (edit("look.py"), SOLVE_ON),
        (edit("tell.py"), SOLVE_ON),
        (edit("a.skymodel"), SOLVE_ON),
        (edit("run.py"), {"image"}),
        (edit("unused.py"), set()),
        (edit("broken.py"), set()),
        (document(software="other"), SOLVE_ON),
        (document(policy={"gaps": "skip"}), COLLECT_ON),
        (document(policy={"minimum_subbands": 0.5}), set()),
        (document(policy={"keep_intermediates": True}), set()),
        (document(output="elsewhere"), set()),
        (in_step("collect", commands=[["collect", "-v", "*inputs.gains"]]), COLLECT_ON),
        (in_step("join", outputs={"ms": {"path": "band.MS", "suffix": ".tar"}}), JOIN_ON),
        (in_step("solve", checks={}), SOLVE_ON),
        (in_step("solve", resources={"cores": 7, "memory_mb": 9}), set()),
        (in_step("solve", retry={"tries": 9}), set()),
        (in_step("solve", description="Other words"), set()),
        (in_step("collect", minimum=0.1), set()),
    ],
)
def test_a_change_touches_exactly_the_steps_that_depend_on_it(
    desk: Desk, change: Callable[[Desk], None], steps: set[str]
) -> None:
    before = desk.recipe()
    change(desk)
    after = desk.recipe()
    assert touched(before, after) == steps
    assert after.hash != before.hash
    assert difference(before, after)


def test_another_input_touches_its_own_jobs_and_the_merges_only(desk: Desk) -> None:
    before = desk.recipe(parameters={**desk.document["parameters"], "group_size": 2})
    desk.subbands[3] = desk.subbands[3].replace("1a2b3c4d", "00000000")
    old, new = signatures(before), signatures(desk.recipe())
    names = {name.removeprefix("L654321-SAP000") for name in old if old[name] != new[name]}
    assert {name for name in names if not name.startswith("L")} >= {"-SB003-average", "-image"}
    assert not {"-SB002-average", "-G0052-join"} <= names
    assert "L654320-SAP000-SB003-solve" in names
    assert "L654320-SAP000-SB002-solve" not in names


def test_choosing_another_merge_keeps_the_work_on_subbands(desk: Desk) -> None:
    desk.content["parameters"]["mode"] = {"type": "str", "default": "both", "description": "What to make"}
    for name in ("average", "join"):
        desk.content["steps"][name]["when"] = {"mode": ["both", "bands"]}
    desk.content["steps"]["image"]["when"] = {"mode": "both"}
    before = desk.recipe()
    after = desk.recipe(parameters={**desk.document["parameters"], "mode": "bands"})
    assert list(after.steps) == ["solve", "collect", "average", "join"]
    assert touched(before, after) == {"image"}


def test_a_mark_of_the_inspection_changes_no_hash(desk: Desk) -> None:
    recipe = desk.recipe()
    marked = [replace(one, reason=Reason.INPUT_MISSING, problem="gone") for one in recipe.subbands]
    assert replace(recipe, subbands=tuple(marked)).hash == recipe.hash


# The tracker's form


def test_a_recipe_survives_the_tracker(desk: Desk) -> None:
    recipe = desk.recipe()
    back = from_json(to_json(recipe), recipe.subbands)
    assert (back.hash, signatures(back), back.content()) == (recipe.hash, signatures(recipe), recipe.content())
    assert back.pipeline.parameters["skymodel"].required
    assert not back.pipeline.parameters["strength"].required
    assert (back.templates, back.files, back.digests) == (recipe.templates, recipe.files, recipe.digests)


def test_what_the_tracker_keeps_of_a_recipe_does_not_grow_with_its_inputs(desk: Desk) -> None:
    few = to_json(desk.recipe())
    desk.subbands = [f"L654321_SAP000_SB{number:03d}_uv.MS_1a2b3c4d.tar" for number in range(40)]
    assert len(to_json(desk.recipe())) == len(few)


def test_recipes_of_one_pipeline_share_it_when_they_come_back(desk: Desk) -> None:
    one, other = desk.recipe(), desk.recipe(production="other")
    assert from_json(to_json(one), ()).pipeline is from_json(to_json(other), ()).pipeline


def test_the_hash_does_not_depend_on_the_order_of_the_list(desk: Desk) -> None:
    recipe = desk.recipe()
    assert replace(recipe, subbands=recipe.subbands[::-1]).hash == recipe.hash


@pytest.mark.parametrize(
    "change", [{"url": "file:///x"}, {"size_bytes": 5}, {"adler32": "00000001"}, {"frequency_hz": 1.5e8}, {"sap": 1}]
)
def test_the_hash_tells_every_input_that_decides_a_result(desk: Desk, change: dict[str, Any]) -> None:
    recipe = desk.recipe()
    first, *others = recipe.subbands
    assert replace(recipe, subbands=(replace(first, **change), *others)).hash != recipe.hash


def test_a_listing_reads_all_or_one_when_asked_and_nothing_before(desk: Desk) -> None:
    recipe = desk.recipe()
    asked: list[str] = []

    def every() -> list[Subband]:
        asked.append("every")
        return list(recipe.subbands)

    def one(role: str, key: str) -> Subband:
        asked.append(key)
        return recipe.listed[role, key]

    lazy = replace(recipe, subbands=Listing(every, one))
    wanted = recipe.subbands[1]
    assert asked == []
    assert lazy.listed[wanted.role, wanted.key] == wanted
    assert asked == [wanted.key]
    assert dict(lazy.listed) == recipe.listed
    assert (lazy.hash, len(lazy.subbands), lazy.subbands[1]) == (recipe.hash, len(recipe.subbands), wanted)


# Differences in words


def difference(before: Recipe, after: Recipe) -> list[str]:
    return differences(to_json(before), before.subbands, after)


def test_equal_recipes_differ_in_nothing(desk: Desk) -> None:
    assert difference(desk.recipe(), desk.recipe()) == []


def test_differences_are_told_a_line_each_with_old_and_new(desk: Desk) -> None:
    before = desk.recipe()
    after = desk.recipe(
        parameters={**desk.document["parameters"], "strength": 3}, policy={"gaps": "fail"}, software="new"
    )
    assert difference(before, after) == [
        "parameters.strength: 1 -> 3",
        'software: "local" -> "new"',
        'policy.gaps: "flag" -> "fail"',
    ]


def test_what_came_and_what_went_is_told_as_absent(desk: Desk) -> None:
    before = desk.recipe()
    lost = desk.subbands.pop()
    gone = [line for line in difference(before, desk.recipe()) if lost.partition("_")[0] in line]
    assert len(gone) == 1
    assert gone[0].startswith("inputs.target L654321-SAP000-SB003: [")
    assert gone[0].endswith(" -> absent")


def test_a_changed_script_is_told_by_name(desk: Desk) -> None:
    before = desk.recipe()
    edit("tell.py")(desk)
    (line,) = difference(before, desk.recipe())
    assert line.startswith('digests.common/tell.py: "')


def test_long_values_are_shown_where_they_differ(desk: Desk) -> None:
    recipe = desk.recipe(output="file:///" + "very/long/" * 20 + "one/" + "x" * 90)
    other = desk.recipe(output="file:///" + "very/long/" * 20 + "two/" + "x" * 90)
    (line,) = difference(recipe, other)
    old, new = line.removeprefix("output: ").split(" -> ")
    assert "/one/" in old
    assert "/two/" in new
    assert max(len(old), len(new)) <= 60


def test_the_end_of_a_long_value_can_be_seen_too(desk: Desk) -> None:
    one = desk.recipe(output="file:///" + "very/long/" * 20 + "a")
    two = desk.recipe(output="file:///" + "very/long/" * 20 + "b")
    old, new = difference(one, two)[0].removeprefix("output: ").split(" -> ")
    assert (old[-2:], new[-2:]) == ('a"', 'b"')


def test_short_and_long_values_stand_side_by_side(desk: Desk) -> None:
    one, two = desk.recipe(output="/out"), desk.recipe(output="/" + "long" * 50)
    old, new = difference(one, two)[0].removeprefix("output: ").split(" -> ")
    assert old == '"file:///out"'
    assert new.startswith('"file:///longlong')
    assert new.endswith("...")


def test_relative_paths_do_not_depend_on_where_one_stands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    document = desk.write()
    recipe = desk.recipe()
    monkeypatch.chdir(desk.folder)
    here = read_recipe(document, Path(os.curdir) / "production.yaml", desk.pipeline, desk.common)
    assert here.hash == recipe.hash


def test_parameters_that_select_no_step_are_refused_and_named(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    custom = ROOT / "sandbox" / "custom"
    desk.content = yaml.safe_load((custom / "pipeline.yaml").read_text())
    shutil.copy(custom / "concat.parset.j2", desk.pipeline)
    desk.document |= {
        "inputs": {"data": "target.surls"},
        "parameters": {"command": "true", "kind": "ms", "merge": "h5parm"},
    }
    (fault,) = faults_of(desk.recipe)
    assert "kind: ms, merge: h5parm" in fault.what
    assert fault.field == "parameters"
