"""Metrics: perfect and degenerate predictions, and hand calculations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of, square
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.corner_table import COLUMNS, to_px512
from spondylo_ml.evaluation.metrics import corner_metrics, score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange, Vertebra
from spondylo_ml.spacing import Spacing

SLOTS = SlotRange(0, 3)
SIZE = (1024, 768)  # one px512 is two px


def film_of(*slots: int, name: str = "a", size_hw: tuple[int, int] = SIZE) -> Film:
    return plain_film(name, tuple(square(s, 100, 500 - 60 * s, 50) for s in slots), size_hw)


def test_a_perfect_prediction_scores_0_px_and_100_percent() -> None:
    spacing = Spacing(0.6, 0.6, "test")
    films = [replace(film, spacing=spacing) for film in (film_of(0, 1, 2), film_of(0, 1, name="b"))]
    metrics = score(PredictionSet(films, [prediction_of(film, SLOTS) for film in films]))
    assert metrics == {
        "mre_px512": 0.0,
        "mre_px": 0.0,
        "mse_px512": 0.0,
        "mre_mm": 0.0,
        "mre_body_percent": 0.0,
        "median_px512": 0.0,
        "p75_px512": 0.0,
        "p90_px512": 0.0,
        "p95_px512": 0.0,
        **{f"sdr_{limit}px": 100.0 for limit in (6, 12, 18, 24)},
        **{f"sdr_{limit}px640": 100.0 for limit in (5, 10, 15)},
        **{f"sdr_{limit}mm": 100.0 for limit in ("2", "2.5", "3", "4")},
        "n_corners": 20.0,
        "n_missed": 0.0,
        "n_mm": 20.0,
        "presence_precision": 100.0,
        "presence_recall": 100.0,
        "presence_f1": 100.0,
        "detection_precision": 100.0,
        "detection_recall": 100.0,
        "detection_f1": 100.0,
        "instance_mre_px512": 0.0,
        "instance_sdr_6px": 100.0,
        "instance_sdr_12px": 100.0,
        "instance_sdr_18px": 100.0,
        "instance_sdr_24px": 100.0,
        "n_instance_corners": 20.0,
        "n_missing_vertebrae": 0.0,
        "n_false_vertebrae": 0.0,
    }


def test_a_shift_gives_its_length_in_px_and_px512() -> None:
    film = film_of(0, 1)
    metrics = corner_metrics(PredictionSet([film], [prediction_of(film, SLOTS, (12.0, 16.0))]).corners)
    assert metrics["mre_px"] == pytest.approx(20.0)
    assert metrics["mre_px512"] == metrics["median_px512"] == pytest.approx(10.0)
    assert [metrics[f"sdr_{limit}px"] for limit in (6, 12, 18, 24)] == [0, 100, 100, 100]


@pytest.mark.parametrize(("shift_px", "within_6"), [(11.99, 100), (12.0, 100), (12.01, 0)])
def test_a_corner_on_the_limit_is_detected(shift_px: float, within_6: float) -> None:
    film = plain_film("a", (square(0, 100, 100),), SIZE)
    metrics = corner_metrics(PredictionSet([film], [prediction_of(film, SLOTS, (shift_px, 0.0))]).corners)
    assert metrics["sdr_6px"] == within_6


def test_errors_of_several_corners_match_a_hand_calculation() -> None:
    film = film_of(0)
    prediction = prediction_of(film, SLOTS)
    prediction.corners_xy[0] += np.array([[0, 0], [6, 8], [0, 30], [40, 30]])  # 0, 10, 30, 50 px
    metrics = corner_metrics(PredictionSet([film], [prediction]).corners)
    assert metrics["mre_px"] == pytest.approx(22.5)
    assert metrics["mre_px512"] == pytest.approx(11.25)
    assert metrics["median_px512"] == pytest.approx(10.0)  # between 5 and 15
    assert [metrics[f"sdr_{limit}px"] for limit in (6, 12, 18, 24)] == [50, 50, 75, 75]


def test_squared_errors_quantiles_and_px640_rates_match_a_hand_calculation() -> None:
    film = film_of(0)
    prediction = prediction_of(film, SLOTS)
    prediction.corners_xy[0, :, 0] += [0, 8, 16, 24]  # 0, 4, 8, 12 px512; 0, 5, 10, 15 px of 640
    metrics = corner_metrics(PredictionSet([film], [prediction]).corners)
    assert metrics["mse_px512"] == pytest.approx((16 + 64 + 144) / 4)
    assert [metrics[f"sdr_{limit}px640"] for limit in (5, 10, 15)] == [50, 75, 100]
    quantiles = [metrics[name] for name in ("median_px512", "p75_px512", "p90_px512", "p95_px512")]
    assert quantiles == pytest.approx([6.0, 9.0, 10.8, 11.4])
    assert metrics["mre_body_percent"] == pytest.approx(24.0)  # 12 px of a body of 50


def test_millimetres_use_the_spacing_of_each_axis_on_films_that_have_one() -> None:
    with_spacing = replace(film_of(0), spacing=Spacing(0.5, 0.25, "test"))
    without_spacing = film_of(0, name="b")
    predictions = [prediction_of(with_spacing, SLOTS, (3.0, 8.0)), prediction_of(without_spacing, SLOTS)]
    metrics = corner_metrics(PredictionSet([with_spacing, without_spacing], predictions).corners)
    assert metrics["n_mm"] == 4
    assert metrics["mre_mm"] == pytest.approx(2.5)  # 1.5 mm across, 2 mm down
    assert [metrics[f"sdr_{limit}mm"] for limit in ("2", "2.5", "3", "4")] == [0, 100, 100, 100]


def test_an_implausible_spacing_gives_no_millimetres() -> None:
    film = replace(film_of(1), spacing=Spacing(5.0, 5.0, "in cm"))
    assert PredictionSet([film], [prediction_of(film, SLOTS)]).corners["error_mm"].isna().all()


def test_the_error_of_a_missed_corner_in_mm_is_the_diagonal_of_the_film() -> None:
    film = replace(film_of(3, size_hw=(400, 300)), spacing=Spacing(0.4, 0.1, "test"))
    metrics = corner_metrics(PredictionSet([film], [prediction_of(film, SLOTS)]).corners)
    assert metrics["mre_mm"] == pytest.approx(math.hypot(120, 40))
    assert metrics["sdr_4mm"] == 0


def test_px512_scales_each_film_by_its_longer_side() -> None:
    assert to_px512(20.0, (1024, 768)) == 10.0
    assert to_px512(20.0, (100, 2048)) == 5.0
    assert to_px512(20.0, (256, 256)) == 40.0


def test_the_error_of_a_missed_corner_is_the_diagonal_and_it_counts_as_undetected() -> None:
    film = film_of(0, 3, size_hw=(400, 300))  # slot 3 has no channel; the diagonal is 500 px
    table = PredictionSet([film], [prediction_of(film, SLOTS)]).corners
    metrics = corner_metrics(table)
    assert metrics["n_corners"] == 8
    assert metrics["n_missed"] == 4
    assert metrics["mre_px"] == pytest.approx(250.0)
    assert metrics["mre_px512"] == pytest.approx(250.0 * 512 / 400)
    assert metrics["sdr_24px"] == 50.0
    missed = table[table["missed"]]
    assert set(missed["level"]) == {"L3"}
    assert missed[["pred_x_px", "pred_y_px", "corner_score", "presence"]].isna().all(axis=None)


def test_a_missed_corner_of_a_tiny_film_is_undetected_despite_the_short_diagonal() -> None:
    film = film_of(3, size_hw=(10, 10))
    table = PredictionSet([film], [prediction_of(film, SLOTS)]).corners.assign(error_px512=1.0)
    assert corner_metrics(table)["sdr_5px640"] == 0.0
    assert corner_metrics(table)["sdr_6px"] == 0.0


def test_unlabelled_corners_are_not_scored() -> None:
    corners = square(0, 100, 100).corners_xy.copy()
    corners[2:] = np.nan  # S1 without its lower edge
    film = plain_film("a", (Vertebra(0, corners),), SIZE)
    table = PredictionSet([film], [prediction_of(film, SLOTS, (12.0, 0.0))]).corners
    assert list(table["corner"]) == ["superior_left", "superior_right"]
    assert corner_metrics(table)["n_missed"] == 0
    assert corner_metrics(table)["mre_px"] == pytest.approx(12.0)


def test_without_labels_the_metrics_are_nan_and_the_counts_0() -> None:
    films = [plain_film("a", None), plain_film("b", ())]
    metrics = score(PredictionSet(films, [prediction_of(film, SLOTS) for film in films]))
    assert metrics.pop("n_corners") == 0
    assert metrics.pop("n_missed") == 0
    counts = ("n_mm", "n_instance_corners", "n_missing_vertebrae", "n_false_vertebrae")
    assert [metrics.pop(name) for name in counts] == [0, 0, 0, 0]
    assert all(math.isnan(value) for value in metrics.values())


def test_the_table_has_one_row_per_true_corner_with_all_columns() -> None:
    film = film_of(1)
    slots = SlotRange(1, 2)
    table = PredictionSet([film], [prediction_of(film, slots, (3.0, 4.0), presence=(0.75, 0.25))]).corners
    assert tuple(table.columns) == COLUMNS
    row = table.iloc[1]
    assert (row["film_id"], row["slot"], row["level"], row["corner"]) == ("a", 1, "L5", "superior_right")
    assert (row["true_x_px"], row["true_y_px"], row["pred_x_px"], row["pred_y_px"]) == (150, 440, 153, 444)
    assert (row["error_px"], row["error_px512"], row["presence"]) == (5.0, 2.5, 0.75)


def test_predictions_of_other_films_are_rejected() -> None:
    a, b = film_of(0, name="a"), film_of(0, name="b")
    predictions = [prediction_of(b, SLOTS), prediction_of(a, SLOTS)]
    for films in ([a, b], [b]):
        with pytest.raises(DataError, match="predictions must be given for the same films in the same order"):
            PredictionSet(films, predictions)


def presence_of(films: list[Film], predictions: list[FilmPrediction]) -> dict[str, float]:
    metrics = score(PredictionSet(films, predictions))
    return {name: metrics[name] for name in ("presence_precision", "presence_recall", "presence_f1")}


def test_presence_matches_a_hand_calculation() -> None:
    films = [film_of(0, 1, name="a"), film_of(0, name="b"), plain_film("c", None)]
    presences = [(0.9, 0.5, 0.8), (0.49, 0.6, 0.1), (1.0, 1.0, 1.0)]
    predictions = [prediction_of(f, SLOTS, presence=p) for f, p in zip(films, presences, strict=True)]
    # a: 3 predicted, both true ones among them (0.5 counts as present); b: 1 predicted, wrong, and the true one
    # missed; c: no labels.
    assert presence_of(films, predictions) == {
        "presence_precision": pytest.approx(50.0),
        "presence_recall": pytest.approx(200 / 3),
        "presence_f1": pytest.approx(100 * 2 * 2 / (4 + 3)),
    }


def test_a_vertebra_outside_the_slots_counts_as_missed() -> None:
    film = film_of(0, 1, 2, 3)
    metrics = presence_of([film], [prediction_of(film, SLOTS)])
    assert metrics == {"presence_precision": 100.0, "presence_recall": 75.0, "presence_f1": pytest.approx(600 / 7)}


def test_presence_is_counted_in_the_slots_of_the_model() -> None:
    film = film_of(1, 2)
    prediction = prediction_of(film, SlotRange(1, 3), presence=(1, 1, 0))
    assert set(presence_of([film], [prediction]).values()) == {100.0}


def test_predicting_nothing_gives_no_precision_and_a_recall_of_0() -> None:
    film = film_of(0)
    metrics = presence_of([film], [prediction_of(film, SLOTS, presence=(0, 0, 0))])
    assert math.isnan(metrics["presence_precision"])
    assert metrics["presence_recall"] == 0.0
    assert metrics["presence_f1"] == 0.0


@given(st.floats(-300, 300), st.floats(-300, 300))
def test_mirroring_film_and_prediction_keeps_the_errors(x: float, y: float) -> None:
    film = film_of(0, 1)
    prediction = prediction_of(film, SLOTS, (x, y))
    mirrored = replace(prediction, corners_xy=prediction.corners_xy[:, [1, 0, 3, 2]] * [-1, 1] + [SIZE[1] - 1, 0])
    original = corner_metrics(PredictionSet([film], [prediction]).corners)
    after = corner_metrics(PredictionSet([film.mirrored_labels()], [mirrored]).corners)
    assert after["mre_px512"] == pytest.approx(original["mre_px512"], abs=1e-9)


@given(st.lists(st.floats(0, 100), min_size=4, max_size=4))
def test_detection_rates_never_fall_as_the_limit_grows(shifts: list[float]) -> None:
    film = film_of(0)
    prediction = prediction_of(film, SLOTS)
    prediction.corners_xy[0, :, 0] += shifts
    metrics = corner_metrics(PredictionSet([film], [prediction]).corners)
    rates = [metrics[f"sdr_{limit}px"] for limit in (6, 12, 18, 24)]
    assert rates == sorted(rates)
    assert rates == [100 * np.mean([s / 2 <= limit for s in shifts]) for limit in (6, 12, 18, 24)]
