"""One observation of the pair: where it looks, when, through which ionosphere, and its data."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from lofargrid.demo import corruption, sky
from lofargrid.demo.array import Array, baseline_uvw_m, load_array, station_uvw_m
from lofargrid.demo.corruption import Burst, Instrument
from lofargrid.demo.options import DemoOptions, FloatArray
from lofargrid.demo.raw import RawSubband
from lofargrid.demo.sky import Source

# 2020-01-15 00:00 UTC: both fields stand near their highest point.
CALIBRATOR_START_MJD_S = 58863 * 86400.0
TARGET_DELAY_S = 600.0

# Spread of the mean and of the drift in TECU. Above the calibrator little changes, so that one
# solution for the whole of it holds; above the target the phase drifts by a part of a radian.
CALIBRATOR_TEC = (0.0, 0.0005)
TARGET_TEC = (0.02, 0.008)

# Separate streams of chance, so that a change of one leaves the others as they are.
_INSTRUMENT, _SKY, _TEC, _FILE, _FAINT = range(5)


@dataclass(frozen=True)
class Telescope:
    """Stations and what they do to a signal in every observation.

    Attributes
    ----------
    array
        Stations.
    instrument
        Their gains.
    """

    array: Array
    instrument: Instrument


@dataclass(frozen=True)
class Pointing:
    """Direction of a SAP.

    Attributes
    ----------
    name
        Name of the field.
    centre
        Right ascension and declination, J2000, radians.
    """

    name: str
    centre: tuple[float, float]


@dataclass(frozen=True)
class Scan:
    """One observation, with what all of its subbands share.

    Attributes
    ----------
    sas_id
        Observation number.
    pointings
        One for each SAP.
    sources
        What can be measured on the sky, in the sky model or left out.
    faint
        The rest of the sky, all in the sky model.
    start_mjd_s
        Start of the first integration, UTC as seconds of modified Julian date.
    tec
        Electron content above each station in TECU, shape (stations, times).
    """

    sas_id: int
    pointings: tuple[Pointing, ...]
    sources: tuple[Source, ...]
    faint: tuple[Source, ...]
    start_mjd_s: float
    tec: FloatArray

    def times_mjd_s(self, options: DemoOptions) -> FloatArray:
        """Middle of each integration."""
        return np.asarray(self.start_mjd_s + (np.arange(options.times) + 0.5) * options.interval_s)


def build_telescope(options: DemoOptions) -> Telescope:
    """Stations with gains that follow from the seed."""
    random = _stream(options, _INSTRUMENT)
    instrument = corruption.random_instrument(random, len(options.stations))
    return Telescope(load_array(options.stations), instrument)


def calibrator_scan(options: DemoOptions) -> Scan:
    """The observation of one bright known source."""
    centre = (sky.CALIBRATOR_RA, sky.CALIBRATOR_DEC)
    return Scan(
        sas_id=options.calibrator_sas_id,
        pointings=(Pointing(sky.CALIBRATOR_NAME, centre),),
        sources=sky.calibrator_sky(options.band_centre_hz),
        faint=_faint(options, 0, centre),
        start_mjd_s=CALIBRATOR_START_MJD_S,
        tec=_tec(options, 0, CALIBRATOR_TEC),
    )


def target_scan(options: DemoOptions) -> Scan:
    """The observation of the target field, after the calibrator however long that is."""
    duration_s = options.times * options.interval_s
    return Scan(
        sas_id=options.target_sas_id,
        pointings=tuple(Pointing(f"field-{sap}", sky.sap_centre(sap)) for sap in range(options.target_saps)),
        sources=sky.target_sky(_stream(options, _SKY), options.band_centre_hz),
        faint=_faint(options, 1, sky.sap_centre(0)),
        start_mjd_s=CALIBRATOR_START_MJD_S + duration_s + TARGET_DELAY_S,
        tec=_tec(options, 1, TARGET_TEC),
    )


def _tec(options: DemoOptions, scan: int, spread: tuple[float, float]) -> FloatArray:
    shape = (len(options.stations), options.times)
    return corruption.random_tec(_stream(options, _TEC, scan), shape, *spread)


def _faint(options: DemoOptions, scan: int, centre: tuple[float, float]) -> tuple[Source, ...]:
    random = _stream(options, _FAINT, scan)
    return sky.faint_sky(random, centre, options.faint_sources, options.band_centre_hz)


def _stream(options: DemoOptions, *numbers: int) -> Generator:
    return np.random.default_rng([options.seed, *numbers])


def file_seed(options: DemoOptions, scan: Scan, sap: int, subband: int) -> tuple[int, ...]:
    """Seed of what differs from file to file: noise and interference."""
    return (options.seed, _FILE, scan.sas_id, sap, subband)


def observe(
    options: DemoOptions, telescope: Telescope, scan: Scan, sap: int, subband: int
) -> tuple[RawSubband, tuple[Burst, ...]]:
    """Data of one subband and the interference in it."""
    random = np.random.default_rng(file_seed(options, scan, sap, subband))
    pointing, array = scan.pointings[sap], telescope.array
    times, frequencies = scan.times_mjd_s(options), options.frequencies_hz(subband)
    stations_uvw = station_uvw_m(array.positions_m, times, *pointing.centre)
    sources = scan.sources + scan.faint
    clean = sky.point_visibilities(sources, pointing.centre, stations_uvw, frequencies)
    ionosphere = corruption.ionosphere_gains(scan.tec, frequencies)
    gains = telescope.instrument.gains(frequencies) * ionosphere
    data = corruption.corrupt(clean, gains, array.baselines)
    data += corruption.complex_noise(random, data.shape, options.noise_jy)
    bursts = corruption.random_bursts(random, options.times, options.channels)
    mask = corruption.burst_mask(bursts, options.times, options.channels)
    raw = RawSubband(
        sas_id=scan.sas_id,
        sap=sap,
        abn=options.abn(subband),
        field=pointing.name,
        centre=pointing.centre,
        array=array,
        times_mjd_s=times,
        interval_s=options.interval_s,
        frequencies_hz=frequencies,
        channel_width_hz=options.channel_width_hz,
        uvw_m=baseline_uvw_m(stations_uvw, array.baselines),
        data=corruption.add_interference(random, data, mask, options.noise_jy),
    )
    return raw, bursts
