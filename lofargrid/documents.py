"""YAML files that people write: read safely, checked against a model, faults told with their line."""

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from lofargrid.errors import Fault, InputError

Location = tuple[int | str, ...]


class Document(BaseModel):
    """The root of all checked documents: frozen, and a key that is not declared is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=Document)


def read_document(path: Path, model: type[Model]) -> Model:
    """Read a YAML file as ``model``.

    Raises
    ------
    InputError
        The file cannot be read, is not YAML, or does not fit; one fault each, with its line and field.
    """
    text = _read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        what = getattr(error, "problem", None) or str(error)
        raise InputError(
            Fault(f"not valid YAML: {what}", "Check indentation, colons and quotes", str(path), line)
        ) from None
    if not isinstance(data, dict):
        raise InputError(Fault("not a mapping of keys to values", _keys_remedy(model), str(path), 1))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = [_fault(path, node, model, detail) for detail in error.errors(include_url=False)]
        raise InputError(*faults) from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(Fault("there is no such file", "Check the name", str(path))) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Fault(f"cannot be read: {error}", "Check its permissions", str(path))) from None


def _fault(path: Path, node: yaml.Node | None, model: type[Document], detail: Any) -> Fault:
    location: Location = detail["loc"]
    field = ".".join(str(part) for part in location)
    what, remedy = _in_words(model, location, detail)
    return Fault(what, remedy, str(path), _line(node, location), field)


def _in_words(model: type[Document], location: Location, detail: Any) -> tuple[str, str]:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return "unknown key", _did_you_mean(str(location[-1]), model, location)
    if kind == "missing":
        return "this key is missing", "Add it"
    if kind == "value_error":
        return str(detail["ctx"]["error"]), ""
    found = detail["input"]
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, found {found!r}", ""


def _did_you_mean(word: str, model: type[Document], location: Location) -> str:
    known = _keys_at(model, location[:-1])
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known here: {', '.join(known)}" if known else ""


def _keys_at(model: type[Document], location: Location) -> list[str]:
    current: Any = model
    for part in location:
        field = getattr(current, "model_fields", {}).get(part)
        current = field.annotation if field else None
    return list(getattr(current, "model_fields", {}))


def _keys_remedy(model: type[Document]) -> str:
    return f"It takes the keys {', '.join(model.model_fields)}"


def _line(node: yaml.Node | None, location: Location) -> int | None:
    """The line of the deepest part of ``location`` that the file has."""
    line = node.start_mark.line + 1 if node else None
    for part in location:
        found = _child(node, part)
        if found is None:
            break
        key_node, node = found
        line = key_node.start_mark.line + 1
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
