"""Pictures of films with their true and predicted corners, levels and errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from spondylo_ml.clinical.measurement import FilmMeasurement
from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD, match_film
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray, level_name
from spondylo_ml.pages.body_names import short_name
from spondylo_ml.pages.colours import HEAT_RGB, MISPLACED_RGB, PREDICTION_RGB, TEXT_RGB, TRUTH_RGB
from spondylo_ml.pages.figures.labels import PADDING_PX, Label, Picture, draw_labels, draw_text, text_width_px
from spondylo_ml.pages.figures.lines import draw_arrow, draw_edge, draw_outline

CAPTION_LINE_PX, CAPTION_LEFT_PX = 18, 4
CAPTION_PX = 2 * CAPTION_LINE_PX + 4
"""Height of the name and the error below a film."""

LABEL_GAP_PX = 5
LONGEST_ERROR_LABEL = "L5 on S1 888.8 px"
HEAT_OPACITY = 0.7


def draw_film(
    film: Film,
    prediction: FilmPrediction,
    height_px: int,
    heat: FloatArray | None = None,
    letterbox: Letterbox | None = None,
    caption: Sequence[str] | None = None,
    name_of: Callable[[int], str] = level_name,
) -> Picture:
    """(H, W, 3) RGB: truth cyan with its levels, prediction magenta and dashed with its levels and errors, arrows from
    vertebrae that were predicted on another level to where they are, heatmaps orange.

    Vertebrae predicted absent are not drawn; where they are true, they are marked as missed.

    Args:
        height_px: height of the film in the picture, without the caption.
        heat: (h, w) map from 0 to 1 over the network's input; needs `letterbox`.
        caption: lines below the film, for which the picture becomes as wide as needed; None: its name and error.
        name_of: the name of a predicted vertebra by its slot.
    """
    scale = height_px / film.size_hw[0]
    size = (max(1, round(film.size_hw[1] * scale)), height_px)
    grey = cv2.resize(stretch_contrast(film.image.read()), size, interpolation=cv2.INTER_AREA)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if heat is not None and letterbox is not None:
        picture = _with_heat(picture, heat, letterbox)
    left, right = gutters_px(film, prediction, height_px)
    picture = np.pad(picture, ((0, 0), (left, right), (0, 0)))
    shift_xy = np.array([left / scale, 0.0])
    true = [vertebra.corners_xy + shift_xy for vertebra in film.vertebrae or ()]
    predicted = [corners + shift_xy for corners in _predicted(prediction).values()]
    for corners in (*true, *predicted):
        draw_edge(picture, corners, scale)
    for corners in true:
        draw_outline(picture, corners, scale, TRUTH_RGB)
    for corners in predicted:
        draw_outline(picture, corners, scale, PREDICTION_RGB, dashed=True)
    for start, end in _level_arrows(film, prediction):
        draw_arrow(picture, (start + shift_xy) * scale, (end + shift_xy) * scale, MISPLACED_RGB)
    draw_labels(picture, _labels(film, prediction, scale, left, name_of))
    if caption is not None:
        return _with_lines(picture, caption)
    return _with_name_and_error(picture, film, prediction)


def draw_measured_film(
    film: Film,
    prediction: FilmPrediction,
    measurement: FilmMeasurement,
    height_px: int,
    caption: Sequence[str] | None = None,
) -> Picture:
    """As `draw_film`, as the film was measured: names as in its report, and no corners if the model refused it."""
    if prediction.refusal:
        prediction = replace(prediction, presence=np.zeros_like(prediction.presence))
    return draw_film(
        film, prediction, height_px, caption=caption, name_of=lambda slot: short_name(measurement.name_of(slot))
    )


def gutters_px(film: Film, prediction: FilmPrediction, height_px: int) -> tuple[int, int]:
    """Width of the black margins left and right of the film: what labels beside the vertebrae need beyond its edges.

    They depend on the prediction only on films without labels, so that pictures of one film have one size.
    """
    bodies = [v.corners_xy for v in film.vertebrae or ()] or list(_predicted(prediction).values())
    if not bodies:
        return 0, 0
    scale = height_px / film.size_hw[0]
    x = np.concatenate(bodies)[:, 0] * scale
    names = [v.level for v in film.vertebrae or ()]
    left = max((_label_width_px(name) for name in names), default=0)
    right = _label_width_px(LONGEST_ERROR_LABEL if names else "T12")
    width = film.size_hw[1] * scale
    return max(0, math.ceil(left - np.nanmin(x))), max(0, math.ceil(right - (width - np.nanmax(x))))


def _label_width_px(text: str) -> int:
    return text_width_px(text) + 2 * PADDING_PX + LABEL_GAP_PX


def _predicted(prediction: FilmPrediction) -> dict[int, FloatArray]:
    """(4, 2) corners by slot of the vertebrae predicted present."""
    rows = np.flatnonzero(prediction.presence >= PRESENCE_THRESHOLD)
    bodies = {prediction.slots.first + int(row): prediction.corners_xy[row] for row in rows}
    return {slot: corners for slot, corners in bodies.items() if not np.isnan(corners).all()}


def _other_levels(film: Film, prediction: FilmPrediction) -> dict[int, int]:
    """Slot of the true vertebra on which a vertebra lies, by its predicted slot, where the two differ."""
    if film.vertebrae is None:
        return {}
    return {slot: v.slot for v, slot in match_film(film, prediction).pairs if v.slot != slot}


def _level_arrows(film: Film, prediction: FilmPrediction) -> list[tuple[FloatArray, FloatArray]]:
    """From the centre of each vertebra predicted on another level to the centre of the true one of its level."""
    true = {v.slot: np.nanmean(v.corners_xy, axis=0) for v in film.vertebrae or () if v.present.any()}
    predicted = _predicted(prediction)
    return [
        (np.nanmean(predicted[slot], axis=0), true[slot]) for slot in _other_levels(film, prediction) if slot in true
    ]


def _labels(
    film: Film, prediction: FilmPrediction, scale: float, left_px: int, name_of: Callable[[int], str]
) -> list[Label]:
    """True levels left of their vertebrae; predicted levels with their errors, and misses, right of theirs."""
    table = PredictionSet([film], [prediction]).corners
    errors = table.groupby("slot")["error_px512"].mean()
    predicted, others = _predicted(prediction), _other_levels(film, prediction)
    found = {*predicted, *others.values()}
    labels = []
    for vertebra in film.vertebrae or ():
        if not vertebra.present.any():
            continue
        labels.append(_beside(vertebra.corners_xy * scale, left_px, vertebra.level, TRUTH_RGB, left=True))
        if vertebra.slot not in found:
            labels.append(_beside(vertebra.corners_xy * scale, left_px, f"{vertebra.level} missed", MISPLACED_RGB))
    for slot, corners in predicted.items():
        text = name_of(slot)
        if slot in others:
            text += f" on {level_name(others[slot])}"
        if slot in errors.index:
            text += f" {errors[slot]:.1f} px"
        rgb = MISPLACED_RGB if slot in others else PREDICTION_RGB
        labels.append(_beside(corners * scale, left_px, text, rgb))
    return labels


def _beside(corners_px: FloatArray, left_px: int, text: str, rgb: tuple[int, int, int], left: bool = False) -> Label:
    """A label left or right of a body."""
    x = np.nanmin(corners_px[:, 0]) - LABEL_GAP_PX if left else np.nanmax(corners_px[:, 0]) + LABEL_GAP_PX
    return Label(text, rgb, (float(x) + left_px, float(np.nanmean(corners_px[:, 1]))), left)


def _with_heat(picture: Picture, heat: FloatArray, letterbox: Letterbox) -> Picture:
    to_input = letterbox.input_hw[0] / heat.shape[0]
    x, y = (letterbox.offset_xy / to_input).round().astype(int)
    height, width = (max(1, round(side / to_input)) for side in letterbox.content_hw)
    content = heat[y : y + height, x : x + width].astype(np.float32)
    alpha = cv2.resize(content, (picture.shape[1], picture.shape[0]))[..., None] * HEAT_OPACITY
    colour = np.array(HEAT_RGB, dtype=np.float32)
    return np.asarray(np.clip(picture * (1 - alpha) + colour * alpha, 0, 255), dtype=np.uint8)


def _with_lines(picture: Picture, lines: Sequence[str]) -> Picture:
    """The picture above lines of text, widened with black if a line needs it."""
    missing = max(text_width_px(line) for line in lines) + 2 * CAPTION_LEFT_PX - picture.shape[1] if lines else 0
    return _with_bar(np.pad(picture, ((0, 0), (0, max(0, missing)), (0, 0))), lines)


def _with_name_and_error(picture: Picture, film: Film, prediction: FilmPrediction) -> Picture:
    table = PredictionSet([film], [prediction]).corners
    error = "no labels" if table.empty else f"MRE {table['error_px512'].mean():.1f} px512"
    others = len(_other_levels(film, prediction))
    return _with_bar(picture, (film.film_id[:28], error + (f", {others} on another level" if others else "")))


def _with_bar(picture: Picture, lines: Sequence[str]) -> Picture:
    bar = np.zeros((CAPTION_LINE_PX * len(lines) + 4, picture.shape[1], 3), dtype=np.uint8)
    for number, text in enumerate(lines):
        draw_text(bar, text, CAPTION_LEFT_PX, 11 + CAPTION_LINE_PX * number, TEXT_RGB)
    return np.concatenate([picture, bar])
