"""Attenuation in nepers of the bones around the thoracic spine: ribs, clavicles, shoulder blades, arms, jaw."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.frontal.curves import T1
from spondylo_ml.data.frontal.framing import FrontalFraming
from spondylo_ml.data.frontal.vertebrae import T12, oval
from spondylo_ml.data.phantom.painting import FloatMap, Layer, curve
from spondylo_ml.landmarks import FloatArray

_NUMBER = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 11.0, 12.0])
_REACH = np.array([1.75, 2.5, 3.1, 3.75, 4.15, 4.1, 4.0, 3.9])
"""Greatest distance of each rib from the trunk's axis, in units of the median body width."""

_DROP = np.array([0.85, 1.2, 1.5, 1.9, 2.3, 2.6, 2.9, 3.1])
"""How far it descends up to there."""

_BEND = np.array([2.3, 2.2, 2.1, 1.9, 1.5, 1.15, 1.05, 1.0])
"""Exponent of the descent: the upper ribs leave the spine level, the lower ones slope from the start."""

_END = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.68, 0.45])
"""Share of the way to the side after which a rib ends."""

_RIBS = np.stack([np.interp(np.arange(1.0, 13.0), _NUMBER, table) for table in (_REACH, _DROP, _BEND, _END)], axis=1)
_WITH_ARCH = np.array([[0.48, -0.42], [0.84, -0.48]])
_FLOATING = np.array([[0.48, -0.30], [0.68, -0.20]])
"""Head of a rib, and the point where it passes the transverse process: of ribs 1 to 10, and of the last two."""


def ribs(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Twelve pairs of ribs: the back parts as tubes, over the fainter front parts."""
    layer, unit = Layer(framing.size_hw), framing.unit_px
    cage, slope = rng.uniform(0.88, 1.12), rng.uniform(0.75, 1.25)
    thick = unit * rng.uniform(0.17, 0.25)
    sides = [(slot, side) for slot in range(T12, T1 + 1) for side in (-1, 1)]
    axes = [_rib_axis(framing, slot, side, cage, slope, rng) for slot, side in sides]
    faint, core = int(rng.uniform(25, 80)), int(rng.uniform(120, 220))
    for (slot, side), axis in zip(sides, axes, strict=True):
        if slot >= T12 + 2:
            layer.stroke(_front_part(axis, side, unit, rng), faint, thick * 1.1)
    for axis in axes:
        layer.stroke(axis, 255, thick * rng.uniform(0.9, 1.1))
    for axis in axes:
        layer.stroke(axis[1:], core, thick * 0.55)
    return layer.weighted(rng.uniform(0.22, 0.55), unit * rng.uniform(0.012, 0.03))


def _rib_axis(
    framing: FrontalFraming, slot: int, side: int, cage: float, slope: float, rng: np.random.Generator
) -> FloatArray:
    """(N, 2) axis of the back part of a rib, from its head past the transverse process to the side of the chest."""
    number = T1 + 1 - slot
    reach, drop, bend, end = _RIBS[number - 1]
    unit = framing.unit_px
    head, tip = framing.in_body(slot, (_WITH_ARCH if number <= 10 else _FLOATING) * [side, 1])
    lateral = framing.trunk_px[slot, 0] + side * reach * cage * unit
    way = max(abs(lateral - tip[0]), 1.2 * unit) * side
    share = np.linspace(0.12, end, 6)
    x = tip[0] + way * np.sin(share * np.pi / 2) ** 1.1
    y = tip[1] + unit * slope * drop * share**bend + rng.normal(0.0, 0.03) * unit * share
    return curve(np.concatenate([[head, tip], np.stack([x, y], axis=1)]), 3)


def _front_part(axis: FloatArray, side: int, unit: float, rng: np.random.Generator) -> FloatArray:
    """(N, 2) axis of the front part, from the side of the chest down and back towards the sternum."""
    knots = np.array([[0.0, 0.0], [0.05, 0.4], [-0.25, 0.95], [-0.8, 1.4], [-1.5, 1.6]]) * [side, rng.uniform(0.8, 1.2)]
    return curve(axis[-1] + knots * unit, 4)


def shoulders(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Clavicles, shoulder blades, and arms beside the chest if the film is wide enough to show them."""
    layer, unit, lift = Layer(framing.size_hw), framing.unit_px, rng.normal(0.0, 0.35)
    for side in (-1, 1):
        start = framing.axis_px(15.0 + rng.normal(0.0, 0.2), side * 0.55)
        knots = np.array([[0.0, 0.0], [0.8, -0.15], [1.8, -0.55], [2.7, -0.75], [3.6, -0.70]])
        bone = curve(start + (knots + rng.normal(0.0, 0.06, knots.shape)) * [side, 1 + lift] * unit)
        corner = framing.axis_px(14.5, side * rng.uniform(2.7, 3.6))
        blade = np.array([[0.1, -1.2], [0.0, 0.2], [0.3, 2.0], [0.7, 3.3], [1.0, 2.6], [1.6, 0.4], [1.9, -1.0]])
        outline = curve(corner + blade * [side, 1] * unit, closed=True)
        layer.fill(outline, 60)
        layer.stroke(outline, 130, unit * 0.05, closed=True)
        layer.stroke(bone, 255, unit * 0.29)
        layer.stroke(bone, 170, unit * 0.19)
        if rng.random() < 0.5:
            shoulder = framing.axis_px(15.5, side * rng.uniform(4.4, 5.2))
            elbow = shoulder + np.array([side * rng.normal(0.8, 0.6), 7.0]) * unit
            layer.stroke(np.stack([shoulder, elbow]), 255, unit * 0.6)
    return layer.weighted(rng.uniform(0.25, 0.7), unit * 0.02)


def jaw(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """The base of the skull or the jaw above T1, if the film reaches that far up; it covers no labelled corner."""
    layer, unit = Layer(framing.size_hw), framing.unit_px
    top = float(framing.labelled_px[:, :, 1].min())
    lowest = top - rng.uniform(0.3, 1.6) * unit
    if lowest > 2:
        radii = np.array([rng.uniform(1.2, 1.9), rng.uniform(1.2, 2.0)]) * unit
        layer.fill(oval(np.array([framing.axis_px(T1, rng.normal(0.0, 0.3))[0], lowest - radii[1]]), radii), 255)
    return layer.weighted(rng.uniform(0.8, 2.2), unit * 0.05)
