"""Attenuation of soft tissue and air in nepers, for a film that faces left."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom.framing import Ending, Framing
from spondylo_ml.data.phantom.painting import FloatMap, Layer, blurred, curve, rough
from spondylo_ml.landmarks import FloatArray


def soft_tissue(framing: Framing, rng: np.random.Generator, belly: float = 1.0) -> FloatMap:
    """Trunk with elliptic cross-sections that vary in width from hips to chest.

    Args:
        belly: factor on the trunk's extent in front of the spine.
    """
    height, width = framing.size_hw
    unit, middle = framing.depth_px, framing.corners_px.mean(axis=1)
    rows = np.arange(height, dtype=np.float64)
    spine_x = np.interp(rows, middle[::-1, 1], middle[::-1, 0])
    knots_y = middle[0, 1] + np.array([-9.0, -6.0, -3.0, -1.0, 1.5, 4.0, 6.0]) * unit
    stout = rng.uniform(0.85, 1.25)
    behind = np.interp(rows, knots_y, np.array([2.5, 2.3, 2.1, 2.2, 2.7, 2.9, 2.6]) * rng.uniform(0.9, 1.35))
    ahead = (
        np.interp(rows, knots_y, np.array([4.0, 4.3, 4.2, 4.3, 4.4, 4.2, 4.0]) * stout * rng.uniform(0.85, 1.3)) * belly
    )
    depths = np.array([5.0, 5.2, 4.9, 5.3, 7.0, 7.8, 7.8]) * rng.uniform(0.9, 1.15) * np.exp(rng.normal(0, 0.06, 7))
    thick = np.interp(rows, knots_y, depths)
    spine_x = blurred(spine_x.astype(np.float32)[:, None].repeat(2, axis=1), 0.8 * unit)[:, 0]
    centre = (spine_x + (behind - ahead) / 2 * unit).astype(np.float32)[:, None]
    half = ((behind + ahead) / 2 * unit).astype(np.float32)[:, None]
    offset = (np.arange(width, dtype=np.float32)[None] - centre) / half
    section = np.sqrt(np.maximum(1 - offset * offset, 0))
    muscle = np.float32(thick[:, None] * 0.82)
    coarse, fine = rng.uniform(0.005, 0.03), rng.uniform(0.003, 0.012)
    texture = 1 + np.float32(coarse) * rough(rng, framing.size_hw, unit * rng.uniform(0.6, 2.0))
    texture += np.float32(fine) * rough(rng, framing.size_hw, unit * rng.uniform(0.15, 0.35))
    texture += np.float32(rng.uniform(0.001, 0.007)) * rough(rng, framing.size_hw, max(unit * 0.06, 1.5))
    return np.asarray(section * muscle * texture, dtype=np.float32)


def organs(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Organs and skin folds, as a share of the trunk's attenuation."""
    unit, middle = framing.depth_px, framing.corners_px.mean(axis=1)
    dense, folds = Layer(framing.size_hw), Layer(framing.size_hw)
    for _ in range(int(rng.integers(2, 7))):
        at = middle[int(rng.integers(0, len(middle)))] + np.array([-rng.gamma(3.0, 0.8), rng.normal(0.0, 0.8)]) * unit
        dense.fill(_blob(at, unit * rng.uniform(0.5, 2.2), rng), int(rng.uniform(30, 255)))
    for _ in range(int(rng.poisson(4.0))):
        at = middle[int(rng.integers(0, len(middle)))] + np.array([rng.normal(-2.0, 2.0), rng.normal(0.0, 0.5)]) * unit
        steps = rng.normal(0.0, 0.5, (4, 2)) + rng.normal(0.0, 1.0, 2)
        folds.stroke(curve(at + np.cumsum(steps, axis=0) * unit), int(rng.uniform(50, 255)), unit * 0.05)
    lean = rng.uniform(0.01, 0.06)
    return dense.weighted(lean, unit * 0.06) + folds.weighted(rng.uniform(0.0, 0.03), unit * 0.04)


def lungs(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Air above both domes of the diaphragm, as attenuation to subtract."""
    unit, sheet = framing.depth_px, np.zeros(framing.size_hw, dtype=np.float32)
    if framing.ending is Ending.LUNG:
        back_y = framing.ending_px + unit * rng.uniform(0.2, 0.9)
    else:
        slot = float(rng.uniform(5.2, 9.5))
        level = np.interp(slot, np.arange(len(framing.corners_px)), framing.corners_px[:, :, 1].mean(axis=1))
        back_y = float(level) - unit * max(slot - len(framing.corners_px), 0.0)
    spine_x = float(framing.corners_px[-1, :, 0].mean())
    for _ in range(2):
        layer = Layer(framing.size_hw)
        knots = np.array([[2.6, 1.2], [1.4, 0.0], [0.0, -0.9], [-2.0, -1.5], [-4.0, -1.4], [-6.5, -0.6], [-12.0, 0.4]])
        dome = knots * [1.0, rng.uniform(0.4, 1.2)] * unit + [spine_x, back_y] + rng.normal(0.0, 0.25, 2) * unit
        sky = np.array([[spine_x - 12 * unit, -14 * unit], [spine_x + 5 * unit, -14 * unit]])
        layer.fill(np.concatenate([curve(dome), sky]), 255)
        sheet += layer.weighted(rng.uniform(0.7, 2.0), unit * 0.04)
    if framing.ending is Ending.LUNG:
        rows = np.arange(framing.size_hw[0], dtype=np.float32)[:, None]
        sheet += 1.2 / (1 + np.exp(np.clip((rows - np.float32(framing.ending_px)) / np.float32(0.12 * unit), -30, 30)))
    vessels = 1 + 0.12 * rough(rng, framing.size_hw, unit * 0.3)
    return np.asarray(sheet * vessels, dtype=np.float32)


def bowel_gas(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Bowel gas in front of the spine and sometimes over it, as attenuation to subtract."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    middle = framing.corners_px.mean(axis=1)
    size = rng.uniform(0.06, 0.3)
    for _ in range(int(rng.poisson(2.5))):
        slot = int(rng.integers(0, min(len(middle), 7)))
        at = middle[slot] + np.array([-rng.gamma(5.0, 0.55), rng.normal(0.0, 0.6)]) * unit
        way = rng.normal(0.0, 0.35, 2) * [1.0, 0.6]
        for step in range(int(rng.integers(1, 8))):  # haustra of a loop of bowel
            centre = at + (way * step + rng.normal(0.0, 0.12, 2)) * unit
            layer.fill(_blob(centre, unit * size * rng.uniform(0.5, 1.8), rng), int(rng.uniform(60, 255)))
    if rng.random() < 0.5:  # rectum, in front of the sacrum
        centre = middle[0] + np.array([rng.uniform(0.0, 1.0), rng.uniform(2.2, 3.4)]) * unit
        layer.fill(_blob(centre, unit * rng.uniform(0.3, 0.8), rng), int(rng.uniform(80, 220)))
    gas = layer.weighted(rng.uniform(0.2, 1.2), unit * rng.uniform(0.02, 0.06))
    if rng.random() < 0.4:  # stool in front of the lower spine
        stool = Layer(framing.size_hw)
        at = (
            middle[int(rng.integers(0, 4)) % len(middle)]
            + np.array([-rng.uniform(1.5, 4.0), rng.normal(0, 0.8)]) * unit
        )
        stool.fill(_blob(at, unit * rng.uniform(0.7, 1.6), rng), 255)
        mottle = np.maximum(rough(rng, framing.size_hw, unit * rng.uniform(0.10, 0.25)), 0)
        gas += stool.weighted(rng.uniform(0.1, 0.5), unit * 0.2) * mottle
    return gas


def _blob(centre: FloatArray, radius: float, rng: np.random.Generator) -> FloatArray:
    """(N, 2) outline of a bubble."""
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    reach = radius * rng.uniform(0.82, 1.18, 8) * np.exp(rng.normal(0.0, 0.2) * np.cos(2 * angle))
    return curve(centre + np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None], 4, closed=True)
