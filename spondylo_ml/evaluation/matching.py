"""Match predicted vertebrae to true ones by position, regardless of their level names.

On each film the predicted vertebrae are assigned to the true ones so that as many as possible are matched, at the
lowest total cost (Hungarian method, `scipy.optimize.linear_sum_assignment`). The cost of a pair is the mean distance
between corners of the same name; it may be up to `GATE` times the shorter side of the true vertebra. Adjacent vertebrae
are at least the height of a body apart, so that within half of it no vertebra is mistaken for the next one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.corner_table import to_px512
from spondylo_ml.evaluation.vertebra_size import shorter_side_px
from spondylo_ml.landmarks import CORNERS, Film, FilmPrediction, FloatArray, Vertebra

PRESENCE_THRESHOLD = 0.5
GATE = 0.5

CORNER_COLUMNS = ("film_id", "slot", "corner", "matched_slot", "error_px", "error_px512", "set_aside")
COUNT_COLUMNS = ("film_id", "n_true", "n_matched", "n_right_level", "n_false", "n_set_aside")


@dataclass(frozen=True)
class FilmMatch:
    """The matched vertebrae of one film.

    Attributes:
        pairs: true vertebra and predicted slot.
        missing: true vertebrae without a match.
        false_slots: predicted slots without a match.
        set_aside_slots: predicted slots without a match whose true vertebra is on the film at an unknown position, so
            that they count neither as right nor as false.
    """

    pairs: tuple[tuple[Vertebra, int], ...]
    missing: tuple[Vertebra, ...]
    false_slots: tuple[int, ...]
    set_aside_slots: tuple[int, ...] = ()


def match_film(film: Film, prediction: FilmPrediction, threshold: float = PRESENCE_THRESHOLD) -> FilmMatch:
    """Match one labelled film; a true vertebra without any complete edge has no size and is set aside.

    Raises:
        DataError: the film has no labels.
    """
    if film.vertebrae is None:
        raise DataError(f"film {film.film_id} has no labels to match with")
    true = [v for v in film.vertebrae if not np.isnan(shorter_side_px(v.corners_xy))]
    unknown = {v.slot for v in film.vertebrae} - {v.slot for v in true}
    rows = np.flatnonzero(prediction.presence >= threshold)
    slots = [prediction.slots.first + int(row) for row in rows]
    pairs: list[tuple[Vertebra, int]] = []
    if true and slots:
        corners = np.stack([v.corners_xy for v in true])
        pairs = [(true[i], slots[j]) for i, j in _assign(corners, prediction.corners_xy[rows])]
    matched = {vertebra.slot for vertebra, _ in pairs}
    unmatched = [slot for slot in slots if slot not in {slot for _, slot in pairs}]
    return FilmMatch(
        pairs=tuple(pairs),
        missing=tuple(v for v in true if v.slot not in matched),
        false_slots=tuple(slot for slot in unmatched if slot not in unknown),
        set_aside_slots=tuple(slot for slot in unmatched if slot in unknown),
    )


def count_row(film: Film, match: FilmMatch) -> tuple[object, ...]:
    """The film's row, with `COUNT_COLUMNS`."""
    right_level = sum(vertebra.slot == slot for vertebra, slot in match.pairs)
    n_true = len(match.pairs) + len(match.missing)
    return film.film_id, n_true, len(match.pairs), right_level, len(match.false_slots), len(match.set_aside_slots)


def matched_corner_rows(film: Film, prediction: FilmPrediction, match: FilmMatch) -> list[tuple[object, ...]]:
    """The true corners of a film, with `CORNER_COLUMNS`; matched slot and errors are NaN without a match.

    `set_aside` are the corners of a vertebra without a complete edge, which cannot be matched.
    """
    matched_slot = {vertebra.slot: slot for vertebra, slot in match.pairs}
    with_size = {*matched_slot, *(vertebra.slot for vertebra in match.missing)}
    return [
        (*row, v.slot not in with_size)
        for v in film.vertebrae or ()
        for row in _corner_rows(film, prediction, v, matched_slot.get(v.slot))
    ]


def shares_within(corners: pd.DataFrame, limit_px512: float) -> FloatArray:
    """100 for each corner within the limit of the true one, 0 for others and missed ones, NaN for those set aside.

    Args:
        corners: with `CORNER_COLUMNS`.
    """
    within = np.where(corners["error_px512"].to_numpy(dtype=np.float64) <= limit_px512, 100.0, 0.0)
    return np.where(corners["set_aside"].to_numpy(dtype=bool), np.nan, within)


def mean_corner_distances_px(first_xy: FloatArray, second_xy: FloatArray) -> FloatArray:
    """(A, B) mean distance of the corners that both have of (A, 4, 2) and (B, 4, 2) bodies; NaN if there is none."""
    distance = np.linalg.norm(first_xy[:, None] - second_xy[None], axis=-1)
    return np.asarray(np.ma.masked_invalid(distance).mean(axis=-1).filled(np.nan))


def _assign(true_xy: FloatArray, predicted_xy: FloatArray) -> list[tuple[int, int]]:
    """Pairs of (T, 4, 2) true and (P, 4, 2) predicted corners."""
    cost = mean_corner_distances_px(true_xy, predicted_xy)
    allowed = cost <= GATE * shorter_side_px(true_xy)[:, None]  # never if they have no corner in common: NaN
    # A forbidden pair costs more than all allowed ones together, so it is used only if nothing else is left.
    forbidden = 1 + float(cost[allowed].sum())
    rows, columns = linear_sum_assignment(np.where(allowed, cost, forbidden))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]


def _corner_rows(
    film: Film, prediction: FilmPrediction, vertebra: Vertebra, slot: int | None
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for corner in np.flatnonzero(vertebra.present):
        error = math.nan
        if slot is not None:
            guess = prediction.corners_xy[slot - prediction.slots.first, corner]
            error = float(np.linalg.norm(guess - vertebra.corners_xy[corner]))
        matched_slot = math.nan if slot is None else slot
        rows.append((film.film_id, vertebra.slot, CORNERS[corner], matched_slot, error, to_px512(error, film.size_hw)))
    return rows
