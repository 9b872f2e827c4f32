"""Levels are uncertain where parts of a film give its vertebrae other names."""

from __future__ import annotations

import numpy as np
import pytest
from builders import plain_film, prediction_of

from spondylo_ml.data.window import Window, whole_film
from spondylo_ml.landmarks import FilmPrediction, FloatArray, SlotRange, Vertebra
from spondylo_ml.serving.level_check import confidence_after, names_stay, parts_to_read

SIZE_HW = (200, 100)
CENTRES_Y = (150.0, 120.0, 90.0, 60.0)


def body(x: float, y: float) -> FloatArray:
    """20 px wide and 16 px high."""
    return np.array([[x - 10, y - 8], [x + 10, y - 8], [x - 10, y + 8], [x + 10, y + 8]])


def read(slots_at_y: dict[int, float], x: float = 50) -> FilmPrediction:
    vertebrae = tuple(Vertebra(slot, body(x, y)) for slot, y in slots_at_y.items())
    return prediction_of(plain_film("film", vertebrae, SIZE_HW), SlotRange(0, 5))


FIRST = read(dict(enumerate(CENTRES_Y)))
WHOLE = whole_film(SIZE_HW)


def test_the_parts_of_a_film_are_worked_out_by_hand() -> None:
    found = np.stack([body(50, y) for y in CENTRES_Y])  # from y = 52 to 158 and x = 40 to 60: a step of 26.5 px
    assert parts_to_read(found, WHOLE) == [
        Window(0, 57, 100, 143),  # 52 + 0.2 * 26.5 = 57.3
        Window(0, 0, 100, 174),  # 158 + 0.6 * 26.5 = 173.9
        Window(8, 0, 84, 200),  # 40 - 1.2 * 26.5 = 8.2 to 60 + 31.8 = 91.8
    ]


def test_the_parts_of_what_was_read_lie_in_it() -> None:
    found, shown = np.stack([body(50, y) for y in CENTRES_Y]), Window(30, 50, 40, 112)
    begin, end, sides = parts_to_read(found, shown)
    assert begin == Window(30, 57, 40, 105)
    assert end == sides == shown, "the spine fills it"


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_film_has_the_same_parts_turned(turns: int) -> None:
    upright = np.stack([body(50, y) for y in CENTRES_Y])
    on_its_side = whole_film(SIZE_HW if turns == 2 else SIZE_HW[::-1], turns)
    assert on_its_side.size_hw == SIZE_HW
    parts = parts_to_read(on_its_side.to_film(upright), on_its_side)
    assert [part.size_hw for part in parts] == [part.size_hw for part in parts_to_read(upright, WHOLE)]
    assert {part.quarter_turns for part in parts} == {turns}
    for turned, plain in zip(parts, parts_to_read(upright, WHOLE), strict=True):
        np.testing.assert_array_equal(turned.to_window(on_its_side.to_film(upright)), plain.to_window(upright))


@pytest.mark.parametrize(
    ("again", "stay"),
    [
        (FIRST, True),
        (read({1: 120.0, 2: 90.0, 3: 60.0}), True),  # three of four
        (read({0: 150.0, 1: 120.0}), False),  # half
        (read({slot + 1: y for slot, y in enumerate(CENTRES_Y)}), False),  # one level higher
        (read(dict(enumerate(CENTRES_Y)), x=62), False),  # more than half a body beside
        (read(dict(enumerate(CENTRES_Y)), x=58), True),
    ],
)
def test_names_stay_if_most_vertebrae_are_found_again_under_them(again: FilmPrediction, stay: bool) -> None:
    assert names_stay(FIRST, again, WHOLE) is stay


def test_only_vertebrae_that_lie_in_the_part_count() -> None:
    lower_half = Window(0, 100, 100, 100)  # holds slots 0 and 1
    assert names_stay(FIRST, read({0: 150.0, 1: 120.0}), lower_half)
    assert not names_stay(FIRST, read({0: 150.0, 3: 60.0}), lower_half)
    assert names_stay(FIRST, read({}), Window(0, 0, 100, 40)), "none lies in it: nothing speaks against the names"


def test_the_confidence_is_at_most_the_share_of_readings_that_agree() -> None:
    assert confidence_after(0.97, [True, True, True]) == 0.97
    assert confidence_after(0.97, [True, False, True]) == 0.75
    assert confidence_after(0.97, [False, False, False]) == 0.25
    assert confidence_after(0.2, [False, True, True]) == 0.2
