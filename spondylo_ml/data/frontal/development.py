"""Display of a frontal film's signal: range compression, edge enhancement, window, and the curve of grey levels.

The curve rises fast and levels off: on real films of the whole spine, lungs are dark, and the lumbar spine is hardly
brighter than the abdomen around it.
"""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom.painting import FloatMap, blurred, rough
from spondylo_ml.data.phantom.styles import Exposure

_AIR = 0.6
"""Signal below which there is nothing but air, which does not count for the window."""

_RANGE_CUT = {
    Exposure.EVEN: (0.0, 0.7),
    Exposure.STEEP: (0.0, 0.2),
    Exposure.FLAT: (0.1, 0.6),
    Exposure.LOCAL: (0.2, 1.0),
}
"""Range of the amplification of fine over coarse contrast."""

_WHITE = {
    Exposure.EVEN: (0.95, 0.998),
    Exposure.STEEP: (0.86, 0.98),
    Exposure.FLAT: (0.96, 0.999),
    Exposure.LOCAL: (0.95, 0.998),
}
"""Range of the share of the signal below the white end of the window."""


def develop(signal: FloatMap, exposure: Exposure, rng: np.random.Generator) -> FloatMap:
    """(H, W) display values from 0 to 1."""
    unit = signal.shape[0] / 704
    if rng.random() < 0.6:  # most films were reduced from a larger size, which averages out their noise
        signal = blurred(signal, unit * rng.uniform(0.35, 0.8))
    coarse = blurred(signal, unit * rng.uniform(20, 50))
    signal = signal + np.float32(rng.uniform(*_RANGE_CUT[exposure])) * (signal - coarse)
    if rng.random() < 0.4:
        signal = signal + np.float32(rng.uniform(0.1, 0.7)) * (signal - blurred(signal, unit * rng.uniform(1.2, 2.2)))
    sample = signal.ravel()[:: max(signal.size // 4000, 1)]
    levels = np.sort(sample[sample > _AIR]) if (sample > _AIR).sum() > 50 else np.array([0.0, 1.0])
    low = levels[int(len(levels) * rng.uniform(0.0, 0.18))] - rng.uniform(0.0, 0.35)
    high = levels[int((len(levels) - 1) * rng.uniform(*_WHITE[exposure]))] + rng.uniform(0.0, 0.6)
    display = np.clip((signal - np.float32(low)) / np.float32(max(high - low, 0.5)), 0, 1)
    display = np.power(display, np.float32(np.exp(rng.normal(0.25, 0.25))))
    display = 1 - np.power(1 - display, np.float32(np.exp(rng.normal(0.42, 0.28))))
    if exposure is Exposure.FLAT:
        display = np.float32(rng.uniform(0.0, 0.25)) + np.float32(rng.uniform(0.45, 0.75)) * display
    uneven = 1 + np.float32(rng.uniform(0.0, 0.06)) * rough(rng, signal.shape, signal.shape[0] / 3)
    return np.asarray(display * uneven * np.float32(rng.uniform(0.8, 1.0)), dtype=np.float32)
