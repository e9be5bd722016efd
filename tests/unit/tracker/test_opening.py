"""Opening the tracker: the right file system, permissions and schema, or a clear refusal."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lofargrid.errors import TrackerError
from lofargrid.tracker import open_tracker
from lofargrid.tracker.opening import NETWORK_FILE_SYSTEMS, file_system

ROOT = Path(__file__).parents[3]


def mounts(folder: Path, *lines: str) -> Path:
    path = folder / "mounts"
    path.write_text("".join(f"{line}\n" for line in ("/dev/sda / ext4 rw 0 0", *lines)))
    return path


def test_a_tracker_is_made_with_its_folder_and_keeps_its_own_random_id(tmp_path: Path) -> None:
    path = tmp_path / "not yet" / "tracker.db"
    first = open_tracker(path)
    again = open_tracker(path)
    other = open_tracker(tmp_path / "other.db")
    assert len(first.id) == 8
    assert (again.id == first.id, other.id == first.id) == (True, False)
    for one in (first, again, other):
        one.close()


def test_nobody_else_can_read_it_nor_what_sqlite_puts_beside_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        tracker = open_tracker(tmp_path / "data" / "tracker.db")
        with tracker.transaction():
            tracker.add_production("field", "hash", "{}", "now")
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    finally:
        os.umask(before)
    tracker.close()
    assert set(found) >= {"tracker.db", "tracker.db-wal"}
    assert set(found.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_tracker_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    open_tracker(path).close()
    path.chmod(0o644)
    open_tracker(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_tracker_of_a_newer_lofargrid_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    open_tracker(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
                           " VALUES ('lofargrid', 'tapes', '2030')")  # fmt: skip
    connection.close()
    before = path.read_bytes()
    with pytest.raises(TrackerError, match=r"made by a newer lofargrid \(it has tapes\)\. .*--tracker"):
        open_tracker(path)
    assert path.read_bytes() == before


def test_a_tracker_whose_migrations_are_up_to_date_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    open_tracker(path).close()
    with sqlite3.connect(path) as connection:
        before = connection.execute("SELECT * FROM _sqlite_migrations").fetchall()
        schema = connection.execute("SELECT sql FROM sqlite_master").fetchall()
    open_tracker(path).close()
    assert connection.execute("SELECT * FROM _sqlite_migrations").fetchall() == before
    assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == schema
    connection.close()


def test_several_processes_that_make_it_at_once_make_one(tmp_path: Path) -> None:
    """`run` in one window, `status` in another, both for the first time."""
    path = tmp_path / "tracker.db"
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'pilots')!r}]\n"
        "from pathlib import Path\nfrom lofargrid.tracker import open_tracker\n"
        "print('here', flush=True); sys.stdin.readline()\n"
        f"print(open_tracker(Path({str(path)!r})).id)\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "here\n"
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    ids = {child.communicate(timeout=60)[0].strip() for child in children}
    assert [child.returncode for child in children] == [0, 0, 0, 0]
    assert len(ids) == 1


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    path.write_text("my notes, " * 200)
    with pytest.raises(TrackerError, match=f"{path}: the tracker cannot be used: file is not a database"):
        open_tracker(path)
    assert path.read_text() == "my notes, " * 200


def test_a_file_where_its_folder_should_be_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(TrackerError, match=r"cannot be used: .*LOFARGRID_DATA"):
        open_tracker(tmp_path / "data" / "tracker.db")


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "tracker.db").mkdir()
    with pytest.raises(TrackerError, match=r"the tracker cannot be used: unable to open database file"):
        open_tracker(tmp_path / "tracker.db")


def test_a_folder_that_cannot_be_written_is_told_as_such() -> None:
    """/sys takes no files, not even from root."""
    with pytest.raises(TrackerError, match=r"the tracker cannot be used: .*See that its folder can be written"):
        open_tracker(Path("/sys/tracker.db"), Path("/no mounts"))


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused_with_a_local_path(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    table = mounts(tmp_path, f"server:/home {home} {kind} rw 0 0")
    with pytest.raises(TrackerError, match=rf"is on {kind}, a network file system.*LOFARGRID_DATA=/var/tmp/"):
        open_tracker(home / "someone" / "tracker.db", table)
    assert not home.exists(), "nothing was made"


def test_a_local_disk_mounted_below_a_network_one_is_fine(tmp_path: Path) -> None:
    table = mounts(tmp_path, f"server:/x {tmp_path} nfs4 rw 0 0", f"/dev/sdb {tmp_path}/local ext4 rw 0 0")
    open_tracker(tmp_path / "local" / "tracker.db", table).close()


@pytest.mark.parametrize(
    ("path", "lines", "kind"),
    [
        ("/home/a/t.db", (), "ext4"),
        ("/home/a/t.db", ("s:/ /home nfs4 rw",), "nfs4"),
        ("/homes/a/t.db", ("s:/ /home nfs4 rw",), "ext4"),
        ("/home/a/t.db", ("s:/ /home nfs4 rw", "none /home tmpfs rw"), "tmpfs"),
        ("/home/my data/t.db", ("s:/ /home/my\\040data lustre rw",), "lustre"),
        ("/home/a/t.db", ("broken",), "ext4"),
    ],
)
def test_the_deepest_and_latest_mount_above_a_path_tells_its_kind(
    tmp_path: Path, path: str, lines: tuple[str, ...], kind: str
) -> None:
    assert file_system(Path(path), mounts(tmp_path, *lines)) == kind


def test_a_link_to_a_network_file_system_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "server")
    table = mounts(tmp_path, f"server:/x {tmp_path}/server nfs rw 0 0")
    assert file_system(tmp_path / "link" / "tracker.db", table) == "nfs"


def test_a_machine_without_a_mounts_file_is_trusted(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "none") == ""
    empty = tmp_path / "mounts"
    empty.touch()
    assert file_system(tmp_path, empty) == ""
