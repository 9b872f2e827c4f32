"""The calibrated confidence in the levels of a film."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of, square

from spondylo_ml.evaluation.level_confidence import FEWEST_FILMS, LevelConfidence, confidence
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange, Vertebra

SLOTS = SlotRange(0, 4)


def film_with_prediction(margin: float, right: bool, number: int = 0) -> tuple[Film, FilmPrediction]:
    """Two vertebrae, read as they are or one level too high, whose score is `margin` above that one level lower."""
    film = plain_film(f"film-{number}", (square(0, 30, 70), square(1, 30, 30)), (100, 100))
    moved = tuple(Vertebra(v.slot + (not right), v.corners_xy) for v in film.vertebrae or ())
    prediction = prediction_of(replace(film, vertebrae=moved), SLOTS)
    return film, replace(prediction, shift_scores=np.array([-1e4, -margin, 0.0, -1e4, -1e4]))


def test_equal_scores_share_the_confidence() -> None:
    assert confidence(np.array([[0.0, 0.0, 0.0, 0.0, 0.0]]), 1.0) == pytest.approx([0.2])
    assert confidence(np.array([[-9e9, -np.log(3), 0.0, -9e9, -9e9]]), 1.0) == pytest.approx([0.75])
    assert confidence(np.array([[-9e9, -np.log(9), 0.0, -9e9, -9e9]]), 2.0) == pytest.approx([0.75])


def test_the_temperature_makes_the_confidence_equal_the_share_of_right_films() -> None:
    # 100 films with the same margin of 8, of which 74 are right; one wrong film is added: 74 of 101.
    pairs = [film_with_prediction(8.0, right=number < 74, number=number) for number in range(100)]
    fitted = LevelConfidence.fit(pairs)
    assert fitted is not None
    assert fitted.n_films == 100
    assert fitted.of(pairs[0][1]) == pytest.approx(74 / 101, abs=0.002)
    assert fitted.temperature == pytest.approx(8 / np.log(74 / 27), rel=0.01)


def test_a_film_on_which_most_levels_are_right_is_not_off_as_a_whole() -> None:
    film = plain_film("film", tuple(square(slot, 30, 90 - 30 * slot) for slot in range(3)), (120, 100))
    scores = np.array([-1e4, -8.0, 0.0, -1e4, -1e4])
    pairs = []
    for off in 7 * [0, 0, 1, 1, 2, 3]:  # the topmost so many of three levels are one too high
        moved = tuple(Vertebra(v.slot + (v.slot >= 3 - off), v.corners_xy) for v in film.vertebrae or ())
        pairs.append((film, replace(prediction_of(replace(film, vertebrae=moved), SLOTS), shift_scores=scores)))
    fitted = LevelConfidence.fit(pairs)
    assert fitted is not None
    assert fitted.of(pairs[0][1]) == pytest.approx(28 / 43, abs=0.002), "none or one of three"


def test_right_films_alone_do_not_make_a_model_certain() -> None:
    fitted = LevelConfidence.fit([film_with_prediction(50.0, True, number) for number in range(40)])
    assert fitted is not None
    assert fitted.of(film_with_prediction(50.0, True)[1]) == pytest.approx(40 / 41, abs=0.005)


def test_a_model_is_never_made_surer() -> None:
    fitted = LevelConfidence.fit([film_with_prediction(0.1, True, number) for number in range(200)])
    assert fitted is not None
    assert fitted.temperature == pytest.approx(1.0, abs=1e-3)


def test_few_films_and_models_without_scores_have_no_calibration() -> None:
    pairs = [film_with_prediction(3.0, True, number) for number in range(FEWEST_FILMS)]
    assert LevelConfidence.fit(pairs) is not None
    assert LevelConfidence.fit(pairs[1:]) is None
    silent = [(film, replace(prediction, shift_scores=None)) for film, prediction in pairs]
    assert LevelConfidence.fit(silent) is None
    assert LevelConfidence(temperature=2.0, n_films=20).of(silent[0][1]) == 1.0


def test_films_without_labels_or_matches_do_not_count() -> None:
    pairs = [film_with_prediction(3.0, True, number) for number in range(FEWEST_FILMS)]
    film, prediction = pairs[0]
    unlabelled = (replace(film, vertebrae=None), prediction)
    elsewhere = (film, replace(prediction, corners_xy=prediction.corners_xy + 1000))
    fitted = LevelConfidence.fit([*pairs, unlabelled, elsewhere])
    assert fitted is not None
    assert fitted.n_films == FEWEST_FILMS
