"""Tests of the films that represent an evaluation."""

from __future__ import annotations

import math

import numpy as np

from spondylo_ml.evaluation.film_ranking import best_median_worst


def test_best_median_and_worst_come_in_this_order() -> None:
    errors = np.array([7.0, 1.0, math.nan, 9.0, 5.0, 3.0])
    assert best_median_worst(errors, 1) == [("best-1", 1), ("median-1", 4), ("worst-1", 3)]


def test_no_film_comes_twice_and_the_worst_of_two_is_not_called_median() -> None:
    assert best_median_worst(np.array([4.0, 2.0]), 1) == [("best-1", 1), ("worst-1", 0)]
    assert best_median_worst(np.array([4.0]), 1) == [("best-1", 0)]


def test_without_an_error_the_first_films_are_taken() -> None:
    assert best_median_worst(np.full(5, math.nan), 1) == [("film-1", 0), ("film-2", 1), ("film-3", 2)]
