"""Reading and verifying a proxy, beside the wall time of `voms-proxy-info`, which reads it. In turn.

Ours in this process, as a run does it before it hands anything over; the libraries are loaded before.
"""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from side_by_side import compare, timed, verdict

from lofargrid.credentials.proxy import read_proxy
from lofargrid.credentials.trust import Trust
from tests.grid.authority import Authority
from tests.grid.unpacked import unpacked
from tests.grid.voms import MEMBER, VO

TARGET = 0.1
TIMES = 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        vo = VO(folder, Authority(folder))
        path = vo.proxy(folder / "x509up", vo.authority.user("People", "Someone"), MEMBER)
        info = unpacked("voms", "bin/voms-proxy-info2") / "usr" / "bin" / "voms-proxy-info2"
        trust = Trust(vo.authority.certificates, vo.vomsdir)

        def ours() -> float:
            began = time.perf_counter()
            for _ in range(TIMES):
                doubts = trust.doubts(read_proxy(path), datetime.now(UTC))
                if doubts:
                    sys.exit(f"a good proxy is doubted: {doubts}")
            return time.perf_counter() - began

        def theirs() -> float:
            words = [str(info), "-all", "-file", str(path)]
            return sum(timed(words, vo.environment, folder / "log") for _ in range(TIMES))

        print(f"a proxy read and verified {TIMES} times")
        ours()
        return verdict(compare(ours, theirs, options.rounds, ("lofargrid", "voms-proxy-info")), TARGET)


if __name__ == "__main__":
    sys.exit(main())
