"""`make grid`: leave a grid running for a person to play with, and print what to try."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import yaml

from tests.grid.authority import Authority
from tests.grid.door import Door, commands
from tests.grid.opening import prefix
from tests.grid.pool import Node, Pool
from tests.grid.slurm import Slurm, slurm_prefix
from tests.grid.tape import TapeService
from tests.grid.voms import MEMBER, PRODUCTION, VO
from tests.grid.voms_server import VomsServer

NODES = (Node("archive", "wn1"), Node("university", "wn2"), Node("broken", "wn3", broken=True))
SURLS = "srm://srm.archive.test:8443/lofar"
LIMITS = {"backend": "htcondor", "slots": 2, "cores": 2, "memory_mb": 8000, "scratch_mb": 20000}
TO_TRY = """\
Up are a pool of three sites (archive, university, and broken, where every job fails) and a Slurm cluster, whose nodes
join the pool as pilots when jobs wait for it. In another shell:

{exports}
    ./submit.py doctor
    ./submit.py demo-data '{folder}/data'
    sed -i 's/^backend: .*/backend: htcondor/' '{folder}/data/production.yaml'
    ./submit.py run '{folder}/data/production.yaml'

and in a third one, with the same settings, while it runs:

    ./submit.py pilots
    squeue
    condor_q -allusers
    ./submit.py sites broken

Take one of Slurm's job ids for {id} in `./submit.py why {id}`, `./submit.py pilots drain {id}`, or `scancel {id}`.

The archive also has a storage, guarded by a VO, whose files are on tape. To put the inputs there and the products, and
make them once more:

    ./submit.py proxy --new
    mv '{folder}'/data/*.tar '{store}'
    sed -i 's|^L9|{surls}/L9|' '{folder}'/data/*.surls
    sed -i 's|^production: .*|production: from-tape|; s|^output: .*|output: {davs}/products|' \
        '{folder}/data/production.yaml'
    ./submit.py run '{folder}/data/production.yaml'

    ./submit.py tape
    ./submit.py get from-tape --link
    gfal-ls -l {davs}/products

Ctrl-C takes all of it down.
"""


def main() -> None:
    """Keep a grid until somebody has enough of it."""
    with tempfile.TemporaryDirectory(prefix="lofargrid-grid-") as name:
        _keep(Path(name))


def _keep(folder: Path) -> None:
    vo = VO(folder, Authority(folder))
    janneke = vo.authority.user("Janneke")
    clients = commands(folder)
    node = {**vo.environment, "PATH": f"{clients}:{os.environ['PATH']}"}
    with (
        Pool(prefix(), NODES, job_environment=node) as pool,
        Slurm(slurm_prefix(), "wn5.cluster.lofargrid.test") as slurm,
        Door(vo, "archive") as door,
        TapeService(vo, door, delay_s=20.0) as tapes,
        VomsServer(vo, {janneke: ["production"]}) as voms,
    ):
        (folder / "sites.yaml").write_text(yaml.safe_dump({"sites": _sites(pool, slurm, door, tapes, vo)}))
        proxy = vo.proxy(folder / "x509up", janneke, PRODUCTION, MEMBER)
        settings = {
            **pool.environment,
            **vo.environment,
            **{name: value for name, value in voms.environment.items() if name != "PATH"},
            "X509_USER_CERT": str(janneke.certificate_file),
            "X509_USER_KEY": str(janneke.key_file),
            "LOFARGRID_PROXY": str(proxy),
            "X509_USER_PROXY": str(proxy),
            "LOFARGRID_SITES": f"{folder}/sites.yaml",
            "LOFARGRID_DATA": f"{folder}/tracker",
        }
        paths = settings["PATH"].removesuffix(os.environ["PATH"])
        settings["PATH"] = f"{voms.commands}:{clients}:{slurm.commands}:{paths}$PATH"
        exports = "\n".join(f'    export {key}="{value}"' for key, value in settings.items())
        places = {"folder": folder, "store": door.store / "lofar", "surls": SURLS, "davs": door.davs}
        print(TO_TRY.format(exports=exports, id="ID", **places), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def _sites(pool: Pool, slurm: Slurm, door: Door, tapes: TapeService, vo: VO) -> dict[str, object]:
    pilots = {"through": "slurm", "at_most": 1, "memory_mb": 4000, "scratch_mb": 1000, "idle_min": 1,
              "logs": str(slurm.logs), "htcondor": str(pool.prefix), "environment": vo.environment}  # fmt: skip
    storage = {
        "prefixes": [SURLS],
        "doors": {"davs": door.addresses["davs"]},
        "recall": {"by": "tape-rest", "at": tapes.url},
    }
    return {"archive": {"tier": 1, **LIMITS, **storage}, "university": LIMITS, "broken": LIMITS,
            "cluster": {**LIMITS, "pilots": pilots}}  # fmt: skip


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # one that is ignored, as by whoever starts this with &, never comes
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    main()
