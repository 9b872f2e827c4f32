"""Attenuation of objects on a frontal film: clips, pins, necklaces, lead shields, screws and rods; in nepers."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.frontal.curves import L5, T1
from spondylo_ml.data.frontal.framing import FrontalFraming
from spondylo_ml.data.frontal.vertebrae import oval
from spondylo_ml.data.phantom.foreign import METAL
from spondylo_ml.data.phantom.painting import FloatMap, Layer, curve


def objects(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """All objects of a film, drawn at random; most films have none."""
    sheet = np.zeros(framing.size_hw, dtype=np.float32)
    if rng.random() < 0.12:
        sheet += _clips(framing, rng)
    if rng.random() < 0.06:
        sheet += _necklace(framing, rng)
    if rng.random() < 0.05:
        sheet += _lead_shields(framing, rng)
    if rng.random() < 0.03:
        sheet += screws_and_rods(framing, rng)
    return sheet


def screws_and_rods(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Pedicle screws at both sides of neighbouring levels, and the rods that join them."""
    layer, unit = Layer(framing.size_hw), framing.unit_px
    lowest = int(rng.integers(L5, T1 - 6))
    levels = range(lowest, int(rng.integers(lowest + 3, T1 - 1)))
    for side in (-1, 1):
        heads = []
        for slot in levels:
            head, tip = framing.in_body(slot, np.array([[side * 0.38, -0.2], [side * 0.12, -0.1]]))
            heads.append(head)
            if rng.random() < 0.8:
                layer.stroke(np.stack([head, tip]), 200, unit * 0.12)
                layer.fill(oval(head, np.array([0.13, 0.13]) * unit), 255)
        layer.stroke(curve(np.stack(heads)), 255, unit * 0.12)
    return layer.weighted(METAL, unit * 0.01)


def _clips(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Small dense objects at random places: hooks, buttons, and paper clips as markers at the film's sides."""
    layer, unit = Layer(framing.size_hw), framing.unit_px
    height, width = framing.size_hw
    for _ in range(int(rng.integers(1, 4))):
        start = rng.uniform([0, 0], [width, height])
        layer.stroke(np.stack([start, start + rng.normal(0.0, 0.15, 2) * unit]), 255, unit * rng.uniform(0.04, 0.1))
    if rng.random() < 0.4:
        for _ in range(2):
            spot = np.array([rng.choice([0.0, 1.0]) * (width - 1), rng.uniform(0.2, 0.95) * height])
            layer.stroke(oval(spot, np.array([0.12, 0.5]) * unit), 255, unit * 0.07, closed=True)
    return layer.weighted(rng.uniform(0.7, METAL), unit * 0.01)


def _necklace(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """A chain around the neck."""
    layer, unit = Layer(framing.size_hw), framing.unit_px
    low = rng.uniform(13.0, 16.0)
    knots = np.array([[20.0, -1.4], [17.0, -0.9], [low, 0.05], [17.0, 0.9], [20.0, 1.4]])
    for start in curve(framing.beside_axis(knots), 10):
        layer.stroke(start + np.array([[0.0, 0.0], [0.03, 0.0]]) * unit, 255, unit * 0.05)
    return layer.weighted(rng.uniform(0.4, METAL), unit * 0.01)


def _lead_shields(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Shields for both breasts, which may reach the spine but let the brightest bone show through."""
    layer, unit, slot = Layer(framing.size_hw), framing.unit_px, rng.uniform(7.5, 10.0)
    for side in (-1, 1):
        spot = framing.axis_px(slot + rng.normal(0.0, 0.2), side * rng.uniform(2.0, 2.8))
        layer.fill(curve(oval(spot, np.array([1.7, 1.5]) * rng.uniform(0.8, 1.1) * unit), 3, closed=True), 255)
    return layer.weighted(rng.uniform(0.6, 1.8), unit * 0.02)
