"""Campaigns: what a row means, and what is told of one that does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lofargrid.documents.campaigns import Campaign, Row, read_campaign
from lofargrid.documents.pipelines import Pipeline
from lofargrid.documents.production import ProductionDocument
from lofargrid.errors import Fault
from tests.unit.factories import faults_of, pipeline_data

PARAMETERS: dict[str, Any] = {
    "group_size": {"type": "int", "default": 10, "description": "Subbands of a band"},
    "strength": {"type": "float", "default": 1.0, "description": "How strong"},
    "deep": {"type": "bool", "default": False, "description": "Whether to go deep"},
    "label": {"type": "str", "default": "", "description": "A word"},
    "model": {"type": "file", "default": "", "description": "A sky model"},
    "scripts": {"type": "files", "default": [], "description": "Scripts"},
    "after": {"type": "command", "default": "true", "description": "A command"},
}


def pipeline(**more: Any) -> Pipeline:
    return Pipeline.model_validate(pipeline_data(parameters={**PARAMETERS, **more}))


class Survey:
    """A folder with a campaign and lists, and the production.yaml that it varies in another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "survey.csv"
        self.like = folder / "elsewhere" / "production.yaml"
        self.pipeline = pipeline()
        self.document: dict[str, Any] = {"production": "any", "pipeline": "bands", "inputs": {}, "output": "out"}
        for each in "abc":
            (folder / f"{each}.surls").write_text("x\n")

    def read(self, text: str, name: str = "") -> Campaign:
        self.file.write_text(text)
        document = ProductionDocument.model_validate(self.document)
        return read_campaign(self.file, document, self.pipeline, name)

    def row(self, text: str) -> Row:
        found = self.read(text)
        assert found.faults == ()
        (row,) = found.rows
        return row

    def value(self, column: str, cell: str) -> Any:
        """What a cell makes of a parameter."""
        quoted = cell.replace('"', '""')
        return self.row(f'production,target,{column}\na,a.surls,"{quoted}"\n').document.parameters[column]

    def told(self, text: str) -> list[str]:
        return [str(fault).replace(f"{self.folder}/", "") for fault in self.read(text).faults]


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    return Survey(tmp_path)


# What a row means


def test_a_row_is_the_production_that_its_cells_say(survey: Survey) -> None:
    row = survey.row("production,target,output,software,priority,max_running\na,a.surls,fields/a,2024,-3,10\n")
    document = row.document
    assert (document.production, document.pipeline, document.software) == ("a", "bands", "2024")
    assert document.inputs == {"target": str(survey.folder / "a.surls")}
    assert document.output == str(survey.folder / "fields" / "a")
    assert (document.priority, document.max_running) == (-3, 10)


def test_what_no_cell_says_is_as_in_the_production_that_it_varies(survey: Survey) -> None:
    survey.document |= {
        "inputs": {"target": "t.surls"}, "parameters": {"strength": 2, "label": "x"}, "priority": 5,
        "policy": {"minimum_subbands": 0.5},
    }  # fmt: skip
    row = survey.row("production,strength,label\na,,y\n")
    assert row.document.inputs == {"target": "t.surls"}
    assert row.document.parameters == {"strength": 2, "label": "y"}
    assert (row.document.priority, row.document.policy.minimum_subbands) == (5, 0.5)
    assert "max_running" not in row.document.model_fields_set


@pytest.mark.parametrize(
    ("output", "own"),
    [("out", "out/a"), ("/data/out/", "/data/out/a"), ("file:///data", "file:///data/a"), ("file:///", "file:///a")],
)
def test_without_an_output_each_production_has_a_folder_of_its_own(survey: Survey, output: str, own: str) -> None:
    survey.document["output"] = output
    assert survey.row("production,target\na,a.surls\n").document.output == own
    assert survey.row("production,target,output\na,a.surls,\n").document.output == own


def test_a_url_stays_as_it_is(survey: Survey) -> None:
    row = survey.row("production,target,output\na,a.surls,davs://host/out\n")
    assert row.document.output == "davs://host/out"


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("group_size", "4", 4),
        ("group_size", "4.0", 4.0),
        ("strength", "1e-5", 1e-5),
        ("strength", "high", "high"),
        ("deep", "TRUE", True),
        ("deep", "no", False),
        ("label", "2024-02-30", "2024-02-30"),
        ("label", "1e5", "1e5"),
        ("label", "a # b", "a # b"),
        ("label", "'a '", "a "),
        ("label", "null", "null"),
        ("label", "{a", "{a"),
        ("after", "tool --x=1 # y", "tool --x=1 # y"),
        ("after", "[tool, a b]", ["tool", "a b"]),
        ("group_size", "2024-02-30", "2024-02-30"),
        ("group_size", "[" * 3000, "[" * 3000),
    ],
)
def test_a_cell_is_read_as_yaml_would_and_a_text_as_it_stands(
    survey: Survey, column: str, cell: str, value: object
) -> None:
    found = survey.value(column, cell)
    assert found == value
    assert type(found) is type(value)


def test_files_start_from_the_folder_of_the_table(survey: Survey) -> None:
    assert survey.value("model", "m.skymodel") == str(survey.folder / "m.skymodel")
    assert survey.value("model", "/data/m.skymodel") == "/data/m.skymodel"
    assert survey.value("scripts", "[a.py, /b.py]") == [str(survey.folder / "a.py"), "/b.py"]


def test_the_campaign_has_the_name_of_the_file_or_the_one_that_is_given(survey: Survey) -> None:
    assert survey.read("production,target\na,a.surls\n").name == "survey"
    assert survey.read("production,target\na,a.surls\n", "other").name == "other"


def test_roles_and_parameters_may_be_named_in_full(survey: Survey) -> None:
    survey.pipeline = pipeline(target=PARAMETERS["label"], output=PARAMETERS["label"])
    row = survey.row("production,inputs.target,parameters.target,output,parameters.output\na,a.surls,x,o,y\n")
    assert row.document.inputs == {"target": str(survey.folder / "a.surls")}
    assert row.document.parameters == {"target": "x", "output": "y"}
    assert row.document.output == str(survey.folder / "o")


# What does not fit


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("production,traget\na,a.surls\n", "survey.csv:1: traget: unknown column. Did you mean 'target'?"),
        (
            "production,x\na,a.surls\n",
            "survey.csv:1: x: unknown column. There are production, output, software, priority, max_running, target, "
            "group_size, strength, deep, label, model, scripts, after",
        ),
        (
            "production,target,inputs.target\na,a.surls,b.surls\n",
            "survey.csv:1: inputs.target: the column target says the same. Remove one",
        ),
        ("production,target\n,a.surls\n", "survey.csv:2: production: this cell is empty. Each row needs it"),
        ("production,target\na,\n", "survey.csv:2: target: this cell is empty. Each row needs it"),
        ("production,target\na,x.surls\n", "survey.csv:2: target: there is no list file 'x.surls'. Relative paths "),
        ("production,target\na b,a.surls\n", "survey.csv:2: production: 'a b' may hold letters, digits, - and _ only"),
        (
            "production,target,output\na,a.surls,http://x\n",
            "survey.csv:2: output: 'http://x' is not a place to write to",
        ),
        (
            "production,target,priority\na,a.surls,high\n",
            "survey.csv:2: priority: 'high' is not a whole number from -1000 to 1000",
        ),
        ("production,target,max_running\na,a.surls,0\n", "survey.csv:2: max_running: 0 is not a whole number from 1 "),
        (
            "production,target\na,a.surls\na,b.surls\n",
            "survey.csv:3: production: the production 'a' stands already in line 2. Give each row its own",
        ),
        ("production,target\n", "survey.csv:1: there is no row below the head. Write one for each production"),
    ],
)
def test_what_does_not_fit_is_told_with_line_and_column(survey: Survey, text: str, told: str) -> None:
    (said,) = survey.told(text)
    assert said.startswith(told)


def test_a_name_of_a_role_and_a_parameter_must_be_told_apart(survey: Survey) -> None:
    survey.pipeline = pipeline(target=PARAMETERS["label"])
    (said,) = survey.told("production,target,inputs.target\na,x,a.surls\n")
    assert said == (
        "survey.csv:1: target: both a role and a parameter have this name. Write inputs.target or parameters.target"
    )


def test_a_parameter_without_default_needs_a_cell(survey: Survey) -> None:
    survey.pipeline = pipeline(depth={"type": "int", "description": "How deep"})
    assert survey.told("production,target,depth\na,a.surls,\n") == [
        "survey.csv:2: depth: this cell is empty. Each row needs it"
    ]
    survey.document["parameters"] = {"depth": 3}
    assert survey.row("production,target,depth\na,a.surls,\n").document.parameters == {"depth": 3}


def test_everything_wrong_is_told_at_once_and_the_sound_rows_are_there(survey: Survey) -> None:
    found = survey.read("production,target,dep,priority\na,x,1,y\nb\n,c.surls,,\nb,b.surls,,\n")
    assert len(found.faults) == 5
    assert [row.document.production for row in found.rows] == ["b"]


def test_without_a_column_of_names_nothing_can_be_read(survey: Survey) -> None:
    faults = faults_of(survey.read, "prodution,target\na,a.surls\n")
    assert [fault.what for fault in faults] == ["unknown column", "there is no column `production`"]


@pytest.mark.parametrize(("given_name", "file"), [("a b", ""), ("", "../x")])
def test_a_campaigns_name_is_harmless(survey: Survey, given_name: str, file: str) -> None:
    survey.file = survey.folder / "my survey.csv" if file else survey.file
    (fault,) = faults_of(survey.read, "production,target\na,a.surls\n", given_name)
    assert "is no name for a campaign" in fault.what
    assert "--campaign NAME" in fault.remedy


def test_a_fault_in_what_a_cell_gave_is_put_to_that_cell(survey: Survey) -> None:
    row = survey.row("production,target,strength\na,a.surls,7\n")
    like = str(survey.like)
    mine, theirs = Fault("x", "", like, 3, "parameters.strength"), Fault("y", "", like, 4, "parameters.label")
    elsewhere = Fault("z", "", "a.surls", 1)
    told = row.told_of([mine, theirs, elsewhere], like)
    assert told == [replace(mine, file=str(survey.file), line=2, field="strength"), theirs, elsewhere]


@example(cell="n" * 300)
@given(cell=st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\0\r\n"'), min_size=1))
def test_no_cell_breaks_the_reading(tmp_path_factory: pytest.TempPathFactory, cell: str) -> None:
    """Whatever stands in a cell: a row, or a fault with its line and column."""
    survey = Survey(tmp_path_factory.mktemp("any"))
    columns = ("production", "target", "output", "software", "priority", "group_size", "scripts", "after", "label")
    for column in columns:
        line = ",".join(f'"{cell}"' if one == column else {"production": "a", "target": "a.surls"}.get(one, "")
                        for one in columns)  # fmt: skip
        found = survey.read(f"{','.join(columns)}\n{line}\n")
        assert len(found.rows) + bool(found.faults) == 1
        assert all((fault.line, fault.field) == (2, column) for fault in found.faults)


# Entering
