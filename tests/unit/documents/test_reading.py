"""YAML that people write: each fault tells file, line, field, what is wrong and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, model_validator

from lofargrid.documents.reading import Document, MisfitError, located, read_document, read_value
from lofargrid.errors import Fault
from tests.unit.factories import faults_of


class Part(Document):
    colour: Literal["red", "blue"] = "red"
    from_: str = Field(default="", alias="from")
    weight: float = 1.0


class Whole(Document):
    name: str
    parts: dict[str, Part] = {}
    split: Literal["all", "one"] | Part = "all"
    files: str | list[str] = []

    @model_validator(mode="after")
    def _no_ghosts(self) -> Whole:
        for name in self.parts:
            if name.startswith("ghost"):
                raise MisfitError("a ghost is no part", "parts", name)
        return self


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "whole.yaml"


def fault_of(file: Path, text: str) -> Fault:
    (fault,) = faults_of(read_document, write(file, text), Whole)
    assert fault.file == str(file)
    return fault


def write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def test_a_good_file_is_read(file: Path) -> None:
    text = "\ufeffname: a\nparts:\n  b: {colour: blue, from: c, weight: 1e-3}\nsplit: {colour: red}\nfiles: [x]\n"
    whole = read_document(write(file, text), Whole)
    assert whole.parts["b"] == Part(colour="blue", weight=0.001, **{"from": "c"})
    assert whole.split == Part()


@pytest.mark.parametrize(
    ("text", "line", "field", "what", "remedy"),
    [
        ("name: a\nprats: {}", 2, "prats", "unknown key", "Did you mean 'parts'?"),
        ("name: a\nzzz: 1", 2, "zzz", "unknown key", "Known here: name, parts, split, files"),
        ("name: a\nparts:\n  b:\n    color: red", 4, "parts.b.color", "unknown key", "Did you mean 'colour'?"),
        ("name: a\nparts:\n  b:\n    zz: red", 4, "parts.b.zz", "unknown key", "Known here: colour, from, weight"),
        ("parts: {}", 1, "name", "this key is missing", "Add it"),
        ("name: 5", 1, "name", "should be a text, found 5", "Put it in quotes"),
        ("name:\n  2024-01-01", 1, "name", "should be a text, found datetime", "Put it in quotes"),
        ("name: a\nparts: []", 2, "parts", "not a mapping of keys to values, found []", "keys colour, from, weight"),
        ("name: a\nparts:\n  b: x", 3, "parts.b", "not a mapping of keys to values", "keys colour, from, weight"),
        ("name: a\nparts: {b: {colour: pink}}", 2, "parts.b.colour", "should be 'red' or 'blue', found 'pink'", ""),
        ("name: a\nparts:\n  ghost7: {}", 3, "parts.ghost7", "a ghost is no part", ""),
        ("name: a\nparts: {ghost: {}}\n", 2, "parts.ghost", "a ghost is no part", ""),
        ("name: a\n1: 2", 2, "1", "should be a text, found 1", "Put it in quotes"),
        ("name: a\nparts:\n  no: {}", 2, "parts", "should be a text, found False", "Put it in quotes"),
    ],
)
def test_a_fault_tells_line_field_what_and_remedy(
    file: Path, text: str, line: int, field: str, what: str, remedy: str
) -> None:
    fault = fault_of(file, text)
    assert (fault.line, fault.field) == (line, field)
    assert fault.what.startswith(what)
    assert remedy in fault.remedy
    assert bool(fault.remedy) == bool(remedy)


@pytest.mark.parametrize(
    ("text", "field", "what"),
    [
        ("files: 5", "files", "should be a text or be a list, found 5"),
        ("files: [a, 5]", "files.1", "should be a text, found 5"),
        ("split: some", "split", "should be 'all' or 'one' or be a mapping of keys to values, found 'some'"),
        ("split: {colour: pink}", "split.colour", "should be 'red' or 'blue', found 'pink'"),
        ("split: {hue: 1}", "split.hue", "unknown key"),
    ],
)
def test_where_several_forms_are_allowed_one_fault_tells_of_the_one_that_was_meant(
    file: Path, text: str, field: str, what: str
) -> None:
    fault = fault_of(file, f"name: a\n{text}")
    assert (fault.line, fault.field, fault.what) == (2, field, what)


def test_all_faults_are_told_at_once(file: Path) -> None:
    write(file, "prats: 1\nparts:\n  a: {colour: pink}\n  b: {weight: x}\n")
    fields = {fault.field: fault.line for fault in faults_of(read_document, file, Whole)}
    assert fields == {"prats": 1, "parts.a.colour": 3, "parts.b.weight": 4, "name": 1}


def test_a_fault_in_merged_keys_is_told_where_they_were_written(file: Path) -> None:
    write(file, "name: a\nparts:\n  b: &b\n    colour: red\n    weight: x\n  c:\n    <<: *b\n    colour: blue\n")
    faults = faults_of(read_document, file, Whole)
    assert [(fault.line, fault.field) for fault in faults] == [(5, "parts.b.weight"), (5, "parts.c.weight")]


@pytest.mark.parametrize(
    ("text", "line", "key", "first"),
    [
        ("name: a\nname: b", 2, "name", 1),
        ("name: a\nparts:\n  b: {}\n  c: {}\n  b: {}", 5, "b", 3),
        ("name: a\nparts: {b: {}, b: {}}", 2, "b", 2),
        ("name: a\nfiles: [{x: 1, y: 2, x: 3}]", 2, "x", 2),
    ],
)
def test_a_key_given_twice_is_refused_and_not_silently_overwritten(
    file: Path, text: str, line: int, key: str, first: int
) -> None:
    fault = fault_of(file, text)
    assert (fault.line, fault.field, fault.what) == (line, key, f"this key stands already in line {first}")


def test_a_merge_may_be_overridden_and_an_anchor_used_twice(file: Path) -> None:
    text = "name: a\nparts:\n  b: &b {colour: red}\n  c: {<<: *b, colour: blue}\n  d: *b\n"
    assert [part.colour for part in read_document(write(file, text), Whole).parts.values()] == ["red", "blue", "red"]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("name: [1", 1, "not valid YAML: expected ',' or ']'"),
        ("name: a\n\tparts: {}", 2, "not valid YAML: found character '\\t'"),
        ("name: a\n? [b]\n: 2", 2, "not valid YAML: found unhashable key"),
        ("name: \x01", None, "not valid YAML: unacceptable character"),
        ("name: !!python/object:os.system {}", 1, "not valid YAML: could not determine a constructor"),
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        ("name: " + "[" * 1000, None, "it is nested too deeply"),
        ("- a\n- b", 1, "not a mapping of keys to values"),
    ],
)
def test_what_is_not_a_yaml_mapping_is_told_with_its_line(file: Path, text: str, line: int | None, what: str) -> None:
    fault = fault_of(file, text)
    assert fault.line == line
    assert fault.what.startswith(what)


def test_a_file_that_is_not_there_or_not_text_is_told_by_name(tmp_path: Path) -> None:
    absent = tmp_path / "none.yaml"
    assert faults_of(read_document, absent, Whole) == (Fault("there is no such file", "Check the name", str(absent)),)
    assert faults_of(read_document, tmp_path, Whole)[0].what == "cannot be read: Is a directory"
    binary = tmp_path / "binary"
    binary.write_bytes(b"name: a\n\xff\xfe")
    (fault,) = faults_of(read_document, binary, Whole)
    assert (fault.file, fault.line, fault.what) == (str(binary), 2, "this is not text in UTF-8")


NESTED = "\n".join(["a: &a [x]", *(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 10)}]" for n in range(9))])


@pytest.mark.parametrize("text", [NESTED, "name: &a [*a]", "name: &a {b: *a}"])
def test_anchors_that_unfold_to_more_than_memory_holds_are_refused(file: Path, text: str) -> None:
    assert "unfold" in fault_of(file, text).what


def test_a_long_value_is_not_shown_whole(file: Path) -> None:
    fault = fault_of(file, f"name: [{', '.join(['x'] * 1000)}]")
    assert fault.what == "should be a text, found ['x', 'x', 'x', 'x', 'x', 'x', ...]"


def test_faults_found_later_get_the_line_of_their_field(file: Path) -> None:
    write(file, "name: a\nparts:\n  b:\n    colour: red\n")
    known = Fault("x", file=str(file), line=9, field="name")
    other = Fault("x", file="elsewhere", field="name")
    faults = [
        Fault("x", "", str(file), None, "parts.b.colour"),
        Fault("x", "", str(file), None, "parts.c"),
        known,
        other,
    ]
    assert [fault.line for fault in located(file, faults)] == [4, 2, 9, None]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-05", 1e-05),
        ("-2E+3", -2000.0),
        ("[1e-9, 5]", [1e-9, 5]),
        ("1e5x", "1e5x"),
        ("e5", "e5"),
        ("7", 7),
        ("", None),
    ],
)
def test_numbers_are_read_as_python_writes_them(text: str, value: object) -> None:
    found = read_value(text)
    assert found == value
    assert type(found) is type(value)
