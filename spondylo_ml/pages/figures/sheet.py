"""Sheets of pictures, and the legend of what is drawn on them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from spondylo_ml.pages.colours import HEAT_RGB, MISPLACED_RGB, PREDICTION_RGB, TEXT_RGB, TRUTH_RGB
from spondylo_ml.pages.figures.labels import Picture, draw_text, text_width_px
from spondylo_ml.pages.figures.lines import draw_arrow, draw_dashes

LEGEND_LINE_PX = 22
SAMPLE_PX, GAP_PX = 26, 16
LEGEND = (
    ("truth and its level", TRUTH_RGB),
    ("prediction, its level and mean error in px512", PREDICTION_RGB),
    ("on another level, and the way to its own", MISPLACED_RGB),
)


def tile(pictures: Sequence[Picture], columns: int, gap_px: int = 6) -> Picture:
    """A sheet of pictures with `columns` per row, each padded to the largest size."""
    height = max(p.shape[0] for p in pictures) + gap_px
    width = max(p.shape[1] for p in pictures) + gap_px
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * height, min(columns, len(pictures)) * width, 3), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        y, x = (i // columns) * height, (i % columns) * width
        sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return sheet


def with_legend(sheet: Picture, map_name: str = "") -> Picture:
    """The sheet below a legend of its lines and, if it shows any, of its maps, such as "heatmaps"."""
    entries: list[tuple[str, tuple[int, int, int]]] = [*LEGEND]
    if map_name:
        entries.append((f"{map_name}, from 0 to 1", HEAT_RGB))
    widths = [SAMPLE_PX + 12 + text_width_px(text) + GAP_PX for text, _ in entries]
    bar_width = max(sheet.shape[1], *widths)
    places, x, line = [], 6, 0
    for width in widths:
        if x > 6 and x + width > bar_width:
            x, line = 6, line + 1
        places.append((x, line))
        x += width
    bar = np.zeros(((line + 1) * LEGEND_LINE_PX, bar_width, 3), dtype=np.uint8)
    for (text, rgb), (left, row) in zip(entries, places, strict=True):
        middle = LEGEND_LINE_PX * (row + 0.5)
        _draw_sample(bar, left, middle, rgb)
        draw_text(bar, text, left + SAMPLE_PX + 6, middle, TEXT_RGB)
    padded = np.zeros((sheet.shape[0], bar_width, 3), dtype=np.uint8)
    padded[:, : sheet.shape[1]] = sheet
    return np.concatenate([bar, padded])


def _draw_sample(bar: Picture, left: int, middle: float, rgb: tuple[int, int, int]) -> None:
    start, end = np.array([left, middle]), np.array([left + SAMPLE_PX, middle])
    if rgb == HEAT_RGB:
        ramp = np.linspace(0, 1, SAMPLE_PX)[None, :, None] * np.array(rgb)
        bar[int(middle) - 5 : int(middle) + 5, left : left + SAMPLE_PX] = ramp.astype(np.uint8)
    elif rgb == MISPLACED_RGB:
        draw_arrow(bar, start, end, rgb)
    elif rgb == PREDICTION_RGB:
        draw_dashes(bar, start, end, rgb)
    else:
        cv2.line(bar, (left, round(middle)), (left + SAMPLE_PX, round(middle)), rgb, 2, cv2.LINE_AA)
