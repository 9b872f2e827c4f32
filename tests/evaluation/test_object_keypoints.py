"""OKS and its average precision: perfect and degenerate predictions, and hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import plain_film, prediction_of, square

from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.object_keypoints import SIGMA, _weighted_ap, average_precision, similarity
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange, Vertebra

SLOTS = SlotRange(0, 3)
FILM = plain_film("a", tuple(square(s, 100, 400 - 60 * s, 50) for s in range(3)), (512, 400))


def ap(films: list[Film], predictions: list[FilmPrediction]) -> dict[str, float]:
    table = PredictionSet(films, predictions).ranked_vertebrae
    estimates = average_precision(table, table["film_id"].tolist(), PatientBootstrap([f.film_id for f in films], 20))
    return {name: estimate.value for name, estimate in estimates.items()}


def test_similarity_is_1_at_distance_0_and_one_half_at_the_expected_distance() -> None:
    true = square(0, 0, 0, 50).corners_xy
    distance = 50 * 2 * SIGMA * math.sqrt(2 * math.log(2))
    assert distance == pytest.approx(0.118 * 50, abs=0.02)
    guesses = np.stack([true, true + np.array([distance, 0]), true + 1000.0])
    assert similarity(true[None], guesses)[0] == pytest.approx([1.0, 0.5, 0.0])


def test_only_known_corners_count() -> None:
    corners = square(0, 0, 0, 50).corners_xy.copy()
    guess = corners.copy()
    guess[2:] += 1000
    corners[2:] = np.nan
    assert similarity(corners[None], guess[None])[0] == pytest.approx([1.0])


def test_a_perfect_prediction_has_100_percent() -> None:
    assert ap([FILM], [prediction_of(FILM, SLOTS)]) == {"oks_ap": 100, "oks_ap50": 100, "oks_ap75": 100}


def test_a_prediction_passes_the_thresholds_below_its_similarity() -> None:
    # On a body of 50 px, 4 px are a similarity of 0.73, which passes five of the ten thresholds, 0.50 to 0.70.
    assert ap([FILM], [prediction_of(FILM, SLOTS, (4.0, 0.0))]) == {
        "oks_ap": pytest.approx(50.0),
        "oks_ap50": 100,
        "oks_ap75": 0,
    }


def test_a_confident_false_vertebra_costs_precision_as_calculated_by_hand() -> None:
    film = plain_film("a", FILM.vertebrae[:2] if FILM.vertebrae else (), (512, 400))
    prediction = prediction_of(film, SLOTS, presence=(0.9, 0.5, 0.7))
    # By falling presence: right, false, right. Precision 1 up to recall 0.5 (51 of 101 points), then 2/3.
    assert ap([film], [prediction])["oks_ap"] == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)


def test_a_missing_vertebra_ends_the_curve_early() -> None:
    prediction = prediction_of(FILM, SlotRange(0, 2))
    assert ap([FILM], [prediction])["oks_ap"] == pytest.approx(100 * 67 / 101)  # recalls 0 to 0.66


def test_a_true_vertebra_is_matched_only_once() -> None:
    film = plain_film("a", (square(0, 100, 400, 50),), (512, 400))
    prediction = prediction_of(film, SLOTS, presence=(0.5, 0.9, 0.1))
    prediction.corners_xy[1] = prediction.corners_xy[0]
    table = PredictionSet([film], [prediction]).ranked_vertebrae
    assert list(table["oks_0.50"]) == [True, False, False]
    assert ap([film], [prediction])["oks_ap"] == 100


def test_a_prediction_of_a_vertebra_without_known_corners_is_not_false() -> None:
    film = plain_film("a", (Vertebra(0, np.full((4, 2), np.nan)), square(1, 100, 300, 50)), (512, 400))
    prediction = prediction_of(film, SLOTS, presence=(1.0, 0.9, 0.0))
    assert ap([film], [prediction])["oks_ap"] == 100


def test_without_a_true_vertebra_there_is_no_precision() -> None:
    film = plain_film("a", ())
    assert all(math.isnan(value) for value in ap([film], [prediction_of(film, SLOTS)]).values())


def test_a_film_drawn_twice_counts_twice() -> None:
    right = np.array([[1.0, 0.0, 1.0, 0.0]])  # two films of two rows each, ranked
    n_true = np.array([1.0, 0.0, 1.0, 0.0])
    weighted = _weighted_ap(right, n_true, np.array([2.0, 1, 1, 1]))
    repeated = _weighted_ap(np.array([[1.0, 1, 0, 1, 0]]), np.array([1.0, 1, 0, 1, 0]), np.ones(5))
    assert weighted == pytest.approx(repeated)
