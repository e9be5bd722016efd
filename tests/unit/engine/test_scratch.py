"""Products get their final names; what nobody needs any more is deleted, whatever dies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lofargrid.errors import BackendError
from lofargrid.names import file_url
from lofargrid.states import JobState, Reason
from lofargrid.storage.local import LocalStorage
from tests.unit.engine_factories import (
    ALONE,
    BAND,
    CALIBRATE,
    FIRST,
    GAINS,
    GROUP,
    IMAGE_JOB,
    CrashError,
    World,
    name,
    recipe,
    subband,
)


def test_products_get_their_final_name_and_intermediates_go(world: World) -> None:
    world.enter(recipe([100, 101]))
    world.finish()
    made = [f"{GROUP}.MS", f"{GROUP}.MS.json", f"{IMAGE_JOB}.fits", f"{IMAGE_JOB}.fits.json"]
    assert sorted(world.products()) == made
    assert (world.output / f"{GROUP}.MS").read_text() == f"{GROUP}.MS of {GROUP}"
    assert all(one.is_file() for one in world.output.iterdir()), "the scratch folder is gone"
    assert {file.published for file in world.tracker.products(world.production.id)} == {
        file_url(str(world.output / one)) for one in (f"{GROUP}.MS", f"{IMAGE_JOB}.fits")
    }


def test_what_a_process_was_killed_over_is_swept_by_the_next_one(world: World) -> None:
    """It was killed between the last file and its folder: no file is on scratch that the tracker knows of."""

    class Killing(LocalStorage):
        def remove_folder(self, folder: str) -> None:
            raise KeyboardInterrupt  # which nothing guards against

    world.enter(recipe([100, 101]))
    world.storage = Killing()
    world.engine = world.new_engine(world.tracker)
    with pytest.raises(KeyboardInterrupt):
        world.finish()
    assert world.tracker.on_scratch() == []
    assert not world.tracker.swept(world.production.id)
    world.storage = LocalStorage()
    world.restart()
    world.tick()
    assert all(one.is_file() for one in world.output.iterdir()), "the scratch folder is gone"
    assert world.tracker.swept(world.production.id)


def test_an_intermediate_stays_until_all_its_consumers_succeeded(world: World) -> None:
    other = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}, "outputs": {}}
    world.enter(recipe([100], {"first": FIRST, "a": other, "b": other}))
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    world.backend.succeed(name(100, "a"))
    world.tick()
    assert world.scratch_files() == [name(100)]
    world.backend.succeed(name(100, "b"))
    world.tick()
    assert world.scratch_files() == []


def test_an_intermediate_stays_while_the_groups_that_read_it_are_yet_to_be_made(world: World) -> None:
    side = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}, "outputs": {}}
    world.enter(recipe([100, 101], {"first": FIRST, "side": side, "band": BAND}))
    world.tick()
    world.backend.succeed(name(100))
    world.tick()
    world.backend.succeed(name(100, "side"))
    world.tick()
    assert world.scratch_files() == [name(100)]


def test_what_groups_of_another_role_will_read_stays_until_they_are_made(world: World) -> None:
    """The gains went into all target subbands; the bands, which read them too, await a frequency still."""
    first = FIRST | {"inputs": FIRST["inputs"] | {"gains": {"from": "gains.gains", "path": "gains.h5"}}}
    second = FIRST | {"inputs": {"ms": {"from": "first.ms", "path": "in.MS"}}}
    ms = {"from": "second.ms", "path": "in/{key}.MS"}
    band = BAND | {"inputs": {"ms": ms, "gains": {"from": "gains.gains", "path": "gains.h5"}}}
    steps = {"calibrate": CALIBRATE, "gains": GAINS, "first": first, "second": second, "band": band}
    calibrator = subband(90, role="calibrator", observation="L2", sap=5)
    world.enter(recipe([calibrator, 100], steps, ("calibrator", "target")))
    world.tick()
    world.backend.succeed("L2-SAP005-SB090-calibrate")
    world.tick()
    world.backend.succeed("L2-SAP005-gains")
    world.tick()
    world.backend.succeed(name(100), measured={})
    world.tick()
    assert world.scratch_files() == sorted(["L2-SAP005-gains", name(100)])
    world.finish()
    assert world.backend.started.count("L2-SAP005-gains") == 1
    assert set(world.states().values()) == {JobState.SUCCEEDED}
    assert world.scratch_files() == []


def test_a_file_that_could_not_be_deleted_is_deleted_by_a_later_tick_of_the_same_run(tmp_path: Path) -> None:
    storage = StubbornStorage("delete")
    world = World(tmp_path, storage=storage)
    world.enter(recipe([100, 101]))
    world.tick()
    for number in (100, 101):
        world.backend.succeed(name(number))
    world.tick()
    world.backend.succeed(GROUP)
    assert len(world.tick().troubles) == 2
    assert world.scratch_files() == sorted([name(100), name(101), GROUP])
    storage.call = "none"
    assert world.tick().troubles == ()
    assert world.scratch_files() == [GROUP], "the image reads it"


def come_back_late(world: World) -> None:
    """The first attempt of a job is lost, and succeeds after all when another one was begun."""
    zombie = str(world.job(name(100)).attempt)
    spec = world.backend.specs[zombie]
    world.backend.lose(name(100))
    world.tick()
    world.backend.specs[zombie] = spec
    world.backend.succeed(name(100), attempt=zombie)


def test_keep_intermediates_keeps_them_and_nothing_else(world: World) -> None:
    world.enter(recipe([100, 101], keep_intermediates=True))
    world.tick()
    come_back_late(world)
    world.finish()
    assert world.scratch_files() == sorted([name(100), name(101), GROUP, IMAGE_JOB])


@pytest.mark.parametrize("written", ["a+b", "run=1", "with space", "a%2Bb"])
def test_kept_files_are_known_by_whatever_spelling_the_output_url_has(world: World, written: str) -> None:
    world.enter(recipe([100, 101], keep_intermediates=True, output=f"file://{world.folder}/{written}"))
    world.finish()
    [scratch] = world.folder.glob("*/.lofargrid-*")
    assert len(list(scratch.iterdir())) == 4


def test_scratch_is_swept_when_the_last_job_to_end_failed(world: World) -> None:
    world.enter(recipe([100], ALONE))
    world.tick()
    come_back_late(world)
    world.tick(later_s=60)
    world.backend.fail(name(100), Reason.INPUT_MISSING)
    world.tick()
    assert (world.job(name(100)).state, world.scratch_files()) == (JobState.FAILED, [])


class PowerCutStorage(LocalStorage):
    """Dies once after a chosen call."""

    def __init__(self, after: str) -> None:
        self.after = after

    def copy(self, source: str, target: str, adler32: str) -> None:
        super().copy(source, target, adler32)
        self._die("copy")

    def write(self, target: str, content: bytes) -> None:
        super().write(target, content)
        self._die("write")

    def delete(self, url: str) -> None:
        super().delete(url)
        self._die("delete")

    def _die(self, call: str) -> None:
        if call == self.after:
            self.after = ""
            raise CrashError(call)


@pytest.mark.parametrize("after", ["copy", "write", "delete"])
def test_publishing_and_deleting_may_be_cut_anywhere_and_repeated(tmp_path: Path, after: str) -> None:
    world = World(tmp_path, storage=PowerCutStorage(after))
    world.enter(recipe([100, 101]))
    with pytest.raises(CrashError):
        world.finish()
    world.restart()
    world.finish()
    made = [f"{GROUP}.MS", f"{GROUP}.MS.json", f"{IMAGE_JOB}.fits", f"{IMAGE_JOB}.fits.json"]
    assert sorted(world.products()) == made, "and no half file beside them"
    assert world.scratch_files() == []


class StubbornStorage(LocalStorage):
    """Refuses calls on URLs that hold a word."""

    def __init__(self, call: str, word: str = "") -> None:
        self.call, self.word = call, word

    def _refuse(self, call: str, url: str) -> None:
        if call == self.call and self.word in url:
            raise BackendError(f"cannot {call} {url}: No space left on device")

    def copy(self, source: str, target: str, adler32: str) -> None:
        self._refuse("copy", target)
        super().copy(source, target, adler32)

    def delete(self, url: str) -> None:
        self._refuse("delete", url)
        super().delete(url)

    def list(self, folder: str) -> list[str]:
        self._refuse("list", folder)
        return super().list(folder)


@pytest.mark.parametrize("call", ["copy", "delete", "list"])
def test_a_storage_in_trouble_is_a_line_and_is_caught_up_with_when_it_is_well_again(tmp_path: Path, call: str) -> None:
    storage = StubbornStorage(call)
    world = World(tmp_path, storage=storage)
    world.enter(recipe([100, 101]))
    world.backend.auto = True
    troubles = {trouble for _ in range(8) for trouble in world.tick(later_s=10).troubles}
    assert troubles
    assert all(one.startswith(f"cannot {call}") for one in troubles)
    assert set(world.states().values()) == {JobState.SUCCEEDED}, "jobs are not held up"
    storage.call = "none"
    world.finish()
    assert len(world.products()) == 4
    assert world.scratch_files() == []
    assert not list(world.output.glob(".lofargrid-*"))


def test_an_output_that_cannot_be_written_holds_up_only_its_own_production(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    steps = {"first": FIRST | {"outputs": {"ms": BAND["outputs"]["ms"]}}}
    scratch = world.scratch
    world.scratch = lambda one, site: scratch(replace(one, output=file_url(str(world.output))))
    world.engine = world.new_engine(world.tracker)
    world.enter(recipe([100], steps, output=file_url(str(tmp_path / "file"))))
    world.enter(recipe([101], steps, production="other"))
    world.backend.auto = True
    world.tick(2)
    [trouble] = world.tick().troubles
    assert trouble.startswith(f"cannot copy to {tmp_path}/file/")
    assert world.products() == [f"{name(101)}.MS", f"{name(101)}.MS.json"]
    (tmp_path / "file").unlink()
    assert world.tick().troubles == ()
    assert (tmp_path / "file" / f"{name(100)}.MS").exists()
