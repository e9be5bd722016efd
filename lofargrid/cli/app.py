"""The verbs of ``submit.py``. Data goes to stdout, everything else to stderr."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lofargrid import __version__
from lofargrid.cli import acting, credentials, data, init, pilots, producing, reading, simulating, sites, status, tape
from lofargrid.cli.session import Session
from lofargrid.config import settings
from lofargrid.errors import InputError, LofarGridError

HELP = """Reprocess LOFAR observations: subbands in, image out.

    init > production.yaml, plan production.yaml, run production.yaml; then status, why, logs, get.

Exit codes: 0 done, 1 not all succeeded, 2 something in the input is wrong or a program is missing,
3 still to do (status), 130 interrupted (nothing is lost).
"""

INTERRUPTED = 130

app = typer.Typer(
    help=HELP,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (init, producing, simulating, status, reading, acting, data, sites, tape, pilots, credentials):
    module.register(app)


@app.callback()
def _options(
    context: typer.Context,
    tracker: Annotated[Path | None, typer.Option(metavar="FILE", help="The tracker's file, if not your own.")] = None,
) -> None:
    machine = settings()
    context.obj = Session(machine, (tracker or machine.tracker).absolute())


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    code
        The exit code.
    """
    code = _run(sys.argv[1:] if arguments is None else arguments)
    if code == INTERRUPTED:
        print("interrupted; nothing is lost, the same command goes on", file=sys.stderr)
    return code


def _run(words: list[str]) -> int:
    try:
        result: Any = app(words or ["--help"], prog_name="lofargrid", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        # Whoever read, `head` perhaps, has read enough. Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except InputError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return error.exit_code
    except LofarGridError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        print(f"{error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")) and hasattr(error, "format_message"):
            print(f"{error.format_message()} (see --help)", file=sys.stderr)
            return 2
        raise
