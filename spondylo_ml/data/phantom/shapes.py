"""Outlines of the bodies and the structures around them in px, for a film that faces left.

Local coordinates of a body: x backward from its centre in units of its depth, y down in units of its height. Local
coordinates of the pelvis: origin in the middle of S1's superior endplate, upright, in units of L3's depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondylo_ml.data.phantom.painting import curve
from spondylo_ml.landmarks import FloatArray


@dataclass(frozen=True, eq=False)
class BodyOutline:
    """Outline of one body through its true corners.

    Attributes:
        edges: superior, posterior, inferior and anterior edge, each (N, 2), which together form a closed outline.
        inner_plates: projection of the far rim of both endplates beside the near one.
    """

    edges: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
    inner_plates: tuple[FloatArray, FloatArray]

    @property
    def closed(self) -> FloatArray:
        """(N, 2) closed outline."""
        return np.concatenate(self.edges)


def body_outline(corners: FloatArray, rng: np.random.Generator) -> BodyOutline:
    """Outline with concave endplates and walls between (4, 2) corners."""
    upper_front, upper_back, lower_front, lower_back = corners
    dip = rng.uniform(0.0, 0.065, 2)
    waist = rng.uniform(0.0, 0.05, 2)
    twin = rng.uniform(0.02, 0.07, 2) * np.sign(rng.uniform(-0.6, 1.0))
    depth = float(np.linalg.norm(upper_back - upper_front))
    edges = (
        _bowed(upper_front, upper_back, dip[0] * depth),
        _bowed(upper_back, lower_back, waist[0] * 0.6 * depth),
        _bowed(lower_back, lower_front, dip[1] * depth),
        _bowed(lower_front, upper_front, waist[1] * depth),
    )
    plates = (
        _bowed(upper_front, upper_back, (dip[0] + twin[0]) * depth),
        _bowed(lower_back, lower_front, (dip[1] + twin[1]) * depth),
    )
    return BodyOutline(edges, plates)


_ALONG = np.linspace(0, 1, 9)[:, None]
_DISH = 1 - np.abs(2 * _ALONG - 1) ** 2.6
"""Profile of an endplate: flat in the middle, steep at the rim."""


def _bowed(start: FloatArray, end: FloatArray, dip: float) -> FloatArray:
    """(9, 2) path from start to end, bowed by `dip` px to its right, the inside of a clockwise outline."""
    x, y = end - start
    inward = np.array([-y, x]) * (dip / max(float(np.hypot(x, y)), 1e-6))
    return np.asarray(start + _ALONG * (end - start) + _DISH * inward)


def in_body(corners: FloatArray, local: FloatArray) -> FloatArray:
    """(N, 2) points in px from the body's local coordinates."""
    front, back = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
    top, bottom = (corners[0] + corners[1]) / 2, (corners[2] + corners[3]) / 2
    return np.asarray(corners.mean(axis=0) + local[:, :1] * (back - front) + local[:, 1:] * (bottom - top))


PEDICLE = np.array([[0.44, -0.40], [0.62, -0.36], [0.80, -0.40], [0.82, 0.06], [0.62, 0.02], [0.44, 0.10]])
UPPER_FACET = np.array([[0.66, -0.30], [0.70, -0.78], [0.78, -0.98], [0.90, -0.86], [0.94, -0.35], [0.90, 0.02]])
LOWER_FACET = np.array([[0.72, 0.0], [0.90, -0.12], [1.06, 0.30], [1.08, 0.86], [0.96, 1.02], [0.86, 0.66]])
SPINOUS = np.array([[0.98, -0.02], [1.30, 0.02], [1.78, 0.26], [1.86, 0.74], [1.66, 0.96], [1.32, 0.78], [1.02, 0.62]])
TRANSVERSE = np.array([[0.52, -0.30], [0.66, -0.40], [0.76, -0.22], [0.70, -0.02], [0.56, -0.04]])
FORAMEN = np.array([[0.56, 0.12], [0.74, 0.10], [0.80, 0.40], [0.74, 0.68], [0.58, 0.62]])

_ILIUM = np.array(
    [[1.45, 1.5], [1.25, 0.6], [0.7, -0.35], [-0.3, -0.95], [-1.4, -0.75], [-2.3, 0.1], [-2.85, 1.1], [-2.75, 1.75],
     [-2.3, 2.1], [-2.35, 2.7], [-1.9, 3.2], [-1.2, 3.4], [-0.6, 3.2], [-0.25, 2.6], [0.25, 2.15], [0.95, 2.1]]
)  # fmt: skip
_ISCHIUM = np.array(
    [[-1.0, 3.1], [-0.5, 3.2], [-0.2, 3.9], [-0.1, 4.9], [-0.5, 5.9], [-1.2, 6.2], [-1.6, 5.4], [-1.5, 4.4]]
)
_PUBIS = np.array([[-2.0, 3.3], [-2.9, 3.9], [-3.8, 4.4], [-4.1, 5.0], [-3.6, 5.4], [-2.8, 5.0], [-1.9, 4.6]])
HEAD_OF_FEMUR = (np.array([-1.55, 4.05]), 0.72)


@dataclass(frozen=True, eq=False)
class Pelvis:
    """Outlines of one side of the pelvis in px."""

    ilium: FloatArray
    ischium: FloatArray
    pubis: FloatArray
    head: FloatArray
    neck: FloatArray


def pelvis(origin_px: FloatArray, depth_px: float, turn_rad: float, rng: np.random.Generator) -> Pelvis:
    """One side of the pelvis, randomly varied, since the diverging beam projects both sides differently."""
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    turn = np.array([[cos, sin], [-sin, cos]])
    size = depth_px * rng.uniform(0.93, 1.10)
    position = origin_px + rng.normal(0.0, 0.2, 2) * depth_px

    def put(local: FloatArray, wobble: float = 0.05) -> FloatArray:
        return np.asarray((local + rng.normal(0.0, wobble, local.shape)) @ turn * size + position)

    centre, radius = HEAD_OF_FEMUR
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    head = centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    neck = centre + np.array([[-0.2, -0.3], [0.7, 0.0], [1.2, 1.0], [1.0, 4.0], [-0.2, 4.0], [-0.3, 1.0]])
    return Pelvis(
        curve(put(_ILIUM), closed=True),
        curve(put(_ISCHIUM), closed=True),
        curve(put(_PUBIS), closed=True),
        put(head, 0.0),
        curve(put(neck), closed=True),
    )


@dataclass(frozen=True, eq=False)
class Sacrum:
    """The sacrum below S1 in px: its outline, anterior and posterior line, remnant discs, and crest."""

    outline: FloatArray
    front: FloatArray
    back: FloatArray
    discs: tuple[FloatArray, ...]
    crest: FloatArray


def sacrum(s1: FloatArray, depth_px: float, rng: np.random.Generator) -> Sacrum:
    """S2 to the coccyx, curved down and back, then forward."""
    plate = s1[1] - s1[0]
    tilt = float(np.degrees(np.arctan2(-plate[1], plate[0])))
    hollow = rng.uniform(0.7, 1.3)
    turns = tilt + hollow * np.array([6.0, 6.0, -10.0, -32.0, -55.0, -75.0])
    thick = np.array([0.52, 0.44, 0.36, 0.27, 0.17, 0.09]) * depth_px * rng.uniform(0.9, 1.15)
    length = np.array([0.62, 0.58, 0.55, 0.52, 0.40, 0.35]) * depth_px * rng.uniform(0.9, 1.2)
    down = np.stack([np.sin(np.radians(turns)), np.cos(np.radians(turns))], axis=1)
    across = np.stack([down[:, 1], -down[:, 0]], axis=1)
    start = (s1[2] + s1[3]) / 2
    ends = start + np.cumsum(down * length[:, None], axis=0)
    front = np.concatenate([s1[2:3], ends - across * thick[:, None] * 0.5])
    back = np.concatenate([s1[3:4], ends + across * thick[:, None] * 0.6])
    front, back = curve(front), curve(back)
    discs = tuple(np.stack([front[6 * i], back[6 * i]]) for i in range(4))
    bumps = back[:25] + np.repeat(across[:4], [7, 6, 6, 6], axis=0) * (
        depth_px * (0.32 + 0.08 * np.sin(np.linspace(0, 8 * np.pi, 25)))[:, None] * np.linspace(1.1, 0.5, 25)[:, None]
    )
    crest = np.concatenate([bumps, back[24::-1]])
    return Sacrum(np.concatenate([front, back[::-1]]), front, back, discs, crest)


def rib(corners: FloatArray, depth_px: float, rng: np.random.Generator) -> FloatArray:
    """(N, 2) axis of a rib from a thoracic body backward, then down and forward."""
    root = in_body(corners, np.array([[0.5, -0.35]]))[0]
    steep = rng.uniform(0.7, 1.2)
    knots = np.array(
        [[0.0, 0.0], [0.55, -0.1], [1.1, 0.3], [1.25, 0.9], [0.6, 1.8], [-0.6, 2.7], [-2.0, 3.5], [-3.4, 4.1]]
    )
    knots = (knots + rng.normal(0.0, 0.06, knots.shape)) * [1.0, steep]
    knots = knots[: int(rng.integers(5, 9))]
    return curve(root + knots * depth_px * rng.uniform(0.9, 1.15))
