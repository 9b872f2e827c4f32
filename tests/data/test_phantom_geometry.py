"""Geometry of synthetic exports against the boxes of real ones: two-sample distances stay small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from spondylo_ml.data.phantom import STYLE_NAMES, phantom_film
from spondylo_ml.landmarks import FloatArray

EXPORTS_ONLY = ("detector", "plate", "print")
BOX = ["box_x1", "box_y1", "box_x2", "box_y2"]
FURTHEST = {
    "vertebrae": 0.08,
    "spacing": 0.22,
    "lowest_x": 0.20,
    "lowest_y": 0.18,
    "topmost_y": 0.13,
    "bow": 0.18,
    "aspect": 0.15,
    "slope": 0.16,
    "height": 0.13,
}
"""Largest Kolmogorov-Smirnov distance that is still called close; the measured ones are in projects/phantom."""


def features(boxes: FloatArray) -> dict[str, float]:
    """Framing and shape of one film from its (V, 4) boxes, in shares of the film's side."""
    boxes = boxes[np.argsort(boxes[:, 1] + boxes[:, 3])]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    chord = centre[-1] - centre[0]
    length = float(np.hypot(*chord))
    away = (centre - centre[0]) @ np.array([-chord[1], chord[0]]) / length
    size = boxes[:, 2:] - boxes[:, :2]
    return {
        "vertebrae": len(boxes),
        "spacing": float(np.median(np.linalg.norm(np.diff(centre, axis=0), axis=1))),
        "lowest_x": centre[-1, 0],
        "lowest_y": centre[-1, 1],
        "topmost_y": centre[0, 1],
        "bow": float(np.abs(away).max()) / length,
        "aspect": float(np.median(size[:, 0] / size[:, 1])),
        "slope": abs(chord[0]) / length,
        "height": float(np.median(size[:, 1])),
    }


@pytest.fixture(scope="module")
def real(real_data: Path) -> pd.DataFrame:
    boxes = pd.read_csv(real_data / "lumbar_geometry" / "mendeley_boxes.csv")
    return pd.DataFrame([features(film[BOX].to_numpy() / 640) for _, film in boxes.groupby("filename")])


@pytest.fixture(scope="module")
def synthetic() -> pd.DataFrame:
    assert set(EXPORTS_ONLY) < set(STYLE_NAMES)
    rows = []
    for index in range(700):
        film = phantom_film(5, index, 640, EXPORTS_ONLY)
        corners = np.stack([v.corners_xy for v in film.vertebrae]) / np.array(film.size_hw[::-1])
        rows.append(features(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)))
    return pd.DataFrame(rows)


@pytest.mark.parametrize("feature", FURTHEST)
def test_synthetic_exports_are_framed_and_shaped_like_real_ones(
    real: pd.DataFrame, synthetic: pd.DataFrame, feature: str
) -> None:
    assert len(real) == 698
    assert ks_2samp(real[feature], synthetic[feature]).statistic < FURTHEST[feature]


def test_features_of_a_straight_column_are_what_one_reads_off() -> None:
    boxes = np.array([[0.4, y, 0.5, y + 0.05] for y in (0.1, 0.2, 0.3)])
    assert features(boxes) == pytest.approx(
        {
            "vertebrae": 3,
            "spacing": 0.1,
            "lowest_x": 0.45,
            "lowest_y": 0.325,
            "topmost_y": 0.125,
            "bow": 0.0,
            "aspect": 2.0,
            "slope": 0.0,
            "height": 0.05,
        }
    )
