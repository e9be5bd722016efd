"""Parameters of pipelines: what a user may set, and whether a value fits."""

import math
import shlex
from typing import Any, Literal

from pydantic import model_validator

from lofargrid.documents.reading import Document, MisfitError, shown
from lofargrid.names import printable

ParameterType = Literal["int", "float", "bool", "str", "file", "files", "command"]
Scalar = bool | int | float | str

_TYPES: dict[ParameterType, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "file": (str,),
    "files": (list,),
    "command": (str, list),
}
_MEANT: dict[ParameterType, str] = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "file": "the name of a file",
    "files": "a list of file names",
    "command": "a command: a text, or a list of words",
}


class Parameter(Document):
    """What a user may set. Without a default it must be given."""

    type: ParameterType
    description: str
    default: Scalar | list[str] | None = None
    unit: str = ""
    choices: list[Scalar] | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None

    @property
    def required(self) -> bool:
        """Whether the production must name it."""
        return "default" not in self.model_fields_set

    @model_validator(mode="after")
    def _fitting_default(self) -> "Parameter":
        problem = "" if self.required or self.default in (None, "", []) else value_problem(self, self.default)
        if problem:
            raise MisfitError(problem, "default")
        return self


def value_problem(declared: Parameter, value: Any) -> str:
    """Say what is wrong with a value, or nothing."""
    wrong_bool = isinstance(value, bool) and declared.type != "bool"
    if wrong_bool or not isinstance(value, _TYPES[declared.type]):
        return f"{shown(value)} is not {_MEANT[declared.type]}"
    if isinstance(value, list) and not all(isinstance(word, str) for word in value):
        return f"{shown(value)} is not a list of texts"
    if isinstance(value, str | list) and declared.type != "command" and not printable("".join(value)):
        return f"{shown(value)} holds a control character"
    if declared.choices is not None and value not in declared.choices:
        return f"{shown(value)} is not one of {', '.join(map(str, declared.choices))}"
    if declared.required and value in ("", []) and declared.type in ("file", "files"):
        return "no file is named"
    if declared.type == "command" and isinstance(value, str | list):
        return _command_value_problem(value)
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return f"{value} is not a finite number"
        if declared.minimum is not None and value < declared.minimum:
            return f"{value} is less than {declared.minimum}"
        if declared.maximum is not None and value > declared.maximum:
            return f"{value} is more than {declared.maximum}"
    return ""


def _command_value_problem(value: str | list[str]) -> str:
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        return f"{shown(value)} cannot be split into words: {error}"
    return "" if words else "the command is empty"


def normal_value(declared: Parameter, value: Any) -> Any:
    """The value as templates get it: numbers of type float are floats, commands are lists of words."""
    if declared.type == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if declared.type == "command" and isinstance(value, str):
        return shlex.split(value)
    return value
