"""Instance matching: perfect and degenerate predictions, and hand calculations."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of, square
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.matching import (
    GATE,
    FilmMatch,
    _assign,
    match_film,
    shares_within,
)
from spondylo_ml.evaluation.metrics import score, score_estimates
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange, Vertebra

SLOTS = SlotRange(0, 5)
STEP, SIDE = 60.0, 50.0
SIZE = (512, 400)  # a px is a px512


def film_of(*slots: int, name: str = "a") -> Film:
    return plain_film(name, tuple(square(s, 100, 400 - STEP * s, SIDE) for s in slots), SIZE)


def by_slot(match: FilmMatch) -> dict[int, int]:
    return {vertebra.slot: slot for vertebra, slot in match.pairs}


def test_a_perfect_prediction_pairs_each_vertebra_with_its_own_slot() -> None:
    film = film_of(0, 1, 2)
    match = match_film(film, prediction_of(film, SLOTS))
    assert by_slot(match) == {0: 0, 1: 1, 2: 2}
    assert match.missing == match.false_slots == match.set_aside_slots == ()


def test_vertebrae_labelled_one_level_too_high_are_still_matched() -> None:
    film = film_of(0, 1, 2)
    shifted = plain_film("a", tuple(replace(v, slot=v.slot + 1) for v in film.vertebrae or ()), SIZE)
    prediction = prediction_of(shifted, SLOTS, (3.0, 4.0))
    assert by_slot(match_film(film, prediction)) == {0: 1, 1: 2, 2: 3}
    metrics = score(PredictionSet([film], [prediction]))
    assert metrics["detection_f1"] == 100
    assert metrics["instance_mre_px512"] == pytest.approx(5.0)
    assert metrics["instance_sdr_6px"] == 100
    counts = PredictionSet([film], [prediction]).detections.iloc[0]
    assert (counts["n_matched"], counts["n_right_level"]) == (3, 0)


def test_a_missing_and_a_false_vertebra_match_a_hand_calculation() -> None:
    film = film_of(0, 1, 2, 3)
    prediction = prediction_of(film, SLOTS, (0.0, 8.0), presence=(1, 1, 0.4, 0.5, 0.9))
    # Slot 2 is predicted absent; slot 4 is predicted present, at (8, 8), far from everything.
    match = match_film(film, prediction)
    assert by_slot(match) == {0: 0, 1: 1, 3: 3}
    assert [v.slot for v in match.missing] == [2]
    assert match.false_slots == (4,)
    metrics = score(PredictionSet([film], [prediction]))
    assert metrics["detection_precision"] == pytest.approx(75.0)
    assert metrics["detection_recall"] == pytest.approx(75.0)
    assert metrics["detection_f1"] == pytest.approx(75.0)
    assert metrics["instance_mre_px512"] == pytest.approx(8.0)
    assert metrics["n_instance_corners"] == 12
    # 12 of 16 corners are matched, all 8 px off: the missing vertebra costs a quarter.
    assert [metrics[f"instance_sdr_{limit}px"] for limit in (6, 12, 18, 24)] == [0, 75, 75, 75]
    assert (metrics["n_missing_vertebrae"], metrics["n_false_vertebrae"]) == (1, 1)


@pytest.mark.parametrize(("shift_px", "paired"), [(GATE * SIDE, True), (GATE * SIDE + 0.1, False)])
def test_the_gate_is_inclusive_at_half_the_shorter_side(shift_px: float, paired: bool) -> None:
    film = film_of(1)
    match = match_film(film, prediction_of(film, SLOTS, (0.0, shift_px)))
    assert bool(match.pairs) is paired
    assert match.false_slots == (() if paired else (1,))


def test_the_number_of_pairs_is_maximised_even_at_a_higher_total_cost() -> None:
    true = np.array([[[0.0, y], [50, y], [0, y + 50], [50, y + 50]] for y in (0.0, 30.0)])
    # The first prediction fits both true bodies, the second one better; the other prediction fits only the second.
    guess = np.array([[[0.0, y], [50, y], [0, y + 50], [50, y + 50]] for y in (24.0, 40.0)])
    assert _assign(true, guess) == [(0, 0), (1, 1)]


def test_mirrored_corners_are_not_the_same_vertebra() -> None:
    film = film_of(1)
    prediction = prediction_of(film, SLOTS)
    prediction.corners_xy[:] = prediction.corners_xy[:, [1, 0, 3, 2]]
    assert match_film(film, prediction).pairs == ()


def test_an_s1_of_two_corners_is_matched_by_those_two() -> None:
    corners = square(0, 100, 400, SIDE).corners_xy.copy()
    corners[2:] = np.nan
    film = plain_film("a", (Vertebra(0, corners),), SIZE)
    prediction = prediction_of(film, SLOTS, (0.0, 10.0))
    assert by_slot(match_film(film, prediction)) == {0: 0}
    table = PredictionSet([film], [prediction]).matched_corners
    assert list(table["error_px"]) == [10.0, 10.0]


def test_a_vertebra_without_known_corners_counts_as_neither_right_nor_wrong() -> None:
    film = plain_film("a", (Vertebra(0, np.full((4, 2), np.nan)), square(1, 100, 300, SIDE)), SIZE)
    match = match_film(film, prediction_of(film, SLOTS))
    assert by_slot(match) == {1: 1}
    assert match.missing == match.false_slots == ()
    assert match.set_aside_slots == (0,)
    counts = PredictionSet([film], [prediction_of(film, SLOTS)]).detections.iloc[0]
    assert (counts["n_true"], counts["n_false"], counts["n_set_aside"]) == (1, 0, 1)


def test_a_vertebra_that_is_set_aside_lowers_no_share_of_corners() -> None:
    one = np.full((4, 2), np.nan)
    one[0] = [300.0, 400.0]
    film = plain_film("a", (Vertebra(0, one), square(1, 100, 300, SIDE)), SIZE)
    predictions = PredictionSet([film], [prediction_of(film, SLOTS)])
    table = predictions.matched_corners
    assert table["set_aside"].tolist() == [True] + [False] * 4
    np.testing.assert_array_equal(shares_within(table, 6.0), [np.nan, 100, 100, 100, 100])
    missed = PredictionSet([film], [prediction_of(film, SLOTS, presence=[0] * 5)]).matched_corners
    np.testing.assert_array_equal(shares_within(missed, 6.0), [np.nan, 0, 0, 0, 0])
    numbers = score_estimates(predictions, predictions.bootstrap(10, 0))
    assert (numbers["instance_sdr_6px"].value, numbers["instance_sdr_6px"].n) == (100.0, 4)
    assert numbers["instance_sdr_6px"].n_absent == 1
    assert (numbers["sdr_6px"].value, numbers["sdr_6px"].n) == (100.0, 5)


def test_predicting_nothing_gives_0_recall_and_an_empty_film_has_no_recall() -> None:
    film, empty = film_of(0), plain_film("b", ())
    nothing_predicted = score(PredictionSet([film], [prediction_of(film, SLOTS, presence=[0] * 5)]))
    assert math.isnan(nothing_predicted["detection_precision"])
    assert math.isnan(nothing_predicted["instance_mre_px512"])
    assert (
        nothing_predicted["detection_recall"],
        nothing_predicted["detection_f1"],
        nothing_predicted["instance_sdr_24px"],
    ) == (0, 0, 0)
    nothing_there = score(PredictionSet([empty], [prediction_of(empty, SLOTS, presence=[1, 0, 0, 0, 0])]))
    assert (nothing_there["detection_precision"], nothing_there["n_false_vertebrae"]) == (0, 1)
    assert math.isnan(nothing_there["detection_recall"])


def test_films_without_labels_are_left_out_and_matching_one_is_an_error() -> None:
    film = plain_film("a", None)
    assert PredictionSet([film], [prediction_of(film, SLOTS)]).detections.empty
    with pytest.raises(DataError, match="film a has no labels to match with"):
        match_film(film, prediction_of(film, SLOTS))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_no_other_assignment_is_cheaper_or_pairs_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = np.stack([square(0, *rng.uniform(0, 60, 2), SIDE).corners_xy for _ in range(3)])
    guess = np.stack([square(0, *rng.uniform(0, 60, 2), SIDE).corners_xy for _ in range(3)])
    cost = np.linalg.norm(true[:, None] - guess[None], axis=-1).mean(-1)
    best = min(_value(cost, order) for order in itertools.permutations(range(3)))
    pairs = _assign(true, guess)
    assert (-len(pairs), pytest.approx(sum(cost[i, j] for i, j in pairs))) == best


def _value(cost: np.ndarray, order: tuple[int, ...]) -> tuple[int, float]:
    allowed = [cost[i, j] for i, j in enumerate(order) if cost[i, j] <= GATE * SIDE]
    return -len(allowed), sum(allowed)


@given(st.permutations(range(4)))
def test_matching_ignores_the_slot_labels(order: list[int]) -> None:
    film = film_of(0, 1, 2, 3)
    prediction = prediction_of(film, SlotRange(0, 4), (2.0, 1.0))
    permuted = FilmPrediction(
        "a", prediction.slots, prediction.corners_xy[order], prediction.corner_score, prediction.presence
    )
    assert by_slot(match_film(film, permuted)) == {slot: order.index(slot) for slot in range(4)}
