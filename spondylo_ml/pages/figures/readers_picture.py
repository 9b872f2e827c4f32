"""A picture of the spine on a film with the labels of several readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, FloatArray, Vertebra
from spondylo_ml.pages.colours import READERS_RGB
from spondylo_ml.pages.figures.labels import LINE_PX, Label, Picture, Rgb, draw_labels, draw_text, text_width_px
from spondylo_ml.pages.figures.lines import draw_edge, draw_outline

MARGIN = 0.35
"""Margin around the bodies as a fraction of their width: room for the names of levels."""

GAP_PX = 14


def draw_readers(film: Film, labels: Mapping[str, Sequence[Vertebra]], height_px: int, square: bool = False) -> Picture:
    """(H, W, 3) RGB: the part of the film with the spine, each reader's outlines and levels in a colour of their own.

    Args:
        labels: vertebrae by reader.
        height_px: height of the picture without its legend.
        square: whether the part is as wide as high, where the film allows it.

    Raises:
        DataError: no reader placed a corner.
    """
    placed = [v.corners_xy for vertebrae in labels.values() for v in vertebrae if v.present.any()]
    if not placed:
        raise DataError(f"film {film.film_id}: no corner to draw")
    left, top, right, bottom = _window(np.concatenate(placed), film.size_hw, square)
    grey = stretch_contrast(film.image.read())[top:bottom, left:right]
    scale = height_px / (bottom - top)
    size = (max(1, round((right - left) * scale)), height_px)
    picture = np.asarray(
        cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB), dtype=np.uint8
    )
    origin_xy = np.array([left, top], dtype=np.float64)
    for corners in placed:
        draw_edge(picture, corners - origin_xy, scale)
    names: list[Label] = []
    for index, vertebrae in enumerate(labels.values()):
        for vertebra in (v for v in vertebrae if v.present.any()):
            corners = vertebra.corners_xy - origin_xy
            draw_outline(picture, corners, scale, _colour(index))
            names.append(_name(vertebra.level, corners * scale, index))
    draw_labels(picture, names)
    return _with_names(picture, list(labels))


def _window(corners_xy: FloatArray, size_hw: tuple[int, int], square: bool) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part that is shown, px."""
    low, high = np.nanmin(corners_xy, axis=0), np.nanmax(corners_xy, axis=0)
    margin = np.full(2, MARGIN * max(float(high[0] - low[0]), 1.0))
    if square:
        extent = high - low
        margin += (extent.max() - extent) / 2
    (left, top), (right, bottom) = np.floor(low - margin), np.ceil(high + margin)
    left, top = min(max(0, int(left)), size_hw[1] - 1), min(max(0, int(top)), size_hw[0] - 1)
    return left, top, max(left + 1, min(size_hw[1], int(right))), max(top + 1, min(size_hw[0], int(bottom)))


def _colour(index: int) -> Rgb:
    return READERS_RGB[index % len(READERS_RGB)]


def _name(level: str, corners_px: FloatArray, index: int) -> Label:
    """The level beside its body, of readers in turn on the left and on the right."""
    on_left = index % 2 == 0
    x = np.nanmin(corners_px[:, 0]) if on_left else np.nanmax(corners_px[:, 0])
    return Label(
        level, _colour(index), (float(x) + (-5 if on_left else 5), float(np.nanmean(corners_px[:, 1]))), on_left
    )


def _with_names(picture: Picture, readers: Sequence[str]) -> Picture:
    width = max(picture.shape[1], sum(text_width_px(name) + GAP_PX for name in readers) + GAP_PX)
    bar = np.zeros((LINE_PX, width, 3), dtype=np.uint8)
    x = GAP_PX
    for index, name in enumerate(readers):
        draw_text(bar, name, x, LINE_PX / 2, _colour(index))
        x += text_width_px(name) + GAP_PX
    padded = np.zeros((picture.shape[0], width, 3), dtype=np.uint8)
    padded[:, : picture.shape[1]] = picture
    return np.concatenate([bar, padded])
