"""Matching by instance: perfect, degenerate, and worked out by hand."""

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
)
from spondylo_ml.evaluation.metrics import score
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


def test_vertebrae_named_one_level_too_high_find_their_partners_all_the_same() -> None:
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


def test_a_missing_and_a_false_vertebra_are_counted_by_hand() -> None:
    film = film_of(0, 1, 2, 3)
    prediction = prediction_of(film, SLOTS, (0.0, 8.0), presence=(1, 1, 0.4, 0.5, 0.9))
    # Slot 2 is not said to be there; slot 4 is, and lies at (8, 8), far from everything.
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
    # 12 of 16 corners are found, all 8 px off: leaving one vertebra out costs a quarter.
    assert [metrics[f"instance_sdr_{limit}px"] for limit in (6, 12, 18, 24)] == [0, 75, 75, 75]
    assert (metrics["n_missing_vertebrae"], metrics["n_false_vertebrae"]) == (1, 1)


@pytest.mark.parametrize(("shift_px", "paired"), [(GATE * SIDE, True), (GATE * SIDE + 0.1, False)])
def test_the_gate_is_half_the_shorter_side_included(shift_px: float, paired: bool) -> None:
    film = film_of(1)
    match = match_film(film, prediction_of(film, SLOTS, (0.0, shift_px)))
    assert bool(match.pairs) is paired
    assert match.false_slots == (() if paired else (1,))


def test_as_many_as_possible_are_paired_even_where_a_dearer_sum_follows() -> None:
    true = np.array([[[0.0, y], [50, y], [0, y + 50], [50, y + 50]] for y in (0.0, 30.0)])
    # The first prediction fits both true ones, better the second; the other one fits the second alone.
    guess = np.array([[[0.0, y], [50, y], [0, y + 50], [50, y + 50]] for y in (24.0, 40.0)])
    assert _assign(true, guess) == [(0, 0), (1, 1)]


def test_mirrored_corners_are_not_the_same_vertebra() -> None:
    film = film_of(1)
    prediction = prediction_of(film, SLOTS)
    prediction.corners_xy[:] = prediction.corners_xy[:, [1, 0, 3, 2]]
    assert match_film(film, prediction).pairs == ()


def test_an_s1_of_two_corners_is_matched_by_these() -> None:
    corners = square(0, 100, 400, SIDE).corners_xy.copy()
    corners[2:] = np.nan
    film = plain_film("a", (Vertebra(0, corners),), SIZE)
    prediction = prediction_of(film, SLOTS, (0.0, 10.0))
    assert by_slot(match_film(film, prediction)) == {0: 0}
    table = PredictionSet([film], [prediction]).matched_corners
    assert list(table["error_px"]) == [10.0, 10.0]


def test_a_vertebra_whose_corners_are_unknown_is_neither_right_nor_wrong() -> None:
    film = plain_film("a", (Vertebra(0, np.full((4, 2), np.nan)), square(1, 100, 300, SIDE)), SIZE)
    match = match_film(film, prediction_of(film, SLOTS))
    assert by_slot(match) == {1: 1}
    assert match.missing == match.false_slots == ()
    assert match.set_aside_slots == (0,)
    counts = PredictionSet([film], [prediction_of(film, SLOTS)]).detections.iloc[0]
    assert (counts["n_true"], counts["n_false"], counts["n_set_aside"]) == (1, 0, 1)


def test_nothing_said_finds_nothing_and_nothing_there_has_no_recall() -> None:
    film, empty = film_of(0), plain_film("b", ())
    silent = score(PredictionSet([film], [prediction_of(film, SLOTS, presence=[0] * 5)]))
    assert math.isnan(silent["detection_precision"])
    assert math.isnan(silent["instance_mre_px512"])
    assert (silent["detection_recall"], silent["detection_f1"], silent["instance_sdr_24px"]) == (0, 0, 0)
    nothing = score(PredictionSet([empty], [prediction_of(empty, SLOTS, presence=[1, 0, 0, 0, 0])]))
    assert (nothing["detection_precision"], nothing["n_false_vertebrae"]) == (0, 1)
    assert math.isnan(nothing["detection_recall"])


def test_films_without_labels_are_left_out_and_one_alone_is_refused() -> None:
    film = plain_film("a", None)
    assert PredictionSet([film], [prediction_of(film, SLOTS)]).detections.empty
    with pytest.raises(DataError, match="film a has no labels to match with"):
        match_film(film, prediction_of(film, SLOTS))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_no_order_of_pairing_is_cheaper_or_finds_more(seed: int) -> None:
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
def test_the_names_of_the_slots_do_not_matter(order: list[int]) -> None:
    film = film_of(0, 1, 2, 3)
    own = prediction_of(film, SlotRange(0, 4), (2.0, 1.0))
    mixed = FilmPrediction("a", own.slots, own.corners_xy[order], own.corner_score, own.presence)
    assert by_slot(match_film(film, mixed)) == {slot: order.index(slot) for slot in range(4)}
