"""Skin folds, streaks, small bubbles of gas, cement and contrast medium, in nepers."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom.framing import Framing
from spondylo_ml.data.phantom.painting import FloatMap, Layer, curve
from spondylo_ml.landmarks import FloatArray

_FOLDS, _STREAKS, _BUBBLES, _CEMENT, _BLADDER = 0.5, 0.6, 0.6, 0.02, 0.02
"""Share of films with each of them."""

_WHITE = 3.0
"""Attenuation of bone cement and of contrast medium."""


def thinned(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Share of the tissue's attenuation that is missing (folds, gas) or added (streaks, negative)."""
    sheet = np.zeros(framing.size_hw, dtype=np.float32)
    if rng.random() < _FOLDS:
        sheet += skin_folds(framing, rng)
    if rng.random() < _STREAKS:
        sheet -= streaks(framing, rng)
    if rng.random() < _BUBBLES:
        sheet += bubbles(framing, rng)
    return sheet


def white(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Attenuation of cement in a vertebral body and of contrast medium in the bladder."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    if rng.random() < _CEMENT:
        body = framing.corners_px[int(rng.integers(1, framing.labelled))]
        layer.fill(_blob(body.mean(axis=0), unit * np.array([0.3, 0.2]), rng), 255)
    if rng.random() < _BLADDER:
        place = framing.corners_px[0].mean(axis=0) + np.array([rng.uniform(-2.6, -1.4), rng.uniform(2.0, 3.2)]) * unit
        layer.fill(_blob(place, unit * rng.uniform([0.9, 0.7], [1.6, 1.2]), rng), 255)
    return layer.weighted(_WHITE, unit * 0.02)


def skin_folds(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Air between folds of skin at the waist and below the ribs: dark bands across the film, often in pairs."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    width = framing.size_hw[1]
    for _ in range(int(rng.integers(1, 4))):
        slot = rng.uniform(0.5, min(5.0, framing.labelled))
        y = np.interp(slot, np.arange(len(framing.corners_px)), framing.corners_px[:, :, 1].mean(axis=1))
        slope, bow = rng.normal(0.0, 0.12), rng.normal(0.0, 0.3) * unit
        x = np.linspace(-10.0, width + 10.0, 6)
        band = np.stack([x, y + slope * (x - width / 2) + bow * np.sin(np.linspace(0, np.pi, 6))], axis=1)
        if rng.random() < 0.5:  # the fold does not reach across
            band = band[3:] if rng.random() < 0.6 else band[:4]
        layer.stroke(curve(band), int(rng.uniform(80, 255)), unit * rng.uniform(0.03, 0.25))
    return layer.weighted(rng.uniform(0.02, 0.16), unit * rng.uniform(0.02, 0.08))


def streaks(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Nearly parallel oblique lines in front of the spine: muscle, ribs' cartilage, vessels, folds of clothing."""
    layer, unit, (height, width) = Layer(framing.size_hw), framing.depth_px, framing.size_hw
    direction = rng.uniform(-1.2, 1.2)
    for _ in range(int(rng.integers(5, 40))):
        start = rng.uniform([-0.2 * width, -0.1 * height], [width, 0.8 * height])
        angle = direction + rng.normal(0.0, 0.15)
        along = np.array([np.cos(angle), np.sin(angle)]) * unit * rng.uniform(1.0, 4.0)
        bend = np.array([-along[1], along[0]]) * rng.normal(0.0, 0.08)
        path = np.stack([start, start + along / 2 + bend, start + along])
        layer.stroke(curve(path), int(rng.uniform(40, 255)), unit * rng.uniform(0.03, 0.25))
    return layer.weighted(rng.uniform(0.005, 0.035), unit * rng.uniform(0.02, 0.06))


def bubbles(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Clusters of small soft-edged bubbles of gas and stool, in front of the spine and sometimes over it."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    middle = framing.corners_px.mean(axis=1)
    for _ in range(int(rng.integers(1, 4))):
        slot = int(rng.integers(0, min(len(middle), 6)))
        centre = middle[slot] + np.array([-rng.gamma(4.0, 0.5), rng.normal(0.0, 0.6)]) * unit
        spread = rng.uniform(0.3, 1.4) * unit * np.array([1.0, rng.uniform(0.5, 1.0)])
        for _ in range(int(rng.integers(6, 45))):
            size = unit * rng.uniform(0.03, 0.16) * np.exp(rng.normal(0.0, 0.2, 2))
            layer.fill(_blob(centre + spread * rng.normal(size=2), size, rng), int(rng.uniform(40, 255)))
    return layer.weighted(rng.uniform(0.02, 0.20), unit * rng.uniform(0.015, 0.05))


def _blob(centre: FloatArray, radii: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(N, 2) uneven outline."""
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    reach = radii * rng.uniform(0.75, 1.25, (8, 1))
    return curve(centre + np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach, 3, closed=True)
