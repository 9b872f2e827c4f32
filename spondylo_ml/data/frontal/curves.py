"""Scoliosis as the tilt of each vertebra on a frontal film.

Tilt is in degrees, positive if the right side on the image is lower. A curve lies between two end vertebrae of extreme
tilt; its Cobb angle is the difference of their tilts. Levels are slots, counted from the sacrum up: 1 is L5, 17 is T1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.landmarks import FloatArray

L5, T1 = 1, 17
TOP_SLOT = 21
"""Topmost drawn vertebra, C4."""

LARGEST_COBB_DEG = 90.0

_COBB_SHAPE, _COBB_SCALE_DEG = 3.2, 11.8
"""Gamma distribution of the main curve's angle on the training films of SpineWeb-16: the median is 38 degrees."""


@dataclass(frozen=True)
class Pattern:
    """Where the end vertebrae of adjacent curves are, and how large the curves are compared with the main one.

    Attributes:
        share: relative frequency.
        ends: mean slot of each end vertebra, head to tail.
        spread: standard deviation of these slots.
        sizes: range of each curve's Cobb angle as a share of the main one's, head to tail; one fewer than `ends`.
        right_share: how often the main curve is convex to the left side of the image, the patient's right.
        main: index of the main curve.
    """

    share: float
    ends: tuple[float, ...]
    spread: float
    sizes: tuple[tuple[float, float], ...]
    right_share: float
    main: int


PATTERNS = {
    "thoracic": Pattern(0.34, (17.8, 13.1, 7.0, 2.6), 0.9, ((0.2, 0.8), (1.0, 1.0), (0.4, 0.95)), 0.97, 1),
    "lumbar": Pattern(0.34, (17.8, 13.0, 7.4, 2.8), 0.9, ((0.1, 0.5), (0.5, 0.98), (1.0, 1.0)), 0.03, 2),
    "thoracolumbar": Pattern(0.22, (15.8, 11.0, 4.1, 1.0), 1.2, ((0.2, 0.7), (1.0, 1.0), (0.1, 0.6)), 0.9, 1),
    "upper_thoracic": Pattern(0.10, (16.0, 10.0, 4.0), 1.4, ((1.0, 1.0), (0.4, 0.9)), 0.1, 0),
}
"""Patterns of curves; their frequencies and levels were chosen to fit the same films."""


def random_tilts_deg(rng: np.random.Generator) -> FloatArray:
    """(V,) tilt of each slot from S1 up to `TOP_SLOT`, of a random pattern and severity."""
    names = list(PATTERNS)
    shares = np.cumsum([PATTERNS[name].share for name in names])
    pattern = PATTERNS[names[int(np.searchsorted(shares / shares[-1], rng.random(), side="right"))]]
    cobb_deg = float(min(rng.gamma(_COBB_SHAPE, _COBB_SCALE_DEG), LARGEST_COBB_DEG))
    sizes = np.array([rng.uniform(*limits) for limits in pattern.sizes]) * cobb_deg
    ends = np.array(pattern.ends) + rng.normal(0.0, pattern.spread, len(pattern.ends))
    convex_right = rng.random() < pattern.right_share
    first_sign = 1.0 if (pattern.main % 2 == 0) == convex_right else -1.0
    return tilts_deg(np.sort(ends)[::-1], first_sign * sizes * (-1.0) ** np.arange(len(sizes)))


def tilts_deg(ends: Sequence[float] | FloatArray, cobb_deg: Sequence[float] | FloatArray) -> FloatArray:
    """(V,) tilt of each slot from S1 up to `TOP_SLOT` for curves that follow each other.

    Args:
        ends: slot of each end vertebra, head to tail.
        cobb_deg: Cobb angle of the curve between each pair of neighbouring ends, one fewer; positive if its upper end
            has the greater tilt, so that it is convex to the left of the image.

    The tilts of the ends have their extremes balanced around 0; beyond the outermost ends the tilt falls off.
    """
    slots = np.asarray(ends, dtype=np.float64)
    values = -np.concatenate([[0.0], np.cumsum(np.asarray(cobb_deg, dtype=np.float64))])
    values -= (values.max() + values.min()) / 2
    knots = np.concatenate([[slots[0] + 7.0], slots, [slots[-1] - 4.0]])
    heights = np.concatenate([[0.15 * values[0]], values, [0.4 * values[-1]]])
    return eased(np.arange(TOP_SLOT + 1, dtype=np.float64), knots[::-1], heights[::-1])


def eased(at: FloatArray, knots: FloatArray, heights: FloatArray) -> FloatArray:
    """(N,) values at `at` of half cosine waves through the knots, which ascend; constant beyond the outermost."""
    span = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    share = np.clip((at - knots[span]) / np.maximum(knots[span + 1] - knots[span], 1e-6), 0.0, 1.0)
    weight = (1 - np.cos(np.pi * share)) / 2
    return np.asarray(heights[span] + weight * (heights[span + 1] - heights[span]))
