"""The jobs by parsl: pilots through HTCondor, results kept in checkpoints."""

import sys

import parsl
from parsl import bash_app
from parsl.config import Config
from parsl.dataflow.memoization import BasicMemoizer
from parsl.executors import HighThroughputExecutor
from parsl.providers import CondorProvider
from parsl.utils import get_all_checkpoints

count, command = int(sys.argv[1]), sys.argv[2]
provider = CondorProvider(
    init_blocks=2, min_blocks=2, max_blocks=2, cores_per_slot=1, mem_per_slot=1, walltime="00:20:00",
    worker_init=f"export PATH={sys.prefix}/bin:$PATH HOME=$PWD",
)  # fmt: skip
executor = HighThroughputExecutor(
    label="pool", address="127.0.0.1", loopback_address="127.0.0.1", max_workers_per_node=1, provider=provider
)
memoizer = BasicMemoizer(checkpoint_files=get_all_checkpoints("runinfo"), checkpoint_mode="task_exit")
parsl.load(Config(executors=[executor], run_dir="runinfo", memoizer=memoizer, usage_tracking=0))


@bash_app(cache=True)
def work(number: int, command: str) -> str:
    return f"{command} {number}"


for one in [work(number, command) for number in range(count)]:
    one.result()
parsl.dfk().cleanup()
