import io
import tarfile

import pytest


def write(path, members, mode="w", **extra):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            for key, value in extra.items():
                setattr(member, key, value)
            if isinstance(content, dict):
                for key, value in content.items():
                    setattr(member, key, value)
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


FOLDER = {"type": tarfile.DIRTYPE}
MEMBERS = {
    "a": FOLDER,
    "a/one": b"1" * 3000,
    "a/two": b"2" * 2_000_000,
    "a/link": {"type": tarfile.SYMTYPE, "linkname": "one"},
}


@pytest.fixture
def changed(pair, compare):
    """Compare a tar with another."""

    def compared(members, name="a.tar", **extra):
        one, other = pair(name)
        write(one, MEMBERS)
        write(other, members, **extra)
        return compare(one, other)

    return compared


def test_times_owners_and_order_do_not_count(changed):
    found = changed(dict(reversed(MEMBERS.items())), mtime=1_600_000_000, uname="somebody")
    assert (found.same, found.detail) == (True, "the same 4 members in other bytes")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"a/two": b"2" * 1_999_999 + b"3"}, "content of a/two"),
        ({"a/two": b"2"}, "kind of a/two: a file of 2000000 bytes and a file of 1 bytes"),
        ({"a/link": {"type": tarfile.SYMTYPE, "linkname": "two"}}, "kind of a/link: a link to one and a link to two"),
        ({"a/one": FOLDER}, "kind of a/one: a file of 3000 bytes and a folder"),
        ({"a/one": {"type": tarfile.FIFOTYPE}}, "kind of a/one: a file of 3000 bytes and a device or pipe"),
        ({"a/new": b""}, "member a/new is only in the second"),
    ],
)
def test_another_content_is_told_with_its_member(changed, change, detail):
    found = changed({**MEMBERS, **change})
    assert (found.same, found.detail) == (False, detail)


@pytest.mark.parametrize("size", [0, 100, 1024, 4000, 1_000_000, 2_007_552])
@pytest.mark.parametrize("name", ["a.tar", "a.MS.tar"])
def test_a_tar_cut_short_is_unreadable(pair, compare, ms_tar, size, name):
    one, other = pair(name)
    if name == "a.tar":
        write(one, MEMBERS)
    else:
        one.write_bytes(ms_tar.read_bytes())
    other.write_bytes(one.read_bytes()[: min(size, one.stat().st_size // 2)])
    for order in ((one, other), (other, one)):
        found = compare(*order)
        assert not found.same
        assert found.detail.startswith(f"{other} cannot be read: ")


def test_a_tar_cut_between_members_is_unreadable(pair, compare):
    one, other = pair("a.tar")
    write(one, {"a": b"1" * 512, "b": b"2" * 512})
    other.write_bytes(one.read_bytes()[:1024])
    assert compare(one, other).detail == f"{other} cannot be read: the tar ends early"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../evil", b"x"),
        ("ms/../../evil", b"x"),
        ("/tmp/evil", b"x"),
        ("ms/link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("ms/hard", {"type": tarfile.LNKTYPE, "linkname": "ms/table.dat"}),
        ("ms/pipe", {"type": tarfile.FIFOTYPE}),
        ("ms/device", {"type": tarfile.CHRTYPE}),
    ],
)
def test_unsafe_members_are_refused(pair, compare, ms_tar, tmp_path, monkeypatch, name, content):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    one, other = pair("a.MS.tar")
    one.write_bytes(ms_tar.read_bytes())
    write(other, {"ms": {**FOLDER, "mode": 0o755}, "ms/table.dat": b"x", name: content})
    found = compare(one, other)
    assert not found.same
    assert found.detail.startswith(f"{other} cannot be read: its member {name!r}")
    assert found.detail.endswith("is unsafe")
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"table.dat": b"x"},
        {"one/table.dat": b"x", "two/table.dat": b"x"},
        {"one/other": b"x"},
    ],
)
def test_a_tar_of_anything_but_one_measurement_set_is_unreadable(pair, compare, ms_tar, members):
    one, other = pair("a.MS.tar")
    one.write_bytes(ms_tar.read_bytes())
    write(other, members)
    assert compare(one, other).detail == f"{other} cannot be read: it holds no single MeasurementSet"


def test_a_file_where_a_folder_must_be_is_unreadable(pair, compare, ms_tar):
    one, other = pair("a.MS.tar")
    one.write_bytes(ms_tar.read_bytes())
    write(other, {"ms": b"x", "ms/table.dat": b"x"})
    assert compare(one, other).detail.startswith(f"{other} cannot be read: ")
