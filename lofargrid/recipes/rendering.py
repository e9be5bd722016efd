"""Pure: a job and its sources become the runner's job.json. Templates are strict: an unknown name is an error."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined, TemplateError
from lofargrid_runner.contract import Check, Expectation, InputFile, JobSpec, Limits, OutputFile

from lofargrid.documents.pipelines import Expect, Step, StepInput, UserCommand
from lofargrid.documents.reading import read_value
from lofargrid.documents.software import Software
from lofargrid.errors import Fault, InputError
from lofargrid.model import Demand, Job, Slot, Source
from lofargrid.recipes.recipe import PARAMETERS_FOLDER, Recipe

_TEMPLATES = Environment(
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)


@dataclass(frozen=True)
class Surroundings:
    """What a job is given besides its recipe: who it is for, where it runs, where things lie there."""

    attempt: str
    owner: str
    contact: str
    site: str
    sandbox: str
    destination: str
    software: Software
    versions: Mapping[str, str]
    demand: Demand


def render(recipe: Recipe, job: Job, sources: Mapping[str, Sequence[Source]], around: Surroundings) -> JobSpec:
    """Make the runner's job.

    Parameters
    ----------
    recipe
        The production's recipe.
    job
        The job.
    sources
        For each input of the step its files, in frequency order where that is known.
    around
        The attempt and its surroundings.

    Raises
    ------
    InputError
        A template names something that is not there, or gives what a check cannot compare with.
    """
    step = recipe.steps[job.step]
    context = {**_context(recipe, job, step, sources), "software": around.software.values}
    writer = _Writer(context, f"{recipe.pipeline.pipeline}: steps.{job.step}")
    return JobSpec(
        attempt=around.attempt,
        job=job.name,
        production=job.production,
        step=job.step,
        owner=around.owner,
        contact=around.contact,
        site=around.site,
        sandbox=around.sandbox,
        commands=tuple(_command(writer, one, recipe) for one in step.commands),
        limits=_limits(around.demand),
        destination=around.destination,
        inputs=tuple(
            _input_file(name, step.inputs[name], source) for name, given in sources.items() for source in given
        ),
        files={**around.software.files, **_files(writer, recipe, step)},
        checks=tuple(
            Check(
                name,
                tuple(writer.text(word) for word in check.command),
                {key: _expectation(writer, expect) for key, expect in check.expect.items()},
            )
            for name, check in step.checks.items()
        ),
        outputs=tuple(
            OutputFile(name, writer.text(output.path), job.name + output.suffix, output.pack)
            for name, output in step.outputs.items()
        ),
        environment=dict(around.software.environment),
        path=around.software.path,
        aliases=dict(around.software.aliases),
        software=dict(around.versions),
    )


def _files(writer: "_Writer", recipe: Recipe, step: Step) -> dict[str, str]:
    return {name: writer.text(recipe.templates[template]) for name, template in step.files.items()}


class _Writer:
    """Renders texts of one job; faults say which pipeline and step they are in."""

    def __init__(self, context: Mapping[str, Any], place: str) -> None:
        self.context = context
        self.place = place

    def text(self, template: str) -> str:
        if "{" not in template:
            return template
        try:
            return _TEMPLATES.from_string(template).render(self.context)
        except (TemplateError, TypeError, ValueError, ZeroDivisionError) as error:
            shown = template if len(template) < 80 else template[:77] + "..."
            raise InputError(Fault(f"cannot render {shown!r}: {error}", "", self.place)) from None

    def value(self, template: Any) -> Any:
        if not isinstance(template, str):
            return template
        try:
            value = read_value(self.text(template))
        except yaml.YAMLError as error:
            raise InputError(Fault(f"{template!r} gives no value: {error}", "", self.place)) from None
        return tuple(value) if isinstance(value, list) else value

    def words(self, word: str) -> list[str]:
        if word.startswith("*inputs."):
            return [source["path"] for source in self.context["inputs"][word.removeprefix("*inputs.")]]
        return [self.text(word)]


def input_path(source: StepInput, key: str) -> str:
    """Where a file lies in the work directory."""
    return source.path.replace("{key}", key)


def _context(recipe: Recipe, job: Job, step: Step, sources: Mapping[str, Sequence[Source]]) -> dict[str, Any]:
    inputs = {
        name: [
            {
                "path": input_path(step.inputs[name], one.key),
                "key": one.key,
                "frequency_hz": one.frequency_hz,
                "measurements": one.measurements,
            }
            for one in given
        ]
        for name, given in sources.items()
    }
    context = {
        **recipe.parameters,
        "job": job.name,
        "production": job.production,
        "observation": job.key.partition("-")[0],
        "sap": job.sap,
        "inputs": inputs,
        "resources": step.resources,
    }
    if step.grouped:
        first = _subbandwise(recipe, step)
        context["slots"] = slots(job.slots, sources[first], step.inputs[first], recipe.gaps)
        context["grid"] = grid(context["slots"], sources[first])
    return context


def _subbandwise(recipe: Recipe, step: Step) -> str:
    """The input of a grouped step that has a file for each subband; the first one if none has."""
    steps = recipe.pipeline.steps
    names = [name for name, source in step.inputs.items() if not source.step or steps[source.step].split == "subband"]
    return next(iter([*names, *step.inputs]))


def slots(every: Sequence[Slot], sources: Sequence[Source], source: StepInput, gaps: str) -> list[dict[str, Any]]:
    """The group's absolute subbands in frequency order; ``path`` of an absent one names nothing that exists."""
    present = {one.key for one in sources}
    found = [
        {
            "abn": slot.abn,
            "present": slot.key in present,
            "key": slot.key,
            "frequency_hz": slot.frequency_hz,
            "path": input_path(source, slot.key) if slot.key in present else f"absent/ABN{slot.abn:03d}.MS",
        }
        for slot in every
    ]
    return [slot for slot in found if slot["present"]] if gaps == "skip" else found


def grid(given: Sequence[Mapping[str, Any]], sources: Sequence[Source]) -> dict[str, Any]:
    """The channels that the joined data must have, from what was measured of its parts.

    An absent subband is given the channels of the first present one, moved to its own centre.
    """
    measured = {one.key: list(one.measurements.get("frequencies_hz", [])) for one in sources}
    model = next((slot for slot in given if slot["present"]), None)
    offsets = [one - model["frequency_hz"] for one in measured[model["key"]]] if model else []
    frequencies: list[float] = []
    for slot in given:
        moved = [slot["frequency_hz"] + offset for offset in offsets]
        frequencies += measured[slot["key"]] if slot["present"] else moved
    return {
        "frequencies_hz": frequencies,
        "channels": len(frequencies),
        "absent_channels": len(offsets) * sum(not slot["present"] for slot in given),
        "regular": _regular(frequencies),
    }


def _regular(frequencies: Sequence[float]) -> bool:
    steps = [after - before for before, after in itertools.pairwise(frequencies)]
    return all(step > 0 and abs(step - steps[0]) < 1.0 for step in steps)


def _command(writer: _Writer, command: list[str] | UserCommand, recipe: Recipe) -> tuple[str, ...]:
    if not isinstance(command, UserCommand):
        return tuple(rendered for word in command for rendered in writer.words(word))
    meanings = {
        "{input}": writer.text(command.input),
        "{output}": writer.text(command.output),
        "{name}": writer.text(command.name),
        "{files}": f"sandbox/{PARAMETERS_FOLDER}/{command.files_parameter}",
    }
    words = []
    for word in recipe.parameters[command.command]:
        for sign, meaning in meanings.items():
            word = word.replace(sign, meaning)
        words.append(word)
    return tuple(words)


def _expectation(writer: _Writer, expect: Expect) -> Expectation:
    values = {key: writer.value(value) for key, value in expect.model_dump().items()}
    for key in ("within", "minimum", "maximum"):
        if not isinstance(values[key], int | float | None) or isinstance(values[key], bool):
            raise InputError(Fault(f"{values[key]!r} is not a number to compare with", "", writer.place, None, key))
    return Expectation(**{**values, "within": values["within"] or 0})


def _input_file(name: str, source: StepInput, one: Source) -> InputFile:
    return InputFile(
        name=name,
        key=one.key,
        url=one.url,
        path=input_path(source, one.key),
        unpack=source.unpack,
        kind=source.kind,
        size_bytes=one.size_bytes,
        adler32=one.adler32,
    )


def _limits(demand: Demand) -> Limits:
    return Limits(demand.walltime_min * 60, demand.memory_mb, demand.scratch_mb, demand.cores)
