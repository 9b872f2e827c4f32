"""Calibrate the uncertainty of corners: radial errors in units of the model's own covariance, on validation films.

A covariance gives the shape of a corner's uncertainty and its size relative to other corners. How often the true corner
lies within a number of standard deviations is measured instead of assumed normal: a table of quantiles of the radial
error, for each bin of the heat around the corner.

Vertebrae that are read on another body, or beside theirs, do not count: their corners are not uncertain but wrong, and
a region that held them would reach to the next body. How often that happens is stated apart, by the presence of a
vertebra and by the confidence in levels, and the sets of slips and grades cover it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.stats import chi2
from sklearn.model_selection import GroupKFold

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.matching import GATE
from spondylo_ml.evaluation.vertebra_size import shorter_side_px
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray, Vertebra

NOMINAL = (0.5, 0.8, 0.9, 0.95)
"""Nominal coverages that are reported."""

FOLDS = 5
BINS = 5
FEWEST_IN_BIN = 100
PROBABILITIES = tuple(float(p) for p in np.concatenate([np.arange(0, 100) / 100, [0.995, 1.0]]))

COLUMNS = ("film_id", "patient", "slot", "radius", "heat_share")


class CornerCalibration(BaseModel):
    """Quantiles of the radial error by bin of heat share.

    Attributes:
        edges: (B - 1,) limits between the bins of heat share, in rising order.
        radii: (B, P) radial error at each of the `PROBABILITIES`, in standard deviations.
        n_corners: number of corners it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[float, ...]
    radii: tuple[tuple[float, ...], ...]
    n_corners: int

    @classmethod
    def fit(cls, radius: FloatArray, heat_share: FloatArray) -> CornerCalibration:
        """Fit (N,) radial errors by the heat share of each; there are fewer bins if there are few corners.

        Raises:
            DataError: there is no corner.
        """
        if not len(radius):
            raise DataError(
                "no true corner has a predicted one with a covariance on its own body: there is nothing to calibrate on"
            )
        bins = int(np.clip(len(radius) // FEWEST_IN_BIN, 1, BINS))
        # Limits are values that occur, except the lowest: no bin is empty, even if many values are equal.
        edges = np.unique(np.quantile(heat_share, np.arange(1, bins) / bins, method="higher"))
        edges = edges[edges > heat_share.min()]
        bin_index = np.searchsorted(edges, heat_share, side="right")
        radii = [np.quantile(radius[bin_index == b], PROBABILITIES) for b in range(len(edges) + 1)]
        return cls(edges=tuple(edges.tolist()), radii=tuple(tuple(r.tolist()) for r in radii), n_corners=len(radius))

    def radius(self, probability: FloatArray, heat_share: FloatArray) -> FloatArray:
        """Radial error that is not exceeded with this probability; the arguments are broadcast."""
        probability, heat_share = np.broadcast_arrays(probability, heat_share)
        bin_index = np.searchsorted(self.edges, heat_share, side="right")
        out = np.empty(probability.shape)
        for b, row in enumerate(self.radii):
            inside = bin_index == b
            out[inside] = np.interp(probability[inside], PROBABILITIES, row)
        return out


def radial_error_rows(film: Film, prediction: FilmPrediction) -> list[tuple[object, ...]]:
    """The true corners of a film that have a predicted one with a covariance on their own body, with `COLUMNS`.

    `radius` is the Mahalanobis distance from the predicted corner.
    """
    if prediction.covariance_px2 is None or prediction.heat_share is None:
        return []
    rows: list[tuple[object, ...]] = []
    for vertebra in film.vertebrae or ():
        if vertebra.slot not in prediction.slots:
            continue
        row = vertebra.slot - prediction.slots.first
        error = vertebra.corners_xy - prediction.corners_xy[row]
        if not is_on_its_body(vertebra, error):
            continue
        radius = mahalanobis_distance(error, prediction.covariance_px2[row])
        rows += [
            (film.film_id, film.patient, vertebra.slot, radius[corner], prediction.heat_share[row, corner])
            for corner in np.flatnonzero(np.isfinite(radius))
        ]
    return rows


def is_on_its_body(vertebra: Vertebra, error_xy: FloatArray) -> bool:
    """Whether a vertebra is predicted on its own body: the mean error of its corners is at most `GATE` of its size.

    Args:
        error_xy: (4, 2) errors of its corners, px of the film; NaN where unknown. A vertebra without any complete edge
            has no size, and is not known to be on its body.
    """
    distance = np.linalg.norm(error_xy, axis=-1)
    known = distance[np.isfinite(distance)]
    return bool(len(known)) and float(known.mean()) <= GATE * float(shorter_side_px(vertebra.corners_xy))


def mahalanobis_distance(error_xy: FloatArray, covariance: FloatArray) -> FloatArray:
    """(...) length of (..., 2) errors in standard deviations of (..., 2, 2) covariances."""
    whitened = np.linalg.solve(covariance, error_xy[..., None])[..., 0]
    return np.asarray(np.sqrt((error_xy * whitened).sum(axis=-1)))


def normal_coverage(radius: FloatArray) -> dict[float, float]:
    """Share of the radial errors within each `NOMINAL` region of a normal distribution (chi-square, 2 degrees)."""
    return {p: _share(radius <= np.sqrt(chi2.ppf(p, df=2))) for p in NOMINAL}


def calibrated_coverage(table: pd.DataFrame, calibration: CornerCalibration) -> dict[float, float]:
    """Share of the radial errors within each calibrated `NOMINAL` region; unbiased on films it was not fitted on.

    Args:
        table: `PredictionSet.radial_errors`.
    """
    radius, heat = (table[name].to_numpy(dtype=np.float64) for name in ("radius", "heat_share"))
    return {p: _share(radius <= calibration.radius(np.array(p), heat)) for p in NOMINAL}


def patient_folds(patients: Sequence[str]) -> NDArray[np.int64]:
    """(N,) fold of each row, up to `FOLDS`; a patient is in one fold only. With a single patient all are in fold 0."""
    names = np.asarray(patients, dtype=object).astype(str)
    count = min(FOLDS, len(np.unique(names)))
    out = np.zeros(len(names), dtype=np.int64)
    if count > 1:
        for fold, (_, held_out) in enumerate(GroupKFold(count).split(names, groups=names)):
            out[held_out] = fold
    return out


def cross_fitted_coverage(table: pd.DataFrame) -> dict[float, float]:
    """As `calibrated_coverage`, each patient by a calibration on the others; NaN with a single patient."""
    fold = patient_folds(table["patient"].tolist())
    if len(np.unique(fold)) < 2:
        return {p: float("nan") for p in NOMINAL}
    inside = {p: np.zeros(len(table), dtype=bool) for p in NOMINAL}
    radius, heat = (table[name].to_numpy(dtype=np.float64) for name in ("radius", "heat_share"))
    for held_out in np.unique(fold):
        rows = fold == held_out
        calibration = CornerCalibration.fit(radius[~rows], heat[~rows])
        for p in NOMINAL:
            inside[p][rows] = radius[rows] <= calibration.radius(np.array(p), heat[rows])
    return {p: _share(within) for p, within in inside.items()}


def _share(inside: NDArray[np.bool_]) -> float:
    return float(inside.mean()) if len(inside) else float("nan")
