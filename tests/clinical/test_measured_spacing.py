"""Pixel spacing from known lengths, against values worked out by hand and simulated clicks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondylo_ml.clinical.measured_spacing import spacing_from_length, spacing_from_ruler
from spondylo_ml.errors import DataError


def test_a_known_length_gives_the_spacing_and_its_uncertainty() -> None:
    one = spacing_from_length(np.array([[0.0, 0.0], [300.0, 400.0]]), 50.0, 0.5, 1.0)
    assert one.y_mm == pytest.approx(0.1)
    points, length = 1.959964 * math.sqrt(2) / 500, 1.959964 * 0.5 / 50
    assert one.parts_percent == pytest.approx({"points": 100 * points, "length": 100 * length, "magnification": 0.0})
    assert one.percent == pytest.approx(100 * math.hypot(points, length), rel=1e-6)
    assert one.low_mm == pytest.approx(0.1 * (1 - one.percent / 100))
    exact = spacing_from_length(np.array([[0.0, 0.0], [0.0, 100.0]]), 14.0, 0.0, 0.0)
    assert (exact.y_mm, exact.low_mm, exact.high_mm) == pytest.approx((0.14, 0.14, 0.14))


def test_oblong_pixels_are_counted_at_their_size() -> None:
    one = spacing_from_length(np.array([[0.0, 0.0], [100.0, 0.0]]), 20.0, 0.0, 0.0, pixel_aspect=2.0)
    assert (one.spacing.x_mm, one.spacing.y_mm) == pytest.approx((0.2, 0.1))


def test_an_object_that_is_magnified_more_than_the_spine_is_corrected() -> None:
    ends = np.array([[0.0, 0.0], [0.0, 100.0]])
    one = spacing_from_length(ends, 10.0, 0.0, 0.0, magnification=(1.0, 1.2))
    assert one.y_mm == pytest.approx(0.1 * 1.1)
    assert one.percent == pytest.approx(100 * 1.959964 * 0.2 / (2 * math.sqrt(3)) / 1.1, rel=1e-6)


def test_a_ruler_gives_the_slope_of_its_marks_in_any_direction() -> None:
    steps = np.arange(4.0)[:, None]
    straight = spacing_from_ruler(steps * [10.0, 0.0], 10.0, 0.0, 1.0)
    assert straight.y_mm == pytest.approx(1.0)
    assert straight.percent == pytest.approx(100 * 1.959964 / math.sqrt(5) / 10, rel=1e-6)
    slanted = spacing_from_ruler(50.0 - steps * [6.0, 8.0], 10.0, 0.3, 0.0)
    assert slanted.y_mm == pytest.approx(1.0)
    assert slanted.percent == pytest.approx(100 * 1.959964 * 0.3 / 30, rel=1e-6)


def test_intervals_hold_the_true_spacing_as_often_as_they_say() -> None:
    random, hits = np.random.default_rng(0), 0
    marks = np.arange(8)[:, None] * [0.0, 40.0]
    for _ in range(1000):
        one = spacing_from_ruler(marks + random.normal(0, 1.0, (8, 2)), 10.0, 0.0, 0.0)
        hits += one.low_mm <= 0.25 <= one.high_mm
    assert 930 <= hits <= 970
    hits = 0
    for _ in range(1000):
        ends = np.array([[0.0, 0.0], [0.0, 200.0]]) + random.normal(0, 1.0, (2, 2))
        one = spacing_from_length(ends, 50.0 + random.normal(0, 0.3), 0.3, 1.0)
        hits += one.low_mm <= 0.25 <= one.high_mm
    assert 930 <= hits <= 970


def test_points_that_cannot_be_right_are_refused() -> None:
    with pytest.raises(DataError, match=r"the two points are 0\.5 px apart"):
        spacing_from_length(np.array([[3.0, 3.0], [3.5, 3.0]]), 10.0, 0.0, 1.0)
    with pytest.raises(DataError, match=r"2 mark\(s\) given: a ruler needs three or more"):
        spacing_from_ruler(np.array([[0.0, 0.0], [9.0, 0.0]]), 10.0, 0.0, 1.0)
    for places in ([0, 10, 30, 40], [0, 10, 10, 20], [0, 20, 10, 30]):
        with pytest.raises(DataError, match=r"marks 2 and 3 are .* px apart, others .*: give each mark .* once"):
            spacing_from_ruler(np.array([[x, 0.0] for x in places]), 10.0, 0.0, 1.0)
    marks = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 8.0], [30.0, 0.0], [40.0, 0.0]])
    with pytest.raises(DataError, match=r"a mark lies 6\.4 px beside the line of the others"):
        spacing_from_ruler(marks, 10.0, 0.0, 1.0)
