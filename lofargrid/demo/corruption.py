"""What stands between the sky and the data: station gains, ionosphere, noise and interference."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from lofargrid.demo.options import BoolArray, ComplexArray, FloatArray

# Phase in radians is this times TEC in TECU (1e16 electrons per square metre) over hertz.
TEC_PHASE_HZ = -8.4479745e9

RIPPLE_PERIOD_HZ = 4e6
RIPPLE_DEPTH = 0.03
AMPLITUDE_SPREAD = 0.15
CLOCK_SPREAD_S = 10e-9
POLARIZATION_PHASE_SPREAD = 0.5
RFI_STRENGTH = 200.0


@dataclass(frozen=True)
class Instrument:
    """What a station does to a signal, the same for the calibrator and for the target.

    Attributes
    ----------
    amplitude
        Amplitude of each polarization, shape (stations, 2).
    ripple_phase
        Where in its bandpass ripple each polarization stands, radians, shape (stations, 2).
    polarization_phase
        Phase of each polarization, radians, shape (stations, 2).
    clock_s
        Clock error in seconds, shape (stations,).
    """

    amplitude: FloatArray
    ripple_phase: FloatArray
    polarization_phase: FloatArray
    clock_s: FloatArray

    def gains(self, frequencies_hz: FloatArray) -> ComplexArray:
        """Gains of shape (stations, channels, 2)."""
        frequency = frequencies_hz[np.newaxis, :, np.newaxis]
        angle = 2 * np.pi * frequency / RIPPLE_PERIOD_HZ + self.ripple_phase[:, np.newaxis]
        bandpass = 1 + RIPPLE_DEPTH * np.cos(angle)
        clock_phase = 2 * np.pi * frequency * self.clock_s[:, np.newaxis, np.newaxis]
        phase = clock_phase + self.polarization_phase[:, np.newaxis]
        return np.asarray(self.amplitude[:, np.newaxis] * bandpass * np.exp(1j * phase))


@dataclass(frozen=True)
class Burst:
    """A box of time and frequency with interference on every baseline.

    Attributes
    ----------
    first_time, times
        First integration and number of integrations.
    first_channel, channels
        First channel of the subband and number of channels.
    """

    first_time: int
    times: int
    first_channel: int
    channels: int


def random_instrument(random: Generator, stations: int) -> Instrument:
    """Station gains drawn by chance."""
    shape = (stations, 2)
    return Instrument(
        amplitude=1 + random.uniform(-AMPLITUDE_SPREAD, AMPLITUDE_SPREAD, shape),
        ripple_phase=random.uniform(0, 2 * np.pi, shape),
        polarization_phase=random.normal(0, POLARIZATION_PHASE_SPREAD, shape),
        clock_s=random.normal(0, CLOCK_SPREAD_S, stations),
    )


def random_tec(random: Generator, shape: tuple[int, int], offset: float, drift: float) -> FloatArray:
    """Electron content above each station, slowly changing, in TECU.

    Parameters
    ----------
    random
        Source of chance.
    shape
        Numbers of stations and of times.
    offset
        Spread of the mean content in TECU.
    drift
        Spread of the change over the observation in TECU.

    Returns
    -------
    tec
        Shape (stations, times).
    """
    stations, times = shape
    moment = np.linspace(-0.5, 0.5, times)
    start, slope, wave = random.normal(0, 1, (3, stations, 1))
    phase = random.uniform(0, 2 * np.pi, (stations, 1))
    swing = np.sin(2 * np.pi * moment + phase)
    return np.asarray(offset * start + drift * (slope * moment + 0.25 * wave * swing))


def ionosphere_gains(tec: FloatArray, frequencies_hz: FloatArray) -> ComplexArray:
    """Phase-only gains of shape (times, stations, channels, 1)."""
    phase = TEC_PHASE_HZ * tec.T[..., np.newaxis] / frequencies_hz
    return np.asarray(np.exp(1j * phase)[..., np.newaxis])


def corrupt(visibilities: ComplexArray, gains: ComplexArray, baselines: tuple[tuple[int, int], ...]) -> ComplexArray:
    """Unpolarized visibilities as the correlator sees them, XX, XY, YX, YY.

    Parameters
    ----------
    visibilities
        Stokes I in Jy, shape (times, stations, stations, channels).
    gains
        Shape (times, stations, channels, 2).
    baselines
        Station numbers of each baseline.

    Returns
    -------
    data
        Shape (times, baselines, channels, 4).
    """
    first, second = np.array(baselines).T
    signal = visibilities[:, first, second]
    data = np.zeros((*signal.shape, 4), dtype=np.complex128)
    for polarization, correlation in ((0, 0), (1, 3)):
        gain = gains[..., polarization]
        data[..., correlation] = signal * gain[:, first] * gain[:, second].conj()
    return data


def complex_noise(random: Generator, shape: tuple[int, ...], sigma: float) -> ComplexArray:
    """Gaussian noise, `sigma` in the real and in the imaginary part."""
    parts = random.standard_normal((*shape, 2))
    return np.asarray(sigma * parts.view(np.complex128)[..., 0])


def random_bursts(random: Generator, times: int, channels: int) -> tuple[Burst, ...]:
    """One burst over the whole subband and one short carrier.

    Longer carriers are left out: on as few channels as these AOFlagger misses a part of them.
    """
    wide = Burst(int(random.integers(times)), 1, 0, channels)
    length = min(2, times)
    start, channel = int(random.integers(times - length + 1)), int(random.integers(channels))
    return (wide, Burst(start, length, channel, 1))


def burst_mask(bursts: tuple[Burst, ...], times: int, channels: int) -> BoolArray:
    """True where there is interference, shape (times, channels)."""
    mask = np.zeros((times, channels), dtype=np.bool_)
    for burst in bursts:
        in_time = slice(burst.first_time, burst.first_time + burst.times)
        mask[in_time, burst.first_channel : burst.first_channel + burst.channels] = True
    return mask


def add_interference(random: Generator, data: ComplexArray, mask: BoolArray, noise_jy: float) -> ComplexArray:
    """Data of shape (times, baselines, channels, 4) with strong signals where `mask` says."""
    amplitude = RFI_STRENGTH * max(noise_jy, 1.0)
    phase = random.uniform(0, 2 * np.pi, data.shape)
    strength = amplitude * random.uniform(0.7, 1.3, data.shape)
    return np.asarray(data + mask[:, np.newaxis, :, np.newaxis] * strength * np.exp(1j * phase))
