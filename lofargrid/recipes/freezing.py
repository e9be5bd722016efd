"""Freeze a production: read all that it names, and take the digests of its files."""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lofargrid.documents.inputs import Line, inline_list, read_list, read_subbands
from lofargrid.documents.pipelines import (
    Pipeline,
    parameter_values,
    read_pipeline,
)
from lofargrid.documents.production import ProductionDocument
from lofargrid.documents.reading import located
from lofargrid.documents.sites import ALL
from lofargrid.errors import Fault, InputError
from lofargrid.model import Subband
from lofargrid.names import file_url, is_url
from lofargrid.recipes.recipe import PARAMETERS_FOLDER, Recipe


def read_recipe(
    document: ProductionDocument, file: Path, pipeline_folder: Path, common: Path, pipeline: Pipeline | None = None
) -> Recipe:
    """Freeze a production.

    Parameters
    ----------
    document
        What production.yaml says.
    file
        production.yaml itself; relative paths start from its folder.
    pipeline_folder, common
        Folders of the pipeline and of the scripts that all pipelines share.
    pipeline
        What ``pipeline_folder`` holds, if it has been read already.

    Raises
    ------
    InputError
        Anything that does not fit, all at once as far as it can be known.
    """
    pipeline = pipeline or read_pipeline(pipeline_folder)
    faults: list[Fault] = []
    parameters: dict[str, Any] = {}
    files: dict[str, str] = {}
    subbands: list[Subband] = []
    try:
        values = parameter_values(pipeline, document.parameters, str(file))
        parameters, files = _ship_files(pipeline, values, file)
        faults += _no_step_selected(pipeline, parameters)
    except InputError as error:
        faults += error.faults
    try:
        subbands = _read_inputs(document, file, pipeline)
    except InputError as error:
        faults += error.faults
    if faults:
        raise InputError(*located(file, faults))
    shipped = dict(_sandbox_files(pipeline_folder, common)) | files
    output = document.output if is_url(document.output) else file_url(str((file.parent / document.output).resolve()))
    return Recipe(
        production=document.production,
        pipeline=pipeline,
        parameters=parameters,
        subbands=tuple(subbands),
        output=output.rstrip("/"),
        software=document.software,
        backend=document.backend,
        gaps=document.policy.gaps,
        minimum_subbands=document.policy.minimum_subbands,
        keep_intermediates=document.policy.keep_intermediates,
        digests={name: sha256(Path(path)) for name, path in sorted(shipped.items())},
        files=shipped,
        templates=_templates(pipeline, pipeline_folder),
        imports=_imports(shipped),
        sites=ALL if document.sites == ALL else [document.sites] if isinstance(document.sites, str) else document.sites,
    )


def _no_step_selected(pipeline: Pipeline, parameters: Mapping[str, Any]) -> list[Fault]:
    if pipeline.active(parameters):
        return []
    deciding = sorted({name for step in pipeline.steps.values() for name in step.when})
    given = ", ".join(f"{name}: {parameters[name]}" for name in deciding)
    remedy = f"`pipelines {pipeline.pipeline}` tells which go together"
    return [Fault(f"these select no step of the pipeline: {given}", remedy, field="parameters")]


def _templates(pipeline: Pipeline, folder: Path) -> dict[str, str]:
    names = {name for step in pipeline.steps.values() for name in step.files.values()}
    return {name: (folder / name).read_text(encoding="utf-8") for name in sorted(names)}


def _imports(shipped: Mapping[str, str]) -> dict[str, list[str]]:
    direct = {
        name: _imported(name, Path(path)) & set(shipped) for name, path in shipped.items() if name.endswith(".py")
    }
    found: dict[str, list[str]] = {}
    for name in direct:
        reached: set[str] = set()
        waiting = [name]
        while waiting:
            new = direct[waiting.pop()] - reached
            reached |= new
            waiting += new
        if reached:
            found[name] = sorted(reached)
    return found


def _imported(name: str, path: Path) -> set[str]:
    """The files beside a script that its imports may mean; Python looks there first."""
    folder = name.rpartition("/")[0]
    return {f"{folder}/{module}.py".lstrip("/") for module in _modules(path.read_bytes())}


# All productions share their pipeline's scripts, and a campaign has thousands of productions.
@lru_cache(maxsize=256)
def _modules(source: bytes) -> frozenset[str]:
    """The modules that a script imports, none if it is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return frozenset()
    plain = {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    return frozenset(plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)})


def _sandbox_files(folder: Path, common: Path) -> Iterator[tuple[str, str]]:
    for root, prefix in ((folder, ""), (common, "common/")):
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield prefix + path.relative_to(root).as_posix(), str(path)


def _ship_files(pipeline: Pipeline, values: Mapping[str, Any], file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    parameters = dict(values)
    files: dict[str, str] = {}
    faults: list[Fault] = []
    for name, declared in pipeline.parameters.items():
        if declared.type not in ("file", "files") or not values[name]:
            continue
        given = [values[name]] if declared.type == "file" else values[name]
        shipped = []
        for entry in given:
            path = (file.parent / entry).resolve()
            if not path.is_file():
                remedy = f"Relative paths start from {file.parent.resolve()}"
                faults.append(Fault(f"there is no file {entry!r}", remedy, str(file), None, f"parameters.{name}"))
                continue
            inside = f"{PARAMETERS_FOLDER}/{name}/{path.name}"
            if files.get(inside, str(path)) != str(path):
                what = f"two files are called {path.name!r}, and both go into one folder of the job"
                faults.append(Fault(what, "Rename one of the two", str(file), None, f"parameters.{name}"))
            files[inside] = str(path)
            shipped.append(f"sandbox/{inside}")
        parameters[name] = (shipped[:1] or [""])[0] if declared.type == "file" else shipped
    if faults:
        raise InputError(*faults)
    return parameters, files


def _read_inputs(document: ProductionDocument, file: Path, pipeline: Pipeline) -> list[Subband]:
    faults = [
        Fault(
            "the pipeline has no such role",
            f"It has {', '.join(pipeline.roles)}",
            str(file),
            None,
            f"inputs.{role}",
        )
        for role in document.inputs
        if role not in pipeline.roles
    ]
    faults += [
        Fault("this input is missing", f"Its description: {described.description}", str(file), None, f"inputs.{role}")
        for role, described in pipeline.roles.items()
        if role not in document.inputs
    ]
    subbands: list[Subband] = []
    for role, given in document.inputs.items():
        if role not in pipeline.roles:
            continue
        try:
            lines, folders = _lines(role, given, file)
            subbands += read_subbands(role, lines, folders, pipeline.roles[role].many)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(*faults)
    return subbands


def _lines(role: str, given: str | list[str], file: Path) -> tuple[list[Line], list[Path]]:
    folder = file.parent.resolve()
    if isinstance(given, list):
        return inline_list(f"{file}: inputs.{role}", given), [folder]
    path = folder / given
    return read_list(path), [folder, path.parent]


def sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Raises
    ------
    InputError
        It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(Fault(f"cannot be read: {error.strerror}", "", str(path))) from None
