"""Recipes as the tracker keeps them, and what differs between two."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from lofargrid.model import Subband
from lofargrid.recipes.recipe import Recipe, listed_content, shared_pipeline


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
    pipeline = shared_pipeline(json.dumps(fields.pop("pipeline")))
    return Recipe(pipeline=pipeline, subbands=subbands, **fields.pop("policy"), **fields)


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
    before = {**choices, "pipeline": fields["completed"], "inputs": listed_content(listed)}
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
