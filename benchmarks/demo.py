"""The demo production, beside a plain shell script that runs the same commands with two processes.

Both start from the same tars, in turn, each round in fresh folders. The script checks nothing, keeps no
record and tries nothing again: what `run` takes more is the price of all that.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from side_by_side import compare, timed, verdict

TARGET = 1.5
HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        log = work / "log"
        command = [sys.executable, "-m", "lofargrid.cli"]
        tools = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        environment = {**os.environ, "PATH": tools, "LOFARGRID_SLOTS": "2"}
        timed([*command, "demo-data", str(work / "data")], environment, log)
        text = (work / "data" / "production.yaml").read_text()
        starts = 0

        def ours() -> float:
            nonlocal starts
            starts += 1
            production = work / "data" / f"round{starts}.yaml"
            production.write_text(text.replace("output: products", f"output: products{starts}"))
            fresh = {**environment, "LOFARGRID_DATA": str(work / f"tracker{starts}")}
            return timed([*command, "run", str(production)], fresh, log)

        def plain() -> float:
            words = ["bash", str(HERE / "plain.sh"), str(work / "data"), str(work / f"plain{starts}")]
            return timed(words, environment, log)

        print("the demo: 8 + 8 subbands to images, 2 processes")
        return verdict(compare(ours, plain, options.rounds, ("lofargrid", "plain script")), TARGET)


if __name__ == "__main__":
    sys.exit(main())
