"""Render the pixels of a synthetic frontal film."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.frontal.development import develop
from spondylo_ml.data.frontal.film import SLOTS, FrontalFilm
from spondylo_ml.data.frontal.finishing import finish
from spondylo_ml.data.frontal.framing import FrontalFraming
from spondylo_ml.data.frontal.objects import objects
from spondylo_ml.data.frontal.pelvis import pelvis
from spondylo_ml.data.frontal.soft import abdominal_gas, hila_and_breasts, lungs, soft_tissue
from spondylo_ml.data.frontal.thorax import jaw, ribs, shoulders
from spondylo_ml.data.frontal.vertebrae import posterior_elements, vertebral_bodies
from spondylo_ml.data.phantom.framing import Ending, Framing
from spondylo_ml.data.phantom.painting import FloatMap, rough
from spondylo_ml.data.phantom.processing import expose
from spondylo_ml.landmarks import GreyImage

_PIXELS = 12
"""Third word of the renderer's seed, so that its draws are independent of the geometry's."""


def render(film: FrontalFilm) -> GreyImage:
    """(H, W) grey levels with bright bone; deterministic."""
    rng = np.random.default_rng([film.seed, film.index, _PIXELS])
    signal = expose(attenuation(film.framing, rng), _as_lateral(film.framing), rng)
    return finish(develop(signal, film.framing.style.exposure, rng), film.framing, rng)


def attenuation(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """(H, W) line integral of the attenuation in nepers, 0 in air, summed over all structures."""
    tissue = soft_tissue(framing, rng)
    air = lungs(framing, rng) + abdominal_gas(framing, rng)
    bone = pelvis(framing, rng) + ribs(framing, rng) + shoulders(framing, rng)
    bone += posterior_elements(framing, rng)
    bone *= 1 + np.float32(0.05) * rough(rng, framing.size_hw, max(framing.unit_px * 0.05, 1.5))
    bone += vertebral_bodies(framing, rng)
    total = tissue - np.minimum(air, 0.85 * tissue) + hila_and_breasts(framing, rng) + jaw(framing, rng)
    total += bone * np.float32(rng.uniform(0.5, 1.05)) + objects(framing, rng)
    return np.asarray(np.maximum(total, 0.0), dtype=np.float32)


def _as_lateral(framing: FrontalFraming) -> Framing:
    """What the exposure needs to know, in the form of a lateral film."""
    return Framing(
        size_hw=framing.size_hw,
        corners_px=framing.labelled_px,
        labelled=SLOTS.count,
        px_per_mm=framing.px_per_mm,
        depth_px=framing.unit_px,
        ending=Ending.EDGE,
        ending_px=0.0,
        n_lumbar=5,
        style=framing.style,
    )
