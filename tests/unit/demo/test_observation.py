import re
import tarfile
import zlib

import numpy as np
import pytest
from casacore.tables import table

from lofargrid.demo import DemoOptions, make_demo_data, read_truth, sky
from lofargrid.demo.corruption import corrupt

from .conftest import STATIONS

NAME = re.compile(r"L(?P<id>\d+)_SAP(?P<sap>\d{3})_SB(?P<sb>\d{3})_uv\.MS_[0-9a-f]{8}\.tar")


def subbands(tars):
    found = [NAME.fullmatch(tar.name) for tar in tars]
    return [(int(name["id"]), int(name["sap"]), int(name["sb"])) for name in found]


def test_one_tar_for_each_subband_of_each_pointing(demo):
    assert subbands(demo.calibrator_tars) == [(900001, 0, sb) for sb in (0, 1, 3)]
    assert subbands(demo.target_tars) == [(900002, sap, sb) for sap in (0, 1) for sb in (0, 1, 3)]


def test_nothing_else_is_left_in_the_folder(demo):
    expected = {*demo.calibrator_tars, *demo.target_tars, demo.calibrator_list, demo.target_list}
    expected |= {demo.calibrator_skymodel, demo.target_skymodel, demo.truth}
    assert set(demo.folder.iterdir()) == expected


def test_lists_name_the_tars_with_size_and_checksum(demo):
    for listing, tars in (
        (demo.calibrator_list, demo.calibrator_tars),
        (demo.target_list, demo.target_tars),
    ):
        lines = [line for line in listing.read_text().splitlines() if not line.startswith("#")]
        assert len(lines) == len(tars)
        for line, tar in zip(lines, tars, strict=True):
            path, *columns = line.split("\t")
            values = dict(column.split("=") for column in columns)
            content = (listing.parent / path).read_bytes()
            assert listing.parent / path == tar
            assert int(values["size_bytes"]) == len(content)
            assert values["adler32"] == f"{zlib.adler32(content):08x}"


def test_a_tar_unpacks_to_its_name_without_the_digits(demo):
    for tar in demo.target_tars:
        with tarfile.open(tar) as archive:
            assert archive.next().name == tar.name.rsplit("_", 1)[0]


def test_repeating_gives_the_same_bytes(demo, small_options, tmp_path):
    again = make_demo_data(tmp_path, small_options)
    for path in demo.folder.iterdir():
        assert path.read_bytes() == (again.folder / path.name).read_bytes(), path.name


def test_another_seed_gives_other_data(demo, tmp_path):
    options = DemoOptions(subbands=1, times=1, channels=1, stations=STATIONS[:2], faint_sources=0, seed=2)
    lines = []
    other = make_demo_data(tmp_path, options, lines.append)
    assert lines == [tar.name for tar in (*other.calibrator_tars, *other.target_tars)]
    assert other.calibrator_tars[0].name != demo.calibrator_tars[0].name
    assert read_truth(other.truth).sources[1:] != read_truth(demo.truth).sources[1:]


def test_no_two_subbands_have_the_same_noise(demo, tmp_path):
    noise = []
    for tar in demo.target_tars[:2]:
        with tarfile.open(tar) as archive:
            archive.extractall(tmp_path, filter="data")
        with table(str(tmp_path / tar.name.rsplit("_", 1)[0]), ack=False) as main:
            noise.append(main.getcol("DATA")[..., 1])
    assert not np.isclose(noise[0], noise[1]).any()


@pytest.mark.parametrize("role", ["calibrator", "target"])
def test_without_noise_the_data_are_sky_times_true_gains(role, tmp_path):
    options = DemoOptions(subbands=1, times=3, channels=2, stations=STATIONS, faint_sources=0, noise_jy=0.0)
    files = make_demo_data(tmp_path, options)
    truth = read_truth(files.truth)
    (tar,) = files.calibrator_tars if role == "calibrator" else files.target_tars
    with tarfile.open(tar) as archive:
        archive.extractall(tmp_path, filter="data")
    ms = tmp_path / tar.name.rsplit("_", 1)[0]
    with table(str(ms), ack=False) as main:
        data, uvw = main.getcol("DATA"), main.getcol("UVW")
        pairs = np.stack([main.getcol("ANTENNA1"), main.getcol("ANTENNA2")], axis=1)
    baselines = tuple(map(tuple, pairs[: len(pairs) // 3]))
    # From the columns alone: stations relative to the first.
    stations = uvw.reshape(3, -1, 3)[:, : len(STATIONS)]
    centre = sky.sap_centre(0)
    sources = truth.sources[1:]
    sas_id = options.target_sas_id
    if role == "calibrator":
        centre, sources = (sky.CALIBRATOR_RA, sky.CALIBRATOR_DEC), truth.sources[:1]
        sas_id = options.calibrator_sas_id
    clean = sky.point_visibilities(sources, centre, stations, options.frequencies_hz(0))
    expected = corrupt(clean, truth.gains(sas_id, 0), baselines)
    good = ~truth.interference(ms.name)[:, None, :, None] & np.ones(expected.shape, bool)
    assert good.any()
    assert np.abs(data.reshape(expected.shape) - expected)[good].max() < 1e-4
