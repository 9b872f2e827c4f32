"""Geometry of synthetic frontal films against the labels of real training films: two-sample distances stay small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from spondylo_ml.data.frontal import frontal_film
from spondylo_ml.data.readers.spineweb16 import SpineWeb16Reader
from spondylo_ml.data.split import assign_parts
from spondylo_ml.evaluation.cobb import T1_TO_L5, cobb_angles_deg
from spondylo_ml.landmarks import FloatArray

FURTHEST = {
    "width_over_height": 0.08,
    "length": 0.18,
    "t1_y": 0.13,
    "l5_y": 0.09,
    "t1_x": 0.18,
    "l5_x": 0.14,
    "body_width": 0.11,
    "body_aspect": 0.16,
    "l4_over_t4": 0.10,
    "disc": 0.16,
    "cobb_main": 0.12,
    "cobb_upper": 0.17,
    "cobb_lower": 0.15,
    "tilt_t5": 0.14,
    "tilt_t11": 0.10,
    "tilt_l2": 0.13,
    "lean": 0.11,
    "bow": 0.15,
    "turn": 0.17,
    "wedge": 0.15,
}
"""Largest Kolmogorov-Smirnov distance that is still called close; the measured ones are in projects/phantom."""


def features(corners: FloatArray, size_hw: tuple[int, int]) -> dict[str, float]:
    """Framing, shape and curves of one film from its (17, 4, 2) corners, head to tail."""
    height, width = size_hw
    left, right = (corners[:, [a, b]].mean(axis=1) for a, b in ((0, 2), (1, 3)))
    top, bottom = (corners[:, [a, b]].mean(axis=1) for a, b in ((0, 1), (2, 3)))
    centre = corners.mean(axis=1)
    step = np.linalg.norm(np.diff(centre, axis=0), axis=1)
    wide, high = np.linalg.norm(right - left, axis=1), np.linalg.norm(bottom - top, axis=1)
    tilt = angle_deg(right - left)
    chord = centre[-1] - centre[0]
    away = (centre - centre[0]) @ np.array([chord[1], -chord[0]]) / (chord @ chord)
    main, upper, lower = cobb_angles_deg(corners, height)
    return {
        "width_over_height": width / height,
        "length": step.sum() / height,
        "t1_y": centre[0, 1] / height,
        "l5_y": centre[-1, 1] / height,
        "t1_x": centre[0, 0] / width,
        "l5_x": centre[-1, 0] / width,
        "body_width": float(np.median(wide)) / step.sum(),
        "body_aspect": float(np.median(high / wide)),
        "l4_over_t4": wide[15] / wide[3],
        "disc": float(np.median(np.linalg.norm(top[1:] - bottom[:-1], axis=1) / step)),
        "cobb_main": main,
        "cobb_upper": upper,
        "cobb_lower": lower,
        "tilt_t5": tilt[4],
        "tilt_t11": tilt[10],
        "tilt_l2": tilt[13],
        "lean": float(angle_deg(np.array([[-chord[1], chord[0]]]))[0]),
        "bow": float(np.abs(away).max()),
        "turn": float(np.median(np.abs(np.diff(tilt)))),
        "wedge": float(np.median(np.abs(angle_deg(corners[:, 3] - corners[:, 2]) - angle_deg(top_edge(corners))))),
    }


def top_edge(corners: FloatArray) -> FloatArray:
    return corners[:, 1] - corners[:, 0]


def angle_deg(way: FloatArray) -> FloatArray:
    """Degrees from the image's horizontal, between -90 and 90."""
    angle = np.degrees(np.arctan2(way[:, 1], way[:, 0]))
    return (angle + 90) % 180 - 90


@pytest.fixture(scope="module")
def real(real_data: Path) -> pd.DataFrame:
    """Films of the training part (seed 0) by patients' names; no film of another part was looked at."""
    films = assign_parts(SpineWeb16Reader().read(real_data / "spineweb16").films, 0.15, 0.10, 0)
    training = [film for film in films if film.split == "train"]
    return pd.DataFrame([features(T1_TO_L5.corners(f.vertebrae or ())[::-1], f.size_hw) for f in training])


@pytest.fixture(scope="module")
def synthetic() -> pd.DataFrame:
    films = [frontal_film(3, index, 896) for index in range(500)]
    return pd.DataFrame([features(film.framing.labelled_px[::-1], film.size_hw) for film in films])


def test_the_training_part_has_the_films_that_the_page_names(real: pd.DataFrame) -> None:
    assert len(real) == 361


@pytest.mark.parametrize("feature", FURTHEST)
def test_synthetic_films_are_framed_and_shaped_like_real_ones(
    real: pd.DataFrame, synthetic: pd.DataFrame, feature: str
) -> None:
    assert ks_2samp(real[feature], synthetic[feature]).statistic < FURTHEST[feature]


def test_features_of_a_straight_column_are_what_one_reads_off() -> None:
    box = np.array([[40.0, 0.0], [60.0, 0.0], [40.0, 15.0], [60.0, 15.0]])
    found = features(np.stack([box + np.array([0.0, 10.0 + 20.0 * row]) for row in range(17)]), (400, 100))
    assert found["length"] == pytest.approx(320 / 400)
    assert (found["t1_x"], found["t1_y"]) == pytest.approx((0.5, 17.5 / 400))
    assert (found["body_width"], found["body_aspect"]) == pytest.approx((20 / 320, 0.75))
    assert found["disc"] == pytest.approx(0.25)
    zero = ("cobb_main", "cobb_upper", "cobb_lower", "tilt_t5", "lean", "bow", "turn", "wedge")
    assert [found[name] for name in zero] == pytest.approx([0.0] * len(zero), abs=1e-9)
