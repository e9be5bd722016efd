"""Disks that run full or cannot be written: one calm line, nothing lost, and the same command goes on."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.grid.disk import NEEDS_MOUNT, Disk, small_disk
from tests.production.gated import Gated, gated, is_done
from tests.production.soundness import is_sound, running

pytestmark = NEEDS_MOUNT


@dataclass(frozen=True)
class Place:
    """A desk with one of its folders on a disk of its own, and what is told when that disk is in trouble."""

    desk: Gated
    disk: Disk
    told: str


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    scratch = tmp_path / "scratch"
    desk = gated(tmp_path, {"LOFARGRID_SCRATCH": str(scratch)})
    elsewhere = tmp_path / "attempts"
    folder, told = {
        "tracker": (desk.tracker, f"{desk.tracker}/tracker.db"),
        "log": (desk.tracker / "attempts", f"{desk.tracker}/attempts/"),
        "output": (desk.folder / "products", f"{desk.folder}/products/"),
        "scratch": (scratch, f"{scratch}/"),
    }[request.param]
    with small_disk(folder) as disk:
        if request.param == "tracker":
            elsewhere.mkdir()
            (desk.tracker / "attempts").symlink_to(elsewhere)
        yield Place(desk, disk, told)
        desk("cancel", "field", code=None)


def calm_line(err: str, place: Place, problem: str) -> None:
    """One line, and one only, names the file, what is wrong with it and what helps."""
    lines = [line for line in err.splitlines() if problem in line]
    assert len(lines) == 1, err
    assert place.told in lines[0]
    assert any(word in lines[0] for word in ("Free space", "has space", "writable", "can be written"))
    assert "Traceback" not in err


@pytest.mark.parametrize("place", ["tracker", "log", "output"], indirect=True)
def test_a_disk_that_runs_full_while_jobs_run_is_told_and_the_same_command_goes_on(place: Place) -> None:
    with running(place.desk) as process:
        place.desk.wait_for(2, "j.state = 'running'")
        place.disk.fill()
        gate = place.desk.open_gate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    calm_line(err, place, "full" if place.told.endswith(".db") else "No space left")
    is_sound(place.desk)
    assert list((place.desk.folder / "products").glob(".*.part")) == []
    place.disk.free()
    place.desk("run", "production.yaml")
    is_done(place.desk)
    os.close(gate)


@pytest.mark.parametrize("place", ["tracker", "log"], indirect=True)
def test_a_disk_that_is_full_at_the_start_is_told_and_the_same_command_goes_on(place: Place) -> None:
    place.disk.fill()
    said = place.desk("run", "production.yaml", code=None)
    assert said.code in (1, 2)
    calm_line(said.err, place, "full" if place.told.endswith(".db") else "No space left")
    place.disk.free()
    gate = place.desk.open_gate()
    place.desk("run", "production.yaml")
    is_done(place.desk)
    os.close(gate)


@pytest.mark.parametrize("place", ["scratch"], indirect=True)
def test_a_scratch_disk_that_runs_full_is_the_reason_told_and_the_same_command_goes_on(place: Place) -> None:
    with running(place.desk) as process:
        place.desk.wait_for(2, "j.state = 'running'")
        place.disk.fill()
        gate = place.desk.open_gate()
        place.desk.wait_for(2, "j.reason IN ('scratch-full', 'stage-out-failed')")
        said = place.desk("why", "L100000-SAP000-SB000-copy").out
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the scratch disk ran full" in said
    assert "No space left" in said
    place.disk.free()
    place.desk("run", "production.yaml")
    is_done(place.desk)
    os.close(gate)


@pytest.mark.parametrize("place", ["tracker", "log", "output"], indirect=True)
def test_a_disk_that_cannot_be_written_any_more_is_told_and_the_same_command_goes_on(place: Place) -> None:
    place.desk("submit", "production.yaml")
    gate = place.desk.open_gate()
    place.disk.remount("ro")
    said = place.desk("run", "production.yaml", code=None)
    assert said.code in (1, 2)
    calm_line(said.err, place, "read-only" if "database" in said.err else "Read-only")
    place.disk.remount("rw")
    place.desk("run", "production.yaml")
    is_done(place.desk)
    os.close(gate)
