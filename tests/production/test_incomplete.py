"""Observations that are not whole: what is made is right, what is lacking is named, the policy is obeyed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from casacore.tables import table

from tests.production.conftest import Desk

POLICY = {"minimum_subbands": 0.5, "gaps": "flag"}


@contextmanager
def band(desk: Desk, tmp_path: Path, group: str, step: str = "join") -> Iterator[table]:
    """A band that was made, opened."""
    tar = desk.folder / "products" / f"L900002-SAP000-{group}-{step}.MS.tar"
    folder = tmp_path / group
    folder.mkdir()
    import tarfile

    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")
    with table(str(next(folder.iterdir())), ack=False) as opened:
        yield opened


def flagged_by_channel(opened: table) -> list[bool]:
    return [bool(one) for one in np.all(opened.getcol("FLAG"), axis=(0, 2))]


def frequencies(opened: table) -> np.ndarray:
    with table(opened.getkeyword("SPECTRAL_WINDOW"), ack=False) as window:
        return np.asarray(window.getcol("CHAN_FREQ")[0])


def groups(desk: Desk) -> list[str]:
    return sorted({name.split("-")[2] for name in desk.products() if name.endswith(".MS.tar")})


def missing(desk: Desk, group: str) -> list[str]:
    found = desk.provenance(f"L900002-SAP000-{group}-join.MS.tar")["missing_subbands"]
    assert isinstance(found, dict)
    return sorted(found)


def test_three_missing_files_of_eight_are_flagged_gaps_and_named(short: Desk, tmp_path: Path) -> None:
    for number in (1, 5, 6):
        short.tar(number).unlink()
    short.flag_average(policy=POLICY)
    said = short("run", "production.yaml")
    assert said.err.count("goes without") == 3
    first, second = groups(short)
    assert missing(short, first) == ["L900002-SAP000-SB001"]
    assert missing(short, second) == ["L900002-SAP000-SB005", "L900002-SAP000-SB006"]
    with band(short, tmp_path, first) as opened:
        flagged = np.reshape(flagged_by_channel(opened), (4, -1))
        assert [bool(one.all()) for one in flagged] == [False, True, False, False]
        assert np.allclose(np.diff(frequencies(opened)), np.diff(frequencies(opened))[0])


def test_a_shuffled_list_gives_the_same_products(short: Desk) -> None:
    short.flag_average()
    short("run", "production.yaml")
    lines = short.plain_list()
    random.Random(4).shuffle(lines)
    (short.folder / "shuffled.surls").write_text("\r\n".join(["# any order", "", *lines]))
    short.flag_average(name="other.yaml", production="other", inputs={"target": "shuffled.surls"}, output="other")
    short("run", "other.yaml")
    assert short("compare", "products", "other").out.count("same") == 4


def test_a_gap_in_the_middle_of_the_list_is_filled_with_flags(short: Desk, tmp_path: Path) -> None:
    lines = short.plain_list()
    (short.folder / "gap.surls").write_text("\n".join(lines[:2] + lines[3:]))
    short.flag_average(inputs={"target": "gap.surls"})
    short("run", "production.yaml")
    with band(short, tmp_path, groups(short)[0]) as opened:
        flagged = np.reshape(flagged_by_channel(opened), (4, -1))
        assert [bool(one.all()) for one in flagged] == [False, False, True, False]


def test_gaps_skip_joins_only_what_is_there(short: Desk, tmp_path: Path) -> None:
    lines = short.plain_list()
    (short.folder / "gap.surls").write_text("\n".join(lines[:2] + lines[3:]))
    short.flag_average(inputs={"target": "gap.surls"}, policy={**POLICY, "gaps": "skip"})
    short("run", "production.yaml")
    with band(short, tmp_path, groups(short)[0]) as opened:
        assert not any(flagged_by_channel(opened))
        steps = np.diff(frequencies(opened))
        assert steps.max() > 1.5 * steps.min()


def test_gaps_fail_makes_no_band_with_a_gap_and_why_names_it(short: Desk) -> None:
    lines = short.plain_list()
    (short.folder / "gap.surls").write_text("\n".join(lines[:2] + lines[3:]))
    short.flag_average(inputs={"target": "gap.surls"}, policy={**POLICY, "gaps": "fail"})
    said = short("run", "production.yaml", code=1)
    assert "gaps: fail" in said.err
    assert len(groups(short)) == 1
    assert "absent: ABN" in short("why", "field").out


@pytest.mark.parametrize("number", [0, 3, 4, 7])
def test_a_lost_subband_at_any_place_costs_only_itself(short: Desk, number: int) -> None:
    short.tar(number).unlink()
    short.flag_average(policy=POLICY)
    short("run", "production.yaml")
    assert len(groups(short)) == 2
    assert [one for group in groups(short) for one in missing(short, group)] == [f"L900002-SAP000-SB{number:03d}"]


def test_a_cut_tar_is_named_and_lived_with(short: Desk) -> None:
    cut = short.tar(2)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (short.folder / "plain.surls").write_text("\n".join(short.plain_list()))
    short.flag_average(inputs={"target": "plain.surls"}, policy=POLICY)
    said = short("run", "production.yaml")
    assert "the tar ends early" in said.err
    assert missing(short, groups(short)[0]) == ["L900002-SAP000-SB002"]
    assert "input-truncated" in short("why", "L900002-SAP000-SB002-average", code=None).out.splitlines()[0]


def test_too_few_subbands_are_refused_before_anything_starts(short: Desk) -> None:
    short.tar(2).unlink()
    short.flag_average(policy={"minimum_subbands": 0.95, "gaps": "flag"})
    said = short("run", "production.yaml", code=2)
    assert "L900002.surls:" in said.err
    assert "7 of 8 subbands" in said.err
    assert not (short.folder / "products").exists()


def test_the_calibrators_lack_does_not_cost_the_target(desk: Desk) -> None:
    desk.tar(3, "L900001").unlink()
    desk.write(parameters={"calibrator_skymodel": "calibrator.skymodel", "target_skymodel": "target.skymodel",
                           "group_size": 4, "image_size": 256})  # fmt: skip
    desk("run", "production.yaml")
    found = desk.provenance("L900002-SAP000-image.fits")["missing_subbands"]
    assert list(found) == ["L900001-SAP000-SB003"]
    assert (desk.folder / "products" / "L900002-SAP000-image.fits").exists()


def test_a_late_success_makes_the_merge_stale_and_retry_makes_it_again(short: Desk, tmp_path: Path) -> None:
    tar = short.tar(1)
    away = tar.rename(tmp_path / tar.name)
    short.flag_average(policy=POLICY)
    short("run", "production.yaml")
    away.rename(tar)
    short("retry", "L900002-SAP000-SB001-average")
    short("run", "production.yaml")
    group = groups(short)[0]
    assert short.status()["stale"] == [f"L900002-SAP000-{group}-join"]
    short("retry", "field")
    short("run", "production.yaml")
    assert short.status()["stale"] == []
    assert missing(short, group) == []
    with band(short, tmp_path, group) as opened:
        assert not any(np.reshape(flagged_by_channel(opened), (4, -1)).all(axis=1))
