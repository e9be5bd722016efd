"""The command line of the zipapp: one verb, one function, in a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from .contract import Report, job_from_json
from .lock import HeldError, take
from .report import forget_report
from .runner import Setting, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXIT_SUCCEEDED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

USAGE = """\
usage: runner.pyz run JOB_JSON [--work DIR] [--grace SECONDS] [--lock-fd N] | inspect | errands
       runner.pyz join PILOT_JSON [--discard]

Run one attempt: stage in, payload, checks, stage out. Beside JOB_JSON it writes report.json and job.log.

  --work DIR       the work directory (made, and removed at the end; default: work beside JOB_JSON)
  --grace SECONDS  between SIGTERM and SIGKILL for the payload (default 10)
  --lock-fd N      an open descriptor of the file `lock` beside JOB_JSON, already locked by the caller

inspect looks at input files: it reads a JSON list of {"path", "size_bytes"} and prints a list of
{"reason", "detail"}.

errands speaks to grid storages: it reads {"tools", "errands"} and prints a list of what came of each errand, a
{"reason", "detail"} and what was asked. An errand is a {"do", "url"}; do is look, names, remove, remove_folder, or
copy with a "target" and its "adler32".

join makes this node a worker of an HTCondor pool. Beside PILOT_JSON lie the file token, which opens the pool, and
startd.config. It leaves when no job comes, when its time is up, or at a signal: SIGUSR1 lets its jobs come to their
end, SIGTERM does not. The last line that it prints is its report. --discard removes the folder of PILOT_JSON then.

exit code: 0 succeeded, 1 failed (report.json says why), 2 nothing was run (bad usage, unreadable JOB_JSON,
another runner at work in that directory)
"""


class UsageError(Exception):
    """The command line cannot be obeyed; nothing was touched."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one verb and return the exit code of the process."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return EXIT_SUCCEEDED
    try:
        verb = VERBS.get(arguments[0] if arguments else "")
        if verb is None:
            raise UsageError(USAGE.splitlines()[0])
        return verb(arguments[1:], environment)
    except (UsageError, OSError) as error:
        print(f"lofargrid runner: {error}", file=sys.stderr)
        return EXIT_USAGE


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    words, options = _parse(arguments, ("--work", "--grace", "--lock-fd"))
    if len(words) != 1:
        raise UsageError(USAGE.splitlines()[0])
    path = os.path.abspath(words[0])
    folder = os.path.dirname(path)
    grace_s = _number(options.get("--grace", "10"), "--grace")
    descriptor = int(_number(options["--lock-fd"], "--lock-fd")) if "--lock-fd" in options else None
    try:
        with open(path, encoding="utf-8") as file:
            spec = job_from_json(file.read())
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    try:
        lock = take(folder, descriptor)
    except (HeldError, ValueError) as error:
        raise UsageError(str(error)) from error
    forget_report(folder)
    work = os.path.abspath(options.get("--work", os.path.join(folder, "work")))
    try:
        return _tell(run(spec, Setting(folder, work, environment, grace_s, (lock,))))
    except OSError as error:
        print(f"lofargrid runner: cannot write log or report in {folder}: {error}", file=sys.stderr)
        return EXIT_FAILED
    finally:
        os.close(lock)


def _inspect(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    from .inspection import inspect

    return _answer(arguments, lambda entries: [inspect(entry) for entry in entries])


def _errands(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    import tempfile

    from .errands import Errands
    from .stop import Stop

    def do(asked: Any) -> Any:
        with tempfile.TemporaryDirectory(prefix="lofargrid-errands-") as folder, Stop(attended=True) as stop:
            errands = Errands(asked["tools"], environment, folder, stop)
            return [errands.do(one) for one in asked["errands"]]

    return _answer(arguments, do)


def _answer(arguments: Sequence[str], asked: Callable[[Any], Any]) -> int:
    """Read JSON, and print what is answered to it."""
    import json

    if arguments:
        raise UsageError(USAGE.splitlines()[0])
    try:
        question = json.load(sys.stdin)
    except ValueError as error:
        raise UsageError(f"no JSON on the standard input: {error}") from error
    print(json.dumps(asked(question)))
    return EXIT_SUCCEEDED


def _join(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    from .contract import pilot_from_json
    from .join import Place, join

    discard = "--discard" in arguments
    words, _ = _parse([one for one in arguments if one != "--discard"], ())
    if len(words) != 1:
        raise UsageError(USAGE.splitlines()[1].strip())
    path = os.path.abspath(words[0])
    try:
        with open(path, encoding="utf-8") as file:
            spec = pilot_from_json(file.read())
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    report = join(spec, Place(os.path.dirname(path), environment, discard))
    return EXIT_FAILED if report.reason else EXIT_SUCCEEDED


def _tell(report: Report) -> int:
    if report.succeeded:
        return EXIT_SUCCEEDED
    print(
        f"lofargrid runner: {report.attempt} failed in {report.stage}: {report.reason}: {report.detail}",
        file=sys.stderr,
    )
    return EXIT_FAILED


def _parse(arguments: Sequence[str], known: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    # By hand: argparse would double the start-up time of the runner.
    words: list[str] = []
    options: dict[str, str] = {}
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            words.append(word)
        elif name not in known:
            raise UsageError(f"unknown option {name}\n{USAGE.splitlines()[0]}")
        else:
            options[name] = value if equals else next(rest, "")
    return words, options


def _number(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e9:
        raise UsageError(f"{option} wants a number, not {text!r}")
    return value


VERBS = {"run": _run, "inspect": _inspect, "errands": _errands, "join": _join}
