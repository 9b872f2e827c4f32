"""Attenuation of the sacrum and the iliac wings on a frontal film, in nepers."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.frontal.framing import FrontalFraming
from spondylo_ml.data.frontal.vertebrae import oval
from spondylo_ml.data.phantom.painting import FloatMap, Layer, curve
from spondylo_ml.landmarks import FloatArray

_ILIUM = np.array(
    [[1.15, 1.3], [1.25, 0.3], [1.7, -0.35], [2.5, -0.85], [3.4, -0.75], [4.1, 0.0], [4.3, 1.2], [3.6, 2.6], [2.4, 3.6],
     [1.5, 3.0]]
)  # fmt: skip
"""Outline of one iliac wing from the middle of S1's superior edge, in units of the median body width."""

_SACRUM = np.array([[0.72, -0.05], [1.0, -0.12], [1.5, 0.25], [1.55, 0.8], [1.25, 1.6], [0.9, 2.6], [0.5, 3.4]])
"""Right half of the sacrum's outline, likewise."""


def pelvis(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Sacrum with its foramina and crest, and both iliac wings, tilted with the lowest vertebrae."""
    unit, s1 = framing.unit_px, framing.corners_px[0]
    sacrum, wings = Layer(framing.size_hw), Layer(framing.size_hw)
    edge = (s1[1] - s1[0]) / max(float(np.linalg.norm(s1[1] - s1[0])), 1e-6)
    tilt = 0.6 * float(np.arctan2(edge[1], edge[0])) + rng.normal(0.0, 0.02)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    origin = s1[:2].mean(axis=0)
    size = unit * rng.uniform(0.92, 1.15)

    def put(local: FloatArray, shift_y: float = 0.0) -> FloatArray:
        return np.asarray((local + np.array([0.0, shift_y])) @ turn * size + origin)

    right = _SACRUM + rng.normal(0.0, 0.04, _SACRUM.shape)
    outline = put(np.concatenate([right, right[::-1] * [-1, 1]]))
    sacrum.fill(curve(outline, closed=True), 150)
    sacrum.fill(s1[[0, 1, 3, 2]], 170)
    sacrum.stroke(s1[:2] + rng.normal(0.0, 0.04, 2) * unit, int(rng.uniform(170, 255)), unit * 0.05)
    sacrum.stroke(curve(outline), 200, unit * 0.04)
    for row in range(3):
        for side in (-1, 1):
            spot = np.array([side * (0.55 - 0.06 * row), 0.55 + 0.75 * row]) + rng.normal(0.0, 0.05, 2)
            sacrum.fill(put(oval(spot, np.array([0.16, 0.12]))), 110)
        sacrum.fill(put(oval(np.array([rng.normal(0.0, 0.03), 0.3 + 0.6 * row]), np.array([0.07, 0.22]))), 200)
    high, fill = rng.normal(0.0, 0.4), int(rng.uniform(110, 200))
    for side in (-1, 1):
        wing = _ILIUM * [rng.uniform(0.92, 1.08), rng.uniform(0.9, 1.15)] + rng.normal(0.0, 0.05, _ILIUM.shape)
        shape = curve(put(wing * [side, 1], high + rng.normal(0.0, 0.1)), closed=True)
        wings.fill(shape, fill)
        wings.stroke(shape, 255, unit * 0.07, closed=True)
    return sacrum.weighted(rng.uniform(0.5, 1.3), unit * 0.03) + wings.weighted(rng.uniform(0.3, 0.9), unit * 0.03)
