"""Attenuation of the vertebrae in nepers: bodies, pedicles, laminae, spinous and transverse processes.

Outlines are in the local coordinates of a body, see `FrontalFraming.in_body`.
"""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.frontal.curves import L5, T1
from spondylo_ml.data.frontal.framing import FrontalFraming
from spondylo_ml.data.phantom.painting import FloatMap, Layer, Patch, blurred, rough
from spondylo_ml.data.phantom.shapes import body_outline
from spondylo_ml.data.phantom.styles import Anatomy
from spondylo_ml.landmarks import FloatArray

L1, T12 = 5, 6
"""Slots of the topmost lumbar vertebra, and of the lowest with ribs."""

_FILLING = {Anatomy.YOUNG: (0.30, 0.75), Anatomy.ADULT: (0.25, 0.70), Anatomy.AGED: (0.15, 0.45)}
"""Range of the attenuation of cancellous bone across a body, which decreases with age."""

_PEDICLE_DEPTH, _LAMINA_DEPTH, _SPINOUS_DEPTH = 0.45, 0.75, 1.05
"""Distance behind the body's axis of rotation in units of its width."""

_SLOTS = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 17.0, 21.0])
_PEDICLE_AT = np.array([0.42, 0.40, 0.385, 0.37, 0.36, 0.36, 0.39, 0.40])
_PEDICLE_WIDTH = np.array([0.12, 0.10, 0.085, 0.075, 0.075, 0.065, 0.08, 0.08])
_SPINOUS_Y = np.array([0.30, 0.38, 0.42, 0.46, 0.78, 0.90, 0.55, 0.45])
_SPINOUS_LONG = np.array([0.26, 0.34, 0.40, 0.36, 0.24, 0.22, 0.30, 0.26])

_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 16, endpoint=False)) for f in (np.cos, np.sin)], axis=1)
_LOWER_FACET = np.array([[0.20, 0.36], [0.38, 0.30], [0.42, 0.85], [0.36, 1.06], [0.26, 0.95]])
_UPPER_FACET = np.array([[0.30, -0.20], [0.44, -0.22], [0.50, -0.66], [0.42, -0.78], [0.35, -0.60]])


def vertebral_bodies(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Bodies with cancellous bone, dense endplates and walls, and faint discs between them."""
    low, high = _FILLING[framing.style.anatomy]
    filling = rng.uniform(low, high)
    sheet = _discs(framing, filling * rng.uniform(0.3, 0.95))
    plate, wall, grain = rng.uniform(0.2, 0.7), rng.uniform(0.35, 1.0), rng.uniform(0.02, 0.10)
    values = [255, int(170 * wall), 255, int(170 * wall), 120, 120]
    for slot in framing.shown:
        corners = framing.corners_px[slot]
        width = float(np.linalg.norm(corners[0] - corners[1]))
        outline = body_outline(corners, rng)
        patch = Patch(outline.closed, framing.size_hw, 2.0)
        if patch.empty:
            continue
        cover = patch.fill(outline.closed)
        # A body is an upright cylinder: the beam's path through it gets longer from the wall inward.
        depth_of_way = 0.6 + 0.4 * np.clip(2 * blurred(cover, min(width * 0.12, 3.9)) - 0.9, 0, 1)
        rim = patch.strokes([*outline.edges, *outline.inner_plates], values, max(width * 0.035, 0.8))
        texture = 1 + np.float32(grain) * rough(rng, cover.shape, max(width * 0.04, 1.0))
        fill = filling * np.exp(rng.normal(0.0, 0.08))
        sheet[patch.place] += cover * (fill * depth_of_way * texture + np.float32(plate) * blurred(rim, 0.5))
    return sheet


def posterior_elements(framing: FrontalFraming, rng: np.random.Generator) -> FloatMap:
    """Pedicles, laminae with articular processes, spinous and transverse processes, shifted by axial rotation."""
    rings, plates = Layer(framing.size_hw), Layer(framing.size_hw)
    line = framing.unit_px * rng.uniform(0.018, 0.04)
    hollow, edge = int(rng.uniform(0, 90)), int(rng.uniform(110, 230))
    spinous = int(rng.uniform(100, 255))
    for slot in framing.shown:
        turn = float(np.radians(framing.rotation_deg[slot]))
        back = [*_laminae(slot, turn, rng), *_transverse_processes(slot, turn, rng)]
        parts = [(plates, local, 125, edge) for local in back]
        parts += [(rings, local, hollow, 255) for local in _pedicles(slot, turn, rng)]
        parts += [(rings, _spinous_process(slot, turn, rng), hollow, spinous)]
        ends = np.cumsum([len(local) for _, local, _, _ in parts])[:-1]
        outlines = np.split(framing.in_body(slot, np.concatenate([local for _, local, _, _ in parts])), ends)
        for (layer, _, inside, rim), outline in zip(parts, outlines, strict=True):
            layer.fill(outline, inside)
            layer.stroke(outline, rim, line, closed=True)
    soft = framing.unit_px * 0.016
    return rings.weighted(rng.uniform(0.25, 0.7), soft) + plates.weighted(rng.uniform(0.15, 0.45), soft * 1.3)


def _discs(framing: FrontalFraming, filling: float) -> FloatMap:
    layer = Layer(framing.size_hw)
    for below, above in zip(framing.corners_px[L5:], framing.corners_px[L5 + 1 :], strict=False):
        layer.fill(np.stack([above[2], above[3], below[1], below[0]]), 255)
    return layer.weighted(filling, framing.unit_px * 0.02)


def _pedicles(slot: int, turn: float, rng: np.random.Generator) -> list[FloatArray]:
    aside, wide = np.interp(slot, _SLOTS, _PEDICLE_AT), np.interp(slot, _SLOTS, _PEDICLE_WIDTH)
    outlines = []
    for side in (-1, 1):
        x = side * aside * np.cos(turn) + _PEDICLE_DEPTH * np.sin(turn)
        # The pedicle that leaves the body's outline is seen from its side, and narrower.
        seen = wide * float(np.clip(1 - 0.9 * abs(np.sin(turn)) * (1 if x * side > aside else 0.2), 0.35, 1.0))
        centre = np.array([x, -0.12]) + rng.normal(0.0, 0.02, 2)
        outline = oval(centre, np.array([seen, 0.23]) * rng.uniform(0.8, 1.15))
        outline[:, 0] += side * 0.15 * (outline[:, 1] - centre[1])
        outlines.append(outline)
    return outlines


def _laminae(slot: int, turn: float, rng: np.random.Generator) -> list[FloatArray]:
    """The lamina with its notch above and, up to T11, the articular processes that reach over the next disc."""
    shift = np.array([_LAMINA_DEPTH * np.sin(turn), 0.0])
    half = np.array([[0.0, 0.02], [0.12, 0.16], [0.34, -0.10], [0.36, 0.34], [0.16, 0.50], [0.06, 0.72]])
    outlines = [np.concatenate([half, half[:0:-1] * [-1, 1]]) + rng.normal(0.0, 0.02, (11, 2)) + shift]
    if slot <= T12 + 1:
        for side in (-1, 1):
            for part, depth in ((_LOWER_FACET, 0.8), (_UPPER_FACET, 0.6)):
                outlines.append(part * [side, 1] + rng.normal(0.0, 0.025, part.shape) + shift * depth)
    return outlines


def _spinous_process(slot: int, turn: float, rng: np.random.Generator) -> FloatArray:
    y, long = (np.interp(slot, _SLOTS, table) for table in (_SPINOUS_Y, _SPINOUS_LONG))
    centre = np.array([_SPINOUS_DEPTH * np.sin(turn), y]) + rng.normal(0.0, [0.02, 0.05])
    wide = rng.uniform(0.03, 0.06) * (1.4 if slot > T1 - 2 else 1.0)
    outline = oval(centre, np.array([wide, long * rng.uniform(0.85, 1.15)]))
    outline[:, 0] += (outline[:, 1] - centre[1]) * rng.normal(0.0, 0.06)
    return outline


def _transverse_processes(slot: int, turn: float, rng: np.random.Generator) -> list[FloatArray]:
    outlines = []
    for side in (-1, 1):
        if L5 < slot <= L1:
            tip = np.array([rng.uniform(0.82, 1.08), rng.uniform(-0.50, -0.12)])
            root, thick = np.array([0.46, -0.20]), rng.uniform(0.05, 0.10)
        elif slot == L5:
            tip, root, thick = np.array([rng.uniform(0.72, 0.86), -0.28]), np.array([0.44, -0.2]), 0.16
        else:
            long = 0.62 if slot <= T12 + 1 else rng.uniform(0.78, 0.92)
            tip, root, thick = np.array([long, rng.uniform(-0.55, -0.35)]), np.array([0.42, -0.22]), 0.13
        up, middle = np.array([0.0, thick]), 0.4 * root + 0.6 * tip
        blunt = 0.3 if slot <= L1 else 0.9
        knots = np.stack([root - 2 * up, middle - up, tip - blunt * up, tip + blunt * up, middle + up, root + 2 * up])
        outlines.append(knots * [side, 1] + [_PEDICLE_DEPTH * np.sin(turn), 0.0])
    return outlines


def oval(centre: FloatArray, radii: FloatArray) -> FloatArray:
    """(16, 2) outline of an ellipse with upright axes."""
    return np.asarray(centre + radii * _CIRCLE)
