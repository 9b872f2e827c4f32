"""Windows of a film: their pixels, the map back to the film, and the directions of a covariance."""

from __future__ import annotations

import numpy as np
import pytest
from builders import plain_film, square
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.data.prepare import prepare_film, prepare_window
from spondylo_ml.data.window import Window, whole_film
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import SlotRange

FILM = np.arange(12 * 9, dtype=np.uint8).reshape(12, 9)

windows = st.builds(
    Window, st.integers(0, 50), st.integers(0, 50), st.integers(1, 400), st.integers(1, 400), st.integers(0, 3)
)
points = st.tuples(st.floats(-500, 500), st.floats(-500, 500)).map(np.array)


def test_a_clockwise_turn_is_worked_out_by_hand() -> None:
    """Of the rectangle from (2, 3) to (6, 5): its upper left pixel is the upper right one after a clockwise turn."""
    window = Window(left=2, top=3, width=5, height=3, quarter_turns=1)
    assert window.size_hw == (5, 3)
    np.testing.assert_array_equal(window.to_window(np.array([2.0, 3.0])), [2, 0])
    np.testing.assert_array_equal(window.to_window(np.array([6.0, 3.0])), [2, 4])
    np.testing.assert_array_equal(window.to_film(np.array([0.0, 0.0])), [2, 5])


@pytest.mark.parametrize("turns", range(4))
def test_every_pixel_is_where_the_map_says(turns: int) -> None:
    window = Window(2, 3, 5, 4, turns)
    picture = window.cut(FILM)
    assert picture.shape == window.size_hw
    for y in range(3, 7):
        for x in range(2, 7):
            column, row = window.to_window(np.array([x, y], dtype=float)).astype(int)
            assert picture[row, column] == FILM[y, x]


@given(windows, points)
def test_film_to_window_and_back_returns_every_point(window: Window, point: np.ndarray) -> None:
    np.testing.assert_allclose(window.to_film(window.to_window(point)), point, atol=1e-9)
    np.testing.assert_allclose(window.to_window(window.to_film(point)), point, atol=1e-9)


@given(windows, st.integers(1, 16), st.integers(1, 16), points)
def test_film_to_input_and_back_returns_every_point_of_a_window(
    window: Window, rows: int, columns: int, point: np.ndarray
) -> None:
    letterbox = Letterbox((450, 450), (32 * rows, 32 * columns), window)
    np.testing.assert_allclose(letterbox.to_film(letterbox.to_input(point)), point, atol=1e-6)


@given(windows)
def test_a_covariance_keeps_the_lengths_of_steps(window: Window) -> None:
    """The variance along any step is the same on the film and in the window."""
    covariance = np.array([[4.0, 1.0], [1.0, 2.0]])
    step = np.array([3.0, -1.0])
    in_window = window.to_window(step) - window.to_window(np.zeros(2))
    on_film = window.covariance_to_film(covariance)
    assert step @ on_film @ step == pytest.approx(in_window @ covariance @ in_window)


def test_a_quarter_turn_exchanges_the_variances_of_x_and_y() -> None:
    turned = Window(0, 0, 4, 4, 1).covariance_to_film(np.array([[4.0, 1.0], [1.0, 2.0]]))
    np.testing.assert_allclose(turned, [[2.0, -1.0], [-1.0, 4.0]])
    letterbox = Letterbox((64, 64), (32, 32), Window(0, 0, 64, 64, 1))
    np.testing.assert_allclose(letterbox.covariance_to_film(np.diag([4.0, 1.0])), np.diag([4.0, 16.0]))


def test_the_window_of_the_whole_film_changes_nothing() -> None:
    plain, same = (Letterbox((12, 9), (32, 32), window) for window in (None, whole_film((12, 9))))
    np.testing.assert_array_equal(plain.apply(FILM), same.apply(FILM))
    np.testing.assert_array_equal(plain.to_film(np.array([3.0, 4.0])), same.to_film(np.array([3.0, 4.0])))


def test_a_prepared_window_shows_the_pixels_and_corners_inside_it() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    film = plain_film("a", (square(0, 20, 30),), (64, 64), pixels=ramp)
    whole = prepare_film(film, SlotRange(0, 1), (32, 32))
    part = prepare_window(whole, Window(16, 24, 32, 32), film.image.read())
    np.testing.assert_allclose(part.corners_xy[0], [[4, 6], [14, 6], [4, 16], [14, 16]])
    assert part.image[0, 0] == 0
    assert part.image[0, -1] == 255, "the contrast is that of the window"
    np.testing.assert_allclose(part.letterbox.to_film(part.corners_xy[0]), square(0, 20, 30).corners_xy)


@pytest.mark.parametrize("values", [(-1, 0, 5, 5, 0), (0, 0, 0, 5, 0), (0, 0, 5, 5, 4)])
def test_an_impossible_window_is_refused(values: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(DataError, match="a window lies on the film"):
        Window(*values)


def test_a_window_that_reaches_beyond_the_film_is_refused() -> None:
    with pytest.raises(DataError, match=r"a film of 9 x 12 px does not hold a window that ends at \(11, 5\)"):
        Window(5, 0, 6, 5).cut(FILM)
