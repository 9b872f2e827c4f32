"""Contrast of network inputs and of films on pages: levels between two percentiles fill the range of 8 bits."""

from __future__ import annotations

import numpy as np

from spondylo_ml.landmarks import GreyImage

CONTRAST_PERCENTILES = (0.5, 99.5)


def stretch_contrast(image: GreyImage) -> GreyImage:
    """Stretch the grey levels between the outer percentiles to 0 to 255; a uniform film becomes black."""
    low, high = np.percentile(image, CONTRAST_PERCENTILES)
    if high <= low:
        return np.zeros_like(image)
    return np.asarray(np.clip((image - low) * (255.0 / (high - low)), 0, 255).round(), dtype=np.uint8)
