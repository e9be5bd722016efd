"""The payload's environment: the same on every node, and without anybody's secrets.

Nothing is inherited but PATH and the user's name. Not LD_LIBRARY_PATH, LD_PRELOAD or PYTHON*: on a grid
node they belong to the batch system's own tools and make a payload differ from site to site; software
that needs them says so in ``environment`` of the job. Not X509_USER_PROXY, BEARER_TOKEN or proxies with
passwords: credentials are the runner's business. HOME is in the work directory, so that caches are
written where they may be, found by nobody else, and removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .contract import JobSpec, Reason
from .failure import Failure, scratch_failure
from .names import harmless_path


class Place(NamedTuple):
    """Where and how programs of this job are started: working directory and environment."""

    folder: str
    environment: Mapping[str, str]


def prepare(spec: JobSpec, attempt_folder: str, work: str, inherited: Mapping[str, str]) -> Place:
    """Make the work directory ready for commands: sandbox, small files, aliases, environment.

    Raises
    ------
    Failure
        Sandbox or a program is missing, or scratch cannot be written.
    """
    sandbox = os.path.join(attempt_folder, spec.sandbox)
    if not os.path.isdir(sandbox):
        raise Failure(Reason.SOFTWARE_MISSING, f"the sandbox {sandbox} is not there")
    try:
        os.symlink(os.path.abspath(sandbox), os.path.join(work, "sandbox"))
        for folder in ("bin", "home", "tmp"):
            os.mkdir(os.path.join(work, folder))
        write_files(spec.files, work)
        place = Place(work, build(spec, attempt_folder, work, inherited))
        link_aliases(spec.aliases, place)
    except OSError as error:
        raise scratch_failure(error, work) from error
    require_programs(spec, place)
    return place


def build(spec: JobSpec, attempt_folder: str, work: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Compose the environment of payload and checks."""
    theirs = [folder for folder in inherited.get("PATH", os.defpath).split(":") if folder.startswith("/")]
    user = inherited.get("USER") or inherited.get("LOGNAME") or str(os.getuid())
    return {
        "HOME": os.path.join(work, "home"),
        "TMPDIR": os.path.join(work, "tmp"),
        "LANG": "C.UTF-8",
        "USER": user,
        "LOGNAME": user,
        **spec.environment,
        "PATH": ":".join([os.path.join(work, "bin"), *spec.path, *theirs]),
        "LOFARGRID_SANDBOX": os.path.join(work, "sandbox"),
        "LOFARGRID_WORK": work,
        "LOFARGRID_ATTEMPT": spec.attempt,
    }


def write_files(files: Mapping[str, str], work: str) -> None:
    """Write the small texts of a job (rendered parsets) into the work directory."""
    for name, text in files.items():
        path = os.path.join(work, harmless_path(name, "file"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)


def link_aliases(aliases: Mapping[str, str], place: Place) -> None:
    """Give a command its usual name where this node only knows it by another one."""
    for alias, command in aliases.items():
        program = which(command, place)
        if program and not which(alias, place):
            os.symlink(program, os.path.join(place.folder, "bin", alias))


def which(word: str, place: Place) -> str | None:
    """Find the program that the first word of a command names, or None."""
    return next((path for path in _candidates(word, place) if _is_program(path)), None)


def _candidates(word: str, place: Place) -> Iterator[str]:
    if "/" in word:
        yield os.path.join(place.folder, word)
        return
    for folder in place.environment["PATH"].split(":"):
        yield os.path.join(place.folder, folder, word)


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def require_programs(spec: JobSpec, place: Place) -> None:
    """Refuse to start hours of work whose last command or check is not there.

    Raises
    ------
    Failure
        ``SOFTWARE_MISSING``, with the name and where it was sought.
    """
    for command in (*spec.commands, *(check.command for check in spec.checks)):
        word = command[0]
        if not _may_be_made_later(word):
            program_of(word, place, spec.aliases)


def _may_be_made_later(word: str) -> bool:
    # A relative path outside the sandbox may be what an earlier command builds.
    return "/" in word and not word.startswith(("/", "sandbox/"))


def program_of(word: str, place: Place, aliases: Mapping[str, str]) -> str:
    """Find a program or fail with its name and the PATH searched.

    Raises
    ------
    Failure
        ``SOFTWARE_MISSING``.
    """
    program = which(word, place)
    if program:
        return program
    also = f" (nor as {aliases[word]})" if word in aliases else ""
    raise Failure(Reason.SOFTWARE_MISSING, f"{word} not found{also}; searched {place.environment['PATH']}")
