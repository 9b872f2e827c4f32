"""Read a film again on parts of it: the names of its vertebrae must stay the same.

Which vertebra is which level is decided by the whole spine at once, so that an error concerns all of them, and a
network that is wrong in this way may be sure of it. But its names then often depend on what else is to be seen. Three
parts of a film show most of the same vertebrae: one that begins within the topmost, one that ends below the lowest, and
one without what lies beside the spine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.data.window import Window
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import FilmPrediction, FloatArray

INTO_TOPMOST, BELOW_LOWEST, BESIDE = 0.2, 0.6, 1.2
"""Where the parts end, in steps from vertebra to vertebra from the outermost corners."""

NEAR = 0.5
"""Widths of a body within which it is found again."""


def parts_to_read(found_xy: FloatArray, shown: Window) -> list[Window]:
    """Three parts of what a reading has shown the network.

    Args:
        found_xy: (B, 4, 2) px of the film, the vertebrae that it has found; one at least.
        shown: the part of the film that it has shown.
    """
    upright_xy = shown.to_window(found_xy)
    (left, top), (right, bottom) = upright_xy.min(axis=(0, 1)), upright_xy.max(axis=(0, 1))
    height, width = shown.size_hw
    step = (bottom - top) / len(found_xy)
    return [
        _part(shown, 0, top + INTO_TOPMOST * step, width, height),
        _part(shown, 0, 0, width, bottom + BELOW_LOWEST * step),
        _part(shown, left - BESIDE * step, 0, right + BESIDE * step, height),
    ]


def names_stay(first: FilmPrediction, again: FilmPrediction, part: Window) -> bool:
    """Whether most vertebrae that lie in a part of the film have the same names in a reading of this part."""
    inside = [slot for slot in _found(first) if _lies_in(first.corners_xy[slot], part)]
    return sum(_same(first, again, slot) for slot in inside) > len(inside) / 2 or not inside


def confidence_after(confidence: float, stay: Sequence[bool]) -> float:
    """The confidence in the levels of a film, which is at most the share of its readings that agree with the first.

    Args:
        stay: whether the names stay in each further reading.
    """
    return min(confidence, (1 + sum(stay)) / (1 + len(stay)))


def _part(shown: Window, left: float, top: float, right: float, bottom: float) -> Window:
    """The part between these px of what was shown, which may lie beyond its edges, as a window of the film."""
    height, width = shown.size_hw
    edges = np.clip([[left, top], [right, bottom]], 0, (width, height)).round()
    corners = shown.to_film(edges - 0.5) + 0.5  # from edges of pixels to their centres and back
    (x, y), (x_end, y_end) = corners.min(axis=0).round().astype(int), corners.max(axis=0).round().astype(int)
    return Window(int(x), int(y), max(int(x_end - x), 1), max(int(y_end - y), 1), shown.quarter_turns)


def _found(prediction: FilmPrediction) -> list[int]:
    whole = ~np.isnan(prediction.corners_xy).any(axis=(1, 2))
    return np.flatnonzero(whole & (prediction.presence >= PRESENCE_THRESHOLD)).tolist()


def _lies_in(corners_xy: FloatArray, part: Window) -> bool:
    last_xy = np.array([part.left + part.width, part.top + part.height]) - 1
    return bool((corners_xy >= [part.left, part.top]).all() and (corners_xy <= last_xy).all())


def _same(first: FilmPrediction, again: FilmPrediction, slot: int) -> bool:
    """Whether a vertebra is found again under its name."""
    if not again.presence[slot] >= PRESENCE_THRESHOLD:
        return False
    body, other = first.corners_xy[slot], again.corners_xy[slot]
    width = float(np.linalg.norm(body[1] - body[0]))
    return bool(np.linalg.norm(other.mean(axis=0) - body.mean(axis=0)) < NEAR * width)
