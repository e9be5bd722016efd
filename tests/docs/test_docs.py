"""The documentation names all that there is, its links resolve, its commands exist, and the tutorial runs as printed.

In a fenced ``console`` block a line that starts with ``$ `` is a command, what follows is its output, and ``...``
stands for what is left out. ``<!-- exit: 2 -->`` before a block is the exit code of its commands, if not 0.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main
import yaml
from lofargrid_runner.contract import Check, InputFile, JobSpec, Limits, OutputFile, Report, StoredFile, Transfer
from pydantic import BaseModel

from lofargrid.cli.app import app
from lofargrid.cli.simulating import Weather
from lofargrid.decisions.retry import RULES
from lofargrid.documents import campaigns, pipelines
from lofargrid.documents.inputs import COLUMNS
from lofargrid.documents.production import ProductionDocument
from lofargrid.documents.sites import SitesDocument
from lofargrid.documents.software import SoftwareDocument
from lofargrid.states import MOVES, JobState, Phase, Reason, explanation

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
EXPLANATION = ROOT / "docs" / "explanation"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("jdl/*.md"), *ROOT.glob("benchmarks/*.md")])
VERBS = typer.main.get_command(app).commands
ROLES = {
    f"--{role}" for path in ROOT.glob("sandbox/*/pipeline.yaml") for role in yaml.safe_load(path.read_text())["roles"]
}
# The other pages show commands over data that only their reader has.
RUN_AS_PRINTED = (
    "README.md",
    "docs/tutorial.md",
    "docs/how-to/campaigns.md",
    "docs/how-to/choose-sites.md",
    "docs/how-to/rehearse.md",
)
NOT_RUN = {
    "make demo": "builds an environment from the network; the tutorial runs the same commands",
    "make test": "runs this test",
}


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text(page: str) -> str:
    return (REFERENCE / page).read_text()


def code_words(content: str) -> set[str]:
    """All words that stand in code: between backticks, or in a fenced block."""
    fenced = re.findall(r"^ *```.*?^ *```", content, re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", content, flags=re.M | re.S))
    return {word for code in [*fenced, *spans] for word in re.findall(r"[\w.-]+", code)}


def section(content: str, verb: str) -> str:
    """What stands below the heading of a verb; one heading may hold several."""
    parts = re.split(r"^### (.*)$", content, flags=re.M)
    found = [body for heading, body in zip(parts[1::2], parts[2::2], strict=True) if verb in heading.split(", ")]
    assert len(found) == 1, f"docs/reference/commands.md needs one heading for {verb}"
    return re.split(r"^## ", found[0], flags=re.M)[0]


def options(verb: str) -> set[str]:
    # A verb may have verbs of its own.
    those = (VERBS[verb], *getattr(VERBS[verb], "commands", {}).values())
    parameters = (parameter for one in those for parameter in one.params)
    every = (one for parameter in parameters for one in (*parameter.opts, *parameter.secondary_opts))
    return set(every) - {"--help"}


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """A model and all models in its fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
    for argument in get_args(annotation):
        yield from models(argument)


def keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for one in models(model) for name, field in one.model_fields.items()}


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_and_option_is_in_the_reference(verb: str) -> None:
    body = section(text("commands.md"), verb)
    assert {one for one in options(verb) if one.startswith("-")} - code_words(body) == set()


def test_the_reference_names_no_verb_and_no_option_that_is_not_there() -> None:
    content = text("commands.md").split("## Verbs that make")[1]
    for heading in re.findall(r"^### (.*)$", content, re.M):
        for verb in heading.split(", "):
            named = {word for word in code_words(section(content, verb)) if word.startswith("--")}
            known = options(verb) | ({*ROLES, "--ROLE"} if verb == "init" else set())
            assert named - known == set(), verb


def test_options_before_the_verb_are_in_the_reference() -> None:
    found = {one for parameter in typer.main.get_command(app).params for one in parameter.opts} - {"--help"}
    assert found - code_words(text("commands.md")) == set()


def test_every_setting_is_in_the_reference() -> None:
    sources = [*ROOT.glob("lofargrid/**/*.py"), *ROOT.glob("pilots/**/*.py"), *ROOT.glob("pilots/*.sh")]
    found = {word for path in sources for word in re.findall(r"\bLOFARGRID_[A-Z_]*[A-Z]", path.read_text())}
    assert found - code_words(text("settings.md")) == set()


def test_every_state_and_its_moves_are_in_the_reference() -> None:
    content = text("states.md")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", content.split("## Moves")[1].split("## Phases")[0], re.M))
    for state in JobState:
        listed = set(re.findall(r"`([\w-]+)`", rows[state])) & set(JobState)
        assert listed == MOVES[state], state
    assert {*JobState, *Phase} - code_words(content) == set()


@pytest.mark.parametrize("reason", list(Reason), ids=str)
def test_every_reason_stands_with_its_meaning_remedy_and_rule(reason: Reason) -> None:
    row = next((one for one in text("reasons.md").splitlines() if one.startswith(f"| `{reason}` |")), "")
    meaning, remedy = explanation(reason)
    assert row == f"| `{reason}` | {meaning} | {remedy} | {rule_text(reason)} |"


def rule_text(reason: Reason) -> str:
    rule = RULES.get(reason)
    if rule is None or rule.tries == 1:
        return "never"
    words = ["step's tries" if rule.tries is None else f"{rule.tries} attempts"]
    words += [] if rule.burns else ["free"]
    words += [f"after {rule.wait_s:g} s"] if rule.wait_s else []
    words += [f"another {rule.elsewhere}"] if rule.elsewhere else []
    words += [f"more {rule.grow}"] if rule.grow else []
    words += [f"{rule.nodes} nodes"] if rule.nodes else []
    return ", ".join(words)


@pytest.mark.parametrize(
    ("page", "model"),
    [
        ("production-yaml.md", ProductionDocument),
        ("pipeline-yaml.md", pipelines.Pipeline),
        ("sites-yaml.md", SitesDocument),
        ("software-yaml.md", SoftwareDocument),
    ],
)
def test_every_key_is_in_the_reference(page: str, model: type[BaseModel]) -> None:
    assert keys(model) - code_words(text(page)) == set()


def test_every_parameter_type_is_in_the_reference() -> None:
    annotation = next(one for one in models(pipelines.Pipeline) if one.__name__ == "Parameter").model_fields["type"]
    assert set(get_args(annotation.annotation)) - code_words(text("pipeline-yaml.md")) == set()


def test_every_column_of_a_list_is_in_the_reference() -> None:
    assert set(COLUMNS) - code_words(text("list-files.md")) == set()


def test_every_column_of_a_campaign_is_in_the_reference() -> None:
    assert set(campaigns.COLUMNS) - code_words(text("campaign-csv.md")) == set()


def test_every_degree_of_faults_is_in_the_reference() -> None:
    assert {one.value for one in Weather} - code_words(section(text("commands.md"), "sim")) == set()


def test_every_stage_of_a_tick_is_in_the_architecture_in_its_order() -> None:
    engine = (ROOT / "lofargrid" / "engine" / "engine.py").read_text()
    stages = re.findall(r'^ +"([\w ]+)": self\._(?!note_troubles)', engine, re.M)
    table = (EXPLANATION / "architecture.md").read_text().split("## A tick")[1].split("\n## ")[0]
    assert re.findall(r"^\| ([a-z ]+) \| `", table, re.M) == stages


@pytest.mark.parametrize("page", sorted(EXPLANATION.glob("*.md")), ids=lambda page: page.stem)
def test_every_module_that_an_explanation_names_is_there(page: Path) -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", page.read_text()))
    tops = [ROOT, ROOT / "lofargrid", *ROOT.glob("lofargrid/*/"), ROOT / "sandbox" / "common", *ROOT.glob("tests/**/")]
    assert [one for one in named if not any((top / one).exists() for top in tops)] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/adr/[0-9]*.md")), ids=lambda page: page.stem)
def test_every_decision_has_the_same_headings(page: Path) -> None:
    wanted = ["Status", "Context", "Decision", "Consequences", "Rejected ideas"]
    assert re.findall(r"^## (.*)$", page.read_text(), re.M) == wanted


def test_every_field_of_the_contract_is_in_the_reference() -> None:
    kinds = (JobSpec, InputFile, OutputFile, Check, Limits, Report, Transfer, StoredFile)
    found = {field for kind in kinds for field in kind.__annotations__}
    assert found - code_words(text("job-and-report.md")) == set()


def test_every_shipped_pipeline_and_its_products_are_in_the_reference() -> None:
    content = text("products.md")
    for path in ROOT.glob("sandbox/*/pipeline.yaml"):
        body = content.split(f"## {path.parent.name}\n")[1].split("\n## ")[0]
        for step, definition in yaml.safe_load(path.read_text())["steps"].items():
            for output in definition["outputs"].values():
                if output.get("product"):
                    assert f"-{step}" in body
                    assert output["suffix"] in body


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_resolves(page: Path) -> None:
    content = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)\s]+)\)", content) + re.findall(r"^\[[^\]]+\]: (\S+)$", content, re.M)
    local = [one.partition("#")[0] for one in targets if not one.startswith(("http://", "https://"))]
    assert [one for one in local if not (page.parent / one).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = "".join((ROOT / "docs" / page).read_text() for page in ("index.md", "adr/README.md"))
    pages = {page.name: name(page) for page in (ROOT / "docs").glob("**/*.md")}
    assert [path for file, path in pages.items() if file not in ("index.md", "README.md") and f"/{file})" not in index
            and f"({file})" not in index] == []  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A command as it stands in a page, with the output below it."""

    line: str
    output: tuple[str, ...]
    code: int


def commands(page: Path) -> Iterator[Shown]:
    """The commands in the ``console`` blocks of a page, in order."""
    pattern = r"(?:<!-- exit: (\d+) -->\n+)?^( *)```console\n(.*?)^\2```"
    for code, indent, body in re.findall(pattern, page.read_text(), re.M | re.S):
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        assert starts[:1] == [0], f"{name(page)}: a console block begins with a command"
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            yield Shown(lines[start][2:], tuple(lines[start + 1 : end]), int(code or 0))


def test_commands_are_found_in_the_pages() -> None:
    found = {name(page): list(commands(page)) for page in PAGES}
    assert len(found["docs/tutorial.md"]) > 20
    assert [one.code for one in found["docs/tutorial.md"] if one.code]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_names_a_verb_and_options_that_are_there(page: Path) -> None:
    for shown in commands(page):
        words = shlex.split(shown.line)
        if "./submit.py" not in words:
            continue
        verb, *rest = words[words.index("./submit.py") + 1 :]
        assert verb in VERBS, shown.line
        used = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert used - options(verb) - (ROLES if verb == "init" else set()) == set(), shown.line


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home with a checkout in it, as far as the command line needs one."""
    desk = tmp_path.resolve() / "home" / "you" / "lofargrid"
    desk.mkdir(parents=True)
    script = desk / "submit.py"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lofargrid.cli "$@"\n')
    script.chmod(0o755)
    return desk.parent


@dataclass(frozen=True)
class Desk:
    """Runs the commands of a page as its reader would; output is as if this were the reader's machine."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "lofargrid"

    def __call__(self, line: str) -> tuple[int, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LOFARGRID_", "XDG_"))}
        environment = {
            **inherited,
            "HOME": str(self.home),
            "USER": "you",
            "LOFARGRID_SLOTS": "2",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'pilots'}",
        }
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=600, check=False,
        )  # fmt: skip
        output = done.stdout.replace(sys.prefix, "/home/you/lofargrid/.venv")
        return done.returncode, output.replace(str(self.home), "/home/you")

    def bring_own_data(self) -> None:
        """What such pages take for granted: tars, a list of each observation, two sky models."""
        code, said = self("./submit.py demo-data ../data --subbands 2")
        assert code == 0, said
        data = self.home / "data"
        for there, here in (("L900001", "L654320"), ("L900002", "L654321")):
            tars = sorted(str(path) for path in data.glob(f"{there}_*.tar"))
            (self.folder / f"{here}.surls").write_text("\n".join(tars))
        for model in data.glob("*.skymodel"):
            (self.folder / model.name).write_text(model.read_text())


VARIABLE = (
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(\+00:00| UTC)?",
    r"\d\d:\d\d:\d\d",
    r"\b[0-9a-f]{8}-\d+-\d+\b",
    r"\badler32 [0-9a-f]{8}\b",
    r"\b\d+ bytes\b",
    r"[-+]?\d+\.\d+(e[-+]?\d+)?( [kMGT]?B)?",
)
PROGRESS = re.compile(r"\d\d:\d\d:\d\d \S+: ")


def plain(line: str) -> str:
    """A line without what differs from run to run and from machine to machine."""
    for pattern in VARIABLE:
        line = re.sub(pattern, "#", line)
    return " ".join(line.split())


@pytest.mark.service
@pytest.mark.parametrize("page", RUN_AS_PRINTED)
def test_the_commands_run_as_printed(page: str, home: Path) -> None:
    desk = Desk(home)
    if page != "docs/tutorial.md":
        desk.bring_own_data()
    for shown in commands(ROOT / page):
        if shown.line in NOT_RUN:
            continue
        code, said = desk(shown.line)
        assert code == shown.code, f"{shown.line}: exit code {code}\n{said}"
        assert "Traceback" not in said
        lines = {plain(line) for line in said.splitlines()}
        promised = [line for line in shown.output if line != "..." and not PROGRESS.match(line)]
        assert [line for line in promised if plain(line) not in lines] == [], f"{shown.line} printed\n{said}"
