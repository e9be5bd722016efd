"""What inspect_path.py says about files, folders and tars."""

import tarfile

import inspect_path
import pytest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "one").write_text("12345")
    (tmp_path / "folder" / "two").write_text("")
    return tmp_path / "folder"


def test_a_folder(inspect, folder):
    assert inspect("inspect_path", folder) == {"members": 2, "size_bytes": 5, "empty_files": 1}


def test_a_file(inspect, folder):
    assert inspect("inspect_path", folder / "deep" / "one") == {
        "members": 1,
        "size_bytes": 5,
        "empty_files": 0,
    }


def test_a_tar(inspect, folder):
    path = folder.parent / "all.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(folder, "folder")
    assert inspect("inspect_path", path) == {"members": 2, "size_bytes": 5, "empty_files": 1}


def test_a_truncated_tar_is_one_line_and_not_code_0(folder, capsys):
    path = folder.parent / "all.tar"
    (folder / "large").write_bytes(b"x" * 100_000)
    with tarfile.open(path, "w") as archive:
        archive.add(folder, "folder")
    path.write_bytes(path.read_bytes()[:50_000])
    assert inspect_path.main([str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_nothing(tmp_path, capsys):
    assert inspect_path.main([str(tmp_path / "nothing")]) == 1
    assert "cannot be measured" in capsys.readouterr().err
