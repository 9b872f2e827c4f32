"""Overlays: what is drawn on a film, where and in which colour."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from builders import plain_film, prediction_of, square
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import film_with

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange
from spondylo_ml.pages.colours import MISPLACED_RGB, PREDICTION_RGB, TRUTH_RGB
from spondylo_ml.pages.figures import overlay
from spondylo_ml.pages.figures.labels import Label, Picture, place_labels
from spondylo_ml.pages.figures.overlay import CAPTION_PX, draw_film, gutters_px
from spondylo_ml.pages.figures.sheet import tile, with_legend

SLOTS = SlotRange(0, 2)


def colour_at(picture: np.ndarray, x: int, y: int) -> tuple[int, ...]:  # type: ignore[type-arg]
    return tuple(int(v) for v in picture[y, x])


def left_of(film: Film, prediction: FilmPrediction, height_px: int = 100) -> int:
    """Width of the margin left of the film."""
    return gutters_px(film, prediction, height_px)[0]


def has_colour(picture: Picture, rgb: tuple[int, int, int]) -> bool:
    return bool((picture == rgb).all(axis=-1).any())


def words_on(film: Film, prediction: FilmPrediction, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, ...]]:
    """Colour of each label that is drawn on the film, by its text."""
    drawn: list[Label] = []
    monkeypatch.setattr(overlay, "draw_labels", lambda _picture, labels: drawn.extend(labels))
    draw_film(film, prediction, 100)
    return {label.text: label.rgb for label in drawn}


def test_truth_is_solid_cyan_and_a_prediction_dashed_magenta() -> None:
    film = plain_film("a", (square(0, 20, 30, 30),))
    prediction = prediction_of(film, SLOTS, (10.0, 12.0))
    picture, left = draw_film(film, prediction, 100), left_of(film, prediction)
    assert picture.shape == (100 + CAPTION_PX, left + 80 + gutters_px(film, prediction, 100)[1], 3)
    assert colour_at(picture, left + 20, 30) == TRUTH_RGB
    assert colour_at(picture, left + 60, 72) == PREDICTION_RGB
    top_of_truth, bottom_of_prediction = picture[30, left + 24 : left + 46], picture[72, left + 34 : left + 56]
    assert (top_of_truth[:, 1:] > 190).all()
    dashes = bottom_of_prediction[:, 0] > 190
    assert 0 < dashes.sum() < len(dashes)


def test_a_prediction_on_the_truth_leaves_it_visible() -> None:
    film = plain_film("a", (square(0, 20, 30, 30),))
    prediction = prediction_of(film, SLOTS)
    picture = draw_film(film, prediction, 100)
    left = left_of(film, prediction)
    top = picture[30, left + 24 : left + 46].astype(int)
    assert (top[:, 1] > 150).any(), "cyan"
    assert ((top[:, 0] > 190) & (top[:, 1] < 120)).any(), "magenta"


def test_corners_scale_with_the_picture() -> None:
    film = plain_film("a", (square(0, 20, 30, 30),))
    absent = prediction_of(film, SLOTS, presence=(0, 0))
    picture, left = draw_film(film, absent, 200), left_of(film, absent, 200)
    assert picture.shape[0] == 200 + CAPTION_PX
    assert colour_at(picture, left + 40, 60) == TRUTH_RGB


def test_a_vertebra_predicted_as_absent_is_not_drawn() -> None:
    film = plain_film("a", ())
    blank = draw_film(film, prediction_of(film, SLOTS, presence=(0.49, 0)), 100)
    assert blank[:100].max() == 0
    assert draw_film(film, prediction_of(film, SLOTS, (9.0, 9.0), presence=(0.5, 0)), 100)[:100].max() > 0


def test_levels_and_errors_stand_beside_the_vertebrae(monkeypatch: pytest.MonkeyPatch) -> None:
    """A film of 100 px: 3 px are 15.4 px512."""
    film = plain_film("a", (square(0, 20, 60, 20), square(1, 20, 30, 20)))
    moved = prediction_of(film, SLOTS, (3.0, 0.0))
    assert words_on(film, moved, monkeypatch) == {
        "S1": TRUTH_RGB,
        "L5": TRUTH_RGB,
        "S1 15.4 px": PREDICTION_RGB,
        "L5 15.4 px": PREDICTION_RGB,
    }
    missed = prediction_of(film, SLOTS, (3.0, 0.0), presence=(1, 0))
    assert words_on(film, missed, monkeypatch)["L5 missed"] == MISPLACED_RGB


def test_a_vertebra_on_another_level_is_named_and_has_an_arrow_to_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prediction called S1 lies on the true L5, 30 px above S1: 153.6 px512."""
    film = plain_film("a", (square(0, 20, 60, 20), square(1, 20, 30, 20)))
    right = prediction_of(film, SLOTS)
    assert not has_colour(draw_film(film, right, 100)[:100], MISPLACED_RGB)
    shifted = replace(right, corners_xy=right.corners_xy[[1, 0]], presence=np.array([1.0, 0.0]))
    picture = draw_film(film, shifted, 100)
    assert colour_at(picture, left_of(film, shifted) + 30, 50) == MISPLACED_RGB
    assert words_on(film, shifted, monkeypatch) == {
        "S1": TRUTH_RGB,
        "L5": TRUTH_RGB,
        "S1 on L5 153.6 px": MISPLACED_RGB,
    }


def test_pictures_of_a_labelled_film_have_one_size() -> None:
    film = plain_film("a", (square(0, 20, 60, 20), square(1, 20, 30, 20)))
    shapes = {draw_film(film, prediction_of(film, SLOTS, (0.0, x)), 100).shape for x in (-40.0, 0.0, 25.0)}
    assert len(shapes) == 1


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
    prediction = prediction_of(film, SLOTS, presence=(0, 0))
    picture, left = draw_film(film, prediction, 100), left_of(film, prediction)
    assert colour_at(picture, left + 20, 60) == TRUTH_RGB
    assert colour_at(picture, left + 50, 60) == (0, 0, 0)
    assert colour_at(picture, left, 0) == (0, 0, 0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.builds(
            Label,
            st.sampled_from(("S1", "T12", "L4 on L5 123.4 px")),
            st.just(TRUTH_RGB),
            st.tuples(st.floats(-50, 450), st.floats(-50, 450)),
            st.booleans(),
        ),
        max_size=18,
    )
)
def test_no_label_lies_over_another_or_outside(labels: list[Label]) -> None:
    boxes = place_labels(labels, (400, 420))
    assert len(boxes) == len(labels)
    for left, top, width, height in boxes:
        assert 0 <= left <= left + width <= 400
        assert 0 <= top <= top + height <= 420
    for a, b in combinations(boxes, 2):
        assert a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]


def test_a_label_is_beside_its_point_where_there_is_room() -> None:
    (right, left) = place_labels(
        [Label("L5", TRUTH_RGB, (100.0, 200.0)), Label("L5", TRUTH_RGB, (100.0, 200.0), left=True)], (400, 420)
    )
    assert right[0] == left[0] + left[2] == 100
    assert right[1] == left[1]
    assert abs(right[1] + right[3] / 2 - 200) <= 1


def test_the_legend_names_the_maps_that_are_shown() -> None:
    sheet = np.zeros((10, 300, 3), np.uint8)
    plain, heat, attention = with_legend(sheet), with_legend(sheet, "heatmaps"), with_legend(sheet, "attention")
    assert heat.shape[0] > plain.shape[0]
    assert heat.shape == attention.shape
    assert (heat != attention).any()
    assert has_colour(plain, TRUTH_RGB)
    assert has_colour(plain, PREDICTION_RGB)


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


def test_a_measured_film_has_the_names_of_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture must not name levels that the report withholds, nor show corners of a film that was refused."""
    film = film_with(12.0, 0.0)
    slots = SlotRange(0, 3)
    prediction = prediction_of(film, slots)
    unlabelled = replace(film, vertebrae=None)
    drawn: list[Label] = []
    monkeypatch.setattr(overlay, "draw_labels", lambda _picture, labels: drawn.extend(labels))
    for confidence, names in ((1.0, ["S1", "L5", "L4"]), (0.5, ["lowest", "+ 1", "+ 2"])):
        measurement = measure_film(film, levels_from="said by the model", level_confidence=confidence)
        drawn.clear()
        overlay.draw_measured_film(unlabelled, prediction, measurement, 100)
        assert [label.text for label in drawn] == names
    drawn.clear()
    refused = replace(prediction, refusal="no lumbar film")
    overlay.draw_measured_film(unlabelled, refused, measure_film(film, refusal="no lumbar film"), 100)
    assert drawn == []
