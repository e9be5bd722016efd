"""The pipelines as content: their names agree with each other, whoever reads them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined, meta

SANDBOX = Path(__file__).parents[3] / "sandbox"
PIPELINES = sorted(path.parent.name for path in SANDBOX.glob("*/pipeline.yaml"))
FROM_THE_ENGINE = {
    "job",
    "production",
    "observation",
    "sap",
    "inputs",
    "slots",
    "grid",
    "resources",
    "software",
}


def texts(value: Any) -> Iterator[str]:
    """All texts in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(entry)


def templates(name: str, pipeline: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """All that is rendered, with the step."""
    for label, step in pipeline["steps"].items():
        for text in texts([step["commands"], step["checks"]]):
            yield label, text
        for template in step.get("files", {}).values():
            yield label, (SANDBOX / name / template).read_text()


@pytest.mark.parametrize("name", PIPELINES)
def test_templates_name_only_what_is_declared(engine, name):
    pipeline = engine.pipeline(name)
    known = FROM_THE_ENGINE | set(pipeline["parameters"])
    for step, text in templates(name, pipeline):
        found = meta.find_undeclared_variables(Environment(undefined=StrictUndefined).parse(text))
        assert found <= known, f"{step}: {found - known} in {text}"
        if not isinstance(pipeline["steps"][step]["split"], dict):
            assert not found & {"slots", "grid"}, f"{step} is no group step"


@pytest.mark.parametrize("name", PIPELINES)
def test_every_parameter_is_used(engine, name):
    pipeline = engine.pipeline(name)
    environment = Environment(undefined=StrictUndefined)
    used = {v for _, text in templates(name, pipeline) for v in meta.find_undeclared_variables(environment.parse(text))}
    for step in pipeline["steps"].values():
        used |= set(step.get("when", {}))
        used |= {step["split"]["group"]} if isinstance(step["split"], dict) else set()
        used |= {command["command"] for command in step["commands"] if isinstance(command, dict)}
        used |= {
            part for command in step["commands"] if isinstance(command, dict) for part in command["files"].split("/")
        }
    assert set(pipeline["parameters"]) <= used


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_is_checked_and_every_check_expects(engine, name):
    pipeline = engine.pipeline(name)
    assert pipeline["pipeline"] == name
    for step in pipeline["steps"].values():
        assert step["checks"]
        assert all(check["expect"] for check in step["checks"].values())


@pytest.mark.parametrize("name", PIPELINES)
def test_scripts_are_there(engine, name):
    for step in engine.pipeline(name)["steps"].values():
        words = [word for command in step["commands"] if isinstance(command, list) for word in command]
        words += [word for check in step["checks"].values() for word in check["command"]]
        for word in words:
            if word.startswith("sandbox/common/"):
                assert (SANDBOX / word.removeprefix("sandbox/")).is_file()


@pytest.mark.parametrize("template", sorted(SANDBOX.glob("*/*.parset.j2")), ids=lambda path: "/".join(path.parts[-2:]))
@pytest.mark.parametrize("on", [True, False], ids=["options on", "options off"])
def test_parsets_are_strict_repeatable_and_keep_to_their_cores(engine, template, on):
    parameters = engine.parameters(template.parent.name)
    options = dict.fromkeys(set(parameters) & {"flag", "compress"}, on)
    strategy = {"flag_strategy": "parameters/flag_strategy/x.lua"} if on else {}
    context = {
        **parameters,
        **options,
        **strategy,
        "resources": {"cores": 3, "memory_mb": 4000},
        "software": {"aoflagger_strategy": ""},
        "slots": [{"path": "a.MS"}, {"path": "b.MS"}][: 1 + on],
    }
    text = Environment(undefined=StrictUndefined).from_string(template.read_text()).render(context)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert {"checkparset=1", "numthreads=3", "msout.overwrite=true"} <= set(lines)
    assert all("=" in line and "{" not in line for line in lines)
    assert len({line.partition("=")[0] for line in lines}) == len(lines)


@pytest.mark.parametrize("script", sorted((SANDBOX / "common").glob("*.py")), ids=lambda path: path.name)
def test_scripts_are_python_3_9(script):
    ast.parse(script.read_text(), feature_version=(3, 9))
    assert "from __future__ import annotations" in script.read_text()
