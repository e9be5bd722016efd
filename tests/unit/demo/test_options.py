import numpy as np
import pytest

from lofargrid.demo import DemoOptions


def test_subband_centres_follow_the_absolute_subband_number():
    options = DemoOptions()
    for subband in range(options.subbands):
        centre_mhz = 100 + (options.first_abn + subband) * 100 / 512
        assert options.centre_hz(subband) == pytest.approx(centre_mhz * 1e6, rel=1e-14)


def test_channels_fill_the_subband_evenly():
    options = DemoOptions(channels=8)
    frequencies = options.frequencies_hz(3)
    assert np.diff(frequencies) == pytest.approx(24414.0625)
    assert frequencies.mean() == pytest.approx(options.centre_hz(3))
    assert DemoOptions(channels=1).frequencies_hz(3) == pytest.approx([options.centre_hz(3)])


def test_neighbouring_subbands_touch():
    options = DemoOptions()
    gap = options.frequencies_hz(1)[0] - options.frequencies_hz(0)[-1]
    assert gap == pytest.approx(options.channel_width_hz)


def test_default_subbands_fall_into_whole_groups_of_four_and_one_of_ten():
    options = DemoOptions()
    abns = [options.abn(subband) for subband in options.present_subbands]
    assert [abn // 4 for abn in abns] == [55] * 4 + [56] * 4
    assert {abn // 10 for abn in abns} == {22}


def test_gaps_are_left_out():
    options = DemoOptions(subbands=5, gaps=(1, 3))
    assert options.present_subbands == (0, 2, 4)
    assert options.band_centre_hz == pytest.approx(options.centre_hz(2))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"subbands": 0}, "subbands is 0: give 1 or more"),
        ({"times": 0}, "times is 0"),
        ({"channels": -1}, "channels is -1"),
        ({"target_saps": 0}, "target_saps is 0"),
        ({"first_abn": -4}, "0 to 511"),
        ({"first_abn": 505}, "505 to 512"),
        ({"stations": ("CS002HBA0",)}, "two or more"),
        ({"stations": ("CS002HBA0", "CS002HBA0")}, "each once"),
        ({"target_sas_id": 900001}, "both observations are L900001"),
        ({"subbands": 2, "gaps": (0, 1)}, "leave no subband"),
    ],
)
def test_what_cannot_be_made_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        DemoOptions(**wrong)
