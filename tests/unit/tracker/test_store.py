"""Transactions: all of it or nothing, and a disk in trouble is a trouble, not a crash."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lofargrid.errors import BackendError, TrackerError
from lofargrid.tracker import Tracker, open_tracker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    open_tracker(tmp_path / "tracker.db").close()
    return tmp_path / "tracker.db"


def opened(path: Path, timeout: float = 0) -> tuple[Tracker, sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=timeout)
    return Tracker(connection, path), connection


def test_a_transaction_that_ends_well_is_there_for_others(path: Path) -> None:
    tracker, other = open_tracker(path), open_tracker(path)
    with tracker.transaction():
        tracker.add_production("field", "hash", "{}", "now")
        assert other.production("field") is None
    assert other.production("field") is not None


def test_a_transaction_within_one_is_part_of_it(path: Path) -> None:
    tracker = open_tracker(path)
    with pytest.raises(KeyboardInterrupt), tracker.transaction():
        with tracker.transaction():
            tracker.add_production("field", "hash", "{}", "now")
        raise KeyboardInterrupt
    assert tracker.production("field") is None


def test_the_write_lock_is_taken_at_once(path: Path) -> None:
    first, second = opened(path)[0], opened(path)[0]
    with first.transaction(), pytest.raises(BackendError, match=f"cannot write the tracker {path}: database is locked"):
        second.transaction().__enter__()
    with second.transaction():
        second.add_production("field", "hash", "{}", "now")


def test_a_reader_never_waits_for_a_writer(path: Path) -> None:
    writer, reader = opened(path)[0], opened(path)[0]
    with writer.transaction():
        writer.add_production("field", "hash", "{}", "now")
        assert reader.productions() == []


def test_a_full_disk_undoes_the_transaction_and_a_later_one_goes_through(path: Path) -> None:
    tracker, connection = opened(path)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(BackendError, match="database or disk is full"), tracker.transaction():
        tracker.add_production("small", "hash", "{}", "now")
        tracker.add_production("large", "hash", "x" * 100_000, "now")
    assert tracker.productions() == []
    connection.execute("PRAGMA max_page_count = 100000")
    with tracker.transaction():
        tracker.add_production("large", "hash", "x" * 100_000, "now")
    assert [one.name for one in tracker.productions()] == ["large"]


def test_it_tells_whether_another_process_changed_the_file(path: Path) -> None:
    tracker, other = open_tracker(path), open_tracker(path)
    assert not tracker.changed_outside()
    tracker.add_production("own", "hash", "{}", "now")
    assert not tracker.changed_outside()
    other.productions()
    assert not tracker.changed_outside()
    other.add_production("theirs", "hash", "{}", "now")
    assert tracker.changed_outside()
    assert not tracker.changed_outside()


def test_a_damaged_file_is_told_with_the_way_to_save_what_can_be(path: Path) -> None:
    tracker = open_tracker(path)
    with tracker.transaction():
        for number in range(100):
            tracker.add_production(f"field{number}", "hash", "{}" * 1000, "now")
    tracker.close()
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content)):
        content[place] = 0x5A
    path.write_bytes(content)
    tracker, _ = opened(path)
    with pytest.raises(TrackerError, match=f"{path}: the tracker is damaged: .*malformed. Save what can be: sqlite3 "):
        tracker.productions()
    with pytest.raises(TrackerError, match="damaged"), tracker.transaction():
        tracker.write("UPDATE productions SET recipe = 'other'")
