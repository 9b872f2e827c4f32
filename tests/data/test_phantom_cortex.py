"""Brighter endplates and walls of synthetic bodies as an addition: their place stays, their contrast grows."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom import phantom_film
from spondylo_ml.data.phantom.bones import bodies


def test_endplates_and_walls_are_brighter_by_one_factor_a_film() -> None:
    gains = []
    for index in range(60):
        plain, bright = (phantom_film(6, index, 256, additions=names).framing for names in ((), ("cortex",)))
        np.testing.assert_array_equal(plain.corners_px, bright.corners_px)
        first, later = (bodies(framing, 0.0, np.random.default_rng(index)) for framing in (plain, bright))
        drawn = first > 0.01  # without cancellous bone only endplates and walls are left
        ratio = later[drawn] / first[drawn]
        np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-4)
        gains.append(float(np.median(ratio)))
    assert 0.79 < min(gains) < 1.2
    assert 3.5 < max(gains) < 5.01
    assert 1.5 < np.median(gains) < 2.7
