"""The comparison with an Ultralytics model: detections as predictions, and the table, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.ultralytics_pose import METRICS, films_of, measured, one_class, prediction_of, table_of
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.landmarks import SlotRange

SLOTS = SlotRange(0, 3)
BODY = [[1.0, 2.0], [11.0, 2.0], [11.0, 9.0], [1.0, 9.0]]


def detection(confidence: float, down_px: float = 0.0) -> dict[str, object]:
    return {"confidence": confidence, "corners_xy_px": (np.array(BODY) + np.array([0, down_px])).tolist()}


def test_confident_detections_are_named_from_the_lowest_one_upwards() -> None:
    prediction = prediction_of("film", SLOTS, [detection(0.9, 5), detection(0.2, 70), detection(0.3, 40)])
    assert prediction.presence.tolist() == [1, 1, 0]
    assert np.array_equal(prediction.corners_xy[:2, :, 1].min(axis=1), [42, 7])
    assert np.isnan(prediction.corners_xy[2]).all()


def test_more_detections_than_levels_are_the_most_confident_ones() -> None:
    found = [detection(0.3, 0), detection(0.6, 20), detection(0.7, 40), detection(0.8, 60)]
    assert np.array_equal(prediction_of("film", SLOTS, found).corners_xy[:, 0, 1], [62, 42, 22])


def test_all_levels_become_one_class(tmp_path: Path) -> None:
    films = films_of(None, 6, 64)
    write_dataset(films, "yolo", tmp_path / "films")
    one_class(tmp_path / "films", tmp_path / "one")
    labels = [sorted((tmp_path / name / "labels").rglob("*.txt")) for name in ("films", "one")]
    for source, copied in zip(*labels, strict=True):
        rows, copies = (file.read_text(encoding="utf-8").splitlines() for file in (source, copied))
        assert [f"0 {row.split(' ', 1)[1]}" for row in rows] == copies
    data = yaml.safe_load((tmp_path / "one" / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == {0: "vertebra"}
    assert list(data["kpt_names"]) == [0]


@pytest.mark.slow
def test_true_corners_as_detections_have_no_error() -> None:
    films = films_of(None, 6, 96)
    predictions = [
        prediction_of(
            film.film_id,
            films.slots,
            [{"confidence": 0.5, "corners_xy_px": v.corners_xy} for v in film.vertebrae or ()],
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
