"""Pixels of a synthetic film."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom.attenuation import attenuation
from spondylo_ml.data.phantom.film import PhantomFilm
from spondylo_ml.data.phantom.processing import develop, expose, finish
from spondylo_ml.landmarks import Facing, GreyImage

_PIXELS = 1
"""Third word of the renderer's seed, so that its draws are not those of the geometry."""


def render(film: PhantomFilm) -> GreyImage:
    """(H, W) grey levels, bone bright; the same on every call for the same film."""
    rng = np.random.default_rng([film.seed, film.index, _PIXELS])
    signal = expose(attenuation(film.framing, rng), film.framing, rng)
    image = finish(develop(signal, rng), film.framing, rng)
    return np.ascontiguousarray(image[:, ::-1]) if film.facing is Facing.RIGHT else image
