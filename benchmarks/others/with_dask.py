"""The jobs by dask-jobqueue: workers through HTCondor."""

import subprocess
import sys

from dask.distributed import Client
from dask_jobqueue import HTCondorCluster


def work(number: int, command: str) -> None:
    subprocess.run([*command.split(), str(number)], check=True)


if __name__ == "__main__":
    count, command = int(sys.argv[1]), sys.argv[2]
    cluster = HTCondorCluster(
        cores=1, processes=1, memory="512MB", disk="10MB", python=sys.executable, log_directory="logs",
        scheduler_options={"host": "127.0.0.1", "dashboard_address": None},
        job_extra_directives={"should_transfer_files": "YES", "transfer_output_files": '""'},
    )  # fmt: skip
    cluster.scale(jobs=2)
    client = Client(cluster)
    client.gather(client.map(work, range(count), command=command, pure=False))
    client.close()
    cluster.close()
