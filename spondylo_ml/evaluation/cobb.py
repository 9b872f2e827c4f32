"""Cobb angles of AP films of the whole spine, and their error, as defined by the AASCE 2019 challenge.

The challenge (Accurate Automated Spinal Curvature Estimation, MICCAI 2019) measured 68 corners, T1 to L5, with a MATLAB
program; a public transcription of it (`cobb_evaluate.py` of github.com/yijingru/Vertebra-Landmark-Detection)
is the source of the steps below. Its error is SMAPE: Wang et al., Evaluation and comparison of accurate automated
spinal curvature estimation algorithms with spinal anterior-posterior X-Ray images (Medical Image Analysis, 2021).
Two films of one spine, one of them cropped, may differ in the third angle, see `cobb_angles_deg`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, FloatArray, SlotRange

N_VERTEBRAE = 17
T1_TO_L5 = SlotRange(1, N_VERTEBRAE)
ANGLES = ("main", "upper", "lower")
"""The greatest angle between any two vertebrae, and those of the curves above and below it."""

STRAIGHT_DEG = 1e-3
"""Sum of the true and the predicted angles below which they are rounding errors of the corners."""

COLUMNS = ("film_id", *(f"{who}_{angle}_deg" for who in ("true", "pred") for angle in ANGLES))


def cobb_angles_deg(corners_xy: FloatArray, height_px: float) -> FloatArray:
    """(3,) `ANGLES` of (17, 4, 2) corners from head to tail; NaN if a corner is missing.

    The direction of a vertebra joins the midpoints of its left and right wall. The main angle is the greatest between
    any two vertebrae, the ends of the main curve. On a spine with one curve, the other two angles are those between
    these ends and T1 and L5. On an S-shaped spine they are the greatest between each end and the vertebrae beyond it;
    if the main curve is in the lower half of the film, the third is the greatest between the upper end of the upper
    curve and the vertebrae above it.
    """
    if corners_xy.shape != (N_VERTEBRAE, 4, 2):
        raise DataError(f"Cobb angles need 17 vertebrae of 4 corners, head to tail; given shape {corners_xy.shape}")
    if np.isnan(corners_xy).any():
        return np.full(3, np.nan)
    between = _angles_between(corners_xy)
    upper, lower = (int(i) for i in np.unravel_index(np.argmax(between), between.shape))
    main = between[upper, lower]
    edges = corners_xy.reshape(-1, 2, 2).mean(axis=1)  # midpoints of superior and inferior edges, head to tail
    if not _is_s_shaped(edges):
        return np.array([main, between[0, upper], between[-1, lower]])
    above = between[upper, : upper + 1]
    if edges[2 * upper, 1] + edges[2 * lower, 1] < height_px:
        return np.array([main, above.max(), between[lower, lower:].max()])
    top = int(np.argmax(above))
    return np.array([main, above.max(), between[top, : top + 1].max()])


def angle_rows(film: Film, prediction: FilmPrediction) -> list[tuple[object, ...]]:
    """The film's row, with `COLUMNS`, if it is an AP film.

    Predicted angles come from the corners of all levels, regardless of the presence score, as the challenge requires.
    An angle is NaN if a corner of T1 to L5 is missing from the labels, or a level from the model.
    """
    if film.facing is not Facing.NONE:
        return []
    true = T1_TO_L5.corners(film.vertebrae or ())
    return [(film.film_id, *_of_slots(true, film), *_of_slots(_predicted(prediction), film))]


def true_and_predicted_deg(angles: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Two (N, 3) arrays of `ANGLES`, from rows with `COLUMNS`."""
    true, predicted = (
        angles[[f"{who}_{angle}_deg" for angle in ANGLES]].to_numpy(dtype=np.float64) for who in ("true", "pred")
    )
    return true, predicted


def angle_errors(true_deg: FloatArray, predicted_deg: FloatArray) -> dict[str, FloatArray]:
    """(N,) error of (N, 3) angles for each metric that is a mean over films; NaN if an angle is.

    `cobb_cmae_deg` is the mean direction of the three differences, as on a circle; `cobb_ed_deg` and `cobb_md_deg` are
    the Euclidean and the Manhattan distance of the vectors of angles. Source: `cal_cobb.py` of
    github.com/YingJGuo/RouterNet, with an arctangent that also holds for differences of more than 90 degrees.
    """
    difference = np.abs(predicted_deg - true_deg)
    radians = np.radians(difference)
    return {
        "cobb_smape_percent": smape_percent(true_deg, predicted_deg),
        "cobb_cmae_deg": np.degrees(np.arctan2(np.sin(radians).sum(axis=-1), np.cos(radians).sum(axis=-1))),
        "cobb_ed_deg": np.asarray(np.linalg.norm(difference, axis=-1)),
        "cobb_md_deg": difference.sum(axis=-1),
        **{f"cobb_{angle}_mae_deg": difference[:, column] for column, angle in enumerate(ANGLES)},
    }


def smape_percent(true_deg: FloatArray, predicted_deg: FloatArray) -> FloatArray:
    """(...) error of (..., 3) angles: 100 times the sum of differences over the sum of angles; its mean is SMAPE.

    0 for a straight spine that is predicted straight, up to `STRAIGHT_DEG`; NaN if an angle is.
    """
    difference = np.abs(true_deg - predicted_deg).sum(axis=-1)
    total = (true_deg + predicted_deg).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total < STRAIGHT_DEG, 0.0, 100 * difference / total)


def _predicted(prediction: FilmPrediction) -> FloatArray:
    corners = np.full((N_VERTEBRAE, 4, 2), np.nan)
    for row in range(prediction.slots.count):
        slot = prediction.slots.first + row
        if slot in T1_TO_L5:
            corners[slot - T1_TO_L5.first] = prediction.corners_xy[row]
    return corners


def _of_slots(corners_xy: FloatArray, film: Film) -> FloatArray:
    return cobb_angles_deg(corners_xy[::-1], film.size_hw[0])


def _angles_between(corners_xy: FloatArray) -> FloatArray:
    """(17, 17) degrees between the directions of the vertebrae."""
    left, right = (corners_xy[:, [a, b]].mean(axis=1) for a, b in ((0, 2), (1, 3)))
    direction = right - left
    if not direction.any(axis=1).all():
        return np.full((len(direction), len(direction)), np.nan)
    x, y = direction.T
    # Unlike the arc cosine, the arc tangent is accurate for small angles.
    cross, dot = (np.outer(x, y) - np.outer(y, x), np.outer(x, x) + np.outer(y, y))
    return np.asarray(np.degrees(np.arctan2(np.abs(cross), dot)))


def _is_s_shaped(edges_xy: FloatArray) -> bool:
    """Whether the line through the midpoints of the edges crosses the straight line between its ends."""
    first, last = edges_xy[0], edges_xy[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (edges_xy[:-2] - last) / (first - last)
        side = along[:, 1] - along[:, 0]
        products = np.outer(side, side)
        spread = abs(products.sum() - np.abs(products).sum())
    # As in the source, with its tolerance: no S if all midpoints are on one side. NaN, from a spine whose ends are
    # exactly above each other, is an S there.
    return not spread < 1e-4
