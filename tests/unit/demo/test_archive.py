import os
import re
import tarfile
import zlib
from pathlib import Path

from lofargrid.demo import archive


def make_tree(folder: Path, order: list[str], umask_mode: int) -> Path:
    tree = folder / "L1_SAP000_SB000_uv.MS"
    (tree / "ANTENNA").mkdir(parents=True)
    for name in order:
        (tree / name).write_bytes(name.encode() * 100)
        (tree / name).chmod(umask_mode)
        os.utime(tree / name, (len(order), 1e9))
    return tree


def test_names_are_those_of_the_archive():
    ms = archive.ms_name(654321, 1, 7)
    assert ms == "L654321_SAP001_SB007_uv.MS"
    assert re.fullmatch(r"L654321_SAP001_SB007_uv\.MS_[0-9a-f]{8}\.tar", archive.tar_name(ms, seed=1))
    assert archive.tar_name(ms, seed=1) != archive.tar_name(ms, seed=2)


def test_the_same_files_give_the_same_tar(tmp_path):
    names = ["table.dat", "ANTENNA/table.f0", "table.f1"]
    first = make_tree(tmp_path / "one", names, 0o600)
    second = make_tree(tmp_path / "two", names[::-1], 0o664)
    archive.write_tar(first, tmp_path / "one.tar")
    archive.write_tar(second, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_tar_is_safe_and_anonymous(tmp_path):
    tree = make_tree(tmp_path, ["table.dat", "ANTENNA/table.f0"], 0o644)
    archive.write_tar(tree, tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        members = tar.getmembers()
        tar.extractall(tmp_path / "out", filter="data")
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {member.name.split("/")[0] for member in members} == {tree.name}
    assert all(member.isfile() or member.isdir() for member in members)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert (tmp_path / "out" / tree.name / "table.dat").read_bytes() == b"table.dat" * 100


def test_adler32_has_eight_digits_and_is_right_over_many_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "CHUNK_BYTES", 10)
    content = bytes(range(256))
    (tmp_path / "f").write_bytes(content)
    (tmp_path / "empty").write_bytes(b"")
    assert archive.adler32(tmp_path / "f") == f"{zlib.adler32(content):08x}"
    assert archive.adler32(tmp_path / "empty") == "00000001"


def test_a_list_has_a_line_a_tar(tmp_path):
    tar = tmp_path / "a name.tar"
    tar.write_bytes(b"12345")
    archive.write_list(tmp_path / "L1.surls", [tar])
    comment, line = (tmp_path / "L1.surls").read_text().splitlines()
    assert comment.startswith("#")
    assert line == f"a name.tar\tsize_bytes=5\tadler32={zlib.adler32(b'12345'):08x}"
