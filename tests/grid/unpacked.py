"""What the scripts in .ci have unpacked for tests into the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def unpacked(name: str, program: str) -> Path:
    """Where a script has put something; without its program there the test fails, unless LOFARGRID_SKIP names it."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    found = Path(os.environ.get(f"LOFARGRID_{name.upper()}") or Path(cache) / "lofargrid" / name)
    if not (found / "usr" / program).exists():
        if name in os.environ.get("LOFARGRID_SKIP", "").split(","):
            pytest.skip(f"LOFARGRID_SKIP names {name}")
        pytest.fail(f"{name} is not in {found}: `make test` begins with unpacking it there")
    return found
