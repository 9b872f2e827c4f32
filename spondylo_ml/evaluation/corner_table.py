"""One row per true corner: where it is, where it was predicted, and how far off that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from spondylo_ml.clinical.spacing import impossible_spacing
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.vertebra_size import width_px
from spondylo_ml.landmarks import CORNERS, Film, FilmPrediction, FloatArray, Spacing, patient_corners

REFERENCE_SIDE_PX = 512
"""px512: px of the film scaled to 512 on its longer side."""

SDR_THRESHOLDS_PX512 = (6, 12, 18, 24)

COLUMNS = (
    "film_id", "slot", "level", "corner", "patient_corner", "true_x_px", "true_y_px", "pred_x_px", "pred_y_px",
    "error_px", "error_px512", "error_mm", "error_body_percent", "missed", "corner_score", "presence",
)  # fmt: skip


def corner_table(films: Sequence[Film], predictions: Sequence[FilmPrediction]) -> pd.DataFrame:
    """All true corners of the labelled films, with the `COLUMNS` above; px of the original film.

    A corner for which there is no prediction (its vertebra is beyond the model's slots) stays in the table as
    missed, its prediction NaN. It is charged the film's diagonal, the largest error that a guess on the film could
    have, so that leaving a corner out never pays. `error_mm` is NaN where the film has no spacing;
    `error_body_percent` is in percent of the true body's depth (its width on an AP film). `corner` is named by the
    image's side, `patient_corner` by anterior and posterior where the film's facing is known, else like `corner`.

    Raises:
        DataError: films and predictions are not of the same films in the same order.
    """
    if [f.film_id for f in films] != [p.film_id for p in predictions]:
        raise DataError("predictions must be given for the same films in the same order")
    rows = [row for film, prediction in zip(films, predictions, strict=True) for row in _film_rows(film, prediction)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def to_px512(length_px: float, size_hw: tuple[int, int]) -> float:
    """A length in px of the film as px of the film scaled to 512 on its longer side."""
    return length_px * REFERENCE_SIDE_PX / max(size_hw)


def _film_rows(film: Film, prediction: FilmPrediction) -> list[tuple[object, ...]]:
    slots, names = prediction.slots, patient_corners(film.facing)
    rows: list[tuple[object, ...]] = []
    spacing = film.spacing
    if spacing and impossible_spacing(film.vertebrae or (), spacing):
        spacing = None  # by the labels, so that it is the same for every model
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
                error, to_px512(error, film.size_hw), _to_mm(offset, spacing),
                100 * error / depth if depth > 0 else np.nan, missed, score, presence,
            ))  # fmt: skip
    return rows


def _to_mm(offset_xy: FloatArray, spacing: Spacing | None) -> float:
    return float(np.hypot(*(offset_xy * (spacing.x_mm, spacing.y_mm)))) if spacing else np.nan
