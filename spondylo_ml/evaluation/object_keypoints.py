"""OKS-AP of vertebrae: detection and localisation in one number, as COCO measures people.

Object keypoint similarity (cocodataset.org, keypoint evaluation): the mean over an object's points of
exp(-d^2 / (2 s^2 k^2)), with s^2 the area of the object and k twice the standard deviation of the point between
annotators, relative to s. Here s^2 is the body's width times height, and `SIGMA` is 0.05 for all four corners:
observers differ by 1.3 mm on a body of about 35 x 27 mm. A similarity of 0.5 is then reached at 12 % of s, about 3.6
mm; 0.95 at 1.0 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.vertebra_size import scale_px
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray

SIGMA = 0.05
THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RECALLS = np.linspace(0, 1, 101)
COLUMNS = ("film_id", "presence", *(f"oks_{t:.2f}" for t in THRESHOLDS), "n_true")
"""`oks_<threshold>`: whether the slot matches a true vertebra at that similarity; `n_true`: true vertebrae of the film,
on its first row."""


def similarity(true_xy: FloatArray, predicted_xy: FloatArray) -> FloatArray:
    """(T, P) OKS of (T, 4, 2) true and (P, 4, 2) predicted vertebrae, over the labelled corners."""
    squared = ((true_xy[:, None] - predicted_xy[None]) ** 2).sum(axis=-1)
    scale = scale_px(true_xy)[:, None, None]
    each = np.exp(-squared / (2 * scale**2 * (2 * SIGMA) ** 2))
    labelled = ~np.isnan(true_xy[:, None, :, 0])
    return np.asarray(np.where(labelled, np.nan_to_num(each), 0.0).sum(axis=-1) / np.maximum(labelled.sum(axis=-1), 1))


def vertebra_rows(film: Film, prediction: FilmPrediction) -> list[list[object]]:
    """The slots of a film by falling presence, with `COLUMNS`.

    As in COCO, the most certain prediction chooses its true vertebra first. A prediction without a partner, whose own
    vertebra is on the film with unknown corners, gets a presence of -1: it counts neither as right nor as wrong.
    """
    true = [v for v in film.vertebrae or () if not np.isnan(scale_px(v.corners_xy))]
    unknown = {v.slot for v in film.vertebrae or ()} - {v.slot for v in true}
    order = np.argsort(-prediction.presence, kind="stable")
    right = np.zeros((len(THRESHOLDS), len(order)), dtype=bool)
    if true:
        oks = similarity(np.stack([v.corners_xy for v in true]), prediction.corners_xy[order])
        for row, threshold in enumerate(THRESHOLDS):
            right[row] = _match_greedily(oks, threshold)
    rows: list[list[object]] = []
    for place, slot in enumerate(order + prediction.slots.first):
        ignored = int(slot) in unknown and not right[:, place].any()
        presence = -1.0 if ignored else float(prediction.presence[slot - prediction.slots.first])
        rows.append([film.film_id, presence, *right[:, place].tolist(), 0])
    rows[0][-1] = len(true)
    return rows


def average_precision(table: pd.DataFrame, patients: Sequence[str], bootstrap: PatientBootstrap) -> dict[str, Estimate]:
    """`oks_ap` (mean over thresholds 0.50 to 0.95), `oks_ap50` and `oks_ap75`, in percent; n is true vertebrae.

    Args:
        patients: one name for each row of the table.
    """
    right = table[[f"oks_{t:.2f}" for t in THRESHOLDS]].to_numpy(dtype=np.float64).T
    n_true = table["n_true"].to_numpy(dtype=np.float64)
    thresholds_of = {"oks_ap": slice(None), "oks_ap50": slice(0, 1), "oks_ap75": slice(5, 6)}
    return {
        name: bootstrap.statistic(partial(_weighted_ap, right[which], n_true), patients).model_copy(
            update={"n": int(n_true.sum())}
        )
        for name, which in thresholds_of.items()
    }


def _match_greedily(oks: FloatArray, threshold: float) -> NDArray[np.bool_]:
    """(P,) whether each prediction, in this order, matches a true vertebra that is still free."""
    free = np.ones(len(oks), dtype=bool)
    matched = np.zeros(oks.shape[1], dtype=bool)
    for place in range(oks.shape[1]):
        similarities = np.where(free, oks[:, place], -1.0)
        best = int(np.argmax(similarities))
        if similarities[best] >= threshold:
            free[best], matched[place] = False, True
    return matched


def _weighted_ap(right: FloatArray, n_true: FloatArray, weights: FloatArray) -> float:
    """Mean over (T, N) thresholds of the precision at 101 recalls, in percent; NaN without a true vertebra."""
    total = float(n_true @ weights)
    if not total:
        return float("nan")
    hits = (right * weights).cumsum(axis=1)
    precision = hits / np.maximum(weights.cumsum(), 1e-12)
    # The precision at a recall is the best at this recall or a higher one.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    values = []
    for recall, level in zip(hits / total, best, strict=True):
        place = np.searchsorted(recall, RECALLS - 1e-9, side="left")
        values.append(np.where(place < len(level), level[np.minimum(place, len(level) - 1)], 0.0).mean())
    return 100 * float(np.mean(values))
