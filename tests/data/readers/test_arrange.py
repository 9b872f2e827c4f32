"""Corners without names, told apart by their position."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.data.readers.tools.arrange import arrange
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import FloatArray


def turned(degrees: float, centre: tuple[float, float] = (0.0, 0.0)) -> FloatArray:
    """A body of 40 x 30 px, turned clockwise on the film."""
    quad = np.array([[-20.0, -15.0], [20.0, -15.0], [-20.0, 15.0], [20.0, 15.0]])
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(quad @ rotation.T + np.array(centre))


def spine(turns: list[float]) -> FloatArray:
    return np.stack([turned(degrees, (100.0, 400.0 - 50 * place)) for place, degrees in enumerate(turns)])


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_any_order_of_points_gives_the_same_corners(order: tuple[int, ...]) -> None:
    quads = spine([-55, -25, 0, 10])  # the sacrum is turned too far to be read by the film's up
    slots = [0, 1, 2, 3]
    np.testing.assert_array_equal(arrange(quads[:, list(order)], [False] * 4, slots, "f"), quads)
    np.testing.assert_array_equal(arrange(quads[::-1, list(order)], [False] * 4, [None] * 4, "f"), quads[::-1])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 11), st.randoms(use_true_random=False))
def test_synthetic_films_come_back_from_points_in_any_order(index: int, random: object) -> None:
    vertebrae = FILMS[index].vertebrae or ()
    quads = np.stack([v.corners_xy for v in vertebrae if v.present.all()])
    slots = [v.slot for v in vertebrae if v.present.all()]
    orders = [random.sample(range(4), 4) for _ in quads]  # type: ignore[attr-defined]
    mixed = np.stack([quad[order] for quad, order in zip(quads, orders, strict=True)])
    np.testing.assert_array_equal(arrange(mixed, [False] * len(quads), slots, "f"), quads)


FILMS = phantom_films(12, 5, 256).films


def test_named_bodies_stay_and_guide_their_neighbours() -> None:
    quads = spine([-80, -60, -30, 0])
    mixed = quads.copy()
    mixed[1] = mixed[1][[2, 0, 3, 1]]
    np.testing.assert_array_equal(arrange(mixed, [True, False, True, True], [0, 1, 2, 3], "f"), quads)


def test_a_body_that_fits_two_readings_is_an_error() -> None:
    quads = spine([-45, 0, 0, 0])
    with pytest.raises(FileError, match=r"S1: its corners have no names and fit two readings: name them, such as sup"):
        arrange(quads, [False] * 4, [0, 1, 2, 3], "f")


def test_the_endplate_of_a_sacrum_needs_two_points_and_others_four() -> None:
    quads = spine([-30, 0, 0])
    quads[0, 2:] = np.nan
    swapped = quads.copy()
    swapped[0, :2] = swapped[0, [1, 0]]
    np.testing.assert_array_equal(arrange(swapped, [False] * 3, [0, 1, 2], "f"), quads)
    with pytest.raises(FileError, match=r"L5: 2 point\(s\) without names, so that it cannot be told which corner"):
        arrange(swapped, [False] * 3, [1, 2, 3], "f")
    swapped[0, :2] = np.nan
    np.testing.assert_array_equal(arrange(swapped, [False] * 3, [0, 1, 2], "f")[1:], quads[1:])


def test_a_single_body_is_read_by_the_film() -> None:
    quad = turned(20)
    np.testing.assert_array_equal(arrange(quad[None, [3, 1, 0, 2]], [False], [2], "f")[0], quad)
