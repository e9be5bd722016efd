"""Tapes, seen through the recall service. See tests/contracts for what every recall promises."""

from __future__ import annotations

import pytest

from lofargrid.errors import BackendError
from lofargrid.simulation.faults import Cause, Faults
from lofargrid.simulation.grid import Grid
from lofargrid.simulation.tape import Library
from lofargrid.storage.base import Locality, Pinning, Recalled, RecallState
from tests.unit.simulation.grids import SIZE_BYTES, add_input, grid, later, url

LIBRARY = Library(drives=2, mount_s=100.0, drive_mb_s=200.0, files_per_cartridge=3)
READ_S = SIZE_BYTES / 1e6 / 200.0
WEEK_S = 7 * 86400.0


def archive(count: int, faults: Faults | None = None, library: Library = LIBRARY) -> tuple[Grid, list[str]]:
    """Some files on tape."""
    one = grid(faults, libraries={"NEAR": library})
    for number in range(count):
        add_input(one, number, on_tape=True)
    return one, [url(number) for number in range(count)]


def online(one: Grid, urls: list[str]) -> list[int]:
    found = one.recall.locality(urls)
    return [number for number, place in enumerate(urls) if found[place] is Locality.ONLINE]


def ask_for(one: Grid, urls: list[str], lifetime_s: float) -> None:
    one.recall.how = Pinning(lifetime_s=lifetime_s)
    one.recall.request(urls)


def cache(files: float) -> Library:
    return Library(2, 100.0, 200.0, files * SIZE_BYTES / 1e6, 3)


def test_a_cartridge_is_mounted_once_and_its_files_come_one_after_the_other() -> None:
    one, urls = archive(3)
    one.recall.request(urls)
    later(one, 99.0 + READ_S)
    assert online(one, urls) == []
    seen = []
    for _ in urls:
        later(one, 1.0 if not seen else READ_S)
        seen.append(online(one, urls))
    assert seen == [[0], [0, 1], [0, 1, 2]]
    assert one.tapes["NEAR"].mounts == 1
    assert sum(one.tapes["NEAR"].recalled_mb.values()) == pytest.approx(3 * SIZE_BYTES / 1e6)


def test_no_more_cartridges_are_read_at_once_than_there_are_drives() -> None:
    one, urls = archive(9)
    one.recall.request(urls)
    later(one, 100.0 + 3 * READ_S)
    assert online(one, urls) == [0, 1, 2, 3, 4, 5]
    later(one, 100.0 + 3 * READ_S)
    assert (len(online(one, urls)), one.tapes["NEAR"].mounts) == (9, 3)


def test_a_file_that_two_ask_for_is_read_once() -> None:
    one, urls = archive(1)
    requests = [one.recall.request(urls) for _ in range(2)]
    later(one, 1000.0)
    assert [one.recall.poll(request, urls)[urls[0]].state for request in requests] == [RecallState.ONLINE] * 2
    assert sum(one.tapes["NEAR"].recalled_mb.values()) == pytest.approx(SIZE_BYTES / 1e6)


def test_what_is_pinned_stays_and_what_is_released_makes_room_for_others() -> None:
    one, urls = archive(6, library=cache(3))
    first = one.recall.request(urls[:3])
    later(one, 1000.0)
    request = one.recall.request(urls[3:5])
    later(one, 1000.0)
    assert online(one, urls) == [0, 1, 2]
    one.recall.release(first, [urls[1]])
    later(one, 1000.0)
    assert online(one, urls) == [0, 2, 3]
    assert [seen.state for seen in one.recall.poll(request, urls).values()] == [RecallState.ONLINE, RecallState.QUEUED]
    assert one.tapes["NEAR"].cached_mb == pytest.approx(3 * SIZE_BYTES / 1e6)


def test_a_pin_that_ran_out_makes_room_unless_the_file_was_asked_for_again() -> None:
    one, urls = archive(3, library=cache(2))
    ask_for(one, urls[:2], 5000.0)
    later(one, 1000.0)
    for lifetime_s in (WEEK_S, 10.0):  # a shorter one takes nothing away
        ask_for(one, urls[:1], lifetime_s)
    one.recall.request(urls[2:])
    later(one, 3000.0)
    assert online(one, urls) == [0, 1]
    later(one, 3000.0)
    assert online(one, urls) == [0, 2]


def test_a_file_larger_than_the_cache_passes_through_an_empty_one() -> None:
    one, urls = archive(1, library=cache(0.5))
    one.recall.request(urls)
    later(one, 1000.0)
    assert online(one, urls) == [0]


def test_a_recall_that_failed_says_so_and_can_be_asked_for_again() -> None:
    one, urls = archive(40, Faults(recall_failed=0.5))
    request = one.recall.request(urls)
    later(one, 10_000.0)
    polled = one.recall.poll(request, urls)
    failed = [place for place in urls if polled[place].state is RecallState.FAILED]
    assert 10 < len(failed) < 30
    assert len(online(one, urls)) == 40 - len(failed)
    assert polled[failed[0]] == Recalled(RecallState.FAILED, "the drive failed: request timed out")
    for _ in range(20):
        one.recall.request(urls)
        later(one, 10_000.0)
    assert len(online(one, urls)) == 40


def test_a_lost_file_never_comes() -> None:
    one, urls = archive(1, Faults(tape_lost=1.0))
    request = one.recall.request(urls)
    later(one, 1000.0)
    assert one.recall.poll(request, urls)[urls[0]].state is RecallState.FAILED
    assert one.recall.locality(urls) == {urls[0]: Locality.LOST}


def test_the_service_may_say_online_of_a_file_that_is_not() -> None:
    one, urls = archive(1, Faults(recall_lied=1.0))
    request = one.recall.request(urls)
    assert one.recall.poll(request, urls)[urls[0]].state is RecallState.ONLINE
    assert one.recall.locality(urls)[urls[0]] is Locality.NEARLINE
    assert one.trace.faults[Cause.RECALL_LIED] == 1


def test_a_request_may_hang_for_ever_and_another_one_help() -> None:
    one, urls = archive(30, Faults(recall_hangs=0.3))
    request = one.recall.request(urls)
    later(one, 1e6)
    hanging = [place for place, seen in one.recall.poll(request, urls).items() if seen.state is RecallState.QUEUED]
    assert 0 < len(hanging) < 30
    for _ in range(20):
        one.recall.request(hanging)
        later(one, 10_000.0)
    assert set(one.recall.locality(hanging).values()) == {Locality.ONLINE}


def test_the_service_may_forget_a_request_and_what_of_it_has_not_come() -> None:
    one, urls = archive(1, Faults(recall_forgotten=1.0))
    request = one.recall.request(urls)
    assert one.recall.poll(request, urls) == {}
    later(one, 10_000.0)
    assert online(one, urls) == []
    assert one.trace.faults[Cause.RECALL_FORGOTTEN] == 1


def test_a_pin_may_run_out_early() -> None:
    one, urls = archive(1, Faults(pin_short=1.0))
    one.recall.request(urls)
    later(one, 120.0)
    assert online(one, urls) == [0]
    later(one, WEEK_S / 2)
    assert online(one, urls) == []


def test_a_site_in_trouble_recalls_nothing_and_an_expired_proxy_asks_for_nothing() -> None:
    one, urls = archive(1)
    one.weather.add(Cause.STORAGE_DOWN, "NEAR", 0.0, 100.0)
    one.weather.add(Cause.CREDENTIAL_EXPIRED, "*", 100.0, 200.0)
    assert one.recall.poll(one.recall.request(urls), urls)[urls[0]].state is RecallState.FAILED
    later(one, 150.0)
    for call in (lambda: one.recall.request(urls), lambda: one.recall.release("recall-1", urls)):
        with pytest.raises(BackendError, match="the proxy has expired"):
            call()
