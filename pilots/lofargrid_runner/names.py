"""Names that come in with ``job.json``: used as paths only after they proved harmless."""

from __future__ import annotations

import posixpath

from .contract import JobSpec

# What the runner itself makes in the work directory.
RESERVED = frozenset({"sandbox", "bin", "home", "tmp", ".lofargrid-work", ".lofargrid-unpack", ".lofargrid-upload"})


def harmless_path(path: object, what: str) -> str:
    """Give ``path`` in its shortest form, certain to stay inside the folder it is joined to.

    Raises
    ------
    ValueError
        It is absolute, climbs out, names the folder itself, or holds control characters.
    """
    if not isinstance(path, str) or any(ord(letter) < 32 for letter in path):
        raise ValueError(f"{what} {path!r} is no file name")
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{what} {path!r} leaves its folder")
    short = posixpath.normpath(path)
    if short == ".":
        raise ValueError(f"{what} {path!r} names the folder itself")
    return short


def harmless_name(name: object, what: str) -> str:
    """Give ``name`` back, certain to be a single harmless component of a path.

    Raises
    ------
    ValueError
        It is not.
    """
    short = harmless_path(name, what)
    if "/" in short:
        raise ValueError(f"{what} {name!r} is a path where a name is expected")
    return short


def validate(spec: JobSpec) -> None:
    """Refuse a job whose names would write where they should not, or on top of each other.

    Raises
    ------
    ValueError
        Says which field, and what is wrong with it.
    """
    harmless_name(spec.attempt, "attempt")
    for alias in spec.aliases:
        harmless_name(alias, "alias")
    for entry in spec.inputs:
        if entry.key:
            harmless_path(entry.key, f"key of input {entry.name}")
        if entry.carried:
            harmless_path(entry.carried, f"carried of input {entry.name}")
    if spec.carry:
        harmless_name(spec.carry, "carry")
    _distinct([harmless_name(output.filename, "filename") for output in spec.outputs], "filename")
    for output in spec.outputs:
        harmless_path(output.path, f"path of output {output.name}")
    written = [harmless_path(entry.path, f"path of input {entry.name}") for entry in spec.inputs]
    written += [harmless_path(name, "file") for name in spec.files]
    _distinct(written, "path")
    for path in written:
        if path.split("/")[0] in RESERVED:
            raise ValueError(f"path {path!r} is reserved for the runner")
    _validate_limits(spec)


def is_probe(spec: JobSpec) -> bool:
    """Whether an attempt only looks at its node."""
    return not (spec.commands or spec.inputs or spec.outputs or spec.checks)


def _distinct(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} {name!r} is used twice")


def _validate_limits(spec: JobSpec) -> None:
    limits = spec.limits
    for what, value in (("walltime_s", limits.walltime_s), ("memory_mb", limits.memory_mb)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise ValueError(f"{what} is {value!r}, a positive number is expected")
    if not isinstance(limits.scratch_mb, (int, float)):
        raise ValueError(f"scratch_mb is {limits.scratch_mb!r}, a number is expected")
    if not (spec.commands or is_probe(spec)) or not all(spec.commands):
        raise ValueError("a job needs commands, and each of them a first word")
