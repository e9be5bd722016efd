"""Compare two files in a process of their own: casacore and HDF5 may crash on a damaged one.

It is this same module: `compare_alone` runs it with the suffix and the two files, and it prints the outcome.
"""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lofargrid.commands import run
from lofargrid.compare.kinds import Outcome, compare_content

_PATIENCE_S = 86400.0


def compare_alone(suffix: str, first: Path, second: Path) -> Outcome:
    """Compare as `compare_content` does; a crash is an outcome too, and leaves nothing behind."""
    words = [sys.executable, "-m", __spec__.name, suffix, str(first), str(second)]
    with tempfile.TemporaryDirectory(prefix="lofargrid-compare-") as folder:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": folder}
        result = run(words, environment, _PATIENCE_S)
    if result.exit_code == 0:
        return Outcome(**json.loads(result.stdout.splitlines()[-1]))
    how = f"signal {-result.exit_code}" if result.exit_code < 0 else f"exit code {result.exit_code}"
    why = result.stderr.strip().rsplit("\n", 1)[-1]
    return Outcome(False, f"{first} or {second} cannot be read: its reader ended with {how} {why}".rstrip())


def main(arguments: Sequence[str]) -> None:
    """Compare and print the outcome as a line of JSON."""
    suffix, first, second = arguments
    print(json.dumps(vars(compare_content(suffix, Path(first), Path(second)))))


if __name__ == "__main__":
    main(sys.argv[1:])
