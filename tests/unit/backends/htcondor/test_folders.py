"""What is written down on the submit host, and what a disk that does not take it is told as."""

from __future__ import annotations

from pathlib import Path

import pytest
from lofargrid_runner.contract import InputFile

from lofargrid.backends.htcondor.folders import Folders
from lofargrid.errors import BackendError
from tests.contracts.backends import spec


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    runner = tmp_path / "runner.pyz"
    runner.touch()
    return Folders(tmp_path / "a folder", runner)


def test_the_list_of_a_submission_takes_the_place_of_the_one_before(folders: Folders) -> None:
    first = folders.enlist(["a\x1fb", "c\x1fd"])
    assert first.read_text() == "a\x1fb\nc\x1fd\n"
    assert folders.enlist(["e"]) == first
    assert first.read_text() == "e\n"


def test_an_attempt_is_new_once_and_has_ended_when_its_end_was_told(folders: Folders, tmp_path: Path) -> None:
    one = spec(tmp_path)
    assert folders.make(one.attempt)
    folders.write(one)
    assert not folders.make(one.attempt)
    assert (folders.is_there(one.attempt), folders.has_ended(one.attempt)) == (True, False)
    folders.put_away(one.attempt)
    assert (folders.is_there(one.attempt), folders.has_ended(one.attempt)) == (False, True)


def test_a_token_travels_beside_the_job_and_stands_in_no_text(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("MDAxsecret")
    one = spec(tmp_path)
    entry = InputFile("raw", "", "https://door.example/a", "in.MS", token=str(tmp_path / "token"))
    folders.make(one.attempt)
    carried, _ = folders.write(one._replace(inputs=(entry,)))
    folder = folders.active / one.attempt
    assert "token0" in carried
    assert (folder / "token0").read_text() == "MDAxsecret"
    job = (folder / "job.json").read_text()
    assert '"token0"' in job
    assert "secret" not in job


def test_a_folder_that_cannot_be_made_is_told(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "a folder" / "active").rmdir()
    with pytest.raises(BackendError, match=r"cannot write .*/active/abcd1234-1-1: No such file"):
        folders.make("abcd1234-1-1")


def test_a_disk_that_is_full_is_told_with_the_file(folders: Folders, tmp_path: Path) -> None:
    folders.enlist([]).unlink()
    (tmp_path / "a folder" / "items").symlink_to("/dev/full")
    with pytest.raises(BackendError, match=r"cannot write .*/a folder/items: No space left on device"):
        folders.enlist(["a"])
    attempt = tmp_path / "a folder" / "active" / spec(tmp_path).attempt
    attempt.mkdir()
    (attempt / "job.json").symlink_to("/dev/full")
    with pytest.raises(BackendError, match=r"cannot write .*: No space left on device"):
        folders.write(spec(tmp_path))


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match=r"cannot make .*/file/root"):
        Folders(tmp_path / "file" / "root", tmp_path / "runner.pyz")
