"""Open a pool for this process, which speaks to it from then on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.grid.pool import Node, Pool
from tests.grid.unpacked import unpacked


def prefix() -> Path:
    """Where .ci/install-htcondor has put HTCondor."""
    return unpacked("htcondor", "sbin/condor_master")


@contextlib.contextmanager
def opened_pool(
    nodes: Sequence[Node], hidden: Sequence[Path] = (), job_environment: Mapping[str, str] | None = None
) -> Iterator[Pool]:
    """Open a pool, and let this process and those that it starts speak to it."""
    with Pool(prefix(), nodes, hidden, job_environment) as pool, pytest.MonkeyPatch.context() as patch:
        for name, value in pool.environment.items():
            patch.setenv(name, value)
        import htcondor2

        htcondor2.reload_config()
        yield pool
