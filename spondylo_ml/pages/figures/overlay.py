"""Pictures of films with their true and predicted corners."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import OUTLINE, Film, FilmPrediction, FloatArray, level_name
from spondylo_ml.pages.colours import HEAT_RGB, PREDICTION_RGB, TEXT_RGB, TRUTH_RGB

Picture = NDArray[np.uint8]

CAPTION_PX = 40
SUBPIXEL_BITS = 4  # OpenCV draws at fractions of a pixel if given their number of bits


def draw_film(
    film: Film,
    prediction: FilmPrediction,
    height_px: int,
    heat: FloatArray | None = None,
    letterbox: Letterbox | None = None,
) -> Picture:
    """(H, W, 3) RGB: truth green, prediction orange, heatmaps red; vertebrae predicted absent are not drawn.

    Args:
        height_px: height of the film in the picture, without the caption.
        heat: (h, w) heatmap from 0 to 1 over the network's input; needs `letterbox`.
    """
    scale = height_px / film.size_hw[0]
    size = (max(1, round(film.size_hw[1] * scale)), height_px)
    grey = cv2.resize(stretch_contrast(film.image.read()), size, interpolation=cv2.INTER_AREA)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if heat is not None and letterbox is not None:
        picture = _with_heat(picture, heat, letterbox)
    for vertebra in film.vertebrae or ():
        draw_outline(picture, vertebra.corners_xy, scale, TRUTH_RGB, "")
    for row in np.flatnonzero(prediction.presence >= PRESENCE_THRESHOLD):
        name = level_name(prediction.slots.first + int(row))
        draw_outline(picture, prediction.corners_xy[row], scale, PREDICTION_RGB, name)
    return _with_caption(picture, film, prediction)


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


def with_legend(sheet: Picture) -> Picture:
    """The sheet below a legend of the colours."""
    bar = np.zeros((26, max(430, sheet.shape[1]), 3), dtype=np.uint8)
    x = 6
    for text, rgb in (("truth", TRUTH_RGB), ("prediction and its level", PREDICTION_RGB), ("heatmaps", HEAT_RGB)):
        cv2.rectangle(bar, (x, 8), (x + 12, 18), rgb, -1)
        cv2.putText(bar, text, (x + 18, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TEXT_RGB, 1, cv2.LINE_AA)
        x += 40 + 8 * len(text)
    padded = np.zeros((sheet.shape[0], bar.shape[1], 3), dtype=np.uint8)
    padded[:, : sheet.shape[1]] = sheet
    return np.concatenate([bar, padded])


def _with_heat(picture: Picture, heat: FloatArray, letterbox: Letterbox) -> Picture:
    to_input = letterbox.input_hw[0] / heat.shape[0]
    x, y = (letterbox.offset_xy / to_input).round().astype(int)
    height, width = (max(1, round(side / to_input)) for side in letterbox.content_hw)
    content = heat[y : y + height, x : x + width].astype(np.float32)
    alpha = cv2.resize(content, (picture.shape[1], picture.shape[0]))[..., None] * 0.7
    colour = np.array(HEAT_RGB, dtype=np.float32)
    return np.asarray(np.clip(picture * (1 - alpha) + colour * alpha, 0, 255), dtype=np.uint8)


def draw_outline(picture: Picture, corners_xy: FloatArray, scale: float, rgb: tuple[int, int, int], name: str) -> None:
    """Draw the outline of a vertebra, its present corners and its name; corners are in px of the film."""
    points = (corners_xy + 0.5) * scale - 0.5
    present = ~np.isnan(points[:, 0])
    fixed = np.nan_to_num(points * 2**SUBPIXEL_BITS).round().astype(np.int32)
    for a, b in zip(OUTLINE, (*OUTLINE[1:], OUTLINE[0]), strict=True):
        if present[a] and present[b]:
            cv2.line(picture, fixed[a].tolist(), fixed[b].tolist(), rgb, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    for corner in np.flatnonzero(present):
        cv2.circle(picture, fixed[corner].tolist(), 2 * 2**SUBPIXEL_BITS, rgb, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    if name and present.all():
        x, y = points.mean(axis=0)
        cv2.putText(picture, name, (int(x) - 8, int(y) + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.36, rgb, 1, cv2.LINE_AA)


def _with_caption(picture: Picture, film: Film, prediction: FilmPrediction) -> Picture:
    bar = np.zeros((CAPTION_PX, picture.shape[1], 3), dtype=np.uint8)
    table = PredictionSet([film], [prediction]).corners
    error = "no labels" if table.empty else f"MRE {table['error_px512'].mean():.1f} px512"
    for line, text in enumerate((film.film_id[:28], error)):
        cv2.putText(bar, text, (4, 15 + 18 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.42, TEXT_RGB, 1, cv2.LINE_AA)
    return np.concatenate([picture, bar])
