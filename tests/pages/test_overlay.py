"""Overlays: what is drawn on a film, where and in which colour."""

from __future__ import annotations

import numpy as np
import pytest
from builders import plain_film, prediction_of, square

from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.pages.colours import PREDICTION_RGB, TRUTH_RGB
from spondylo_ml.pages.figures.overlay import CAPTION_PX, draw_film, tile

SLOTS = SlotRange(0, 2)


def colour_at(picture: np.ndarray, x: int, y: int) -> tuple[int, ...]:  # type: ignore[type-arg]
    return tuple(int(v) for v in picture[y, x])


def test_labels_are_green_and_predictions_orange() -> None:
    film = plain_film("a", (square(0, 20, 30, 30),))
    picture = draw_film(film, prediction_of(film, SLOTS, (10.0, 12.0)), 100)
    assert picture.shape == (100 + CAPTION_PX, 80, 3)
    assert colour_at(picture, 20, 30) == TRUTH_RGB
    assert colour_at(picture, 60, 72) == PREDICTION_RGB


def test_corners_scale_with_the_picture() -> None:
    film = plain_film("a", (square(0, 20, 30, 30),))
    picture = draw_film(film, prediction_of(film, SLOTS, presence=(0, 0)), 200)
    assert picture.shape == (200 + CAPTION_PX, 160, 3)
    assert colour_at(picture, 40, 60) == TRUTH_RGB


def test_a_vertebra_predicted_as_absent_is_not_drawn() -> None:
    film = plain_film("a", ())
    blank = draw_film(film, prediction_of(film, SLOTS, presence=(0.49, 0)), 100)
    assert blank[:100].max() == 0
    assert draw_film(film, prediction_of(film, SLOTS, (9.0, 9.0), presence=(0.5, 0)), 100)[:100].max() > 0


def test_the_heatmap_is_drawn_over_the_film_without_the_padding() -> None:
    film = plain_film("a", ())
    letterbox = Letterbox((100, 80), (64, 64))
    heat = np.zeros((64, 64))
    heat[:32] = 1.0
    picture = draw_film(film, prediction_of(film, SLOTS, presence=(0, 0)), 100, heat, letterbox)
    assert picture[:45, :, 0].min() > 150
    assert picture[55:100].max() == 0


def test_an_absent_corner_is_left_out_of_the_outline() -> None:
    corners = square(0, 20, 30, 30).corners_xy.copy()
    corners[3] = np.nan
    film = plain_film("a", (type(square(0, 0, 0))(0, corners),))
    picture = draw_film(film, prediction_of(film, SLOTS, presence=(0, 0)), 100)
    assert colour_at(picture, 20, 60) == TRUTH_RGB
    assert colour_at(picture, 50, 60) == (0, 0, 0)
    assert colour_at(picture, 0, 0) == (0, 0, 0)


@pytest.mark.parametrize(("count", "columns", "shape"), [(1, 3, (16, 26)), (3, 3, (16, 78)), (4, 3, (32, 78))])
def test_pictures_are_tiled_in_rows(count: int, columns: int, shape: tuple[int, int]) -> None:
    pictures = [np.full((10, 20, 3), i + 1, dtype=np.uint8) for i in range(count)]
    sheet = tile(pictures, columns)
    assert sheet.shape == (*shape, 3)
    for i in range(count):
        y, x = (i // columns) * 16, (i % columns) * 26
        assert (sheet[y : y + 10, x : x + 20] == i + 1).all()
    assert int(sheet.astype(int).sum()) == sum(600 * (i + 1) for i in range(count))


def test_pictures_of_different_size_are_padded_to_the_largest() -> None:
    sheet = tile([np.full((10, 20, 3), 9, np.uint8), np.full((30, 5, 3), 7, np.uint8)], 2)
    assert sheet.shape == (36, 52, 3)
    assert int(sheet[30:].sum()) == 0
