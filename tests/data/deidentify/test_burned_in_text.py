"""Letters at the margins of synthetic films are found, and films without letters are left alone."""

from __future__ import annotations

import numpy as np
from burned_in import with_text

from spondylo_ml.data.deidentify.burned_in_text import Box, darkest, text_boxes
from spondylo_ml.landmarks import GreyImage


def smooth(size_hw: tuple[int, int] = (600, 500)) -> GreyImage:
    rows = np.linspace(20, 160, size_hw[0])[:, None]
    return np.broadcast_to(rows, size_hw).astype(np.uint8)


def test_a_smooth_film_has_no_text() -> None:
    assert text_boxes(smooth()) == []
    assert text_boxes(np.full((300, 200), 255, np.uint8)) == []


def test_lines_of_text_are_covered_on_films_of_any_size() -> None:
    rng = np.random.default_rng(1)
    for size_hw in ((600, 500), (1800, 1500), (2600, 2100)):
        film, lines = with_text(smooth(size_hw), 3, rng)
        cover = np.zeros(size_hw, dtype=bool)
        for box in text_boxes(film):
            cover[box.rows, box.columns] = True
        assert [bool(cover[line].mean() > 0.995) for line in lines] == [True] * len(lines)
        assert cover.mean() < 0.2


def test_dark_letters_are_found_and_letters_in_the_middle_are_not_looked_for() -> None:
    film = np.full((600, 500), 200, np.uint8)
    for left in (10, 30):
        film[10:28, left : left + 4] = 0
    assert text_boxes(film) == [Box(1, 1, 44, 38)]
    middle = smooth()
    middle[290:308, 240:244] = 255
    assert text_boxes(middle) == []


def test_a_letter_within_another_one_is_one_place() -> None:
    film = np.full((600, 500), 40, np.uint8)
    film[10:38, 10:30], film[16:32, 16:24] = 255, 40  # an O with an I in it
    film[18:30, 19:21] = 255
    (box,) = text_boxes(film)
    assert box.contains(Box(10, 10, 30, 38))


def test_the_darkest_pixel() -> None:
    film = smooth().copy()
    film[7, 9] = 3
    assert darkest(film) == (7, 9)
