"""The verb ``init``: a production.yaml to start from, and lists of an observation's files out of a catalogue."""

import json
import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml

from lofargrid.assets import pipeline_folder
from lofargrid.catalogues.listing import list_text, subbands
from lofargrid.catalogues.opening import open_catalogue
from lofargrid.cli.session import Session
from lofargrid.cli.text import bytes_text, count, note
from lofargrid.documents.inputs import inline_list, read_subbands
from lofargrid.documents.pipelines import Pipeline, read_pipeline
from lofargrid.documents.reading import read_value, shown
from lofargrid.documents.sites import locator
from lofargrid.errors import Fault, InputError
from lofargrid.model import Subband
from lofargrid.names import safe_name

_PLAIN = "flag-average"
"""What is made of an observation where no pipeline is named: it asks for nothing else."""


def register(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(init)


def init(
    context: typer.Context,
    pipeline: Annotated[str, typer.Option(metavar="PIPELINE", help="A pipeline; `pipelines` lists them.")] = "",
    name: Annotated[str, typer.Option(metavar="NAME", help="The production's name.")] = "",
    output: Annotated[str, typer.Option(metavar="FOLDER", help="Where products go.")] = "products",
    catalogue: Annotated[
        str, typer.Option(metavar="PLACE", help="A file of a query's export, or the https:// address of a TAP service.")
    ] = "",
) -> None:
    """Print a production.yaml to start from. Give each role of the pipeline as --ROLE LIST.

    In place of a list an observation such as L654321 may stand: its list is written, out of a catalogue.
    """
    session: Session = context.obj
    if name and not safe_name(name):
        what = f"{shown(name)} may hold letters, digits, - and _ only, 64 at most"
        raise InputError(Fault(what, field="--name"))
    words = context.args
    alone = words[0] if words and _is_observation(words[0]) else ""
    if not (pipeline or alone):
        raise InputError(Fault("no pipeline is named", "`pipelines` lists them", field="--pipeline"))
    pipeline = pipeline or _PLAIN
    found = read_pipeline(pipeline_folder(pipeline, session.settings.pipelines))
    inputs = _roles([f"--{list(found.roles)[-1]}", *words] if alone else words, found)
    for role, observation in inputs.items():
        if _is_observation(observation) and not Path(observation).exists():
            inputs[role] = _listed(session, role, observation, catalogue or session.settings.catalogue)
    print(_production_text(name or _default_name(inputs, pipeline), pipeline, found, inputs, output), end="")


def _is_observation(word: str) -> bool:
    return re.fullmatch("L[0-9]{1,9}", word) is not None


def _listed(session: Session, role: str, observation: str, place: str) -> str:
    """Write the list of an observation; give its name."""
    entries = subbands(observation, open_catalogue(place).files(observation))
    text, path = list_text(entries), Path(f"{observation}.surls")
    found = read_subbands(role, inline_list(place, text.splitlines()), [], False)
    if path.exists() and path.read_text(errors="replace") != text:
        raise InputError(Fault("another list of that name is there", "Move it away", str(path)))
    path.write_text(text)
    sizes = [one.size_bytes or one.about_bytes for one in entries]
    about = "" if all(one.size_bytes for one in entries) else "about "
    size = f", {about}{bytes_text(sum(filter(None, sizes)))}" if all(sizes) else ", of unknown size"
    note(f"{path}: {count(len(found), 'subband')}{size}, {_lying(session, found)}")
    for problem, many in Counter(one.problem for one in session.rights().marked(found) if one.problem).items():
        note(f"{path}: {count(many, 'subband')}: {problem}")
    return str(path)


def _lying(session: Session, found: Sequence[Subband]) -> str:
    """Where they lie, and who may read them when."""
    site_of = locator(session.sites())
    told = [f"{many} at {site or 'no known site'}" for site, many in Counter(site_of(one.url) for one in found).items()]
    told += [f"of the project {one}" for one in sorted({one.project for one in found if one.project})]
    told += [f"public from {one}" for one in sorted({one.public_from for one in found if one.public_from})]
    return ", ".join(told)


def _roles(words: list[str], pipeline: Pipeline) -> dict[str, str]:
    inputs: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        role, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or role not in pipeline.roles:
            roles = ", ".join(f"--{one}" for one in pipeline.roles)
            raise InputError(Fault(f"{word!r} is not an option of init for this pipeline", f"Its roles are {roles}"))
        inputs[role] = value if equals else next(rest, "")
        if not inputs[role]:
            raise InputError(Fault("no list is named", f"Write --{role} LIST", field=f"--{role}"))
    return inputs


def _default_name(inputs: dict[str, str], pipeline: str) -> str:
    """From the last list, which is the target's; harmless and short enough."""
    stem = Path(list(inputs.values())[-1]).stem if inputs else ""
    harmless = re.sub("[^a-z0-9]+", "-", stem.lower())[: 63 - len(pipeline)].strip("-")
    return f"{harmless or 'my'}-{pipeline}"


def _production_text(name: str, label: str, pipeline: Pipeline, inputs: dict[str, str], output: str) -> str:
    lines = [
        *textwrap.wrap(" ".join(pipeline.description.split()), 100, initial_indent="# ", subsequent_indent="# "),
        f"production: {_scalar(name)}",
        f"pipeline: {_scalar(label)}",
        "inputs:   # lists with one file a line",
    ]
    roles = [(role, _scalar(inputs.get(role, f"{role}.surls"))) for role in pipeline.roles]
    lines += _explained((f"  {role}: {given}", pipeline.roles[role].description) for role, given in roles)
    lines.append("parameters:")
    lines += _explained(_parameter_lines(pipeline))
    lines += [
        f"output: {_scalar(output)}",
        "software: local",
        "backend: local",
        "sites: all",
        "policy: {minimum_subbands: 0.95, gaps: flag}   # gaps: flag | skip | fail",
    ]
    return "\n".join(lines) + "\n"


def _parameter_lines(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    for key, declared in pipeline.parameters.items():
        unit = f" ({declared.unit})" if declared.unit else ""
        if declared.required:
            yield f"  {key}: {_example(key, declared.type)}", f"{declared.description}{unit}"
        else:
            yield f"  # {key}: {json.dumps(declared.default)}", f"{declared.description}{unit}"


def _explained(lines: Iterable[tuple[str, str]]) -> list[str]:
    """Lines with what they mean beside them."""
    pairs = list(lines)
    width = max((len(line) for line, _ in pairs if len(line) <= 50), default=0)
    return [f"{line.ljust(width)}   # {' '.join(meaning.split())}" for line, meaning in pairs]


def _scalar(text: str) -> str:
    """A text as YAML writes it: plain where that means the same."""
    try:
        plain = read_value(text) == text
    except yaml.YAMLError:
        plain = False
    return text if plain else yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).strip()


def _example(name: str, kind: str) -> str:
    if name.endswith("_skymodel"):
        return f"{name.removesuffix('_skymodel')}.skymodel"
    return {"command": "[DP3, '{files}/steps.parset', 'msin={input}', 'msout={output}']", "files": "[]"}.get(
        kind, "..."
    )
