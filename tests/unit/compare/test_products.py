import dataclasses
import json
import sys

import pytest

from lofargrid.compare import Comparison, compare_products


@pytest.mark.parametrize("name", ["a.txt", "a.fits", "a.h5", "a.MS.tar", "a.tar", "a.png", "a.json"])
def test_the_same_bytes_are_identical_without_reading_them_as_anything(pair, compare, name):
    for path in pair(name):
        path.write_bytes(b"whatever this is")
    assert compare(*pair(name)) == Comparison(name, True, "identical")


def test_a_file_of_one_set_only_is_told_and_all_come_in_order_of_names(tmp_path):
    (tmp_path / "x").write_text("x")
    here = tmp_path / "x"
    found = compare_products({"c": here, "a": here}, {"b": here, "c": here})
    assert [dataclasses.astuple(one) for one in found] == [
        ("a", False, "only in the first"),
        ("b", False, "only in the second"),
        ("c", True, "identical"),
    ]


def test_nothing_and_nothing_are_the_same():
    assert compare_products({}, {}) == []


@pytest.mark.parametrize(
    ("first", "second", "detail"),
    [
        (b"same", b"sane", "the bytes differ from byte 2 on"),
        (b"same", b"same and more", "the bytes differ from byte 4 on"),
        (b"", b"x", "the bytes differ from byte 0 on"),
        (b"x" * (1 << 20), b"x" * (1 << 20) + b"y", "the bytes differ from byte 1048576 on"),
    ],
)
def test_files_of_no_known_kind_are_compared_as_bytes(pair, compare, first, second, detail):
    one, other = pair("a.txt")
    one.write_bytes(first)
    other.write_bytes(second)
    for order in ((one, other), (other, one)):
        assert compare(*order) == Comparison("a.txt", False, detail)


@pytest.mark.parametrize("name", ["a.txt", "a.fits", "a.h5", "a.MS.tar", "a.tar", "a.png"])
def test_a_product_that_is_not_there_any_more_is_named(pair, compare, name):
    one, other = pair(name)
    one.write_bytes(b"here")
    found = compare(one, other)
    assert found == Comparison(name, False, f"{other} cannot be read: No such file or directory")


def test_a_folder_is_no_product(pair, compare):
    one, other = pair("a.txt")
    one.write_bytes(b"here")
    other.mkdir()
    assert compare(one, other).detail == f"{other} cannot be read: Is a directory"


def test_pictures_follow_from_their_fits_but_must_be_there(pair, compare, tmp_path):
    one, other = pair("a.png")
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    assert compare(one, other) == Comparison("a.png", True, "follows from the FITS, not compared")
    assert compare_products({"a.png": one}, {}) == [Comparison("a.png", False, "only in the first")]


def test_provenance_never_counts(pair):
    one, other = pair("a.txt")
    for path in (one, other):
        path.write_bytes(b"same")
    with_provenance = {"a.txt": one, "a.txt.json": one.parent / "gone"}
    told = Comparison("a.txt.json", True, "provenance, not compared")
    assert compare_products(with_provenance, with_provenance)[1] == told
    assert compare_products(with_provenance, {"a.txt": other})[1] == told


def test_a_json_that_belongs_to_no_product_is_a_product(pair, compare):
    one, other = pair("a.json")
    one.write_text("{}")
    other.write_text("[]")
    assert compare(one, other) == Comparison("a.json", False, "the bytes differ from byte 0 on")


@pytest.mark.parametrize(("name", "package"), [("a.fits", "astropy"), ("a.h5", "tables"), ("a.MS.tar", "casacore")])
def test_a_package_that_is_not_installed_is_told(pair, compare, monkeypatch, ms_tar, name, package):
    one, other = pair(name)
    one.write_bytes(ms_tar.read_bytes())
    other.write_bytes(ms_tar.read_bytes() + bytes(512))
    for module in [module for module in sys.modules if module.split(".")[0] == package] + [package]:
        monkeypatch.setitem(sys.modules, module, None)
    found = compare(one, other)
    assert not found.same
    assert found.detail.startswith(f"cannot be compared without {package}")
    assert "lofargrid[science]" in found.detail


def test_a_comparison_goes_into_json(pair, compare):
    for path in pair("a.txt"):
        path.write_bytes(b"same")
    assert json.loads(json.dumps(vars(compare(*pair("a.txt"))))) == {
        "name": "a.txt",
        "same": True,
        "detail": "identical",
    }
