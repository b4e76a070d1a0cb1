"""HDR to SDR, against numbers from the standards."""

import numpy as np
import pytest

from ganjax.inference import hdr


def grey(level, transfer):
    return hdr.to_sdr(np.full((1, 3), level), transfer, hdr.BT2020)[0].tolist()


def test_pq_is_that_of_bt_2100():
    """BT.2408 table 1: 58% is 203 cd/m2, 75% near 1000."""
    np.testing.assert_allclose(
        hdr.pq_signal(np.array([0, 100, 203, 1000, 10_000])), [0, 0.508, 0.581, 0.752, 1], atol=1e-3
    )
    levels = np.linspace(0, 1, 50)
    np.testing.assert_allclose(hdr.pq_signal(hdr.pq_light(levels)), levels, atol=1e-6)


def test_hlg_is_that_of_bt_2100():
    """BT.2408 table 1: 38% is 26 cd/m2 and 75%, diffuse white, 203."""
    signal = np.repeat(np.array([0.0, 0.38, 0.75, 1.0], np.float32)[:, None], 3, 1)
    np.testing.assert_allclose(hdr.hlg_light(signal)[:, 0], [0, 26.2, 203, 1000], rtol=5e-3, atol=1e-3)


def test_primaries_are_converted_as_in_bt_2087():
    expected = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    np.testing.assert_allclose(hdr.conversion(hdr.BT2020), expected, atol=1e-4)
    np.testing.assert_allclose(hdr.conversion(hdr.P3).sum(1), 1, atol=1e-9)  # white stays white
    np.testing.assert_allclose(hdr.conversion(hdr.BT709), np.eye(3), atol=1e-9)


@pytest.mark.parametrize("transfer", [hdr.HLG, hdr.PQ])
def test_greys_stay_grey_and_rise_to_white(transfer):
    levels = np.linspace(0, 1 if transfer == hdr.HLG else float(hdr.pq_signal(np.float64(1000))), 200)
    greys = hdr.to_sdr(np.repeat(levels[:, None], 3, 1), transfer, hdr.BT2020).astype(int)
    assert (greys.max(1) - greys.min(1)).max() <= 1
    assert (np.diff(greys[:, 0]) >= 0).all() and greys[0, 0] == 0 and greys[-1, 0] == 255


def test_below_the_knee_light_is_light():
    """Below the knee 50 cd/m2 stay 50 of 203 cd/m2, encoded with a gamma of 2.4."""
    signal = float(hdr.pq_signal(np.float64(50)))
    assert grey(signal, hdr.PQ) == [round(255 * (50 / 203) ** (1 / 2.4))] * 3
    assert grey(0.75, hdr.HLG) == [230] * 3  # diffuse white leaves room for highlights
    assert grey(1.0, hdr.PQ) == [255] * 3


def test_sdr_of_wide_primaries_keeps_greys_and_clips_what_is_beyond():
    pixels = hdr.to_sdr(np.array([[0.5, 0.5, 0.5], [1, 0, 0]]), 1, hdr.P3)
    assert pixels.tolist() == [[128, 128, 128], [255, 0, 0]]
