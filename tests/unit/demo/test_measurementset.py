import numpy as np
import pytest
from casacore.tables import table

from lofargrid.demo import read_truth
from lofargrid.demo.array import load_array


def open_table(path):
    return table(str(path), ack=False)


@pytest.fixture(scope="module")
def truth(demo):
    return read_truth(demo.truth)


def test_rows_are_times_by_baselines_with_autocorrelations(unpacked, small_options):
    stations = len(small_options.stations)
    with open_table(unpacked) as main:
        times = main.getcol("TIME").reshape(small_options.times, -1)
        first, second = main.getcol("ANTENNA1"), main.getcol("ANTENNA2")
    assert times.shape[1] == stations * (stations + 1) // 2
    assert (np.ptp(times, axis=1) == 0).all()
    assert np.diff(times[:, 0]) == pytest.approx(small_options.interval_s)
    assert (first <= second).all()


def test_columns_have_the_shapes_of_a_raw_subband(unpacked, small_options):
    with open_table(unpacked) as main:
        rows = main.nrows()
        columns = {name: main.getcol(name) for name in ("DATA", "FLAG", "WEIGHT_SPECTRUM", "UVW")}
    cell = (rows, small_options.channels, 4)
    assert columns["DATA"].shape == columns["FLAG"].shape == columns["WEIGHT_SPECTRUM"].shape == cell
    assert columns["DATA"].dtype == np.complex64
    assert np.isfinite(columns["DATA"]).all()
    assert not columns["FLAG"].any()
    assert (columns["WEIGHT_SPECTRUM"] == 1).all()
    assert columns["UVW"].shape == (rows, 3)


def test_time_range_spans_the_first_to_the_last_integration(unpacked):
    with open_table(unpacked) as main:
        times, interval = main.getcol("TIME"), main.getcol("INTERVAL")
    start, end = open_table(unpacked / "OBSERVATION").getcol("TIME_RANGE")[0]
    assert start == (times - interval / 2).min()
    assert end == (times + interval / 2).max()


def test_observation_says_what_a_reader_needs(unpacked, small_options):
    with open_table(unpacked / "OBSERVATION") as observation:
        row = observation[0]
    assert row["TELESCOPE_NAME"] == "LOFAR"
    assert row["LOFAR_OBSERVATION_ID"] == str(small_options.target_sas_id)
    assert row["LOFAR_CLOCK_FREQUENCY"] == 200.0
    assert row["LOFAR_FILTER_SELECTION"] == "HBA_110_190"
    assert row["LOFAR_SUB_ARRAY_POINTING"] == 0


def test_spectral_window_holds_the_channels(unpacked, small_options):
    with open_table(unpacked / "SPECTRAL_WINDOW") as window:
        row = window[0]
    assert row["CHAN_FREQ"].tolist() == small_options.frequencies_hz(1).tolist()
    assert row["REF_FREQUENCY"] == pytest.approx(small_options.centre_hz(1), rel=1e-15)
    assert row["TOTAL_BANDWIDTH"] == pytest.approx(195312.5)
    assert row["NUM_CHAN"] == small_options.channels


def test_correlations_are_xx_xy_yx_yy(unpacked):
    with open_table(unpacked / "POLARIZATION") as polarization:
        assert polarization.getcol("CORR_TYPE").tolist() == [[9, 10, 11, 12]]


def test_stations_and_feeds_match(unpacked, small_options):
    with open_table(unpacked / "ANTENNA") as antenna:
        assert tuple(antenna.getcol("NAME")) == small_options.stations
        positions = antenna.getcol("POSITION")
    assert positions.tolist() == load_array(small_options.stations).positions_m.tolist()
    with open_table(unpacked / "FEED") as feed:
        assert feed.getcol("ANTENNA_ID").tolist() == list(range(len(small_options.stations)))


def test_pointing_of_the_second_sap_differs(tmp_path, unpacked):
    with open_table(unpacked / "FIELD") as field:
        row = field[0]
    assert row["NAME"] == "field-0"
    assert row["PHASE_DIR"].tolist() == row["DELAY_DIR"].tolist() == row["REFERENCE_DIR"].tolist()


def test_no_array_of_free_shape_remains_where_casacore_leaves_random_bytes(unpacked):
    for name in ("FIELD", "FEED", "SPECTRAL_WINDOW", "POLARIZATION"):
        with open_table(unpacked / name) as sub:
            free = [
                column
                for column in sub.colnames()
                if sub.isvarcol(column)
                and sub.getcoldesc(column).get("ndim", 0) != 0
                and "shape" not in sub.getcoldesc(column)
            ]
        assert free in ([], ["POLARIZATION_TYPE"])


def test_the_history_is_not_empty(unpacked):
    with open_table(unpacked / "HISTORY") as history:
        assert history.nrows() == 1


def test_the_data_are_the_true_ones_but_for_noise_and_interference(unpacked, truth, small_options):
    with open_table(unpacked) as main:
        data = main.getcol("DATA")
    data = data.reshape(small_options.times, -1, small_options.channels, 4)
    bad = truth.interference(unpacked.name)
    loud = np.abs(data[..., 1]).min(axis=1)
    assert (loud[bad] > 50 * small_options.noise_jy).all()
    assert (np.abs(data[..., 1]).max(axis=1)[~bad] < 6 * small_options.noise_jy).all()
