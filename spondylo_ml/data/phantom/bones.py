"""Attenuation of bone in nepers, for a film that faces left."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom import shapes
from spondylo_ml.data.phantom.additions import Addition
from spondylo_ml.data.phantom.framing import Ending, Framing
from spondylo_ml.data.phantom.painting import FloatMap, Layer, Patch, blurred, curve, rough
from spondylo_ml.data.phantom.styles import Anatomy
from spondylo_ml.landmarks import FloatArray

_FILLING = {
    Anatomy.YOUNG: (0.20, 0.46),
    Anatomy.ADULT: (0.13, 0.42),
    Anatomy.AGED: (0.06, 0.24),
    Anatomy.TRANSITIONAL: (0.13, 0.42),
}
"""Range of the attenuation of cancellous bone across a body, which decreases with age."""


_LOG_CORTEX = (np.log(0.8), np.log(5.0))
"""Range of the logarithm of the factor on endplates and walls, which look about twice as bright on real films."""


def spinal_column(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Bodies and the discs between them."""
    filling = float(rng.uniform(*_FILLING[framing.style.anatomy]))
    return bodies(framing, filling, rng) + discs(framing, filling * rng.uniform(0.0, 0.85))


def bodies(framing: Framing, filling: float, rng: np.random.Generator) -> FloatMap:
    """Vertebral bodies and S1 with cancellous bone of the given attenuation and dense endplates and walls."""
    sheet = np.zeros(framing.size_hw, dtype=np.float32)
    plate = rng.uniform(0.12, 0.46)
    if Addition.CORTEX in framing.additions:
        plate *= np.exp(rng.spawn(1)[0].uniform(*_LOG_CORTEX))
    grain, wall = rng.uniform(0.01, 0.10), rng.uniform(0.3, 1.0)
    sacral = np.array([255, 60 * wall, rng.uniform(0, 150), 120 * wall, 110, 0])
    lumbar = np.array([255, 150 * wall, 255, 170 * wall, 130, 130])
    for slot, corners in enumerate(framing.corners_px):
        if not slot and Addition.SACRUM in framing.additions:
            continue  # S1 is one bone with the rest of the sacrum
        unit = float(np.linalg.norm(corners[0] - corners[1]))
        outline = shapes.body_outline(corners, rng)
        patch = Patch(outline.closed, framing.size_hw, 2.0)
        if patch.empty:
            continue
        cover = patch.fill(outline.closed)
        # A body is an upright cylinder: the beam's path through it gets longer from the wall inward.
        depth_of_way = 0.62 + 0.38 * np.clip(2 * blurred(cover, min(unit * 0.10, 3.9)) - 0.9, 0, 1)
        bright = (lumbar if slot else sacral).astype(int).tolist()
        rim = patch.strokes([*outline.edges, *outline.inner_plates], bright, max(unit * 0.045, 0.8))
        texture = 1 + np.float32(grain) * rough(rng, cover.shape, max(unit * 0.04, 1.0))
        fill = filling * np.exp(rng.normal(0.0, 0.12))
        body = cover * (fill * depth_of_way * texture + plate * blurred(rim, 0.5))
        sheet[patch.place] += np.float32(_contrast(framing, slot)) * body
    return sheet


def discs(framing: Framing, filling: float) -> FloatMap:
    """Discs and adjacent soft tissue, which reduce the contrast of the bodies."""
    layer = Layer(framing.size_hw)
    for slot, (below, above) in enumerate(zip(framing.corners_px, framing.corners_px[1:], strict=False)):
        outline = np.stack([above[2], above[3], below[1], below[0]])
        layer.fill(outline, int(255 * _contrast(framing, slot + 1)))
    return layer.weighted(filling, framing.depth_px * 0.02)


def osteophytes(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Osteophytes at the front corners; they extend beyond the corner, which does not move."""
    layer = Layer(framing.size_hw)
    share = rng.choice([0.3, 0.6]) if framing.style.anatomy is Anatomy.AGED else rng.choice([0.0, 0.1, 0.3])
    for slot, corners in enumerate(framing.corners_px):
        for y, way in ((-0.5, -1.0), (0.5, 1.0)):
            fused = not slot and way > 0 and Addition.SACRUM in framing.additions
            if rng.random() < share and not fused:
                long, rise = rng.uniform(0.05, 0.18), way * rng.uniform(0.0, 0.16)
                beak = np.array([[-0.5, y], [-0.5 - long, y + rise], [-0.5, y - 0.25 * way], [-0.4, y]])
                layer.fill(shapes.in_body(corners, beak), int(200 * _contrast(framing, slot)))
    return layer.weighted(0.3, framing.depth_px * 0.015)


def posterior_elements(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Pedicles, articular processes and spinous processes; left and right side beside each other."""
    near, far, thin, hole, column = (Layer(framing.size_hw) for _ in range(5))
    rim = rng.uniform(0.8, 1.35)
    turn = rng.normal(0.0, 0.05, 2) * framing.depth_px
    for slot, corners in enumerate(framing.corners_px):
        level = int(190 * _contrast(framing, slot))
        reach = np.array([rng.uniform(0.85, 1.05) if slot else 0.8, rng.uniform(0.9, 1.05)])
        thin.fill(curve(shapes.in_body(corners, _varied(shapes.SPINOUS * reach, rng)), closed=True), level)
        line = framing.depth_px * 0.035
        parts = (shapes.LOWER_FACET, shapes.UPPER_FACET, shapes.PEDICLE) if slot else (shapes.UPPER_FACET,)
        for part in parts:
            outline = curve(shapes.in_body(corners, _varied(part, rng)), 4, closed=True)
            for layer, side in ((near, turn), (far, -turn + rng.normal(0.0, 0.02, 2) * framing.depth_px)):
                layer.fill(outline + side, int(level * 0.75))
                layer.stroke(outline + side, min(int(level * rim), 255), line, closed=True)
        hole.fill(curve(shapes.in_body(corners, _varied(shapes.FORAMEN, rng)), 4, closed=True), level)
        if 0 < slot < framing.first_rib:
            ring = curve(shapes.in_body(corners, _varied(shapes.TRANSVERSE, rng)), 4, closed=True)
            near.stroke(ring + turn, 255, line, closed=True)
            far.stroke(ring - turn, 255, line, closed=True)
    # The overlapping articular processes of both sides form a bright zigzag line behind the foramina.
    spots = [shapes.in_body(c, np.array([[0.80, -0.75], [1.0, 0.0], [0.84, 0.45]])) for c in framing.corners_px[::-1]]
    path = curve(np.concatenate(spots) + rng.normal(0.0, 0.04, (3 * len(spots), 2)) * framing.depth_px)
    column.stroke(path, 255, framing.depth_px * rng.uniform(0.12, 0.26))
    soft = framing.depth_px * 0.02
    weight = rng.uniform(0.10, 0.36)
    bone = near.weighted(weight, soft) + far.weighted(weight, soft * 1.5)
    bone += thin.weighted(rng.uniform(0.03, 0.20), soft * 2) + column.weighted(rng.uniform(0.0, 0.35), soft * 1.5)
    return bone - hole.weighted(rng.uniform(0.0, 0.40), soft * 2)


def pelvic_girdle(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Sacrum below S1, both iliac bones and the hips."""
    unit, s1 = framing.depth_px, framing.corners_px[0]
    below, lines = Layer(framing.size_hw), Layer(framing.size_hw)
    rest = shapes.sacrum(s1, unit, rng)
    below.fill(rest.crest, 110)
    below.fill(rest.outline, 220)
    lines.stroke(rest.front, 170, unit * 0.04)
    lines.stroke(rest.back, 120, unit * 0.04)
    for disc in rest.discs:
        lines.stroke(disc, int(rng.uniform(40, 150)), unit * 0.04)
    sheet = below.weighted(rng.uniform(0.32, 0.52), unit * 0.04)
    origin = s1[:2].mean(axis=0) + rng.normal(0.0, 0.25, 2) * unit
    turn = rng.normal(0.0, 0.12)
    for _ in range(int(rng.integers(2, 14))):  # ala, arcuate line, sciatic notch: they differ on every film
        start = origin + np.array([rng.uniform(-2.4, 1.0), rng.uniform(-0.2, 3.0)]) * unit
        steps = rng.normal(0.0, 0.22, (5, 2)) + rng.normal(0.0, 0.45, 2)
        lines.stroke(curve(start + np.cumsum(steps, axis=0) * unit), int(rng.uniform(50, 170)), unit * 0.05)
    wing = rng.uniform(0.08, 0.26)
    for _ in range(2):
        side = shapes.pelvis(origin, unit, turn + rng.normal(0.0, 0.05), rng)
        flat = Layer(framing.size_hw)
        flat.fill(side.ilium, 170)
        middle = side.ilium.mean(axis=0)
        flat.fill(middle + 0.7 * (side.ilium - middle), int(rng.uniform(50, 150)))
        flat.fill(side.pubis, 170)
        flat.fill(side.ischium, 200)
        flat.fill(side.neck, 230)
        flat.fill(side.head, 255)
        sheet += flat.weighted(wing * 1.6, unit * 0.12)
        lines.stroke(side.ilium, 150, unit * 0.05, closed=True)
        lines.stroke(side.head, 140, unit * 0.05, closed=True)
        lines.stroke(side.ischium, 90, unit * 0.04, closed=True)
    return sheet + lines.weighted(rng.uniform(0.14, 0.36), unit * 0.025)


def ribs(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Ribs of the thoracic bodies, on both sides."""
    outer, inner = Layer(framing.size_hw), Layer(framing.size_hw)
    unit = framing.depth_px
    for corners in framing.corners_px[framing.first_rib :]:
        for _ in range(2):
            axis = shapes.rib(corners, unit, rng)
            outer.stroke(axis, 200, unit * rng.uniform(0.20, 0.32))
            inner.stroke(axis, 200, unit * 0.14)
    soft = unit * rng.uniform(0.02, 0.07)
    tube = outer.weighted(rng.uniform(0.05, 0.22), soft) - inner.weighted(rng.uniform(0.0, 0.08), soft)
    return np.asarray(np.maximum(tube, 0.0), dtype=np.float32)


def _contrast(framing: Framing, slot: int) -> float:
    """Relative contrast of a body: low above the topmost labelled one if the lung is overexposed there."""
    return 0.15 if slot >= framing.labelled and framing.ending is Ending.LUNG else 1.0


def _varied(local: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The outline with each knot slightly displaced."""
    return np.asarray(local + rng.normal(0.0, 0.03, local.shape))
