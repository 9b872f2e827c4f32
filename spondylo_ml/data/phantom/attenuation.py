"""The line integral of attenuation of a film's anatomy, added up structure by structure, in nepers."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom import shapes
from spondylo_ml.data.phantom.framing import Ending, Framing
from spondylo_ml.data.phantom.painting import FloatMap, Layer, Patch, blurred, curve, rough
from spondylo_ml.landmarks import FloatArray

FIRST_RIB = 6
"""Slot of the lowest body that carries ribs (T12)."""


def attenuation(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """(H, W) nepers, 0 in air, facing left."""
    soft = soft_tissue(framing, rng)
    soft *= 1 + organs(framing, rng)
    bone = pelvic_girdle(framing, rng)
    bone += ribs(framing, rng)
    if rng.random() < 0.2:
        bone += arm(framing, rng)
    bone += posterior_elements(framing, rng)
    bone *= 1 + 0.05 * rough(rng, framing.size_hw, max(framing.depth_px * 0.05, 1.5))
    bone += bodies(framing, rng) + spurs(framing, rng)
    air = bowel_gas(framing, rng)
    air += lungs(framing, rng)
    total = soft + bone * rng.uniform(0.85, 1.25)
    return np.asarray(np.maximum(total - np.minimum(air, 0.85 * soft), 0.0), dtype=np.float32)


def soft_tissue(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """A trunk of elliptic sections: belly in front, the back's skin line behind, wide hips and chest, a waist."""
    height, width = framing.size_hw
    unit, middle = framing.depth_px, framing.corners_px.mean(axis=1)
    rows = np.arange(height, dtype=np.float64)
    spine_x = np.interp(rows, middle[::-1, 1], middle[::-1, 0])
    knots_y = middle[0, 1] + np.array([-9.0, -6.0, -3.0, -1.0, 1.5, 4.0, 6.0]) * unit
    stout = rng.uniform(0.85, 1.25)
    behind = np.interp(rows, knots_y, np.array([2.5, 2.3, 2.1, 2.2, 2.7, 2.9, 2.6]) * rng.uniform(0.9, 1.35))
    ahead = np.interp(rows, knots_y, np.array([4.0, 4.3, 4.2, 4.3, 4.4, 4.2, 4.0]) * stout * rng.uniform(0.85, 1.3))
    thick = np.interp(rows, knots_y, np.array([5.0, 5.2, 4.9, 5.3, 7.0, 7.8, 7.8]) * rng.uniform(0.9, 1.15))
    spine_x = blurred(spine_x.astype(np.float32)[:, None].repeat(2, axis=1), 0.8 * unit)[:, 0]
    centre = (spine_x + (behind - ahead) / 2 * unit).astype(np.float32)[:, None]
    half = ((behind + ahead) / 2 * unit).astype(np.float32)[:, None]
    offset = (np.arange(width, dtype=np.float32)[None] - centre) / half
    section = np.sqrt(np.maximum(1 - offset * offset, 0))
    muscle = np.float32(thick[:, None] * 0.82)
    texture = 1 + 0.012 * rough(rng, framing.size_hw, unit * 0.9) + 0.006 * rough(rng, framing.size_hw, unit * 0.25)
    return np.asarray(section * muscle * texture, dtype=np.float32)


def organs(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Borders of organs and folds of skin, as a share of the trunk's own attenuation."""
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


def spurs(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Osteophytes at the front corners; they reach beyond the corner, which stays where it is."""
    layer = Layer(framing.size_hw)
    share = rng.choice([0.0, 0.1, 0.5], p=[0.5, 0.3, 0.2])
    for slot, corners in enumerate(framing.corners_px):
        for y, way in ((-0.5, -1.0), (0.5, 1.0)):
            if rng.random() < share:
                long, rise = rng.uniform(0.05, 0.18), way * rng.uniform(0.0, 0.16)
                beak = np.array([[-0.5, y], [-0.5 - long, y + rise], [-0.5, y - 0.25 * way], [-0.4, y]])
                layer.fill(shapes.in_body(corners, beak), int(200 * _seen(framing, slot)))
    return layer.weighted(0.3, framing.depth_px * 0.015)


def bodies(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Vertebral bodies and S1: cancellous filling, dense endplates and walls."""
    sheet = np.zeros(framing.size_hw, dtype=np.float32)
    filling, plate = rng.uniform(0.13, 0.46), rng.uniform(0.14, 0.42)
    for slot, corners in enumerate(framing.corners_px):
        unit = float(np.linalg.norm(corners[0] - corners[1]))
        outline = shapes.body_outline(corners, rng)
        patch = Patch(outline.closed, framing.size_hw, 2.0)
        if patch.empty:
            continue
        cover = patch.fill(outline.closed)
        # a body is a cylinder on its end: the beam's way through it grows from the wall inward
        depth_of_way = 0.62 + 0.38 * np.clip(2 * blurred(cover, min(unit * 0.10, 3.9)) - 0.9, 0, 1)
        bright = (255, 70, 60, 140, 110, 0) if slot == 0 else (255, 150, 255, 150, 110, 110)
        rim = patch.strokes([*outline.edges, *outline.inner_plates], bright, max(unit * 0.045, 0.8))
        grain = 1 + 0.09 * rough(rng, cover.shape, max(unit * 0.04, 1.0))
        fill = filling * np.exp(rng.normal(0.0, 0.12))
        body = cover * (fill * depth_of_way * grain + plate * blurred(rim, 0.5))
        seen = _seen(framing, slot)
        sheet[patch.place] += np.float32(seen) * body
    return sheet


def posterior_elements(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Pedicles, articular processes and spinous processes; left and right side beside each other."""
    near, far, thin, hole = (Layer(framing.size_hw) for _ in range(4))
    rim = rng.uniform(0.8, 1.35)
    turn = rng.normal(0.0, 0.05, 2) * framing.depth_px
    for slot, corners in enumerate(framing.corners_px):
        level = int(190 * _seen(framing, slot))
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
        if 0 < slot < FIRST_RIB:
            ring = curve(shapes.in_body(corners, _varied(shapes.TRANSVERSE, rng)), 4, closed=True)
            near.stroke(ring + turn, 255, line, closed=True)
            far.stroke(ring - turn, 255, line, closed=True)
    soft = framing.depth_px * 0.02
    weight = rng.uniform(0.18, 0.36)
    bone = near.weighted(weight, soft) + far.weighted(weight, soft * 1.5)
    bone += thin.weighted(rng.uniform(0.08, 0.22), soft * 2)
    return bone - hole.weighted(rng.uniform(0.0, 0.30), soft * 2)


def pelvic_girdle(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Sacrum below S1, both iliac bones, hips."""
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
    for _ in range(int(rng.integers(2, 9))):  # ala, arcuate line, sciatic notch: lines that no two films share
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
    """Ribs of the thoracic bodies on both sides."""
    outer, inner = Layer(framing.size_hw), Layer(framing.size_hw)
    unit = framing.depth_px
    for corners in framing.corners_px[FIRST_RIB:]:
        for _ in range(2):
            axis = shapes.rib(corners, unit, rng)
            outer.stroke(axis, 200, unit * rng.uniform(0.20, 0.28))
            inner.stroke(axis, 200, unit * 0.12)
    tube = outer.weighted(0.20, unit * 0.025) - inner.weighted(0.09, unit * 0.03)
    return np.asarray(np.maximum(tube, 0.0), dtype=np.float32)


def arm(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """A forearm that reaches into the film's upper front corner, thick enough to look white."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    top = framing.corners_px[framing.labelled - 1].mean(axis=0)
    start = np.array([top[0] - rng.uniform(3.2, 5.0) * unit, -unit])
    end = start + np.array([rng.normal(-0.3, 0.4) * unit, max(top[1], 0) + rng.uniform(0.5, 3.0) * unit])
    layer.stroke(np.stack([start, end]), 120, unit * rng.uniform(1.2, 2.2))
    layer.stroke(np.stack([start, end]), 255, unit * 0.5)
    return layer.weighted(rng.uniform(0.6, 1.8), unit * 0.08)


def lungs(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Air above two domes of the diaphragm, as attenuation to take away."""
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
    """Bubbles in front of the spine, seldom over it, as attenuation to take away."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    middle = framing.corners_px.mean(axis=1)
    size = rng.uniform(0.06, 0.3)
    for _ in range(int(rng.poisson(2.5))):
        slot = int(rng.integers(0, min(len(middle), 7)))
        at = middle[slot] + np.array([-rng.gamma(5.0, 0.55), rng.normal(0.0, 0.6)]) * unit
        way = rng.normal(0.0, 0.35, 2) * [1.0, 0.6]
        for step in range(int(rng.integers(1, 8))):  # the pouches of a loop of bowel
            centre = at + (way * step + rng.normal(0.0, 0.12, 2)) * unit
            layer.fill(_blob(centre, unit * size * rng.uniform(0.5, 1.8), rng), int(rng.uniform(60, 255)))
    if rng.random() < 0.5:  # the rectum, before the sacrum's hollow
        centre = middle[0] + np.array([rng.uniform(0.0, 1.0), rng.uniform(2.2, 3.4)]) * unit
        layer.fill(_blob(centre, unit * rng.uniform(0.3, 0.8), rng), int(rng.uniform(80, 220)))
    return layer.weighted(rng.uniform(0.3, 1.1), unit * 0.05)


def _seen(framing: Framing, slot: int) -> float:
    """Contrast left to a body: little beyond the topmost labelled one where the lung swallows it."""
    return 0.15 if slot >= framing.labelled and framing.ending is Ending.LUNG else 1.0


def _varied(local: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The outline with each knot a little displaced."""
    return np.asarray(local + rng.normal(0.0, 0.03, local.shape))


def _blob(centre: FloatArray, radius: float, rng: np.random.Generator) -> FloatArray:
    """(N, 2) outline of a bubble."""
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    reach = radius * rng.uniform(0.82, 1.18, 8) * np.exp(rng.normal(0.0, 0.2) * np.cos(2 * angle))
    return curve(centre + np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None], 4, closed=True)
