"""Each cause of an error, made on purpose: alone, mixed, and none at all."""

from __future__ import annotations

import math

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


def test_a_perfect_prediction_is_all_localisation_and_costs_nothing() -> None:
    kinds = kinds_of(prediction_of(FILM, SLOTS))
    assert shares(kinds) == {"localisation": 1.0}
    assert list(kinds["levels_off"].unique()) == [0]
    made = summary(kinds)
    assert made["localisation"]["mre_px512"].value == 0
    assert math.isnan(made["localisation"]["share_of_error_percent"].value), "there is no error to share"
    assert math.isnan(made["missed"]["mre_px512"].value)
    assert made["missed"]["mre_px512"].n == 0


def test_an_error_of_place_alone_is_localisation() -> None:
    kinds = kinds_of(prediction_of(FILM, SLOTS, (15.0, 20.0)))  # 25 px: half of the body, and past the disc
    assert shares(kinds) == {"localisation": 1.0}
    assert summary(kinds)["localisation"]["mre_fixed_px512"].value == 0


@pytest.mark.parametrize("levels", [1, -1])
def test_a_spine_named_one_level_off_is_all_level_shift_to_its_ends(levels: int) -> None:
    prediction = prediction_of(FILM, SLOTS, (0.0, -STEP * levels))
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"level_shift": 1.0}
    assert list(kinds["levels_off"].unique()) == [levels]
    made = summary(kinds)["level_shift"]
    assert made["mre_px512"].value == STEP
    assert made["mre_fixed_px512"].value == 0
    assert made["share_of_error_percent"].value == 100
    assert math.isnan(made["mre_left_out_px512"].value)
    assert (
        level_shifts(kinds, ["a"] * 16, PatientBootstrap(["a"]))[f"{levels:+d}"]["share_of_corners_percent"].value
        == 100
    )


def test_left_and_right_exchanged_is_a_side_flip() -> None:
    prediction = prediction_of(FILM, SLOTS)
    prediction.corners_xy[1] = prediction.corners_xy[1, [1, 0, 3, 2]]
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"localisation": 0.75, "side_flip": 0.25}
    made = summary(kinds)["side_flip"]
    assert made["mre_px512"].value == SIDE
    assert made["share_of_error_percent"].value == 100
    assert made["mre_fixed_px512"].value == made["mre_left_out_px512"].value == 0


def test_superior_and_inferior_exchanged_is_a_corner_swap() -> None:
    prediction = prediction_of(FILM, SLOTS)
    prediction.corners_xy[1] = prediction.corners_xy[1, [2, 3, 0, 1]]
    assert shares(kinds_of(prediction)) == {"localisation": 0.75, "corner_swap": 0.25}


def test_a_shifted_and_mirrored_vertebra_is_a_level_shift() -> None:
    prediction = prediction_of(FILM, SLOTS)
    prediction.corners_xy[1] = prediction.corners_xy[2, [1, 0, 3, 2]]
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"localisation": 0.75, "level_shift": 0.25}
    assert set(kinds.loc[kinds["kind"] == "level_shift", "levels_off"]) == {1.0}


def test_a_vertebra_said_to_be_absent_or_beyond_the_slots_is_missed() -> None:
    prediction = prediction_of(FILM, SlotRange(0, 3), (0.0, 3.0), presence=(1, 0.49, 1))
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"localisation": 0.5, "missed": 0.5}
    made = summary(kinds)["missed"]
    diagonal = math.hypot(512, 400)
    assert made["mre_px512"].value == pytest.approx((diagonal + 3) / 2)  # L3 by name, and L5 within 3 px
    assert made["mre_left_out_px512"].value == pytest.approx(3.0)
    assert made["mre_fixed_px512"].value == pytest.approx(1.5), "half of the corners, the missed ones, lie right"


def test_a_corner_far_from_every_corner_is_false() -> None:
    prediction = prediction_of(FILM, SLOTS, (200.0, 0.0))
    kinds = kinds_of(prediction)
    assert shares(kinds) == {"false": 1.0}
    assert kinds["residual_px512"].isna().all()


def test_the_neighbours_endplate_across_the_disc_is_no_other_level() -> None:
    prediction = prediction_of(FILM, SLOTS)
    prediction.corners_xy[2, 2:] += (0.0, 10.0)  # L4's inferior corners on L5's superior ones
    assert shares(kinds_of(prediction)) == {"localisation": 1.0}


def test_a_mixture_is_worked_out_by_hand() -> None:
    prediction = prediction_of(FILM, SLOTS, presence=(1, 1, 1, 0, 0))
    corners = prediction.corners_xy
    corners[0] += (0, 4)  # S1: localisation, 4 corners of 4 px
    corners[1] = corners[1, [1, 0, 3, 2]]  # L5: side flip, 4 of 50 px
    corners[2] = corners[2] + (0, -STEP + 2)  # L4 2 px below L3: level shift, 4 of 58 px, 2 px left when fixed
    # L3: said to be absent, though it lies right: missed, 4 of 0 px
    made = summary(kinds_of(prediction))
    total = 16 + 200 + 232
    assert {kind: made[kind]["share_of_corners_percent"].value for kind in KINDS} == {
        "localisation": 25,
        "level_shift": 25,
        "side_flip": 25,
        "corner_swap": 0,
        "missed": 25,
        "false": 0,
    }
    errors = {kind: made[kind]["share_of_error_percent"].value for kind in KINDS}
    assert errors["localisation"] == pytest.approx(100 * 16 / total)
    assert errors["level_shift"] == pytest.approx(100 * 232 / total)
    assert errors["side_flip"] == pytest.approx(100 * 200 / total)
    assert made["level_shift"]["mre_left_out_px512"].value == pytest.approx((16 + 200) / 12)
    assert made["level_shift"]["mre_fixed_px512"].value == pytest.approx((16 + 200 + 8) / 16)
    assert made["side_flip"]["mre_fixed_px512"].value == pytest.approx((16 + 232) / 16)
    assert made["localisation"]["mre_fixed_px512"].value == pytest.approx((200 + 232) / 16)
    assert made["missed"]["mre_fixed_px512"].value == pytest.approx(total / 16)


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
    made = summary(kinds)
    assert sum(made[kind]["share_of_corners_percent"].value for kind in KINDS) == pytest.approx(100)
    if abs(x) + abs(y) > 1e-6:
        assert sum(made[kind]["share_of_error_percent"].value for kind in KINDS) == pytest.approx(100)


@given(st.floats(-200, 200), st.floats(-200, 200))
def test_fixing_a_name_never_makes_an_error_larger(x: float, y: float) -> None:
    kinds = kinds_of(prediction_of(FILM, SLOTS, (x, y)))
    found = kinds.dropna(subset=["residual_px512"])
    assert (found["residual_px512"] <= found["error_px512"] + 1e-9).all()


@given(st.floats(-400, 400), st.floats(-400, 400), st.tuples(*[st.integers(0, 1)] * 5))
def test_the_error_with_a_cause_fixed_is_never_above_the_error(x: float, y: float, presence: tuple[int, ...]) -> None:
    prediction = prediction_of(FILM, SlotRange(0, 5), (x, y), presence=presence)
    prediction.corners_xy[1] = prediction.corners_xy[1, [1, 0, 3, 2]]
    kinds = kinds_of(prediction)
    for kind, row in summary(kinds).items():
        assert row["mre_fixed_px512"].value <= kinds["error_px512"].mean() + 1e-9, kind


def test_missed_corners_put_right_have_no_error_left() -> None:
    """Leaving small errors out raises the mean of what is left; putting them right lowers it."""
    prediction = prediction_of(FILM, SlotRange(0, 2), (3.0, 4.0), presence=(1, 0))
    made = summary(kinds_of(prediction))
    diagonal = math.hypot(512, 400)
    assert made["missed"]["mre_fixed_px512"].value == pytest.approx(5 / 4)
    assert made["localisation"]["mre_left_out_px512"].value > made["localisation"]["mre_fixed_px512"].value
    assert made["localisation"]["mre_left_out_px512"].value == pytest.approx((5 + 2 * diagonal) / 3)
