"""Line integral of the attenuation of a film's anatomy in nepers, summed over its structures."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom import bones, soft
from spondylo_ml.data.phantom.additions import Addition
from spondylo_ml.data.phantom.additions.clutter import thinned, white
from spondylo_ml.data.phantom.additions.pelvis import pelvis
from spondylo_ml.data.phantom.foreign import foreign
from spondylo_ml.data.phantom.framing import Framing
from spondylo_ml.data.phantom.painting import FloatMap, rough


def attenuation(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """(H, W) attenuation in nepers, 0 in air, for a film that faces left."""
    surrounded, own = Addition.SURROUNDINGS in framing.additions, rng.spawn(1)[0]  # the rest of the film stays the same
    tissue = soft.soft_tissue(framing, rng, own.uniform(0.95, 1.7) if surrounded else 1.0)
    tissue *= 1 + soft.organs(framing, rng)
    if surrounded:
        tissue *= 1 - thinned(framing, own)
    fused = Addition.SACRUM in framing.additions
    bone = pelvis(framing, rng) if fused else bones.pelvic_girdle(framing, rng)
    bone += bones.ribs(framing, rng)
    bone += bones.posterior_elements(framing, rng)
    bone *= 1 + 0.05 * rough(rng, framing.size_hw, max(framing.depth_px * 0.05, 1.5))
    bone += bones.spinal_column(framing, rng) + bones.osteophytes(framing, rng)
    air = soft.bowel_gas(framing, rng)
    air += soft.lungs(framing, rng)
    total = tissue + bone * rng.uniform(0.7, 1.25) - np.minimum(air, 0.85 * tissue) + foreign(framing, rng)
    if surrounded:
        total += white(framing, own)
    return np.asarray(np.maximum(total, 0.0), dtype=np.float32)
