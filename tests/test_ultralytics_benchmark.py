"""The comparison with an Ultralytics model: detections as predictions, and the table, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.ultralytics_pose import METRICS, films_of, measured, prediction_of, table_of
from spondylo_ml.landmarks import SlotRange

SLOTS = SlotRange(0, 3)
BODY = [[1.0, 2.0], [11.0, 2.0], [11.0, 9.0], [1.0, 9.0]]


def detection(slot: int, confidence: float, shift_px: float = 0.0) -> dict[str, object]:
    return {"class": slot, "confidence": confidence, "corners_xy_px": (np.array(BODY) + shift_px).tolist()}


def test_of_the_detections_of_a_level_the_most_confident_one_counts() -> None:
    found = [detection(1, 0.4), detection(1, 0.9, 5), detection(1, 0.3, 7), detection(2, 0.2), detection(9, 0.9)]
    prediction = prediction_of("film", SLOTS, found)
    assert prediction.presence.tolist() == [0, 1, 0], "S1 was not found, L4 is below the confidence, 9 is no slot here"
    assert np.array_equal(prediction.corners_xy[1], np.array(BODY) + 5)
    assert np.isnan(prediction.corners_xy[[0, 2]]).all()


@pytest.mark.slow
def test_true_corners_as_detections_have_no_error() -> None:
    films = films_of(None, 6, 96)
    predictions = [
        prediction_of(
            film.film_id,
            films.slots,
            [{"class": v.slot, "confidence": 0.5, "corners_xy_px": v.corners_xy} for v in film.vertebrae or ()],
        )
        for film in films.films
    ]
    values = measured(films.films, predictions, [3.0, 1.0, 2.0, 1.0, 9.0, 2.0])
    assert set(METRICS) <= set(values)
    exact = {"mre_px512": 0, "instance_mre_px512": 0, "seconds": 2}
    assert {name: values[name] for name in METRICS} == dict.fromkeys(METRICS, 100) | exact


def test_films_have_a_training_and_a_validation_part_only() -> None:
    assert {film.split for film in films_of(None, 16, 64).films} == {"train", "val"}


def test_the_table_has_a_dash_where_there_is_no_value() -> None:
    values = dict.fromkeys(METRICS, 1.234) | {"mre_px512": math.nan, "sdr_6px low": 1.0, "sdr_6px high": 2.0}
    row = "| unet | - | 1.23 [1.00, 2.00] |" + " 1.23 |" * (len(METRICS) - 2)
    assert table_of({"unet": values}).splitlines()[-1] == row
