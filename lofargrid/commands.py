"""The only place that starts processes on the submit host: argument lists, never a shell."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """What a command that ended left."""

    exit_code: int
    stdout: str
    stderr: str


def run(
    words: Sequence[str],
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 60,
    stdin: str = "",
) -> Result:
    """Run a command to its end.

    A program that is not there gives 127, one that cannot be run 126, one that takes longer than ``timeout_s``
    is killed and gives 124.
    """
    try:
        done = subprocess.run(
            words,
            env=environment,
            timeout=timeout_s,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        return Result(127, "", f"{words[0]}: not found")
    except OSError as error:
        return Result(126, "", f"{words[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Result(124, "", f"{words[0]}: no answer in {timeout_s:g} s")
    return Result(done.returncode, done.stdout, done.stderr)


def start(
    words: Sequence[str],
    folder: Path,
    keep: Sequence[int] = (),
    log: str = "runner.log",
    also: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one: a session of its own, no terminal.

    Parameters
    ----------
    words
        The command.
    folder
        Its working folder.
    keep
        File descriptors that it inherits.
    log
        The file in its folder that takes what it prints.
    also
        Variables that it is given beside our own.
    """
    with (folder / log).open("ab") as out:
        return subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **(also or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            pass_fds=keep,
        )


def leave(process: subprocess.Popen[bytes]) -> int:
    """Let a process go on by itself, and give its id; it is reaped when it has ended."""
    _left[:] = [one for one in _left if one.poll() is None]
    _left.append(process)
    return process.pid


_left: list[subprocess.Popen[bytes]] = []
