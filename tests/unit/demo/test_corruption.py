import numpy as np
import pytest
from numpy.random import default_rng

from lofargrid.demo import corruption
from lofargrid.demo.corruption import Burst

FREQUENCIES = 143e6 + np.arange(8) * 24414.0625
BASELINES = ((0, 0), (0, 1), (1, 1))


def test_a_clock_error_turns_the_phase_with_frequency():
    still = np.ones((1, 2))
    instrument = corruption.Instrument(still, 0 * still, 0 * still, clock_s=np.array([10e-9]))
    gains = instrument.gains(FREQUENCIES)
    turned = np.angle(gains[0, 1:, 0] / gains[0, :-1, 0])
    assert turned == pytest.approx(2 * np.pi * 10e-9 * 24414.0625)


def test_the_bandpass_ripples_about_one():
    still = np.ones((1, 2))
    instrument = corruption.Instrument(2 * still, 0 * still, 0.3 * still, np.zeros(1))
    gains = instrument.gains(np.linspace(140e6, 140e6 + corruption.RIPPLE_PERIOD_HZ, 1001)[:-1])
    assert np.abs(gains).mean() == pytest.approx(2.0)
    assert np.abs(gains).max() == pytest.approx(2 * (1 + corruption.RIPPLE_DEPTH))
    assert np.angle(gains) == pytest.approx(0.3)


def test_the_ionosphere_turns_phases_only_and_less_at_high_frequency():
    gains = corruption.ionosphere_gains(np.array([[0.01, 0.0]]), np.array([100e6, 200e6]))
    assert gains.shape == (2, 1, 2, 1)
    assert np.abs(gains) == pytest.approx(1)
    assert np.angle(gains[0, 0, :, 0]) == pytest.approx([-0.84479745, -0.422398725])
    assert np.angle(gains[1]) == pytest.approx(0)


def test_tec_drifts_around_its_mean():
    calm = corruption.random_tec(default_rng(1), (3, 10), offset=0.02, drift=0.0)
    assert np.ptp(calm, axis=1) == pytest.approx(0)
    assert np.ptp(corruption.random_tec(default_rng(1), (3, 10), 0.0, 0.01), axis=1).min() > 0


def test_gains_act_as_in_the_measurement_equation():
    gains = np.array([1.5 * np.exp(0.3j), 0.7 * np.exp(-1j)]).reshape(1, 2, 1, 1) * np.array([1.0, 2j])
    visibilities = np.array([[5.0, 3 + 1j], [3 - 1j, 5.0]]).reshape(1, 2, 2, 1)
    data = corruption.corrupt(visibilities, gains, BASELINES)
    expected_xx = (3 + 1j) * gains[0, 0, 0, 0] * np.conj(gains[0, 1, 0, 0])
    assert data.shape == (1, 3, 1, 4)
    assert data[0, 1, 0] == pytest.approx([expected_xx, 0, 0, 4 * expected_xx])
    assert data[0, 0, 0, 0] == pytest.approx(5 * 1.5**2)


def test_noise_has_the_spread_that_was_asked_for():
    noise = corruption.complex_noise(default_rng(1), (200, 200), 2.5)
    assert noise.real.std() == pytest.approx(2.5, rel=0.02)
    assert noise.imag.std() == pytest.approx(2.5, rel=0.02)
    assert np.mean(noise.real * noise.imag) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("times", [1, 2, 40])
def test_bursts_lie_within_the_subband(times):
    for seed in range(50):
        wide, carrier = corruption.random_bursts(default_rng(seed), times, 8)
        assert wide.channels == 8
        for burst in (wide, carrier):
            assert 0 <= burst.first_time <= burst.first_time + burst.times <= times
            assert 0 <= burst.first_channel < burst.first_channel + burst.channels <= 8


def test_interference_is_strong_and_only_where_the_mask_says():
    mask = corruption.burst_mask((Burst(1, 2, 0, 3), Burst(0, 1, 2, 1)), times=4, channels=3)
    assert mask.astype(int).tolist() == [[0, 0, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0]]
    clean = np.ones((4, 5, 3, 4), dtype=complex)
    data = corruption.add_interference(default_rng(1), clean, mask, noise_jy=2.0)
    inside = np.broadcast_to(mask[:, None, :, None], data.shape)
    assert (data[~inside] == 1).all()
    assert np.abs(data[inside]).min() > 50 * 2.0


def test_interference_does_not_vanish_without_noise():
    mask = np.ones((1, 1), dtype=bool)
    data = corruption.add_interference(default_rng(1), np.zeros((1, 1, 1, 4), complex), mask, noise_jy=0.0)
    assert np.abs(data).min() > 100
