"""YAML files that people write: read safely, checked against a model, faults told with their line."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from lofargrid.errors import Fault, InputError

Location = tuple[int | str, ...]
# Far more than anybody writes; anchors in anchors can unfold to more than any memory holds.
_MOST_VALUES = 1_000_000


class Document(BaseModel):
    """The root of all checked documents: frozen, and a key that is not declared is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MisfitError(ValueError):
    """What a document's own validator found wrong, and where in the document."""

    def __init__(self, what: str, *location: int | str) -> None:
        super().__init__(what)
        self.location = location


class _Loader(yaml.SafeLoader):
    """Safe, and reads ``1e-5`` as the number that everybody means; YAML 1.1 asks for ``1.0e-5``."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)

Model = TypeVar("Model", bound=Document)


def read_value(text: str) -> Any:
    """Read a text as YAML.

    Raises
    ------
    yaml.YAMLError
        It is none.
    """
    return yaml.load(text, Loader=_Loader)


def read_document(path: Path, model: type[Model]) -> Model:
    """Read a YAML file as ``model``.

    Raises
    ------
    InputError
        The file cannot be read, is not YAML, or does not fit; one fault each, with its line and field.
    """
    document = _document(path, _read_text(path), model)
    assert isinstance(document, model)
    return document


# A campaign asks for the same few files for each of its rows.
@lru_cache(maxsize=32)
def _document(path: Path, text: str, model: type[Document]) -> Document:
    try:
        node = yaml.compose(text, Loader=_Loader)
        if _unfolded(node, {}) > _MOST_VALUES:
            what = "its anchors and aliases unfold without end, or to far too much"
            raise InputError(Fault(what, "Write the values out", str(path)))
        repeated = list(_repeated(path, node, set()))
        data = _Loader("").construct_document(node) if node else None
    except RecursionError:
        raise InputError(Fault("it is nested too deeply", "Write it with fewer levels", str(path))) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise InputError(
            Fault(f"not valid YAML: {what}", "Check indentation, colons and quotes", str(path), line)
        ) from None
    if not isinstance(data, dict):
        what = "the file is empty" if data is None else "not a mapping of keys to values"
        raise InputError(Fault(what, _keys_remedy([model]), str(path), 1))
    if repeated:
        raise InputError(*repeated)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        written = yaml.compose(text, Loader=_Loader)  # what was constructed has lost which keys were merged in
        raise InputError(*_faults(path, written, model, error.errors(include_url=False))) from None


def located(path: Path, faults: Iterable[Fault]) -> list[Fault]:
    """Add the line to the faults that name a field of a document and no line yet."""
    node = yaml.compose(_read_text(path), Loader=_Loader)
    return [
        replace(fault, line=_line(node, tuple(fault.field.split("."))))
        if fault.file == str(path) and fault.field and fault.line is None
        else fault
        for fault in faults
    ]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(Fault("there is no such file", "Check the name", str(path))) from None
    except UnicodeDecodeError as error:
        raise InputError(not_utf8(path, error)) from None
    except OSError as error:
        raise InputError(Fault(f"cannot be read: {error.strerror}", "Name a file that can be", str(path))) from None


def not_utf8(path: Path, error: UnicodeDecodeError) -> Fault:
    """What to tell of a file that should be text."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return Fault("this is not text in UTF-8", "Name a text file, or save it as UTF-8", str(path), line)


def shown(value: Any) -> str:
    """A value as a message can show it: on one line, and never long."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 100, 100


def _unfolded(node: yaml.Node | None, known: dict[int, float]) -> float:
    """How many values a node stands for when each alias is written out; without end if it holds itself."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")
        inner = [value for child in node.value for value in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = 1 + sum(_unfolded(value, known) for value in inner)
    return known[id(node)]


def _repeated(path: Path, node: yaml.Node | None, seen: set[int]) -> Iterator[Fault]:
    """Keys that stand twice in one mapping: YAML would silently take the last."""
    if isinstance(node, yaml.CollectionNode) and id(node) not in seen:
        seen.add(id(node))
        first: dict[str, int] = {}
        for child in node.value:
            key, value = child if isinstance(node, yaml.MappingNode) else (None, child)
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in first:
                    what = f"this key stands already in line {first[key.value]}"
                    yield Fault(what, "Remove one of the two", str(path), line, key.value)
                first.setdefault(key.value, line)
            yield from _repeated(path, value, seen)


def _faults(path: Path, node: yaml.Node | None, model: type[Document], details: Sequence[Any]) -> list[Fault]:
    """One fault a field. Where several forms are allowed, the form that got furthest is the one that was meant."""
    by_place: dict[Location, list[Any]] = {}
    for detail in details:
        by_place.setdefault(_place(node, detail), []).append(detail)
    deepest = [
        place
        for place in by_place
        if not any(len(other) > len(place) and other[: len(place)] == place for other in by_place)
    ]
    return [
        Fault(*_in_words(model, place, by_place[place]), str(path), _line(node, place), ".".join(map(str, place)))
        for place in deepest
    ]


def _place(node: yaml.Node | None, detail: Any) -> Location:
    """Where a fault is, without the names of the forms that pydantic tried."""
    location: Location = detail["loc"] + getattr(detail.get("ctx", {}).get("error"), "location", ())
    place: Location = ()
    for part in location:
        found = _child(node, part)
        if found:
            place, node = (*place, part), found[1]
    return (*place, location[-1]) if detail["type"] == "missing" else place


def _in_words(model: type[Document], place: Location, details: Sequence[Any]) -> tuple[str, str]:
    first = details[0]
    kind = first["type"]
    if kind == "extra_forbidden":
        return "unknown key", _did_you_mean(str(place[-1]), _keys_at(model, place[:-1]))
    if kind == "missing":
        return "this key is missing", "Add it"
    if kind == "value_error":
        return str(first["ctx"]["error"]), ""
    if kind in ("model_type", "dict_type"):
        return f"not a mapping of keys to values, found {shown(first['input'])}", _keys_remedy(_models_at(model, place))
    if kind == "invalid_key":
        return f"should be a text, found {shown(first['input'])}", "Put it in quotes"
    wanted = dict.fromkeys(_wanted(detail["msg"]) for detail in details)
    quotes = any(detail["type"] == "string_type" for detail in details) and not isinstance(first["input"], list | dict)
    return f"should {' or '.join(wanted)}, found {shown(first['input'])}", "Put it in quotes" if quotes else ""


def _wanted(message: str) -> str:
    """What stands behind "should" in pydantic's message, without what it found and in words that people use."""
    wanted = message.partition(" should ")[2].partition(" after validation")[0].partition(" or instance of ")[0]
    return _PLAIN.get(wanted, wanted)


_PLAIN = {
    "be a valid string": "be a text",
    "be a valid list": "be a list",
    "be a valid dictionary": "be a mapping of keys to values",
    "be a valid integer": "be a whole number",
    "be a valid number": "be a number",
    "be a valid boolean": "be true or false",
}


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known here: {', '.join(known)}" if known else ""


def _keys_remedy(models: Iterable[type[Document]]) -> str:
    keys = [key for model in models for key in _keys(model)]
    return f"It takes the keys {', '.join(keys)}" if keys else "Write a line `key: value` for each"


def _keys_at(model: type[Document], location: Location) -> list[str]:
    return [key for one in _models_at(model, location) for key in _keys(one)]


def _keys(model: type[Document]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_at(model: type[Document], location: Location) -> list[type[Document]]:
    """The documents that may stand at a place; names of entries and places in lists lead no deeper."""
    current = [model]
    for part in location:
        fields = [one.model_fields[part] for one in current if isinstance(part, str) and part in one.model_fields]
        if fields:
            current = [inner for field in fields for inner in _models_in(field.annotation)]
    return current


def _models_in(annotation: Any) -> list[type[Document]]:
    if isinstance(annotation, type) and issubclass(annotation, Document):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]


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
        merged = [value for key, value in node.value if key.tag == "tag:yaml.org,2002:merge"]
        return next(filter(None, (_child(value, part) for value in merged)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
