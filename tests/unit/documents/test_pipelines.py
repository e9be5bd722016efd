"""Pipelines are content: what is wrong with one is told when it is read, not when a job of it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lofargrid.decisions.retry import RULES, Rule, with_own
from lofargrid.documents.pipelines import (
    Parameter,
    Pipeline,
    group_size,
    parameter_values,
    parameters_used,
    read_pipeline,
    value_problem,
)
from lofargrid.errors import Fault
from lofargrid.states import Reason
from tests.unit.factories import (
    APPLY,
    AVERAGE,
    BANDS,
    COLLECT,
    CONTENT,
    IMAGE,
    JOIN,
    SHIPPED,
    SOLVE,
    faults_of,
    pipeline,
)
from tests.unit.factories import pipeline_data as data

MANY = {"from": "average.ms", "path": "in.MS"}


def write(folder: Path, content: dict[str, Any], **templates: str) -> Path:
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for name, text in templates.items():
        (folder / f"{name}.j2").write_text(text)
    return folder


def told(folder: Path, content: dict[str, Any]) -> tuple[str, str]:
    (fault,) = faults_of(read_pipeline, write(folder, content))
    assert fault.file == str(folder / "pipeline.yaml")
    assert fault.line is not None
    last = fault.field.rpartition(".")[2]
    if not last.isdigit():
        assert last in (folder / "pipeline.yaml").read_text().splitlines()[fault.line - 1]
    return fault.field, fault.what


def step(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**base, **changes}


def parameter(kind: str, **changes: Any) -> Parameter:
    return Parameter.model_validate({"type": kind, "description": "A value", **changes})


# What is shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_pipeline_reads_without_fault(name: str) -> None:
    read = read_pipeline(CONTENT / "sandbox" / name)
    assert read.pipeline == name
    assert all(one.description for one in [*read.steps.values(), *read.parameters.values(), *read.roles.values()])


# Reading


def test_a_pipeline_is_read_with_its_defaults(tmp_path: Path) -> None:
    read = read_pipeline(write(tmp_path, data()))
    average, join, image = read.steps.values()
    assert (average.grouped, join.grouped, image.grouped) == (False, True, False)
    assert (average.merges, join.merges, image.merges) == (False, True, True)
    assert (average.needs, join.needs, image.needs) == ((), ("average",), ("join",))
    assert (average.retry.tries, average.resources.cores, average.minimum) == (2, 1, None)
    assert (average.inputs["raw"].step, average.inputs["raw"].output) == ("", "")
    assert (join.inputs["ms"].step, join.inputs["ms"].output) == ("average", "ms")


def test_a_need_is_named_once_however_many_of_its_outputs_are_taken() -> None:
    both = {"ms": {"from": "average.ms", "path": "{key}"}, "more": {"from": "average.ms", "path": "more/{key}"}}
    assert pipeline({"average": AVERAGE, "join": step(JOIN, inputs=both)}).steps["join"].needs == ("average",)


def test_the_programs_of_a_step_are_those_it_names_itself() -> None:
    one = step(
        AVERAGE,
        commands=[["DP3", "a"], ["DP3", "b"], ["{{ strength }}"], {"command": "mine"}],
        checks={"c": {"command": ["python3", "look.py"]}},
    )
    found = pipeline(
        {"average": one}, parameters={**data()["parameters"], "mine": {"type": "command", "description": "x"}}
    )
    assert found.steps["average"].programs == ("DP3", "python3")


def test_a_steps_own_retry_rules_change_what_they_name_and_leave_the_rest(tmp_path: Path) -> None:
    rules = {"lost": {"tries": 3, "wait_s": 5}, "software-missing": {"tries": 2, "elsewhere": "node"}}
    content = data({"average": step(AVERAGE, retry={"tries": 4, "rules": rules})})
    retry = read_pipeline(write(tmp_path, content)).steps["average"].retry
    assert retry.tries == 4
    standing = {Reason.LOST: Rule(tries=10, burns=False, wait_s=1.0, elsewhere="node")}
    assert with_own(standing, retry) == {
        Reason.LOST: Rule(tries=3, burns=False, wait_s=5.0, elsewhere="node"),
        Reason.SOFTWARE_MISSING: Rule(tries=2, elsewhere="node"),
    }


def test_a_rule_may_take_away_what_lofargrid_does() -> None:
    rules = {"out-of-memory": {"grow": "", "burns": True}}
    retry = pipeline({"average": step(AVERAGE, retry={"rules": rules})}).steps["average"].retry
    found = with_own(RULES, retry)[Reason.OUT_OF_MEMORY]
    assert (found.grow, found.burns, found.tries) == ("", True, RULES[Reason.OUT_OF_MEMORY].tries)


def test_without_rules_of_its_own_a_step_changes_none() -> None:
    assert with_own(RULES, pipeline().steps["average"].retry) == RULES


@pytest.mark.parametrize(
    ("steps", "field", "what"),
    [
        ({}, "steps", "a pipeline has at least one step"),
        ({"a/b": AVERAGE}, "steps.a/b", "the name 'a/b' may hold letters, digits, - and _ only, 64 at most"),
        ({"average": step(AVERAGE, comands=[])}, "steps.average.comands", "unknown key"),
        ({"average": step(AVERAGE, split="subbands")}, "steps.average.split", "should be 'subband' or 'all' or "),
        (
            {**BANDS, "join": step(JOIN, split={"group": 0})},
            "steps.join.split.group",
            "should be greater than or equal",
        ),
        ({**BANDS, "join": step(JOIN, split={"group": 2, "groups": 2})}, "steps.join.split.groups", "unknown key"),
        (
            {**BANDS, "join": step(JOIN, split={"group": "n"})},
            "steps.join.split.group",
            "'n' is not a parameter of type",
        ),
        ({"average": step(AVERAGE, commands=[[]])}, "steps.average.commands.0", "should have at least 1 item or be a"),
        (
            {"average": step(AVERAGE, checks={"c": {"command": []}})},
            "steps.average.checks.c.command",
            "should have at least 1 item, found []",
        ),
        ({"average": step(AVERAGE, retry={"tries": 0})}, "steps.average.retry.tries", "should be greater"),
        (
            {"average": step(AVERAGE, retry={"rules": {"los": {}}})},
            "steps.average.retry.rules.los",
            "should be 'node-unfit', 'scratch-full', ",
        ),
        (
            {"average": step(AVERAGE, retry={"rules": {"lost": {"tries": 0}}})},
            "steps.average.retry.rules.lost.tries",
            "should be greater",
        ),
        (
            {"average": step(AVERAGE, retry={"rules": {"lost": {"wait_s": -1}}})},
            "steps.average.retry.rules.lost.wait_s",
            "should be greater",
        ),
        (
            {"average": step(AVERAGE, retry={"rules": {"lost": {"elsewhere": "moon"}}})},
            "steps.average.retry.rules.lost.elsewhere",
            "should be '', 'node' or 'site', found 'moon'",
        ),
        (
            {"average": step(AVERAGE, retry={"rules": {"lost": {"grow": "cores"}}})},
            "steps.average.retry.rules.lost.grow",
            "should be '', 'memory', 'walltime' or 'scratch'",
        ),
        (
            {"average": step(AVERAGE, retry={"rules": {"lost": {"nodes": 2}}})},
            "steps.average.retry.rules.lost.nodes",
            "unknown key",
        ),
        ({"average": step(AVERAGE, minimum=1.5)}, "steps.average.minimum", "should be less"),
        ({"average": step(AVERAGE, when={"mode": 1})}, "steps.average.when.mode", "there is no parameter 'mode'"),
        ({**BANDS, "image": step(IMAGE, over="field")}, "steps.image.over", "there is no role 'field'"),
        (
            {"average": step(AVERAGE, inputs={"raw": {"from": "field", "path": "x"}})},
            "steps.average.inputs.raw",
            "'field' is not the role 'target'",
        ),
        (
            {"join": JOIN, "average": AVERAGE},
            "steps.join.inputs.ms",
            "there is no step 'average' before this one",
        ),
        (
            {**BANDS, "join": step(JOIN, inputs={"ms": {"from": "join.ms", "path": "x"}})},
            "steps.join.inputs.ms",
            "there is no step 'join' before this one",
        ),
        (
            {**BANDS, "join": step(JOIN, inputs={"ms": {"from": "average.h5", "path": "x"}})},
            "steps.join.inputs.ms",
            "the step 'average' has no output 'h5'",
        ),
        (
            {"solve": SOLVE, "average": step(APPLY, inputs={"gains": {"from": "solve.gains", "path": "x"}})},
            "steps.average.inputs.gains",
            "of another role only a step with split: all can be used, 'solve' is not",
        ),
        (
            {**BANDS, "late": step(AVERAGE, inputs={"ms": {"from": "join.ms", "path": "x"}})},
            "steps.late.inputs.ms",
            "'join' makes groups; only the same groups or split: all can use them",
        ),
        (
            {**BANDS, "late": step(JOIN, split={"group": 5}, inputs={"ms": {"from": "join.ms", "path": "x"}})},
            "steps.late.inputs.ms",
            "'join' makes groups; only the same groups or split: all can use them",
        ),
        (
            {"average": step(AVERAGE, commands=[["x"], ["x", "*inputs.ms"]])},
            "steps.average.commands.1",
            "there is no input 'ms' in this step",
        ),
        (
            {"average": step(AVERAGE, commands=[{"command": "strength"}])},
            "steps.average.commands.0",
            "'strength' is not a parameter of the type that this takes",
        ),
        (
            {"average": step(AVERAGE, outputs={**AVERAGE["outputs"], "b": {"path": "b", "suffix": ".MS.tar"}})},
            "steps.average.outputs.b",
            "another output is stored with the suffix '.MS.tar' too",
        ),
    ],
)
def test_a_step_that_cannot_work_is_told_with_line_and_field(
    tmp_path: Path, steps: dict[str, Any], field: str, what: str
) -> None:
    roles = {role: {"description": role} for role in ("target", "calibrator")}
    told_field, told_what = told(tmp_path, data(steps, roles=roles))
    assert told_field == field
    assert told_what.startswith(what)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("join", step(JOIN, inputs={"ms": MANY})),
        ("join", step(JOIN, split="all", inputs={"ms": MANY})),
        ("join", step(JOIN, inputs={"raw": {"from": "target", "path": "raw.MS"}}, commands=[["x"]])),
        ("image", step(IMAGE, inputs={"ms": {"from": "join.ms", "path": "in.MS"}})),
    ],
)
def test_many_files_of_one_path_would_overwrite_each_other(tmp_path: Path, name: str, changed: dict[str, Any]) -> None:
    steps = {"average": AVERAGE, "join": JOIN, **({"image": IMAGE} if name == "image" else {}), name: changed}
    assert told(tmp_path, data(steps))[1] == "many files come in, so {key} must stand in their path"


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("polish", step(JOIN, inputs={"ms": {"from": "join.ms", "path": "in.MS"}})),
        ("last", step(IMAGE, inputs={"fits": {"from": "image.fits", "path": "a.fits"}}, commands=[["x"]])),
        ("again", step(AVERAGE, inputs={"ms": {"from": "average.ms", "path": "a.MS"}})),
        (
            "back",
            step(AVERAGE, inputs={"raw": {"from": "target", "path": "a"}, "f": {"from": "image.fits", "path": "b"}}),
        ),
    ],
)
def test_one_file_needs_no_key_in_its_path(name: str, more: dict[str, Any]) -> None:
    assert name in pipeline({**BANDS, name: more}).steps


def test_merges_of_one_role_serve_another() -> None:
    assert pipeline({"solve": SOLVE, "collect": COLLECT, "average": APPLY}).steps["average"].needs == ("collect",)


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        ({"type": "int", "default": "two"}, "'two' is not a whole number"),
        ({"type": "float", "default": 3, "maximum": 2}, "3 is more than 2"),
        ({"type": "str", "default": "c", "choices": ["a", "b"]}, "'c' is not one of a, b"),
    ],
)
def test_a_default_that_its_own_declaration_forbids_is_told(
    tmp_path: Path, declared: dict[str, Any], what: str
) -> None:
    parameters = {**data()["parameters"], "mode": {"description": "x", **declared}}
    assert told(tmp_path, data(parameters=parameters)) == ("parameters.mode.default", what)


def test_templates_are_looked_at_when_the_pipeline_is_read(tmp_path: Path) -> None:
    files = {"good": "good.j2", "bad": "bad.j2", "none": "none.j2"}
    write(tmp_path, data({"average": step(AVERAGE, files=files)}), good="{{ strength }}", bad="a\n\n{% if %}")
    bad, none = faults_of(read_pipeline, tmp_path)
    assert (bad.file, bad.line) == (str(tmp_path / "bad.j2"), 3)
    assert bad.what.startswith("not a Jinja template")
    assert (none.file, none.field) == (str(tmp_path / "none.j2"), "steps.average.files.none")
    assert none.what.startswith("its template cannot be read")


def test_a_folder_without_a_pipeline_is_told(tmp_path: Path) -> None:
    assert faults_of(read_pipeline, tmp_path) == (
        Fault("there is no such file", "Check the name", str(tmp_path / "pipeline.yaml")),
    )


# Steps that parameters select


@pytest.mark.parametrize(
    ("when", "active"),
    [({"mode": "a"}, True), ({"mode": ["a", "b"]}, True), ({"mode": "b"}, False), ({"mode": "a", "on": False}, False)],
)
def test_a_step_is_active_when_all_its_conditions_hold(when: dict[str, Any], active: bool) -> None:
    parameters = {
        **data()["parameters"],
        "mode": {"type": "str", "description": "x"},
        "on": {"type": "bool", "description": "x"},
    }
    one = pipeline({"average": step(AVERAGE, when=when)}, parameters=parameters)
    assert list(one.active({"mode": "a", "on": True})) == (["average"] if active else [])


def test_a_group_is_as_large_as_said_or_as_its_parameter_says() -> None:
    named = pipeline().steps["join"]
    fixed = pipeline({**BANDS, "join": step(JOIN, split={"group": 4})}).steps["join"]
    assert (group_size(named, {"group_size": 7}), group_size(fixed, {})) == (7, 4)


# What a step depends on


PARAMETERS = {
    **{
        name: {"type": "str", "default": "", "description": "x"}
        for name in ("word", "check", "expect", "file", "other")
    },
    **{name: {"type": "int", "default": 1, "description": "x"} for name in ("size", "chosen")},
    "mine": {"type": "command", "description": "x"},
    "scripts": {"type": "files", "default": [], "description": "x"},
}


@pytest.mark.parametrize("files", ["scripts", "parameters/scripts", "sandbox/parameters/scripts"])
def test_a_step_depends_on_what_its_words_checks_templates_and_commands_name(files: str) -> None:
    one = step(
        JOIN,
        split={"group": "size"},
        when={"chosen": 1},
        files={"x.parset": "x.j2"},
        commands=[["x", "{{ word }}"], {"command": "mine", "files": files}],
        checks={"c": {"command": ["y", "{{ check }}"], "expect": {"v": {"equals": "{{ expect * 2 }}", "minimum": 3}}}},
    )
    found = pipeline({"average": AVERAGE, "join": one}, parameters=PARAMETERS)
    used = parameters_used(found.steps["join"], {"x.j2": "{% if file %}{{ undeclared }}{% endif %}"}, found.parameters)
    assert used == {"word", "check", "expect", "file", "size", "mine", "scripts"}


def test_a_user_command_takes_parameters_of_the_right_types() -> None:
    one = step(AVERAGE, commands=[{"command": "mine", "files": "parameters/word"}])
    with pytest.raises(ValueError, match="'word' is not a parameter of the type that this takes"):
        pipeline({"average": one}, parameters=PARAMETERS)


# Values of parameters


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", [0, -3], [1.0, "1", True, None, []]),
        ("float", [1, 1.5], ["1", True, None, float("nan"), float("inf")]),
        ("bool", [True, False], [0, "yes", None]),
        ("str", ["", "a"], [1, None, ["a"]]),
        ("file", ["a.txt"], [1, ["a"], ""]),
        ("files", [["a", "b"]], ["a", [1], []]),
        ("command", ["DP3 'a b'", ["DP3"]], [1, "", [], "DP3 'a", [1]]),
    ],
)
def test_a_value_must_be_of_its_type(kind: str, good: list[Any], bad: list[Any]) -> None:
    declared = parameter(kind)
    assert [value_problem(declared, value) for value in good] == [""] * len(good)
    assert all(value_problem(declared, value) for value in bad)


@pytest.mark.parametrize("kind", ["file", "files"])
def test_files_that_are_not_required_may_be_left_empty(kind: str) -> None:
    empty: Any = "" if kind == "file" else []
    assert value_problem(parameter(kind, default=empty), empty) == ""


@pytest.mark.parametrize(
    ("declared", "value", "problem"),
    [
        (parameter("int", minimum=1), 0, "0 is less than 1"),
        (parameter("int", minimum=1), 1, ""),
        (parameter("float", maximum=0.5), 0.6, "0.6 is more than 0.5"),
        (parameter("float", maximum=0.5), 0.5, ""),
        (parameter("str", choices=["a", "b"]), "c", "'c' is not one of a, b"),
        (parameter("str"), "a\nmsout=b", "'a\\nmsout=b' holds a control character"),
        (parameter("file"), "a\0", "'a\\x00' holds a control character"),
        (parameter("files"), ["a", "b\n"], "['a', 'b\\n'] holds a control character"),
        (parameter("str", choices=["a", "b"]), "a", ""),
        (parameter("command"), "DP3 'a", '"DP3 \'a" cannot be split into words: No closing quotation'),
        (parameter("command"), " ", "the command is empty"),
        (parameter("file"), "", "no file is named"),
    ],
)
def test_a_value_must_be_within_its_bounds(declared: Parameter, value: Any, problem: str) -> None:
    assert value_problem(declared, value) == problem


def values(declared: dict[str, Any], **given: Any) -> dict[str, Any]:
    parameters = {"group_size": {"type": "int", "default": 10, "description": "x"}, **declared}
    bands = {"average": step(AVERAGE, commands=[["x"]]), "join": JOIN}
    return parameter_values(Pipeline.model_validate(data(bands, parameters=parameters)), given, "p.yaml")


def test_what_is_not_given_has_its_default_and_numbers_and_commands_are_put_in_one_form() -> None:
    declared = {
        "scale": {"type": "float", "default": 1, "description": "x"},
        "mine": {"type": "command", "description": "x"},
        "words": {"type": "command", "description": "x"},
    }
    found = values(declared, mine="DP3 'a b' {input}", words=["x", "y z"], group_size=4)
    assert found == {"scale": 1.0, "mine": ["DP3", "a b", "{input}"], "words": ["x", "y z"], "group_size": 4}
    assert isinstance(found["scale"], float)


def test_all_that_is_wrong_with_parameters_is_told_at_once_with_what_would_be_right() -> None:
    declared = {
        "need": {"type": "file", "description": "The sky model"},
        "mode": {"type": "str", "choices": ["a"], "default": "a", "description": "How"},
    }
    assert faults_of(lambda: values(declared, nede="x", mode="b")) == (
        Fault("the pipeline has no such parameter", "It has group_size, need, mode", "p.yaml", None, "parameters.nede"),
        Fault("this parameter is missing", "Its description: The sky model", "p.yaml", None, "parameters.need"),
        Fault("'b' is not one of a", "Its description: How", "p.yaml", None, "parameters.mode"),
    )


@pytest.mark.parametrize("size", [0, -4])
def test_a_group_of_nothing_is_refused_even_where_the_pipeline_forgot_its_minimum(size: int) -> None:
    (fault,) = faults_of(lambda: values({}, group_size=size))
    assert (fault.field, fault.remedy) == ("parameters.group_size", "Give 1 or more")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists, max_leaves=4))
def test_no_value_that_yaml_can_hold_crashes(value: Any) -> None:
    for kind in ("int", "float", "bool", "str", "file", "files", "command"):
        assert isinstance(value_problem(parameter(kind, minimum=0, maximum=9, choices=[1, "a"]), value), str)
