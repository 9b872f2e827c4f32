"""Doubts about one film, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import prediction_of
from reports import film_with

from spondylo_ml.active_learning.film_scores import grade_doubt, mirror_shift
from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import LevelUncertainty, Measure
from spondylo_ml.landmarks import FilmPrediction, SlotRange

SLOTS = SlotRange(0, 2)


def uncertainty(slot: int, probabilities: dict[int, float], refer: bool = False) -> LevelUncertainty:
    return LevelUncertainty(slot, (), None, None, None, probabilities, tuple(probabilities), refer, "")


def test_the_doubt_is_that_of_the_level_whose_grade_is_most_likely_wrong() -> None:
    film = film_with(30.0)
    (level,) = measure_film(film).levels
    assert level.grade == 2
    other = replace(level, name="L4/L5", upper_slot=2, grade=0)
    sure, doubtful = uncertainty(1, {1: 0.1, 2: 0.9}), uncertainty(2, {0: 0.55, 1: 0.45}, refer=True)
    doubt = grade_doubt([level, other], [sure, doubtful])
    assert doubt.probability == pytest.approx(0.45)
    assert (doubt.level, doubt.n_levels, doubt.n_refer) == ("L4/L5", 2, 1)
    withheld = replace(level, grade=None, slip=Measure(math.nan, "%", "no endplate"))
    for levels, given, n_refer in (((level,), (), 1), ((withheld,), (sure,), 0), ((), (), 0)):
        unknown = grade_doubt(levels, given)
        assert math.isnan(unknown.probability)
        assert (unknown.level, unknown.n_refer) == ("", n_refer)


def moved(prediction: FilmPrediction, x_px: float, presence: list[float]) -> FilmPrediction:
    return replace(prediction, corners_xy=prediction.corners_xy + np.array([x_px, 0.0]), presence=np.array(presence))


def test_the_shift_is_the_mean_distance_of_corners_that_either_reading_finds() -> None:
    film = film_with(30.0)
    one = replace(prediction_of(film, SLOTS), presence=np.array([0.9, 0.4]))
    scale = 512 / max(film.size_hw)
    shift = mirror_shift(one, moved(one, 3.0, [0.9, 0.4]), film.size_hw)
    assert shift.px512 == pytest.approx(3 * scale)
    assert shift.n_one_sided == 0
    other = moved(one, 3.0, [0.9, 0.6])
    other.corners_xy[1, :, 0] += 4.0
    shift = mirror_shift(one, other, film.size_hw)
    assert shift.px512 == pytest.approx(5 * scale), "the second body, 7 px away, is found by one of them"
    assert shift.n_one_sided == 1
    assert math.isnan(mirror_shift(moved(one, 0, [0, 0]), moved(one, 0, [0, 0]), film.size_hw).px512)
