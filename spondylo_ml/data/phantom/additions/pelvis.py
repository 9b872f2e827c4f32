"""Attenuation of the pelvis and the tissue of the hips around the sacrum, in nepers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondylo_ml.data.phantom.additions.sacrum import sacrum
from spondylo_ml.data.phantom.framing import Framing
from spondylo_ml.data.phantom.painting import FloatMap, Layer, blurred, curve
from spondylo_ml.landmarks import FloatArray

# Local coordinates: origin in the middle of S1's superior endplate, x backward, y down, in units of L3's depth.
_ILIUM = np.array(
    [[1.15, 0.75], [0.95, -0.10], [0.45, -0.78], [-0.35, -1.15], [-1.30, -0.85], [-2.05, -0.05], [-2.45, 0.75],
     [-2.25, 1.25], [-1.95, 1.75], [-1.55, 2.20], [-1.45, 2.90], [-0.70, 3.50], [0.00, 3.00], [0.25, 2.70],
     [0.05, 2.05], [0.45, 1.55], [1.00, 1.45]]
)  # fmt: skip
_CREST = slice(0, 7)
_NOTCH = slice(11, 17)
_BUTTRESS = np.array([[0.30, 0.35], [0.00, 0.85], [-0.38, 1.40], [-0.80, 1.95], [-1.10, 2.50]])
_ISCHIUM = np.array([[0.45, -0.55], [0.85, -0.2], [1.0, 0.7], [0.6, 1.6], [0.0, 2.1], [-0.3, 1.4], [-0.1, 0.5]])
_PUBIS = np.array([[-0.4, -0.5], [-1.2, 0.0], [-2.0, 0.5], [-2.3, 1.1], [-1.9, 1.5], [-1.2, 1.1], [-0.3, 0.7]])
_SHAFT = np.array([[-0.3, -0.3], [0.5, 0.1], [0.9, 1.0], [0.6, 3.5], [-0.5, 3.5], [-0.4, 1.0]])
"""The ischium, the pubis and the femur have their origin in the middle of the femoral head."""

_AVERAGE_SLOPE_DEG = 37.0


@dataclass(frozen=True, eq=False)
class _Side:
    """Outlines of one side of the pelvis in px."""

    ilium: FloatArray
    crest: FloatArray
    notch: FloatArray
    buttress: FloatArray
    head: FloatArray
    head_radius: float
    others: tuple[FloatArray, ...]


def pelvis(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Sacrum, iliac wings over it, hips, and the hips' soft tissue."""
    sheet = sacrum(framing, rng)
    wing = rng.uniform(0.03, 0.28)
    lines = rng.uniform(0.08, 0.36)
    hips = float(rng.choice([0.5, 1.3, 2.2])) * wing
    turn = _turn_rad(framing, rng)
    for _ in range(2):
        side = _side(framing, turn + rng.normal(0.0, 0.04), rng)
        sheet += _wing(framing, side, wing, rng) + _hip(framing, side, hips, rng)
        sheet += _lines(framing, side, rng).weighted(lines, framing.depth_px * rng.uniform(0.01, 0.04))
    sheet += _stray_lines(framing, rng)
    return sheet + _tissue_of_the_hips(framing, rng)


def _turn_rad(framing: Framing, rng: np.random.Generator) -> float:
    """Rotation of the pelvis, counterclockwise on the image: it follows the slope of S1 in part."""
    plate = framing.corners_px[0, 1] - framing.corners_px[0, 0]
    slope = float(np.degrees(np.arctan2(-plate[1], plate[0])))
    return float(np.radians(0.4 * (slope - _AVERAGE_SLOPE_DEG) + rng.normal(0.0, 8.0)))


def _side(framing: Framing, turn: float, rng: np.random.Generator) -> _Side:
    """One side, varied, since the diverging beam projects both sides differently."""
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.array([[cos, -sin], [sin, cos]])
    size = framing.depth_px * rng.uniform(0.88, 1.15)
    origin = framing.corners_px[0, :2].mean(axis=0) + rng.normal(0.0, 0.16, 2) * framing.depth_px

    def put(local: FloatArray) -> FloatArray:
        return np.asarray((local + rng.normal(0.0, 0.07, local.shape)) @ rotation * size + origin)

    ilium, middle = put(_ILIUM), np.array([rng.normal(-0.90, 0.30), rng.normal(2.95, 0.2)])
    return _Side(
        ilium=curve(ilium, closed=True),
        crest=curve(ilium[_CREST]),
        notch=curve(ilium[_NOTCH]),
        buttress=curve(put(_BUTTRESS)),
        head=put(middle[None])[0],
        head_radius=size * rng.uniform(0.58, 0.75),
        others=tuple(curve(put(part + middle), closed=True) for part in (_ISCHIUM, _PUBIS, _SHAFT)),
    )


def _wing(framing: Framing, side: _Side, weight: float, rng: np.random.Generator) -> FloatMap:
    """The thin iliac wing, thicker along the crest and in the buttress that carries the hip."""
    unit, wing, thick = framing.depth_px, Layer(framing.size_hw), Layer(framing.size_hw)
    wing.fill(side.ilium, int(rng.uniform(90, 200)))
    thick.stroke(side.crest, int(rng.uniform(30, 200)), unit * rng.uniform(0.06, 0.22))
    thick.stroke(side.buttress, int(rng.uniform(60, 255)), unit * rng.uniform(0.10, 0.30))
    return wing.weighted(weight, unit * 0.04) + thick.weighted(weight * rng.uniform(0.5, 1.6), unit * 0.06)


def _hip(framing: Framing, side: _Side, weight: float, rng: np.random.Generator) -> FloatMap:
    """Ischium, pubis, femoral head and shaft."""
    layer = Layer(framing.size_hw)
    for part in side.others:
        layer.fill(part, int(rng.uniform(110, 220)))
    layer.fill(_circle(side.head, side.head_radius), 255)
    return layer.weighted(weight, framing.depth_px * 0.06)


def _lines(framing: Framing, side: _Side, rng: np.random.Generator) -> Layer:
    """Edges: crest, sciatic notch, buttress, femoral head and the roof of the hip around it."""
    unit, layer = framing.depth_px, Layer(framing.size_hw)
    layer.stroke(side.ilium, int(rng.uniform(0, 90)), unit * 0.045, closed=True)
    layer.stroke(side.crest, int(rng.uniform(40, 220)), unit * 0.045)
    layer.stroke(side.notch, int(rng.uniform(60, 255)), unit * 0.05)
    for shift in rng.normal(0.0, 0.08, (2, 2)) * unit:
        layer.stroke(side.buttress + shift, int(rng.uniform(40, 255)), unit * 0.04)
    layer.stroke(_circle(side.head, side.head_radius), int(rng.uniform(60, 200)), unit * 0.04, closed=True)
    for reach in (1.15, 1.4):
        roof = _circle(side.head, side.head_radius * reach * rng.uniform(0.95, 1.05))
        layer.stroke(roof[11:25], int(rng.uniform(0, 220)), unit * 0.05)
    for part in side.others[:2]:
        layer.stroke(part, int(rng.uniform(0, 140)), unit * 0.04, closed=True)
    return layer


def _stray_lines(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Short lines over the sacrum and the wings that differ on every film."""
    unit, layer = framing.depth_px, Layer(framing.size_hw)
    origin = framing.corners_px[0, :2].mean(axis=0)
    for _ in range(int(rng.integers(0, 10))):
        start = origin + np.array([rng.uniform(-2.2, 1.2), rng.uniform(-0.8, 2.6)]) * unit
        steps = rng.normal(0.0, 0.15, (5, 2)) + rng.normal(0.0, 0.35, 2)
        layer.stroke(curve(start + np.cumsum(steps, axis=0) * unit), int(rng.uniform(40, 200)), unit * 0.04)
    return layer.weighted(rng.uniform(0.03, 0.25), unit * 0.03)


def _tissue_of_the_hips(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Tissue and hips beside the beam's middle: more and more attenuation below the iliac crest.

    On a film with little of it the sacrum is well exposed, with much of it everything below L5 is burnt out.
    """
    unit, (height, width) = framing.depth_px, framing.size_hw
    x, y = framing.corners_px[0, :2].mean(axis=0)
    most = float(rng.choice([0.2, 0.7, 1.5])) * rng.uniform(0.0, 1.0)
    centre = np.array([x + rng.normal(-0.6, 0.4) * unit, y + rng.uniform(2.0, 4.0) * unit])
    reach = np.array([rng.uniform(1.8, 3.2), rng.uniform(1.6, 3.2)]) * unit
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    across = np.exp(-(((columns - centre[0]) / reach[0]) ** 2) / 2)
    down = np.exp(-((np.minimum(rows - centre[1], 0) / reach[1]) ** 2) / 2)
    sheet = np.asarray(most * down[:, None] * across[None], dtype=np.float32)
    return sheet + _below_the_crest(framing, rng)


def _below_the_crest(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """A soft step of attenuation along an arch at the level of the iliac crests."""
    unit, layer = framing.depth_px, Layer(framing.size_hw)
    x, y = framing.corners_px[0, :2].mean(axis=0)
    arch = np.array([[-5.0, 1.9], [-3.2, 0.6], [-1.8, -0.5], [-0.4, -1.0], [0.8, -0.4], [1.8, 0.8], [2.6, 2.5]])
    arch = (arch + rng.normal(0.0, 0.2, arch.shape) + rng.normal(0.0, 0.25, 2)) * unit + [x, y]
    floor = np.array([[x + 2.6 * unit, y + 12 * unit], [x - 5 * unit, y + 12 * unit]])
    layer.fill(np.concatenate([curve(arch), floor]), 255)
    return blurred(layer.weighted(rng.uniform(0.0, 0.6)), unit * rng.uniform(0.05, 0.4))


def _circle(centre: FloatArray, radius: float) -> FloatArray:
    """(24, 2) points, clockwise on the image from the back."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.asarray(centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))
