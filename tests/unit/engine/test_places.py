"""How jobs read the files that they are sent to."""

from __future__ import annotations

from typing import Any

from lofargrid.engine.places import Places
from lofargrid.storage.base import Way


def no_matter(*_: object) -> Any:
    raise AssertionError


def test_jobs_read_a_file_with_the_token_of_its_storage() -> None:
    places = Places(
        "janneke", "j@x", no_matter, no_matter, no_matter,
        turl=lambda url: url.replace("srm://", "davs://"),
        token=lambda url: "/tokens/here" if url.startswith("davs://here/") else "",
    )  # fmt: skip
    assert places.way("srm://here/a") == Way("davs://here/a", "/tokens/here")
    assert places.way("srm://there/a") == Way("davs://there/a")
