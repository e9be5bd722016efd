"""A recipe: pipeline, parameters, software and inputs frozen with a hash, so that a run can be repeated."""

import ast
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, overload

from lofargrid.config import ProductionDocument
from lofargrid.documents import located
from lofargrid.errors import Fault, InputError
from lofargrid.inputs import Line, inline_list, read_list, read_subbands
from lofargrid.model import Site, Subband
from lofargrid.names import file_url, is_url
from lofargrid.pipelines import (
    Pipeline,
    Step,
    group_size,
    parameter_values,
    parameters_used,
    read_pipeline,
)
from lofargrid.sites import ALL
from lofargrid.splitting import SplitStep, digest

PARAMETERS_FOLDER = "parameters"


class Listing(Sequence[Subband]):
    """Subbands that are read when they are asked for: an engine has the recipes of thousands of productions.

    Parameters
    ----------
    every
        Reads all.
    one
        Reads the one of a role and a key.
    """

    def __init__(self, every: Callable[[], Sequence[Subband]], one: Callable[[str, str], Subband]) -> None:
        self._every = every
        self._one = one

    def __len__(self) -> int:
        return len(self._every())

    def __iter__(self) -> Iterator[Subband]:
        return iter(self._every())

    @overload
    def __getitem__(self, place: int) -> Subband: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Subband]: ...
    def __getitem__(self, place: int | slice) -> Subband | Sequence[Subband]:
        return self._every()[place]

    def find(self, role: str, key: str) -> Subband:
        """The subband of a role and a key, without reading the others."""
        return self._one(role, key)


@dataclass(frozen=True)
class Recipe:
    """All that decides what a production makes.

    ``parameters`` hold for file parameters the path inside the job's folder; ``files`` maps such paths to
    where the user's file lies now. ``digests`` has the SHA-256 of each file of the sandbox and of ``files``,
    ``imports`` the files of the sandbox that a script of it imports, also through others.
    """

    production: str
    pipeline: Pipeline
    parameters: Mapping[str, Any]
    subbands: Sequence[Subband]
    output: str
    software: str
    backend: str
    gaps: str
    minimum_subbands: float
    keep_intermediates: bool
    digests: Mapping[str, str]
    files: Mapping[str, str]
    templates: Mapping[str, str]
    imports: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sites: str | Sequence[str] = ALL

    def allowed(self, sites: Mapping[str, Site]) -> list[str]:
        """Those of some sites that may run its jobs."""
        return list(sites) if self.sites == ALL else [name for name in sites if name in self.sites]

    @cached_property
    def hash(self) -> str:
        """Equal for two recipes that make the same."""
        # A list of inputs is long, and the same line by line.
        lines = sorted(
            f"{one.role}\t{one.observation}\t{one.sap}\t{one.number}"
            f"\t{one.url}\t{one.size_bytes}\t{one.adler32}\t{one.frequency_hz}"
            for one in self.subbands
        )
        return digest(self.choices, "\n".join(lines))

    @cached_property
    def listed(self) -> Mapping[tuple[str, str], Subband]:
        """The subbands by role and key."""
        if isinstance(self.subbands, Listing):
            return _ByKey(self.subbands)
        return {(one.role, one.key): one for one in self.subbands}

    def content(self) -> dict[str, Any]:
        """What the hash is taken over, as values that JSON can hold."""
        return {**self.choices, "inputs": _inputs(self.subbands)}

    @cached_property
    def choices(self) -> Mapping[str, Any]:
        """The content but its inputs."""
        return {
            "production": self.production,
            "pipeline": self.pipeline.model_dump(mode="json", by_alias=True),
            "parameters": dict(self.parameters),
            "output": self.output,
            "software": self.software,
            "backend": self.backend,
            "policy": {
                "gaps": self.gaps,
                "minimum_subbands": self.minimum_subbands,
                "keep_intermediates": self.keep_intermediates,
            },
            "digests": dict(self.digests),
            **({} if self.sites == ALL else {"sites": list(self.sites)}),
        }

    @cached_property
    def steps(self) -> dict[str, Step]:
        """The steps that these parameters select."""
        return self.pipeline.active(self.parameters)

    def split_steps(self) -> list[SplitStep]:
        """The steps as splitting needs them."""
        pipeline = self.pipeline.model_dump_json(by_alias=True, exclude_unset=True)
        return [
            SplitStep(
                name, step, self._content_of(name, step, pipeline),
                group_size(step, self.parameters) if step.grouped else 0,
            )
            for name, step in self.steps.items()
        ]  # fmt: skip

    def _content_of(self, name: str, step: Step, pipeline: str) -> str:
        """A hash of all that a step's result depends on but its inputs: what it costs and tells is left out."""
        definition = step.model_dump(
            mode="json", by_alias=True, exclude={"description", "resources", "retry", "minimum", "when"}
        )
        templates = {one: self.templates[one] for one in sorted(step.files.values())}
        used = {one: self.parameters[one] for one in _parameters_used(pipeline, name, tuple(templates.items()))}
        texts = [*step.words(), *templates.values()]
        named = {one for one in self.digests if any(f"sandbox/{one}" in text for text in texts)}
        named |= {one for script in named for one in self.imports.get(script, ())}
        folders = tuple(f"{PARAMETERS_FOLDER}/{one}/" for one in used)
        files = {
            one: value
            for one, value in self.digests.items()
            if one in templates or one in named or one.startswith(folders)
        }
        return digest(definition, used, files, self.software, self.gaps if step.merges else "")


class _ByKey(Mapping[tuple[str, str], Subband]):
    """A listing by role and key."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def __getitem__(self, key: tuple[str, str]) -> Subband:
        return self._listing.find(*key)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((one.role, one.key) for one in self._listing)

    def __len__(self) -> int:
        return len(self._listing)


@lru_cache(maxsize=1000)
def _parameters_used(pipeline: str, step: str, templates: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """The parameters that a step's result depends on.

    To parse its templates takes long, and the thousands of productions of a campaign have the same.
    """
    read = _pipeline(pipeline)
    return frozenset(parameters_used(read.steps[step], dict(templates), read.parameters))


@lru_cache(maxsize=100)
def _pipeline(text: str) -> Pipeline:
    """A pipeline from its JSON: one value for all productions that have it."""
    return Pipeline.model_validate_json(text)


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
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    modules = [one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    folder = name.rpartition("/")[0]
    return {f"{folder}/{module}.py".lstrip("/") for module in modules}


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


def to_json(recipe: Recipe) -> str:
    """The recipe as the tracker keeps it; subbands have a table of their own."""
    fields = {
        **recipe.choices,
        "pipeline": recipe.pipeline.model_dump(mode="json", by_alias=True, exclude_unset=True),
        # With the defaults of today, to be compared with.
        "completed": recipe.choices["pipeline"],
        "files": dict(recipe.files),
        "templates": dict(recipe.templates),
        "imports": dict(recipe.imports),
    }
    return json.dumps(fields)


def from_json(text: str, subbands: Sequence[Subband]) -> Recipe:
    """The recipe from the tracker."""
    fields = json.loads(text)
    del fields["completed"]
    return Recipe(
        pipeline=_pipeline(json.dumps(fields.pop("pipeline"))), subbands=subbands, **fields.pop("policy"), **fields
    )  # fmt: skip


def differences(old: str, listed: Sequence[Subband], new: Recipe) -> list[str]:
    """What differs between a frozen recipe and a new one, a line each.

    Parameters
    ----------
    old
        The frozen recipe's JSON.
    listed
        Its subbands.
    new
        The new recipe.
    """
    fields = json.loads(old)
    choices = {name: fields[name] for name in fields if name not in ("completed", "files", "templates", "imports")}
    before = {**choices, "pipeline": fields["completed"], "inputs": _inputs(listed)}
    after = json.loads(json.dumps(new.content(), default=str))
    told = dict(_flat("", before)), dict(_flat("", after))
    lines = []
    for key in dict.fromkeys([*told[0], *told[1]]):
        values = [one.get(key) for one in told]
        if values[0] != values[1]:
            texts = [_text(value) for value in values]
            pairs = enumerate(zip(*texts, strict=False))
            same = next((place for place, (one, other) in pairs if one != other), 0)
            lines.append(f"{key}: {' -> '.join(_cut(text, same) for text in texts)}")
    return lines


def _inputs(subbands: Sequence[Subband]) -> dict[str, list[Any]]:
    """All of the listed subbands that decides a result."""
    return {f"{one.role} {one.key}": [one.url, one.size_bytes, one.adler32, one.frequency_hz] for one in subbands}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), one)
    else:
        yield prefix, value


def _text(value: Any) -> str:
    return "absent" if value is None else json.dumps(value)


def _cut(text: str, same: int) -> str:
    """At most 60 characters of a text, from just before the place where it differs from the other one."""
    start = max(0, min(same - 20, len(text) - 54)) if len(text) > 60 else 0
    shown = f"{'...' if start else ''}{text[start:]}"
    return shown if len(shown) <= 60 else shown[:57] + "..."
