"""Batch systems, as far as pilots need them: start a script, tell which live, end some."""

import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jinja2 import Environment, StrictUndefined

from lofargrid.commands import Result, leave, run, start
from lofargrid.documents.batch import BatchDocument
from lofargrid.errors import BackendError

HERE = "here"
"""This machine, as a batch system."""
DESCRIPTION = "pilot.sub"
_NUMBER = re.compile(r"\s*(\d+)")
_TEMPLATES = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False)


@dataclass(frozen=True)
class Request:
    """A pilot as a batch system is asked for it. What it prints goes to ``out``; ``folder`` is its own, here."""

    pilot: str
    script: Path
    folder: Path
    out: Path
    cores: int
    memory_mb: int
    scratch_mb: int
    walltime_min: int
    options: Sequence[str] = ()


class BatchSystem(Protocol):
    """What starts pilots. All raise `BackendError` if it does not do what it is asked."""

    def submit(self, request: Request) -> str:
        """Start a pilot; give the id that the batch system knows it by."""
        ...

    def living(self) -> set[str]:
        """The ids of our jobs that wait or run."""
        ...

    def cancel(self, ids: Sequence[str]) -> None:
        """Ask jobs to end."""
        ...


class Commands:
    """A batch system behind its commands.

    Parameters
    ----------
    document
        The commands.
    templates
        The folder of submit descriptions.
    environment
        What its commands find in their environment besides ours.
    """

    def __init__(self, document: BatchDocument, templates: Path, environment: Mapping[str, str]) -> None:
        self._document = document
        self._templates = templates
        self._environment = {**os.environ, **environment}

    def submit(self, request: Request) -> str:
        """See `BatchSystem.submit`."""
        values = {
            "pilot": request.pilot,
            "cores": request.cores,
            "memory_mb": request.memory_mb,
            "walltime_min": request.walltime_min,
            "out": request.out,
            "description": request.folder / DESCRIPTION,
        }
        words = [word.format_map(values) for word in self._document.submit]
        if self._document.template:
            self._describe(request)
        else:
            words += [*request.options, str(request.script)]
        done = self._run(words)
        found = _NUMBER.match(done.stdout)
        if not found:
            raise BackendError(f"{words[0]} gave no id: {' '.join(done.stdout.split()) or 'nothing'}")
        return found[1]

    def living(self) -> set[str]:
        """See `BatchSystem.living`."""
        lines = self._run(self._document.living).stdout.splitlines()
        return {found[1] for found in map(_NUMBER.match, lines) if found}

    def cancel(self, ids: Sequence[str]) -> None:
        """See `BatchSystem.cancel`."""
        self._run([*self._document.cancel, *ids])

    def _describe(self, request: Request) -> None:
        template = _TEMPLATES.from_string((self._templates / self._document.template).read_text())
        scratch_kb = request.scratch_mb * 1024
        text = template.render(**{**vars(request), "scratch_kb": scratch_kb})
        (request.folder / DESCRIPTION).write_text(text)

    def _run(self, words: Sequence[str]) -> Result:
        done = run(words, self._environment)
        if done.exit_code:
            why = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.exit_code}"
            raise BackendError(f"{words[0]}: {why}" if words[0] not in why else why)
        return done


class ThisMachine:
    """The machine that we are on: pilots are processes that outlive us. An id is a pid and when it started."""

    def submit(self, request: Request) -> str:
        """See `BatchSystem.submit`."""
        pid = leave(start(["/bin/sh", str(request.script)], request.folder, log=request.out.name))
        return f"{pid}-{_started(pid)}"

    def living(self) -> set[str]:
        """See `BatchSystem.living`: every process of this machine, of which ours are some."""
        pids = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
        return {f"{pid}-{_started(pid)}" for pid in pids}

    def cancel(self, ids: Sequence[str]) -> None:
        """See `BatchSystem.cancel`."""
        for one in ids:
            pid, _, started = one.partition("-")
            if _started(int(pid)) == started:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty if it is not there any more."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after[0] == "Z" else after[19]
