"""`make grid`: leave a grid running for a person to play with, and print what to try."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import yaml

from tests.grid.opening import prefix
from tests.grid.pool import Node, Pool

NODES = (Node("archive", "wn1"), Node("university", "wn2"), Node("broken", "wn3", broken=True))
LIMITS = {"backend": "htcondor", "slots": 2, "cores": 2, "memory_mb": 8000, "scratch_mb": 20000}
SITES = {"archive": {"tier": 1, **LIMITS}, "university": LIMITS, "broken": LIMITS}
TO_TRY = """\
A pool of three sites is up: archive, university, and broken, where every job fails. In another shell:

{exports}
    ./submit.py demo-data '{folder}/data'
    sed -i 's/^backend: .*/backend: htcondor/' '{folder}/data/production.yaml'
    ./submit.py run '{folder}/data/production.yaml'
    condor_q -allusers
    ./submit.py sites broken

Ctrl-C takes all of it down.
"""


def main() -> None:
    """Keep a pool until somebody has enough of it."""
    with tempfile.TemporaryDirectory(prefix="lofargrid-grid-") as name, Pool(prefix(), NODES) as pool:
        folder = Path(name)
        (folder / "sites.yaml").write_text(yaml.safe_dump({"sites": SITES}))
        settings = {
            **pool.environment,
            "LOFARGRID_SITES": f"{folder}/sites.yaml",
            "LOFARGRID_DATA": f"{folder}/tracker",
        }
        settings["PATH"] = settings["PATH"].removesuffix(os.environ["PATH"]) + "$PATH"
        exports = "\n".join(f'    export {key}="{value}"' for key, value in settings.items())
        print(TO_TRY.format(exports=exports, folder=folder), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    main()
