"""Storages in trouble. See tests/contracts for what every storage promises."""

from __future__ import annotations

import pytest

from lofargrid.errors import BackendError
from lofargrid.simulation.faults import Cause, Faults
from tests.unit.simulation.grids import SIZE_BYTES, add_input, grid, url

PRODUCT = "davs://far.example/scratch/product"


def test_a_copy_takes_no_time_and_is_booked_on_the_links_that_it_crosses() -> None:
    one = grid()
    given = add_input(one, 1)
    one.storage.copy(url(1), PRODUCT, given.adler32 or "")
    assert one.clock.elapsed_s == 0.0
    assert dict(one.network.wide["NEAR"].booked_mb) == dict(one.network.wide["FAR"].booked_mb) == {0: SIZE_BYTES / 1e6}
    copied, source = one.files.get(PRODUCT), one.files.get(url(1))
    assert copied
    assert source
    assert (copied.content, copied.site) == (source.content, "FAR")


@pytest.mark.parametrize(
    ("trouble", "words", "writes_only"),
    [
        (Cause.STORAGE_DOWN, "Connection timed out", False),
        (Cause.CREDENTIAL_REFUSED, "Permission denied", False),
        (Cause.STORAGE_FULL, "No space left on device", True),
        (Cause.CREDENTIAL_EXPIRED, "the proxy has expired", False),
    ],
)
def test_a_storage_in_trouble_fails_every_call_that_needs_what_it_lacks(
    trouble: Cause, words: str, writes_only: bool
) -> None:
    one = grid()
    adler32 = add_input(one, 1).adler32 or ""
    one.weather.add(trouble, "*" if trouble is Cause.CREDENTIAL_EXPIRED else "FAR", 0.0, 100.0)
    for call in (lambda: one.storage.write(PRODUCT, b"x"), lambda: one.storage.copy(url(1), PRODUCT, adler32)):
        with pytest.raises(BackendError, match=f"scratch/product: {words}"):
            call()
    others = (lambda: one.storage.stat(PRODUCT), lambda: one.storage.list("davs://far.example/scratch"),
              lambda: one.storage.delete(PRODUCT))  # fmt: skip
    for other in others:
        if writes_only:
            other()
        else:
            with pytest.raises(BackendError, match=words):
                other()
    one.clock.advance(100.0)
    one.storage.copy(url(1), PRODUCT, adler32)
    assert one.storage.list("davs://far.example/scratch") == [PRODUCT]


def test_a_copy_needs_its_source_too() -> None:
    one = grid()
    adler32 = add_input(one, 1).adler32 or ""
    one.weather.add(Cause.STORAGE_DOWN, "NEAR", 0.0, 100.0)
    with pytest.raises(BackendError, match=r"SB001\.tar: Connection timed out"):
        one.storage.copy(url(1), PRODUCT, adler32)
    assert one.files.get(PRODUCT) is None


def test_the_disk_of_the_submit_host_needs_no_credential() -> None:
    one = grid()
    one.weather.add(Cause.CREDENTIAL_EXPIRED, "*", 0.0, 100.0)
    one.storage.write("file:///home/a/product", b"x")
    assert one.files.held_bytes == {"": 1}


@pytest.mark.parametrize("fault", ["call_refused", "answer_lost"])
def test_a_call_that_failed_can_be_made_again(fault: str) -> None:
    one = grid(Faults(**{fault: 0.5}))
    for number in range(20):
        place = f"davs://far.example/scratch/{number}"
        while True:
            try:
                one.storage.write(place, b"x")
                break
            except BackendError:
                continue
        found = one.files.get(place)
        assert found
        assert found.complete
    assert one.trace.faults[fault.replace("_", "-")] > 0
