"""Attenuation of S1, fused with the rest of the sacrum, in nepers."""

from __future__ import annotations

import numpy as np

from spondylo_ml.data.phantom import shapes
from spondylo_ml.data.phantom.additions.sacral_outline import SacralOutline, sacral_outline
from spondylo_ml.data.phantom.framing import Framing
from spondylo_ml.data.phantom.painting import FloatMap, Layer, Patch, curve, rough
from spondylo_ml.data.phantom.shapes import BodyOutline
from spondylo_ml.data.phantom.styles import Anatomy
from spondylo_ml.landmarks import FloatArray

MOST_OF_BONE_IN_SLIT = 0.5
"""Largest share of the sacrum's own attenuation that a remnant disc takes away."""


def sacrum(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """S1 to the coccyx as one bone, from dense to hardly visible."""
    s1, unit = framing.corners_px[0], framing.depth_px
    upper = shapes.body_outline(s1, rng)
    lower = sacral_outline(s1, unit, rng)
    bone = float(np.exp(rng.uniform(np.log(0.05), np.log(0.45))))
    sheet = _behind_the_bodies(framing, lower, bone, rng)
    sheet += _ala(framing, rng)
    whole = np.concatenate([upper.edges[0], upper.edges[1], lower.back, lower.front[::-1], upper.edges[3]])
    patch = Patch(whole, framing.size_hw, 2.0)
    if not patch.empty:
        cover = patch.fill(whole)
        density = bone * _taper(patch, s1, lower, rng)
        grain = 1 + np.float32(rng.uniform(0.01, 0.12)) * rough(rng, cover.shape, max(unit * 0.05, 1.0))
        sheet[patch.place] += cover * (density * grain - bone * _slits(patch, framing, lower, rng))
        sheet[patch.place] += _walls(patch, upper, lower, unit, rng) + _plates(patch, upper, lower, unit, rng)
    return sheet


def _taper(patch: Patch, s1: FloatArray, lower: SacralOutline, rng: np.random.Generator) -> FloatMap:
    """(H, W) share of S1's attenuation: falls smoothly along the sacrum, without a step between S1 and S2."""
    top, tip = s1[:2].mean(axis=0), lower.front[-1]
    way = tip - top
    rows, columns = np.mgrid[patch.place].astype(np.float32)
    along = ((columns - top[0]) * way[0] + (rows - top[1]) * way[1]) / (way @ way)
    return np.asarray(1 - np.float32(rng.uniform(0.0, 0.8)) * np.clip(along, 0, 1), dtype=np.float32)


def _slits(patch: Patch, framing: Framing, lower: SacralOutline, rng: np.random.Generator) -> FloatMap:
    """(H, W) share of bone missing in remnant discs: at S1/S2 on four of ten films, often in its front part alone."""
    transitional = framing.style.anatomy is Anatomy.TRANSITIONAL
    ends = [np.stack([lower.front[0], lower.back[0]]), *lower.junctions]
    paths, values = [], []
    for number, junction in enumerate(ends):
        if rng.random() < (0.9 if transitional and not number else 0.4 * 0.7**number):
            paths.append(_part(junction, rng))
            values.append(int(255 * rng.uniform(0.2, 1.0)))
    slits = patch.strokes(paths, values, framing.depth_px * rng.uniform(0.02, 0.07))
    return np.asarray(np.float32(MOST_OF_BONE_IN_SLIT) * slits, dtype=np.float32)


def _part(junction: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(2, 2) the whole junction or its front part."""
    front, back = junction
    share = 1.0 if rng.random() < 0.3 else rng.uniform(0.25, 0.8)
    return np.stack([front, front + share * (back - front)])


def _plates(patch: Patch, upper: BodyOutline, lower: SacralOutline, unit: float, rng: np.random.Generator) -> FloatMap:
    """Superior endplate of S1, and thin bright plates of fused discs."""
    plate = rng.uniform(0.2, 1.0)
    paths = [upper.edges[0], upper.inner_plates[0]]
    values = [int(255 * plate), int(255 * plate * rng.uniform(0.0, 0.8))]
    ends = [np.stack([lower.front[0], lower.back[0]]), *lower.junctions]
    for number, junction in enumerate(ends):
        if rng.random() < 0.5 * 0.8**number:
            part, apart = _part(junction, rng), (lower.front[1] - lower.front[0]) * rng.uniform(0.0, 0.25)
            paths += [part, part + apart]
            values += [int(255 * plate * rng.uniform(0.2, 0.9)), int(255 * plate * rng.uniform(0.0, 0.6))]
    return np.float32(rng.uniform(0.10, 0.42)) * patch.strokes(paths, values, max(unit * 0.045, 0.8))


def _walls(patch: Patch, upper: BodyOutline, lower: SacralOutline, unit: float, rng: np.random.Generator) -> FloatMap:
    """Anterior line of the sacrum, in places hidden, and its fainter posterior wall."""
    front = np.concatenate([lower.front[::-1], upper.edges[3]])
    back = np.concatenate([upper.edges[1], lower.back])
    front_value, back_value = rng.uniform(80, 255), rng.uniform(0, 120)
    paths, values = [], []
    for line, value in ((front, front_value), (back, back_value)):
        pieces = np.array_split(np.arange(len(line) - 1), 4)
        fading = rng.uniform(0.4, 1.0, 4) if rng.random() < 0.5 else np.ones(4)
        for piece, share in zip(pieces, fading, strict=True):
            paths.append(line[piece[0] : piece[-1] + 2])
            values.append(int(value * share))
    return np.float32(rng.uniform(0.10, 0.40)) * patch.strokes(paths, values, max(unit * 0.04, 0.8))


def _behind_the_bodies(framing: Framing, lower: SacralOutline, bone: float, rng: np.random.Generator) -> FloatMap:
    """Sacral canal, its posterior wall and the median crest: parallel lines behind the bodies."""
    unit, areas, lines = framing.depth_px, Layer(framing.size_hw), Layer(framing.size_hw)
    areas.fill(np.concatenate([lower.back, lower.crest[::-1]]), int(rng.uniform(60, 200)))
    areas.fill(np.concatenate([lower.back, lower.canal[::-1]]), int(rng.uniform(0, 130)))
    for line in (lower.canal, lower.crest, lower.back):
        lines.stroke(line, int(rng.uniform(40, 255)), unit * 0.03)
    beside = lower.canal + rng.normal(0.0, 0.06, 2) * unit
    lines.stroke(beside, int(rng.uniform(0, 200)), unit * 0.03)
    return areas.weighted(bone, unit * 0.04) + lines.weighted(rng.uniform(0.04, 0.28), unit * 0.02)


def _ala(framing: Framing, rng: np.random.Generator) -> FloatMap:
    """Both sacral wings beside S1 to S3, in front of the bodies and over them."""
    layer, unit = Layer(framing.size_hw), framing.depth_px
    knots = np.array([[-0.45, 0.05], [0.2, -0.2], [0.75, 0.3], [0.7, 1.3], [0.25, 1.9], [-0.2, 1.3], [-0.5, 0.6]])
    for _ in range(2):
        local = knots + rng.normal(0.0, 0.10, knots.shape) + rng.normal(0.0, 0.12, 2)
        outline = curve(shapes.in_body(framing.corners_px[0], local), closed=True)
        layer.fill(outline, int(rng.uniform(60, 200)))
        layer.stroke(outline, int(rng.uniform(0, 255)), unit * 0.04, closed=True)
    return layer.weighted(rng.uniform(0.0, 0.35), unit * rng.uniform(0.03, 0.12))
