"""Attenuation of overlying structures: arms, metal, calcified vessels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from spondylo_ml.data.phantom import shapes
from spondylo_ml.data.phantom.framing import Framing
from spondylo_ml.data.phantom.painting import FloatMap, Layer, curve
from spondylo_ml.data.phantom.styles import Anatomy

METAL = 4.0
"""Attenuation of a screw or a rod in nepers, white on every film."""


def foreign(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """All overlying structures of a film, drawn at random."""
    sheet = np.zeros(framing.size_hw, dtype=np.float32)
    if rng.random() < 0.2:
        sheet += arm(framing, rng)
    if rng.random() < 0.06:
        sheet += screws_and_rods(framing, rng)
    if rng.random() < 0.03:
        sheet += hip_prosthesis(framing, rng)
    if rng.random() < 0.12:
        sheet += clips_and_wires(framing, rng)
    if rng.random() < (0.6 if framing.style.anatomy is Anatomy.AGED else 0.05):
        sheet += calcified_aorta(framing, rng)
    return sheet


def arm(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """A forearm in the film's upper front corner."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    top = framing.corners_px[framing.labelled - 1].mean(axis=0)
    start = np.array([top[0] - rng.uniform(3.2, 5.0) * unit, -unit])
    end = start + np.array([rng.normal(-0.3, 0.4) * unit, max(top[1], 0) + rng.uniform(0.5, 3.0) * unit])
    layer.stroke(np.stack([start, end]), 120, unit * rng.uniform(1.2, 2.2))
    layer.stroke(np.stack([start, end]), 255, unit * 0.5)
    return layer.weighted(rng.uniform(0.6, 1.8), unit * 0.08)


def screws_and_rods(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Pedicle screws in two to four adjacent levels, a rod behind them, and sometimes cages in the discs."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    lowest = int(rng.integers(0, 3))
    levels = framing.corners_px[lowest : lowest + int(rng.integers(2, 5))]
    heads = []
    for corners in levels:
        y = rng.uniform(-0.30, -0.12)
        tip, head = shapes.in_body(corners, np.array([[rng.uniform(-0.3, 0.1), y + 0.05], [1.02, y]]))
        layer.stroke(np.stack([tip, head]), 255, unit * 0.14)
        heads.append(head)
    layer.stroke(curve(np.stack(heads)), 255, unit * 0.15)
    for below, above in pairwise(levels):
        if rng.random() < 0.4:
            between = np.stack([above[2], above[3], below[1], below[0]])
            middle = between.mean(axis=0)
            layer.stroke(middle + 0.6 * (between - middle), 180, unit * 0.08, closed=True)
    return layer.weighted(METAL, unit * 0.01)


def hip_prosthesis(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Head, neck and stem of a hip prosthesis."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    centre, radius = shapes.HEAD_OF_FEMUR
    at = framing.corners_px[0, :2].mean(axis=0) + (centre + rng.normal(0.0, 0.3, 2)) * unit
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    layer.fill(at + 0.75 * radius * unit * np.stack([np.cos(angle), np.sin(angle)], axis=1), 255)
    layer.stroke(np.stack([at, at + np.array([0.7, 1.2]) * unit, at + np.array([0.5, 5.0]) * unit]), 255, unit * 0.45)
    return layer.weighted(METAL, unit * 0.01)


def clips_and_wires(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Small dense objects at random places: surgical clips, buttons, a wire."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    height, width = framing.size_hw
    for _ in range(int(rng.integers(1, 6))):
        start = rng.uniform([0, 0], [width, height])
        layer.stroke(np.stack([start, start + rng.normal(0.0, 0.15, 2) * unit]), 255, unit * rng.uniform(0.03, 0.1))
    if rng.random() < 0.3:
        start = rng.uniform([0, 0], [width, height])
        layer.stroke(curve(start + np.cumsum(rng.normal(0.0, 0.8, (6, 2)), axis=0) * unit), 160, unit * 0.03)
    return layer.weighted(rng.uniform(0.5, METAL), unit * 0.01)


def calcified_aorta(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Calcified walls of the aorta: broken lines in front of the bodies."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    front = (framing.corners_px[1:, 0] + framing.corners_px[1:, 2]) / 2
    for gap in (rng.uniform(0.15, 0.4), rng.uniform(0.6, 0.9)):
        wall = curve(front - [gap * unit, 0.0])
        for start in range(0, len(wall) - 4, 5):
            if rng.random() < 0.5:
                layer.stroke(wall[start : start + 4] + rng.normal(0.0, 0.03, 2) * unit, 255, unit * 0.05)
    return layer.weighted(rng.uniform(0.05, 0.25), unit * 0.02)
