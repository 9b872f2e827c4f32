"""Attenuation of soft tissue on a frontal film in nepers; air is attenuation to subtract."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.frontal.curves import TOP_SLOT
from spondylo_ml.data.frontal.framing import FrontalFraming
from spondylo_ml.data.frontal.vertebrae import oval
from spondylo_ml.data.phantom.painting import FloatMap, Layer, curve, rough

_AT_SLOT = np.array([-3.0, 0.0, 2.0, 4.0, 7.0, 10.0, 13.0, 15.5, 17.0, 18.2, 19.5, 22.0])
_HALF_WIDTH = np.array([5.2, 5.0, 4.5, 4.1, 4.4, 4.7, 5.0, 5.2, 4.6, 3.0, 1.9, 1.6])
"""Half width of the trunk and the neck in units of the median body width."""

_NEPERS = np.array([6.1, 5.7, 5.0, 4.7, 4.7, 4.4, 4.0, 3.6, 3.2, 2.7, 2.2, 2.0])
"""Attenuation across their middle."""

_MEDIASTINUM = np.array(
    [[17.6, 0.6], [14.9, 0.75], [14.2, 1.15], [13.3, 0.95], [12.2, 1.3], [10.6, 2.1], [9.4, 2.6], [8.4, 2.4],
     [7.0, 1.6], [5.5, 0.7], [5.5, -0.7], [7.6, -1.2], [9.0, -1.35], [10.5, -1.2], [12.0, -0.85], [14.0, -0.65],
     [17.6, -0.6]]
)  # fmt: skip
"""Slot, and distance to the right of the trunk's axis: aortic arch, heart, diaphragm, right atrium, vena cava."""

_LUNG = np.array([[17.3, 1.2], [17.0, 0.6], [16.5, -0.1], [12.0, -0.1], [9.5, -0.1]])
_CHEST_WALL = np.array([[10.0, 4.25], [12.0, 4.05], [14.0, 3.6], [15.6, 2.9], [16.6, 2.2], [17.2, 1.7]])


def soft_tissue(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Neck, trunk and hips with rounded cross-sections, and the muscles beside the spine."""
    height, width = framing.size_hw
    unit = framing.unit_px
    slots = np.arange(-3.0, TOP_SLOT + 1.5, 0.5)
    x, y = framing.beside_axis(np.stack([slots, 0 * slots], axis=1)).T
    rows = np.arange(height, dtype=np.float64)
    slot_of_row = np.interp(rows, y[::-1], slots[::-1])
    girth = rng.uniform(0.85, 1.3)
    half = np.interp(slot_of_row, _AT_SLOT, _HALF_WIDTH * np.exp(rng.normal(0.0, 0.05, 12))) * girth * unit
    nepers = np.interp(slot_of_row, _AT_SLOT, _NEPERS * np.exp(rng.normal(0.0, 0.06, 12))) * rng.uniform(0.82, 1.15)
    centre = np.interp(rows, y[::-1], x[::-1])
    columns = np.arange(width, dtype=np.float32)[None]
    offset = np.abs(columns - centre.astype(np.float32)[:, None]) / half.astype(np.float32)[:, None]
    section = np.sqrt(np.maximum(1 - offset * offset, 0)) * nepers.astype(np.float32)[:, None]
    texture = 1 + np.float32(rng.uniform(0.005, 0.025)) * rough(rng, framing.size_hw, unit * rng.uniform(0.2, 2.0))
    return np.asarray(section * texture + _muscles(framing, rng), dtype=np.float32)


def _muscles(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """The erectors along the spine, and the psoas muscles from T12 down and outward."""
    layer, unit = Layer(framing.size_hw), framing.unit_px
    value = int(rng.uniform(60, 255))
    low, high = framing.centres_px[0], framing.centres_px[6]
    for side in (-1, 1):
        inner = framing.centres_px[6:0:-1] + np.array([side * 0.35, 0.0]) * unit
        outer = np.stack([low, (low + high) / 2]) + np.array([[side * 1.9, 0.5], [side * 1.35, 0.0]]) * unit
        layer.fill(np.concatenate([inner, outer]), value)
    layer.stroke(framing.centres_px[::-1], 255, unit * rng.uniform(0.9, 1.35))
    return layer.weighted(rng.uniform(0.05, 0.5), unit * rng.uniform(0.06, 0.25))


def lungs(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Air in both lungs, less where heart and great vessels lie between them, and in the windpipe.

    It ends at the domes of the diaphragm, some of it at the lower recess behind them.
    """
    unit, layer = framing.unit_px, Layer(framing.size_hw)
    dome_slot = rng.uniform(7.3, 9.2)
    for value, deeper in ((int(rng.uniform(40, 110)), rng.uniform(0.5, 1.6)), (255, 0.0)):
        for side in (-1, 1):
            slot = dome_slot - deeper - (0.45 if side > 0 else 0.0) + rng.normal(0.0, 0.15)
            dome = np.array([[slot - 0.5, -0.1], [slot - 0.1, 0.9], [slot + 0.25, 2.0], [slot, 3.1], [slot - 1.3, 4.2]])
            knots = np.concatenate([_LUNG, dome, _CHEST_WALL])
            layer.fill(curve(framing.beside_axis(knots, side), 4, closed=True), value)
    middle = Layer(framing.size_hw)
    knots = _MEDIASTINUM * [1.0, rng.uniform(0.75, 1.15)] + rng.normal(0.0, 0.07, _MEDIASTINUM.shape)
    middle.fill(curve(framing.beside_axis(knots), 4, closed=True), 255)
    sheet = layer.weighted(rng.uniform(0.9, 2.2), unit * 0.03)
    sheet *= 1 - middle.weighted(rng.uniform(0.35, 0.85), unit * rng.uniform(0.03, 0.10))
    vessels = 1 + np.float32(rng.uniform(0.01, 0.06)) * rough(rng, framing.size_hw, unit * rng.uniform(0.1, 0.3))
    return np.asarray(sheet * vessels + _windpipe(framing, rng), dtype=np.float32)


def _windpipe(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """The trachea down to T5 and both main bronchi."""
    layer, unit, right = Layer(framing.size_hw), framing.unit_px, rng.normal(-0.05, 0.12)
    trunk = framing.beside_axis(np.array([[slot, right] for slot in (21.0, 18.0, 15.5, 13.6)]))
    layer.stroke(trunk, 255, unit * rng.uniform(0.36, 0.5))
    for side in (-1, 1):
        layer.stroke(np.stack([trunk[-1], trunk[-1] + np.array([side * 0.8, 1.0]) * unit]), 110, unit * 0.25)
    return layer.weighted(rng.uniform(0.2, 0.7), unit * 0.03)


def hila_and_breasts(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Vessels of the lungs near their roots and, in many women, the breasts."""
    unit, hila = framing.unit_px, Layer(framing.size_hw)
    for _ in range(int(rng.integers(6, 16))):
        side = rng.choice([-1, 1])
        way = np.array([side * rng.uniform(0.4, 1.0), rng.uniform(-0.6, 0.8)])
        steps = np.cumsum(0.6 * way + rng.normal(0.0, 0.12, (4, 2)), axis=0) * unit
        path = curve(framing.axis_px(rng.uniform(11.5, 13.5), side * 0.5) + steps)
        hila.stroke(path, int(rng.uniform(60, 200)), unit * rng.uniform(0.05, 0.14))
    sheet = hila.weighted(rng.uniform(0.1, 0.3), unit * 0.06)
    if rng.random() < 0.45:
        breasts, slot = Layer(framing.size_hw), rng.uniform(8.0, 10.5)
        for side in (-1, 1):
            spot = framing.axis_px(slot, side * rng.uniform(2.2, 3.0))
            breasts.fill(oval(spot, np.array([1.5, 1.2]) * rng.uniform(0.7, 1.2) * unit), 255)
        sheet += breasts.weighted(rng.uniform(0.08, 0.4), unit * rng.uniform(0.1, 0.4))
    return sheet


def abdominal_gas(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """The stomach's bubble below the left dome, colon at both sides, and stool."""
    layer, unit = Layer(framing.size_hw), framing.unit_px
    if rng.random() < 0.6:
        spot = framing.axis_px(rng.uniform(5.8, 7.6), rng.uniform(1.3, 2.8))
        bubble = oval(spot, np.array([rng.uniform(0.6, 1.5), rng.uniform(0.35, 1.3)]) * unit)
        bubble[:, 1] = np.minimum(bubble[:, 1], spot[1] + rng.uniform(0.0, 1.0) * unit)  # the level of its fluid
        layer.fill(curve(bubble, 3, closed=True), int(rng.uniform(90, 255)))
    for _ in range(int(rng.poisson(2.5))):
        side = rng.choice([-1, 1])
        at = framing.axis_px(rng.uniform(0.0, 4.5), side * rng.gamma(6.0, 0.4))
        way = rng.normal(0.0, [0.2, 0.35])
        for step in range(int(rng.integers(1, 6))):  # haustra of a loop of bowel
            spot = at + (way * step + rng.normal(0.0, 0.1, 2)) * unit
            outline = oval(spot, unit * rng.uniform(0.12, 0.42, 2)) + rng.normal(0.0, 0.03, (16, 2)) * unit
            layer.fill(curve(outline, 2, closed=True), int(rng.uniform(40, 200)))
    gas = layer.weighted(rng.uniform(0.3, 1.3), unit * rng.uniform(0.03, 0.09))
    sides = rng.choice([-1, 1], int(rng.integers(0, 3)), replace=False)
    if not len(sides):
        return gas
    stool, mottle = Layer(framing.size_hw), np.maximum(rough(rng, framing.size_hw, max(unit * 0.16, 1.5)), 0)
    for side in sides:
        spot = framing.axis_px(rng.uniform(0.5, 3.5), side * rng.uniform(2.2, 3.4))
        stool.fill(oval(spot, unit * rng.uniform(0.6, 1.5, 2)), 255)
    return np.asarray(gas + stool.weighted(rng.uniform(0.0, 0.5), unit * 0.25) * mottle, dtype=np.float32)
