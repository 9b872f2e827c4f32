"""Render the pixels of a synthetic film."""

from __future__ import annotations

import cv2
import numpy as np

from spondylo_ml.data.phantom.attenuation import attenuation
from spondylo_ml.data.phantom.film import PhantomFilm
from spondylo_ml.data.phantom.processing import develop, expose, finish
from spondylo_ml.landmarks import Facing, GreyImage

_PIXELS = 1
"""Third word of the renderer's seed, so that its draws are independent of the geometry's."""


def render(film: PhantomFilm) -> GreyImage:
    """(H, W) grey levels with bright bone; deterministic."""
    rng = np.random.default_rng([film.seed, film.index, _PIXELS])
    signal = expose(attenuation(film.framing, rng), film.framing, rng)
    image = finish(develop(signal, film.framing, rng), film.framing, rng)
    if image.shape != film.size_hw:  # an export is stretched to a square
        height, width = film.size_hw
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    return np.ascontiguousarray(image[:, ::-1]) if film.facing is Facing.RIGHT else image
