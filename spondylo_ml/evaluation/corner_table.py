"""One row per true corner: where it is, where it was predicted, and the distance between the two."""

from __future__ import annotations

import numpy as np

from spondylo_ml.clinical.spacing_plausibility import plausible_spacing
from spondylo_ml.evaluation.vertebra_size import width_px
from spondylo_ml.landmarks import CORNERS, Film, FilmPrediction, FloatArray, patient_corners
from spondylo_ml.spacing import Spacing

REFERENCE_SIDE_PX = 512
"""px512: px of the film scaled to 512 on its longer side."""

SDR_THRESHOLDS_PX512 = (6, 12, 18, 24)

COLUMNS = (
    "film_id", "slot", "level", "corner", "patient_corner", "true_x_px", "true_y_px", "pred_x_px", "pred_y_px",
    "error_px", "error_px512", "error_mm", "error_body_percent", "missed", "corner_score", "presence",
)  # fmt: skip
"""Positions are in px of the original film. `corner` names the side of the image, `patient_corner` anterior and
posterior where the facing is known, else it equals `corner`. `error_mm` is NaN without a plausible spacing;
`error_body_percent` is relative to the depth of the true body (its width on an AP film)."""


def corner_rows(film: Film, prediction: FilmPrediction) -> list[tuple[object, ...]]:
    """The true corners of a film, with `COLUMNS`.

    A corner without a prediction, because its vertebra is beyond the model's slots, is missed: its prediction is NaN
    and its error is the film's diagonal, the largest that a guess could have, so that leaving a corner out never pays.
    """
    slots, names = prediction.slots, patient_corners(film.facing)
    rows: list[tuple[object, ...]] = []
    spacing = plausible_spacing(film)
    for vertebra in film.vertebrae or ():
        has_slot = vertebra.slot in slots
        row = vertebra.slot - slots.first
        depth = float(width_px(vertebra.corners_xy))
        for corner in np.flatnonzero(vertebra.present):
            true = vertebra.corners_xy[corner]
            guess = prediction.corners_xy[row, corner] if has_slot else np.full(2, np.nan)
            missed = bool(np.isnan(guess).any())
            offset = np.array([film.size_hw[1], film.size_hw[0]]) if missed else guess - true
            error = float(np.hypot(*offset))
            score = float(prediction.corner_score[row, corner]) if has_slot else np.nan
            presence = float(prediction.presence[row]) if has_slot else np.nan
            rows.append((
                film.film_id, vertebra.slot, vertebra.level, CORNERS[corner], names[corner], *true, *guess,
                error, to_px512(error, film.size_hw), to_mm(offset, spacing),
                100 * error / depth if depth > 0 else np.nan, missed, score, presence,
            ))  # fmt: skip
    return rows


def to_px512(length_px: float, size_hw: tuple[int, int]) -> float:
    """Convert a length from px of the film to px512."""
    return length_px * REFERENCE_SIDE_PX / max(size_hw)


def to_mm(offset_xy: FloatArray, spacing: Spacing | None) -> float:
    """Length in mm of an offset (x, y) in px of the film; NaN without a spacing."""
    return float(np.hypot(*(offset_xy * (spacing.x_mm, spacing.y_mm)))) if spacing else np.nan
