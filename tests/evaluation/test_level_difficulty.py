"""Signs of a difficult level, calculated by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of
from spines import stacked

from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.evaluation.calibration import PROBABILITIES, CornerCalibration
from spondylo_ml.evaluation.level_difficulty import DIFFICULTY
from spondylo_ml.evaluation.slip_uncertainty import film_slips
from spondylo_ml.landmarks import MIRRORED_CORNERS, Film, FilmPrediction, SlotRange

SLOTS = SlotRange(0, 3)
RAYLEIGH = tuple(float(r) for r in np.sqrt(-2 * np.log1p(-np.minimum(PROBABILITIES, 0.9999))))
NORMAL = CornerCalibration(edges=(), radii=(RAYLEIGH,), n_corners=1)


def prediction(film: Film, mirrored: bool) -> FilmPrediction:
    """Little heat at the posterior corner of the lowest endplate, and a doubtful third vertebra."""
    heat_share = np.full((3, 4), 0.8)
    heat_share[0, 1] = 0.2
    return replace(
        prediction_of(film, SLOTS),
        covariance_px2=np.broadcast_to(np.eye(2), (3, 4, 2, 2)),
        heat_share=heat_share[:, list(MIRRORED_CORNERS)] if mirrored else heat_share,
        presence=np.array([1.0, 0.9, 0.7]),
    )


def difficulties(film: Film, mirrored: bool = False) -> list[dict[str, float]]:
    slips = film_slips(film, prediction(film, mirrored), NORMAL, DEFAULT_RULES, 200, seed_name="same")
    return [dict(zip(DIFFICULTY, level.difficulty, strict=True)) for level in slips]


def test_each_sign_is_that_of_the_corners_which_the_slip_uses() -> None:
    film = plain_film("made", stacked(10, 20), size_hw=(400, 400))
    lower, upper = difficulties(film)
    assert lower["log_heat_share"] == pytest.approx(np.log(0.2))
    assert upper["log_heat_share"] == pytest.approx(np.log(0.8))
    assert lower["log_film_heat_share"] == upper["log_film_heat_share"] == pytest.approx(np.log(0.8))
    assert (lower["absence"], upper["absence"]) == pytest.approx((0.1, 0.3))
    assert lower["log_endplate_ratio"] == pytest.approx(0), "all bodies have the same depth"
    assert lower["log_spread"] == pytest.approx(np.log(np.hypot(1, 1)), abs=0.3)


def test_a_film_and_its_mirror_image_are_equally_difficult() -> None:
    film = plain_film("made", stacked(10, 20), size_hw=(400, 400))
    for level, same in zip(difficulties(film), difficulties(film.mirrored_labels(), mirrored=True), strict=True):
        assert {k: v for k, v in level.items() if k != "log_spread"} == pytest.approx(
            {k: v for k, v in same.items() if k != "log_spread"}
        )


def test_without_covariances_a_level_has_no_difficulty() -> None:
    film = plain_film("made", stacked(10, 20), size_hw=(400, 400))
    (lower, _) = film_slips(film, prediction_of(film, SLOTS), NORMAL, DEFAULT_RULES, 50)
    assert np.isnan(lower.difficulty).all()
