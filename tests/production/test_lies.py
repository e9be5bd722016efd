"""Tools that return 0 on bad input: each lie ends as a named failure, or as a product that says what it lacks."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from casacore.tables import table

from tests.production.conftest import Desk

POLICY = {"minimum_subbands": 0.5, "gaps": "flag"}
LIAR = 2


def rewrite(tar: Path, how: Callable[[Path], None]) -> None:
    """Change the MeasurementSet in a tar; the tar itself is sound."""
    folder = tar.parent / "rewriting"
    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")
    inside = next(folder.iterdir())
    how(inside)
    with tarfile.open(tar, "w") as archive:
        archive.add(inside, inside.name)
    shutil.rmtree(folder)


def zeros(folder: Path) -> None:
    with table(str(folder), readonly=False, ack=False) as opened:
        opened.putcol("DATA", np.zeros_like(opened.getcol("DATA")))


def half_of_the_times(folder: Path) -> None:
    with table(str(folder), ack=False) as opened:
        rows = opened.nrows() // 2
        opened.selectrows(list(range(rows))).copy(f"{folder}.half", deep=True).close()
    shutil.rmtree(folder)
    Path(f"{folder}.half").rename(folder)


def not_numbers(folder: Path) -> None:
    with table(str(folder), readonly=False, ack=False) as opened:
        data = opened.getcol("DATA")
        data[:, :, 0] = np.nan
        opened.putcol("DATA", data)


def all_flagged(folder: Path) -> None:
    with table(str(folder), readonly=False, ack=False) as opened:
        opened.putcol("FLAG", np.ones_like(opened.getcol("FLAG")))


def data_cut(folder: Path) -> None:
    largest = max((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])


@pytest.mark.parametrize(
    ("lie", "reasons"),
    [
        (zeros, {"check-failed"}),
        (half_of_the_times, {"check-failed"}),
        (not_numbers, {"check-failed"}),
        (all_flagged, {"check-failed"}),
        (data_cut, {"payload-failed", "input-truncated", "check-failed", "check-broken"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_subband_that_lies_fails_by_name_and_the_band_says_that_it_lacks_it(
    short: Desk, lie: Callable[[Path], None], reasons: set[str]
) -> None:
    rewrite(short.tar(LIAR), lie)
    (short.folder / "plain.surls").write_text("\n".join(short.plain_list()))
    short.flag_average(inputs={"target": "plain.surls"}, policy=POLICY)
    short("run", "production.yaml")
    said = short("why", f"L900002-SAP000-SB{LIAR:03d}-average").out.splitlines()[0]
    assert any(reason in said for reason in reasons), said
    bands = [name for name in short.products() if name.endswith(".MS.tar")]
    lacks = [short.provenance(name)["missing_subbands"] for name in bands]
    assert [list(one) for one in lacks] == [[f"L900002-SAP000-SB{LIAR:03d}"], []]


def flip(content: bytearray) -> None:
    """64 bytes in the middle of the data."""
    middle = len(content) // 2
    for index in range(middle, middle + 64):
        content[index] ^= 0xFF


def test_flipped_bytes_are_caught_by_the_lists_checksum(short: Desk, edit: Callable[..., None]) -> None:
    edit(short.tar(LIAR), flip)
    short.flag_average(policy=POLICY)
    short("run", "production.yaml")
    said = short("why", f"L900002-SAP000-SB{LIAR:03d}-average").out.splitlines()[0]
    assert "input-corrupt" in said
    assert "adler32" in said


def test_without_a_checksum_the_provenance_says_not_verified_at_source(short: Desk) -> None:
    (short.folder / "plain.surls").write_text("\n".join(short.plain_list()))
    short.flag_average(inputs={"target": "plain.surls"})
    short("run", "production.yaml")
    name = next(name for name in short.products() if name.endswith(".MS.tar"))
    inputs = short.provenance(name)["inputs"]
    assert {one["verified"] for one in inputs} == {"not verified at source"}
    assert all(len(one["adler32"]) == 8 for one in inputs)


def test_the_same_subband_under_two_names_is_refused(short: Desk) -> None:
    shutil.copy(short.tar(1), short.folder / "L900002_SAP000_SB001_uv.MS_00000000.tar")
    lines = [*short.plain_list(), "L900002_SAP000_SB001_uv.MS_00000000.tar"]
    (short.folder / "plain.surls").write_text("\n".join(lines))
    short.flag_average(inputs={"target": "plain.surls"})
    said = short("run", "production.yaml", code=2)
    assert "plain.surls:9" in said.err


def test_the_same_data_under_another_number_is_a_frequency_clash_by_name(short: Desk) -> None:
    shutil.copy(short.tar(1), short.folder / "L900002_SAP000_SB008_uv.MS_00000000.tar")
    lines = [*short.plain_list(), "L900002_SAP000_SB008_uv.MS_00000000.tar"]
    (short.folder / "plain.surls").write_text("\n".join(lines))
    short.flag_average(inputs={"target": "plain.surls"}, policy=POLICY)
    short("run", "production.yaml", code=1)
    assert "frequency-clash" in short("why", "field").out


def test_a_diverged_clean_is_no_product(desk: Desk) -> None:
    """A loop gain of 1 down to half a sigma makes CLEAN eat its own sidelobes; wsclean returns 0."""
    desk.write(parameters={"calibrator_skymodel": "calibrator.skymodel", "target_skymodel": "target.skymodel",
                           "group_size": 4, "image_size": 256, "image_gain": 1.0, "image_mgain": 1.0,
                           "image_auto_mask": 0.5, "image_niter": 200000})  # fmt: skip
    desk("run", "production.yaml", code=1)
    assert not [name for name in desk.products() if name.endswith("image.fits")]
    said = desk("why", "L900002-SAP000-image").out
    assert "not numbers" in said or "check-failed" in said
