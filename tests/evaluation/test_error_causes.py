"""Each cause of error, constructed: alone, mixed, and absent."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import plain_film, prediction_of, square
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.evaluation.error_causes import KINDS, error_anatomy, level_shifts
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange, Vertebra

SLOTS = SlotRange(0, 5)
STEP, SIDE = 60.0, 50.0  # discs of 10 px
FILM = plain_film("a", tuple(square(s, 100, 400 - STEP * s, SIDE) for s in range(4)), (512, 400))  # a px is a px512


def kinds_of(prediction: FilmPrediction, film: Film = FILM) -> pd.DataFrame:
    return PredictionSet([film], [prediction]).corners_with_causes


def shares(kinds: pd.DataFrame) -> dict[str, float]:
    return {kind: count / len(kinds) for kind, count in kinds["kind"].value_counts().items()}


def summary(kinds: pd.DataFrame) -> dict[str, dict[str, Estimate]]:
    return error_anatomy(kinds, ["a"] * len(kinds), PatientBootstrap(["a"]))


def test_a_perfect_prediction_is_all_localisation_with_zero_error() -> None:
    kinds = kinds_of(prediction_of(FILM, SLOTS))
    assert shares(kinds) == {"localisation": 1.0}
    assert list(kinds["levels_off"].unique()) == [0]
    estimates = summary(kinds)
    assert estimates["localisation"]["mre_px512"].value == 0
    assert math.isnan(estimates["localisation"]["share_of_error_percent"].value), "there is no error to share"
    assert math.isnan(estimates["missed"]["mre_px512"].value)
    assert estimates["missed"]["mre_px512"].n == 0


def test_a_vertebra_of_unknown_size_is_hit_by_nothing_far_away() -> None:
    one = np.full((4, 2), np.nan)
    one[0] = [100.0, 400.0]
    film = plain_film("a", (Vertebra(0, one), square(1, 100, 300, SIDE)), (512, 400))
    prediction = prediction_of(film, SLOTS)
    corners = prediction.corners_xy.copy()
    corners[0, 0] = [390.0, 20.0]
    kinds = kinds_of(replace(prediction, corners_xy=corners), film)
    assert kinds["kind"].tolist() == ["false"] + ["localisation"] * 4
    assert math.isnan(kinds["residual_px512"].iloc[0])


def test_a_pure_shift_is_a_localisation_error() -> None:
    kinds = kinds_of(prediction_of(FILM, SLOTS, (15.0, 20.0)))  # 25 px: half of the body, and more than a disc
    assert shares(kinds) == {"localisation": 1.0}
    assert summary(kinds)["localisation"]["mre_fixed_px512"].value == 0


@pytest.mark.parametrize("levels", [1, -1])
def test_a_spine_labelled_one_level_off_is_all_level_shift(levels: int) -> None:
    prediction = prediction_of(FILM, SLOTS, (0.0, -STEP * levels))
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"level_shift": 1.0}
    assert list(kinds["levels_off"].unique()) == [levels]
    estimates = summary(kinds)["level_shift"]
    assert estimates["mre_px512"].value == STEP
    assert estimates["mre_fixed_px512"].value == 0
    assert estimates["share_of_error_percent"].value == 100
    assert math.isnan(estimates["mre_left_out_px512"].value)
    assert (
        level_shifts(kinds, ["a"] * 16, PatientBootstrap(["a"]))[f"{levels:+d}"]["share_of_corners_percent"].value
        == 100
    )


def test_swapping_left_and_right_is_a_side_flip() -> None:
    prediction = prediction_of(FILM, SLOTS)
    prediction.corners_xy[1] = prediction.corners_xy[1, [1, 0, 3, 2]]
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"localisation": 0.75, "side_flip": 0.25}
    estimates = summary(kinds)["side_flip"]
    assert estimates["mre_px512"].value == SIDE
    assert estimates["share_of_error_percent"].value == 100
    assert estimates["mre_fixed_px512"].value == estimates["mre_left_out_px512"].value == 0


def test_swapping_superior_and_inferior_is_a_corner_swap() -> None:
    prediction = prediction_of(FILM, SLOTS)
    prediction.corners_xy[1] = prediction.corners_xy[1, [2, 3, 0, 1]]
    assert shares(kinds_of(prediction)) == {"localisation": 0.75, "corner_swap": 0.25}


def test_a_shifted_and_mirrored_vertebra_is_a_level_shift() -> None:
    prediction = prediction_of(FILM, SLOTS)
    prediction.corners_xy[1] = prediction.corners_xy[2, [1, 0, 3, 2]]
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"localisation": 0.75, "level_shift": 0.25}
    assert set(kinds.loc[kinds["kind"] == "level_shift", "levels_off"]) == {1.0}


def test_a_vertebra_predicted_absent_or_outside_the_slots_is_missed() -> None:
    prediction = prediction_of(FILM, SlotRange(0, 3), (0.0, 3.0), presence=(1, 0.49, 1))
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"localisation": 0.5, "missed": 0.5}
    estimates = summary(kinds)["missed"]
    diagonal = math.hypot(512, 400)
    assert estimates["mre_px512"].value == pytest.approx((diagonal + 3) / 2)  # L3 has no slot; L5 is off by 3 px
    assert estimates["mre_left_out_px512"].value == pytest.approx(3.0)
    assert estimates["mre_fixed_px512"].value == pytest.approx(1.5), "the missed corners, half of all, count as correct"


def test_a_corner_far_from_every_true_corner_is_false() -> None:
    prediction = prediction_of(FILM, SLOTS, (200.0, 0.0))
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"false": 1.0}
    assert kinds["residual_px512"].isna().all()


def test_the_endplate_across_the_disc_is_not_a_level_shift() -> None:
    prediction = prediction_of(FILM, SLOTS)
    prediction.corners_xy[2, 2:] += (0.0, 10.0)  # L4's inferior corners on L5's superior ones
    assert shares(kinds_of(prediction)) == {"localisation": 1.0}


def test_a_mixture_of_causes_matches_a_hand_calculation() -> None:
    prediction = prediction_of(FILM, SLOTS, presence=(1, 1, 1, 0, 0))
    corners = prediction.corners_xy
    corners[0] += (0, 4)  # S1: localisation, 4 corners of 4 px
    corners[1] = corners[1, [1, 0, 3, 2]]  # L5: side flip, 4 of 50 px
    corners[2] = corners[2] + (0, -STEP + 2)  # L4 2 px below L3: level shift, 4 of 58 px, 2 px left when fixed
    # L3: predicted absent, though its corners are right: missed, 4 of 0 px
    estimates = summary(kinds_of(prediction))
    total = 16 + 200 + 232
    assert {kind: estimates[kind]["share_of_corners_percent"].value for kind in KINDS} == {
        "localisation": 25,
        "level_shift": 25,
        "side_flip": 25,
        "corner_swap": 0,
        "missed": 25,
        "false": 0,
    }
    errors = {kind: estimates[kind]["share_of_error_percent"].value for kind in KINDS}
    assert errors["localisation"] == pytest.approx(100 * 16 / total)
    assert errors["level_shift"] == pytest.approx(100 * 232 / total)
    assert errors["side_flip"] == pytest.approx(100 * 200 / total)
    assert estimates["level_shift"]["mre_left_out_px512"].value == pytest.approx((16 + 200) / 12)
    assert estimates["level_shift"]["mre_fixed_px512"].value == pytest.approx((16 + 200 + 8) / 16)
    assert estimates["side_flip"]["mre_fixed_px512"].value == pytest.approx((16 + 232) / 16)
    assert estimates["localisation"]["mre_fixed_px512"].value == pytest.approx((200 + 232) / 16)
    assert estimates["missed"]["mre_fixed_px512"].value == pytest.approx(total / 16)


def test_an_s1_of_two_corners_has_two_causes() -> None:
    corners = square(0, 100, 400, SIDE).corners_xy.copy()
    corners[2:] = np.nan
    film = plain_film("a", (Vertebra(0, corners),), (512, 400))
    prediction = prediction_of(film, SLOTS)
    prediction.corners_xy[0, :2] = prediction.corners_xy[0, [1, 0]]
    assert list(kinds_of(prediction, film)["kind"]) == ["side_flip", "side_flip"]


def test_a_film_without_corners_has_no_causes_and_nan_shares() -> None:
    film = plain_film("a", ())
    kinds = kinds_of(prediction_of(film, SLOTS), film)
    assert kinds.empty
    assert all(math.isnan(e.value) and e.n == 0 for row in summary(kinds).values() for e in row.values())


@given(st.floats(-400, 400), st.floats(-400, 400))
def test_every_corner_has_one_kind_and_the_shares_of_error_add_up(x: float, y: float) -> None:
    kinds = kinds_of(prediction_of(FILM, SLOTS, (x, y), presence=(1, 0, 1, 1, 1)))
    assert set(kinds["kind"]) <= set(KINDS)
    estimates = summary(kinds)
    assert sum(estimates[kind]["share_of_corners_percent"].value for kind in KINDS) == pytest.approx(100)
    if abs(x) + abs(y) > 1e-6:
        assert sum(estimates[kind]["share_of_error_percent"].value for kind in KINDS) == pytest.approx(100)


@given(st.floats(-200, 200), st.floats(-200, 200))
def test_fixing_a_label_never_increases_an_error(x: float, y: float) -> None:
    kinds = kinds_of(prediction_of(FILM, SLOTS, (x, y)))
    fixable = kinds.dropna(subset=["residual_px512"])
    assert (fixable["residual_px512"] <= fixable["error_px512"] + 1e-9).all()


@given(st.floats(-400, 400), st.floats(-400, 400), st.tuples(*[st.integers(0, 1)] * 5))
def test_fixing_a_cause_never_increases_the_mean_error(x: float, y: float, presence: tuple[int, ...]) -> None:
    prediction = prediction_of(FILM, SlotRange(0, 5), (x, y), presence=presence)
    prediction.corners_xy[1] = prediction.corners_xy[1, [1, 0, 3, 2]]
    kinds = kinds_of(prediction)
    for kind, row in summary(kinds).items():
        assert row["mre_fixed_px512"].value <= kinds["error_px512"].mean() + 1e-9, kind


def test_fixed_missed_corners_have_zero_error() -> None:
    """Leaving small errors out raises the mean of the rest; fixing them lowers it."""
    prediction = prediction_of(FILM, SlotRange(0, 2), (3.0, 4.0), presence=(1, 0))
    estimates = summary(kinds_of(prediction))
    diagonal = math.hypot(512, 400)
    assert estimates["missed"]["mre_fixed_px512"].value == pytest.approx(5 / 4)
    assert estimates["localisation"]["mre_left_out_px512"].value > estimates["localisation"]["mre_fixed_px512"].value
    assert estimates["localisation"]["mre_left_out_px512"].value == pytest.approx((5 + 2 * diagonal) / 3)
