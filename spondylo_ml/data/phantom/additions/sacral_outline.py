"""Outlines of the sacrum below S1 in px, for a film that faces left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondylo_ml.data.phantom.painting import curve
from spondylo_ml.landmarks import FloatArray

_LENGTHS = np.array([0.68, 0.58, 0.50, 0.42, 0.34, 0.28])
"""Lengths of S2 to S5 and of two parts of the coccyx, in units of L3's depth."""

_DEPTHS = np.array([0.78, 0.60, 0.44, 0.30, 0.17, 0.08])
"""Depth of each of them at its lower end, as a share of S1's inferior edge."""

_TURNS_DEG = np.array([4.0, 14.0, 27.0, 44.0, 64.0, 82.0])
"""How far each of them is turned forward from S1's direction, in a sacrum of average curvature."""

_CANAL = np.array([0.40, 0.40, 0.34, 0.26, 0.16, 0.06, 0.0])
_CREST = np.array([0.30, 0.42, 0.40, 0.28, 0.14, 0.04, 0.0])
"""Depth of the sacral canal and of the median crest behind it, at each junction, in units of L3's depth."""

_PER_SPAN = 6


@dataclass(frozen=True, eq=False)
class SacralOutline:
    """S2 to the coccyx, all lines from S1's inferior edge downward.

    Attributes:
        front: (N, 2) anterior line; begins at S1's inferior anterior corner.
        back: (N, 2) posterior wall of the bodies; begins at S1's inferior posterior corner.
        canal: (N, 2) posterior wall of the sacral canal.
        crest: (N, 2) median sacral crest.
        junctions: (front, back) ends of the fused discs S2/S3 and below, each (2, 2).
    """

    front: FloatArray
    back: FloatArray
    canal: FloatArray
    crest: FloatArray
    junctions: tuple[FloatArray, ...]


def sacral_outline(s1: FloatArray, depth_px: float, rng: np.random.Generator) -> SacralOutline:
    """S2 to the coccyx, between straight and hooked; sometimes without a coccyx.

    Args:
        s1: (4, 2) corners of S1 in px.
        depth_px: L3's depth.
    """
    curvature = rng.uniform(0.1, 1.7)
    turns = np.radians(curvature * _TURNS_DEG + rng.normal(0.0, 4.0, len(_TURNS_DEG)))
    direction = _direction(s1)
    angle = np.arctan2(direction[1], direction[0]) + turns
    down = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    across = np.stack([down[:, 1], -down[:, 0]], axis=1)  # from front to back
    edge = float(np.linalg.norm(s1[3] - s1[2]))
    depth = _DEPTHS * edge * np.exp(rng.normal(0.0, 0.12, len(_DEPTHS)))
    length = _LENGTHS * depth_px * rng.uniform(0.8, 1.2) * np.exp(rng.normal(0.0, 0.08, len(_LENGTHS)))
    ends = (s1[2] + s1[3]) / 2 + np.cumsum(down * length[:, None], axis=0)
    front = np.concatenate([s1[2:3], ends - across * depth[:, None] * 0.5])
    back = np.concatenate([s1[3:4], ends + across * depth[:, None] * 0.5])
    kept = len(front) - int(rng.choice([0, 0, 1, 2]))
    behind = np.concatenate([across[:1], across])
    canal = back + behind * (_CANAL * depth_px * rng.uniform(0.7, 1.3))[:, None]
    crest = canal + behind * (_CREST * depth_px * rng.uniform(0.5, 1.4))[:, None]
    crest[1:-1] += rng.normal(0.0, 0.05, (len(crest) - 2, 2)) * depth_px
    return SacralOutline(
        front=_hollowed(front[:kept], behind[:kept], depth_px * rng.uniform(0.0, 0.06)),
        back=_hollowed(back[:kept], behind[:kept], -depth_px * rng.uniform(0.0, 0.03)),
        canal=curve(canal[:kept], _PER_SPAN),
        crest=curve(crest[:kept], _PER_SPAN),
        junctions=tuple(np.stack([front[i], back[i]]) for i in range(1, min(kept, 4))),
    )


def _direction(s1: FloatArray) -> FloatArray:
    """(2,) direction of the sacrum at S1's inferior edge: between S1's axis and the edge's normal."""
    axis = s1[2:].mean(axis=0) - s1[:2].mean(axis=0)
    edge = s1[3] - s1[2]
    normal = np.array([-edge[1], edge[0]])
    return np.asarray(axis / np.linalg.norm(axis) + normal / np.linalg.norm(normal))


def _hollowed(knots: FloatArray, behind: FloatArray, depth: float) -> FloatArray:
    """(N, 2) line through the knots, displaced backward by `depth` halfway between them: one hollow a body."""
    halfway = (knots[:-1] + knots[1:]) / 2 + depth * behind[1:]
    both = np.empty((2 * len(knots) - 1, 2))
    both[0::2], both[1::2] = knots, halfway
    return curve(both, _PER_SPAN // 2)
