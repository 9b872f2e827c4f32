"""The mean shape, the baseline that ignores the image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from builders import plain_film, square

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.metrics import corner_metrics
from spondylo_ml.landmarks import SlotRange, Vertebra

SLOTS = SlotRange(0, 2)


def test_it_is_perfect_when_all_films_are_equal() -> None:
    films = [plain_film(n, (square(0, 20, 50), square(1, 25, 30))) for n in "abc"]
    shape = MeanShape.fit(films, SLOTS)
    metrics = corner_metrics(shape.predict_films(films).corners)
    assert metrics["mre_px512"] == pytest.approx(0, abs=1e-9)
    np.testing.assert_array_equal(shape.frequency, [1, 1])


def test_it_predicts_the_mean_of_the_training_films() -> None:
    films = [plain_film("a", (square(0, 20, 50),)), plain_film("b", (square(0, 30, 44),))]
    prediction = MeanShape.fit(films, SlotRange(0, 1)).predict(films[0])
    np.testing.assert_allclose(prediction.corners_xy[0], square(0, 25, 47).corners_xy)
    assert prediction.film_id == "a"


def test_it_scales_with_the_longer_side_about_the_centre_of_the_film() -> None:
    small = plain_film(
        "s", (Vertebra(0, np.array([[39.5, 49.5], [49.5, 49.5], [39.5, 59.5], [49.5, 59.5]])),), (100, 80)
    )
    large = plain_film("l", size_hw=(200, 300))
    # The small film's centre is (39.5, 49.5) and 10 px a tenth of its longer side: 30 px on the large one.
    expected = np.array([[149.5, 99.5], [179.5, 99.5], [149.5, 129.5], [179.5, 129.5]])
    np.testing.assert_allclose(MeanShape.fit([small], SlotRange(0, 1)).predict(large).corners_xy[0], expected)


def test_a_corner_without_labels_takes_the_mean_of_all_corners() -> None:
    corners = square(0, 20, 50).corners_xy.copy()
    corners[3] = np.nan
    film = plain_film("a", (Vertebra(0, corners),))
    prediction = MeanShape.fit([film], SLOTS).predict(film)
    overall = corners[:3].mean(axis=0)
    np.testing.assert_allclose(prediction.corners_xy[0, :3], corners[:3])
    np.testing.assert_allclose(prediction.corners_xy[0, 3], overall)
    np.testing.assert_allclose(prediction.corners_xy[1], np.tile(overall, (4, 1)))
    np.testing.assert_array_equal(prediction.presence, [1, 0])


def test_the_frequency_is_the_share_of_labelled_films_that_show_the_vertebra() -> None:
    without_corners = Vertebra(1, np.full((4, 2), np.nan))
    films = [
        plain_film("a", (square(0, 1, 1), square(1, 1, 1))),
        plain_film("b", (square(0, 1, 1), without_corners)),
        plain_film("c", (square(0, 1, 1),)),
        plain_film("d", ()),
        plain_film("e", None),
    ]
    np.testing.assert_allclose(MeanShape.fit(films, SLOTS).frequency, [0.75, 0.5])


def test_it_round_trips_through_json() -> None:
    slots = SlotRange(1, 3)
    shape = MeanShape.fit([plain_film("a", (square(1, 3, 4), square(3, 7, 8.123456789)))], slots)
    loaded = MeanShape.from_json(json.loads(json.dumps(shape.to_json())))
    assert loaded.slots == slots
    np.testing.assert_array_equal(loaded.corners, shape.corners)
    np.testing.assert_array_equal(loaded.frequency, shape.frequency)


def test_without_a_labelled_film_there_is_no_mean_shape() -> None:
    with pytest.raises(DataError, match="the mean shape needs at least one labelled training film"):
        MeanShape.fit([plain_film("a", None)], SLOTS)


def test_films_labelled_as_empty_give_corners_at_the_centre() -> None:
    film = plain_film("a", ())
    np.testing.assert_allclose(MeanShape.fit([film], SLOTS).predict(film).corners_xy, np.tile([39.5, 49.5], (2, 4, 1)))
