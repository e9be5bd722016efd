"""What opens the files that jobs and errands are sent to."""

from __future__ import annotations

from typing import Any

import pytest

from lofargrid.engine.places import Places
from lofargrid.errors import ExpiredError
from lofargrid.storage.base import Way


def ended(minutes: float) -> None:
    raise ExpiredError("the proxy has ended")


def no_matter(*_: object) -> Any:
    raise AssertionError


PLACES = Places(
    "janneke", "j@x", no_matter, no_matter, no_matter,
    turl=lambda url: url.replace("srm://", "davs://"),
    token=lambda url: "/tokens/here" if url.startswith("davs://here/") else "",
    leave=ended,
)  # fmt: skip


def test_jobs_read_a_file_with_the_token_of_its_storage() -> None:
    assert PLACES.way("srm://here/a") == Way("davs://here/a", "/tokens/here")
    assert PLACES.way("srm://there/a") == Way("davs://there/a")


def test_what_has_a_token_and_what_is_of_this_machine_asks_for_no_proxy() -> None:
    PLACES.require_open("davs://here/a", "file:///b")
    with pytest.raises(ExpiredError):
        PLACES.require_open("davs://there/a", "davs://here/a")
