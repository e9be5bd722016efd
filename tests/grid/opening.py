"""Open a pool for this process, which speaks to it from then on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.grid.pool import Node, Pool


def prefix() -> Path:
    """Where .ci/install-htcondor has put HTCondor."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    found = Path(os.environ.get("LOFARGRID_HTCONDOR") or Path(cache) / "lofargrid" / "htcondor")
    if not (found / "usr" / "sbin" / "condor_master").exists():
        if "htcondor" in os.environ.get("LOFARGRID_SKIP", "").split(","):
            pytest.skip("LOFARGRID_SKIP names htcondor")
        pytest.fail(f"HTCondor is not in {found}: `make htcondor` unpacks it there")
    return found


@contextlib.contextmanager
def opened_pool(nodes: Sequence[Node], hidden: Sequence[Path] = (), path: str = "") -> Iterator[Pool]:
    """Open a pool, and let this process and those that it starts speak to it."""
    with Pool(prefix(), nodes, hidden, path) as pool, pytest.MonkeyPatch.context() as patch:
        for name, value in pool.environment.items():
            patch.setenv(name, value)
        import htcondor2

        htcondor2.reload_config()
        yield pool
