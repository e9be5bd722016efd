import dataclasses
import json

import numpy as np
import pytest

from lofargrid.demo import read_truth
from lofargrid.demo.truth import write_truth


def test_truth_comes_back_as_it_was_written(demo, tmp_path):
    truth = read_truth(demo.truth)
    write_truth(tmp_path / "truth.json", truth)
    assert (tmp_path / "truth.json").read_bytes() == demo.truth.read_bytes()
    again = read_truth(tmp_path / "truth.json")
    for field in ("options", "sources", "start_mjd_s", "files", "versions"):
        assert getattr(again, field) == getattr(truth, field)


def test_truth_says_what_was_asked_for_and_what_made_it(demo, small_options):
    truth = read_truth(demo.truth)
    assert truth.options == small_options
    assert "numpy" in truth.versions
    names = {tar.name.rsplit("_", 1)[0] for tar in (*demo.calibrator_tars, *demo.target_tars)}
    assert {file.name for file in truth.files} == names
    assert len({file.seed for file in truth.files}) == len(names)


def test_truth_holds_the_frequencies_of_each_subband(demo, small_options):
    document = json.loads(demo.truth.read_text())
    assert [entry["subband"] for entry in document["subbands"]] == [0, 1, 3]
    for entry in document["subbands"]:
        assert entry["abn"] == small_options.first_abn + entry["subband"]
        assert entry["frequencies_hz"] == small_options.frequencies_hz(entry["subband"]).tolist()


def test_calibrator_and_target_share_the_instrument(demo, small_options):
    truth = read_truth(demo.truth)
    calibrator, target = truth.gains(900001, 0), truth.gains(900002, 0)
    shape = (small_options.times, len(small_options.stations), small_options.channels, 2)
    assert calibrator.shape == target.shape == shape
    assert np.abs(calibrator) == pytest.approx(np.abs(target))
    assert np.abs(np.angle(calibrator / calibrator[0])).max() < 0.2
    ionosphere = target / calibrator
    assert np.abs(np.angle(ionosphere)).max() > 0.2
    # The same for X and Y, so that phase-only calibration can take it out.
    assert ionosphere[..., 0] == pytest.approx(ionosphere[..., 1])


def test_interference_of_an_unknown_file_is_an_error(demo):
    with pytest.raises(ValueError, match="values to unpack"):
        read_truth(demo.truth).interference("L1_SAP000_SB000_uv.MS")


def test_another_format_is_refused(demo, tmp_path):
    document = json.loads(demo.truth.read_text())
    (tmp_path / "truth.json").write_text(json.dumps({**document, "format": 0}))
    with pytest.raises(ValueError, match="has format 0, this program reads 1"):
        read_truth(tmp_path / "truth.json")


def test_truth_is_small(demo):
    assert demo.truth.stat().st_size < 100_000
    assert dataclasses.is_dataclass(read_truth(demo.truth))
