"""Pipelines as content: ``sandbox/<name>/pipeline.yaml`` read, checked, and asked about."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from jinja2 import Environment, TemplateSyntaxError, meta
from pydantic import Field, field_validator, model_validator

from lofargrid.documents.parameters import Parameter, Scalar, normal_value, value_problem
from lofargrid.documents.reading import Document, MisfitError, read_document
from lofargrid.errors import Fault, InputError
from lofargrid.names import safe_name
from lofargrid.states import Reason

Words = Annotated[list[str], Field(min_length=1)]
_JINJA = Environment(autoescape=False)


class Role(Document):
    """An input of the pipeline: the subbands of one observation, or of several with ``many``."""

    description: str
    many: bool = False


class Group(Document):
    """Split by frequency: groups of ``group`` absolute subbands, or of as many as that parameter says."""

    group: Annotated[int, Field(ge=1)] | str


class StepInput(Document):
    """Files that go into a job. ``from`` is a role, or ``step.output``; ``{key}`` in ``path`` tells many apart."""

    from_: str = Field(alias="from")
    path: str
    unpack: bool = False
    kind: Literal["", "ms"] = ""

    @property
    def step(self) -> str:
        """The step that makes them; empty for raw subbands."""
        return self.from_.partition(".")[0] if "." in self.from_ else ""

    @property
    def output(self) -> str:
        """The output of that step."""
        return self.from_.partition(".")[2]


class UserCommand(Document):
    """A command that the user gives as a parameter, with what its words ``{input}`` etc. stand for.

    ``files`` is the folder of a parameter of type files, such as ``parameters/scripts``.
    """

    command: str
    input: str = ""
    output: str = ""
    name: str = ""
    files: str = ""

    @property
    def files_parameter(self) -> str:
        """The parameter whose files come along; empty if none do."""
        return self.files.rpartition("/")[2]


class Expect(Document):
    """What a measured value must be; texts are templates."""

    equals: Any = None
    within: int | float | str = 0
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None


class StepCheck(Document):
    """A command that prints measurements as JSON, and what they must be."""

    command: Words
    expect: dict[str, Expect] = {}


class StepOutput(Document):
    """What a job leaves: stored as ``<job name><suffix>``. A ``product`` is published with its provenance."""

    path: str
    suffix: str
    pack: bool = False
    product: bool = False


class Resources(Document):
    """What a job may take. Scratch is ``scratch_factor`` times the bytes of its inputs.

    ``output_factor`` times these bytes is what it leaves, as far as that can be told beforehand; for rehearsals.
    """

    cores: int = 1
    memory_mb: int = 2000
    walltime_min: int | float = 60
    scratch_factor: int | float = 4
    output_factor: Annotated[float, Field(gt=0, strict=False)] | None = None


class RetryRule(Document):
    """What a step does otherwise than lofargrid after a failure for one reason; what is left out stays."""

    tries: Annotated[int, Field(ge=1)] | None = None
    burns: bool | None = None
    wait_s: Annotated[float, Field(ge=0, strict=False)] | None = None
    elsewhere: Literal["", "node", "site"] | None = None
    grow: Literal["", "memory", "walltime", "scratch"] | None = None


class Retry(Document):
    """How often a payload that fails is tried, and ``rules`` of its own by reason."""

    tries: Annotated[int, Field(ge=1)] = 2
    rules: dict[Annotated[Reason, Field(strict=False)], RetryRule] = {}


class Step(Document):
    """One stage of a pipeline; its ``split`` makes jobs over the subbands of the role ``over``."""

    over: str
    split: Literal["subband", "all"] | Group
    inputs: dict[str, StepInput]
    commands: list[Words | UserCommand]
    outputs: dict[str, StepOutput]
    description: str = ""
    when: dict[str, Scalar | list[Scalar]] = {}
    files: dict[str, str] = {}
    checks: dict[str, StepCheck] = {}
    resources: Resources = Resources()
    retry: Retry = Retry()
    minimum: Annotated[float, Field(ge=0, le=1, strict=False)] | None = None

    @property
    def grouped(self) -> bool:
        """Whether it splits by frequency, so that its jobs are known only when frequencies are."""
        return isinstance(self.split, Group)

    @property
    def merges(self) -> bool:
        """Whether one job of it takes many subbands."""
        return self.split != "subband"

    @property
    def needs(self) -> tuple[str, ...]:
        """The steps whose outputs it takes, each once, in order."""
        return tuple(dict.fromkeys(one.step for one in self.inputs.values() if one.step))

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs that its commands and checks start, as far as the pipeline itself names them."""
        words = [command[0] for command in self.commands if not isinstance(command, UserCommand)]
        words += [check.command[0] for check in self.checks.values()]
        return tuple(dict.fromkeys(word for word in words if "{" not in word))

    def words(self) -> Iterator[str]:
        """All texts of the step that may be templates or name files of the sandbox."""
        for command in self.commands:
            yield from [] if isinstance(command, UserCommand) else command
        for check in self.checks.values():
            yield from check.command
            for expect in check.expect.values():
                yield from (text for text in expect.model_dump().values() if isinstance(text, str))


class Pipeline(Document):
    """A pipeline: its roles, its parameters and its steps in order."""

    pipeline: str
    version: str
    description: str
    roles: dict[str, Role]
    steps: dict[str, Step]
    parameters: dict[str, Parameter] = {}

    @field_validator("steps")
    @classmethod
    def _some(cls, steps: dict[str, Step]) -> dict[str, Step]:
        if not steps:
            raise ValueError("a pipeline has at least one step")
        return steps

    @model_validator(mode="after")
    def _consistent(self) -> "Pipeline":
        for name, step in self.steps.items():
            for place, problem in self._problems(name, step):
                raise MisfitError(problem, "steps", name, *place)
        return self

    def _problems(self, name: str, step: Step) -> Iterator[tuple[tuple[int | str, ...], str]]:
        """What is wrong with a step, and where in it."""
        if not safe_name(name):
            yield (), f"the name {name!r} may hold letters, digits, - and _ only, 64 at most"
        if step.over not in self.roles:
            yield ("over",), f"there is no role {step.over!r}"
        for word in step.when:
            if word not in self.parameters:
                yield ("when", word), f"there is no parameter {word!r}"
        if isinstance(step.split, Group) and isinstance(step.split.group, str):
            size = self.parameters.get(step.split.group)
            if size is None or size.type != "int":
                yield ("split", "group"), f"{step.split.group!r} is not a parameter of type int"
        for label, source in step.inputs.items():
            problem = self._source_problem(name, step, source)
            if problem:
                yield ("inputs", label), problem
        for number, command in enumerate(step.commands):
            problem = self._command_problem(step, command)
            if problem:
                yield ("commands", number), problem
        suffixes: set[str] = set()
        for label, output in step.outputs.items():
            if output.suffix in suffixes:
                yield ("outputs", label), f"another output is stored with the suffix {output.suffix!r} too"
            suffixes.add(output.suffix)

    def _command_problem(self, step: Step, command: list[str] | UserCommand) -> str:
        if isinstance(command, UserCommand):
            kinds = {"command": command.command} | ({"files": command.files_parameter} if command.files else {})
            wrong = [word for kind, word in kinds.items() if getattr(self.parameters.get(word), "type", "") != kind]
            return f"{wrong[0]!r} is not a parameter of the type that this takes" if wrong else ""
        names = [word.removeprefix("*inputs.") for word in command if word.startswith("*inputs.")]
        return next((f"there is no input {name!r} in this step" for name in names if name not in step.inputs), "")

    def _source_problem(self, name: str, step: Step, source: StepInput) -> str:
        if not source.step:
            if source.from_ != step.over:
                return f"{source.from_!r} is not the role {step.over!r}"
            return _path_problem(source, many=step.merges)
        earlier = list(self.steps)[: list(self.steps).index(name)]
        maker = self.steps.get(source.step)
        if maker is None or source.step not in earlier:
            return f"there is no step {source.step!r} before this one"
        if source.output not in maker.outputs:
            return f"the step {source.step!r} has no output {source.output!r}"
        if maker.over != step.over and maker.split != "all":
            return f"of another role only a step with split: all can be used, {source.step!r} is not"
        if maker.grouped and not (step.split == "all" or step.split == maker.split):
            return f"{source.step!r} makes groups; only the same groups or split: all can use them"
        return _path_problem(source, many=step.merges and maker.split not in ("all", step.split))

    def active(self, parameters: Mapping[str, Any]) -> dict[str, Step]:
        """The steps whose ``when`` holds for these parameters."""
        return {
            name: step
            for name, step in self.steps.items()
            if all(parameters[key] in _listed(wanted) for key, wanted in step.when.items())
        }


def _path_problem(source: StepInput, many: bool) -> str:
    return "many files come in, so {key} must stand in their path" if many and "{key}" not in source.path else ""


def _listed(value: Scalar | list[Scalar]) -> list[Scalar]:
    return value if isinstance(value, list) else [value]


def read_pipeline(folder: Path) -> Pipeline:
    """Read the pipeline of one folder.

    Raises
    ------
    InputError
        pipeline.yaml does not fit, or a template that it names is not there or not Jinja.
    """
    path = folder / "pipeline.yaml"
    pipeline = read_document(path, Pipeline)
    faults = [fault for name, step in pipeline.steps.items() for fault in _template_faults(folder, name, step)]
    if faults:
        raise InputError(*faults)
    return pipeline


def _template_faults(folder: Path, name: str, step: Step) -> Iterator[Fault]:
    for target, template in step.files.items():
        path = folder / template
        try:
            _JINJA.parse(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            yield Fault(f"its template cannot be read: {error}", "", str(path), None, f"steps.{name}.files.{target}")
        except TemplateSyntaxError as error:
            yield Fault(f"not a Jinja template: {error.message}", "", str(path), error.lineno)


def parameters_used(step: Step, templates: Mapping[str, str], declared: Mapping[str, Parameter]) -> set[str]:
    """The parameters that a step's result depends on.

    Parameters
    ----------
    step
        The step.
    templates
        Text of each template that the step names.
    declared
        The pipeline's parameters.
    """
    texts = [*step.words(), *(templates[name] for name in step.files.values())]
    found = {name for text in texts for name in meta.find_undeclared_variables(_JINJA.parse(text))}
    for command in step.commands:
        if isinstance(command, UserCommand):
            # The user's own files travel with every job that runs the user's own command.
            found |= {command.command, command.files_parameter}
    if isinstance(step.split, Group) and isinstance(step.split.group, str):
        found.add(step.split.group)
    return found & set(declared)


def parameter_values(pipeline: Pipeline, given: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Complete and check what a production sets.

    Raises
    ------
    InputError
        A parameter is unknown, missing, of the wrong type or out of its bounds.
    """
    faults = [
        Fault(
            "the pipeline has no such parameter",
            f"It has {', '.join(pipeline.parameters) or 'none'}",
            file,
            None,
            f"parameters.{name}",
        )
        for name in given
        if name not in pipeline.parameters
    ]
    values: dict[str, Any] = {}
    for name, declared in pipeline.parameters.items():
        if name not in given and declared.required:
            faults.append(
                Fault(
                    "this parameter is missing",
                    f"Its description: {declared.description}",
                    file,
                    None,
                    f"parameters.{name}",
                )
            )
            continue
        value = given.get(name, declared.default)
        problem = value_problem(declared, value) if name in given else ""
        if problem:
            faults.append(Fault(problem, f"Its description: {declared.description}", file, None, f"parameters.{name}"))
            continue
        values[name] = normal_value(declared, value)
    for size in {step.split.group for step in pipeline.steps.values() if isinstance(step.split, Group)}:
        if isinstance(size, str) and values.get(size, 1) < 1:
            what = f"a group of {values[size]} subbands holds nothing"
            faults.append(Fault(what, "Give 1 or more", file, None, f"parameters.{size}"))
    if faults:
        raise InputError(*faults)
    return values


def group_size(step: Step, parameters: Mapping[str, Any]) -> int:
    """How many absolute subbands a group of this step spans."""
    assert isinstance(step.split, Group)
    size = step.split.group
    return int(parameters[size]) if isinstance(size, str) else size
