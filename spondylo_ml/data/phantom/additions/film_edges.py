"""Edges and marks of a film on its grey levels: strips, oblique edges, a ruler, scratches, a second marker."""

from __future__ import annotations

import cv2
import numpy as np

from spondylo_ml.data.phantom.framing import MARGIN_PX, Framing
from spondylo_ml.landmarks import FloatArray, GreyImage

_STRIPS, _OBLIQUE, _RULER, _SCRATCHES, _BAND = 0.25, 0.15, 0.05, 0.2, 0.1
"""Share of films with each of them."""

_SIDES = ("left", "right", "top", "bottom")


def mark_film(image: GreyImage, framing: Framing, rng: np.random.Generator) -> None:
    """Draw at random what surrounds and covers the picture; nothing covers a labelled corner but a scratch."""
    if rng.random() < _BAND:
        _band(image, rng)
    if rng.random() < _STRIPS:
        for side in rng.choice(_SIDES, int(rng.integers(1, 3)), replace=False):
            cover_edge(image, framing, str(side), 0.0, rng)
    if rng.random() < _OBLIQUE:
        for side in rng.choice(_SIDES, int(rng.integers(1, 4)), replace=False):
            cover_edge(image, framing, str(side), float(rng.uniform(0.01, 0.09)), rng)
    if rng.random() < _RULER:
        _ruler(image, rng)
    if rng.random() < _SCRATCHES:
        _scratches(image, rng)


def room_px(framing: Framing) -> dict[str, float]:
    """Distance of the labelled corners from each side of the film."""
    height, width = framing.size_hw
    labelled = framing.corners_px[: framing.labelled].reshape(-1, 2)
    (left, top), (right, bottom) = labelled.min(axis=0), labelled.max(axis=0)
    return {"left": left, "right": width - 1 - right, "top": top, "bottom": height - 1 - bottom}


def cover_edge(image: GreyImage, framing: Framing, side: str, slant: float, rng: np.random.Generator) -> None:
    """Fill the part of the picture beyond a straight edge, parallel to the film's side or slanted, black or white."""
    height, width = framing.size_hw
    along = height if side in ("left", "right") else width
    most = max(room_px(framing)[side] - 2 * MARGIN_PX, 0.0)
    depth = min(float(rng.uniform(0.003, 0.03)) * max(height, width), most)
    near, far = depth, min(depth + slant * along, most)
    if rng.random() < 0.5:
        near, far = far, near
    grey = int(rng.choice([0, 0, 12, 235, 255]) if slant else rng.choice([0, 120, 200, 235, 255]))
    cv2.fillPoly(image, [_outside(side, near, far, (height, width)).astype(np.int32)], grey)


def _outside(side: str, near: float, far: float, size_hw: tuple[int, int]) -> FloatArray:
    """(4, 2) corners of the part of the film that is `near` px deep at one end of the side and `far` at the other."""
    height, width = size_hw
    bottom, right = height - 1.0, width - 1.0
    corners = {
        "left": [[0, 0], [near - 1, 0], [far - 1, bottom], [0, bottom]],
        "right": [[right, 0], [right - near + 1, 0], [right - far + 1, bottom], [right, bottom]],
        "top": [[0, 0], [0, near - 1], [right, far - 1], [right, 0]],
        "bottom": [[0, bottom], [0, bottom - near + 1], [right, bottom - far + 1], [right, bottom]],
    }
    return np.array(corners[side])


def _band(image: GreyImage, rng: np.random.Generator) -> None:
    """A lighter or darker vertical or horizontal band, as left by a grid, a cassette or a scanner."""
    length = image.shape[1]
    start, end = np.sort(rng.uniform(0, length, 2)).astype(int)
    change = int(rng.choice([-1, 1]) * rng.uniform(4, 25))
    part = image[:, start:end].astype(np.int16) + change
    image[:, start:end] = np.clip(part, 0, 255).astype(np.uint8)


def _ruler(image: GreyImage, rng: np.random.Generator) -> None:
    """A ruler along the lower edge or one side."""
    height, width = image.shape
    spacing, ink = height * rng.uniform(0.012, 0.04), int(rng.uniform(160, 255))
    vertical = rng.random() < 0.5
    x, y = width - 3, height - 3
    for number, at in enumerate(np.arange(0.1, 0.9 * (height if vertical else width), spacing)):
        tick = int(height * (0.02 if number % 5 == 0 else 0.01))
        start, end = ((x, int(at)), (x - tick, int(at))) if vertical else ((int(at), y), (int(at), y - tick))
        cv2.line(image, start, end, ink, 1)


def _scratches(image: GreyImage, rng: np.random.Generator) -> None:
    """Thin scratches, dust and pen dots."""
    height, width = image.shape
    for _ in range(int(rng.integers(1, 12))):
        start = rng.uniform([0, 0], [width, height])
        end = start + rng.normal(0.0, 0.015 if rng.random() < 0.85 else 0.12, 2) * height
        ink = int(rng.choice([10, 230, 255]))
        cv2.line(image, tuple(start.astype(int).tolist()), tuple(end.astype(int).tolist()), ink, 1, cv2.LINE_AA)
