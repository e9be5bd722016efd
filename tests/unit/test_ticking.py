"""One process moves a tracker's jobs, others follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lofargrid.ticking import hold_tick, is_held

ROOT = Path(__file__).parents[2]


def test_only_one_holds_the_tick_of_a_tracker(tmp_path: Path) -> None:
    with hold_tick(tmp_path / "tracker.db") as first, hold_tick(tmp_path / "tracker.db") as second:
        assert (first, second) == (True, False)


def test_trackers_do_not_hinder_each_other(tmp_path: Path) -> None:
    with hold_tick(tmp_path / "a.db") as first, hold_tick(tmp_path / "b.db") as second:
        assert (first, second) == (True, True)


def test_who_let_it_go_leaves_it_to_the_next(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_tick(tmp_path / "tracker.db") as held:
            assert held


def test_a_follower_that_ends_takes_nothing_from_the_holder(tmp_path: Path) -> None:
    with hold_tick(tmp_path / "tracker.db"):
        with hold_tick(tmp_path / "tracker.db"):
            pass
        with hold_tick(tmp_path / "tracker.db") as held:
            assert not held


def test_others_can_see_whether_somebody_holds_it(tmp_path: Path) -> None:
    tracker = tmp_path / "tracker.db"
    assert not is_held(tracker)
    with hold_tick(tracker):
        assert is_held(tracker)
        assert is_held(tracker)
    assert not is_held(tracker)
    with hold_tick(tracker) as held:
        assert held


def test_it_falls_when_the_process_that_holds_it_is_killed(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'pilots')!r}]\n"
        "from pathlib import Path\nfrom lofargrid.ticking import hold_tick\n"
        f"with hold_tick(Path({str(tmp_path / 'tracker.db')!r})) as held:\n"
        "    print(held, flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "True\n"
        with hold_tick(tmp_path / "tracker.db") as held:
            assert not held
        other.kill()
    with hold_tick(tmp_path / "tracker.db") as held:
        assert held
