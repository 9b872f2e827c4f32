"""Value types: the values they reject, and mirroring, which is its own inverse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import plain_film, square, synthetic_film
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.errors import DataError, NonFiniteLossError, nearest_hint, unknown_name
from spondylo_ml.landmarks import (
    CORNERS,
    MIRRORED_CORNERS,
    Facing,
    SlotRange,
    Vertebra,
    level_name,
    patient_corners,
    vertebrae_from_sacrum,
)
from spondylo_ml.spacing import Spacing

numbers = st.floats(-1000, 1000).map(lambda x: round(x, 3))
corner = st.one_of(st.tuples(numbers, numbers), st.just((np.nan, np.nan)))
vertebrae = st.lists(corner, min_size=4, max_size=4).map(lambda c: Vertebra(2, np.array(c)))


def test_levels_are_named_from_the_sacrum_up() -> None:
    assert [level_name(s) for s in (0, 1, 5, 6, 17, 18, 19, 20)] == ["S1", "L5", "L1", "T12", "T1", "C7", "C6", "S1+20"]
    assert square(1, 0, 0).level == "L5"


@given(vertebrae, st.integers(1, 3000))
def test_mirroring_a_vertebra_twice_is_the_identity(vertebra: Vertebra, width_px: int) -> None:
    twice = vertebra.mirrored(width_px).mirrored(width_px)
    np.testing.assert_allclose(twice.corners_xy, vertebra.corners_xy, atol=1e-9)
    np.testing.assert_array_equal(twice.visible, vertebra.visible)
    assert twice.slot == vertebra.slot


def test_mirroring_swaps_left_and_right_and_changes_only_x() -> None:
    corners = np.array([[1.0, 2.0], [5.0, 3.0], [0.0, 7.0], [6.0, 8.0]])
    mirrored = Vertebra(0, corners, np.array([True, False, True, True])).mirrored(10)
    assert CORNERS == ("superior_left", "superior_right", "inferior_left", "inferior_right")
    left = ("superior_anterior", "superior_posterior", "inferior_anterior", "inferior_posterior")
    assert patient_corners(Facing.LEFT) == left
    assert patient_corners(Facing.RIGHT) == tuple(left[place] for place in MIRRORED_CORNERS)
    assert patient_corners(Facing.NONE) == patient_corners(Facing.UNKNOWN) == CORNERS
    np.testing.assert_array_equal(mirrored.corners_xy, [[4, 3], [8, 2], [3, 8], [9, 7]])
    np.testing.assert_array_equal(mirrored.visible, [False, True, True, True])


@pytest.mark.parametrize(
    ("facing", "other"),
    [
        (Facing.LEFT, Facing.RIGHT),
        (Facing.RIGHT, Facing.LEFT),
        (Facing.NONE, Facing.NONE),
        (Facing.UNKNOWN, Facing.UNKNOWN),
    ],
)
def test_mirroring_labels_swaps_the_facing_and_twice_is_the_identity(facing: Facing, other: Facing) -> None:
    source = synthetic_film()
    film = plain_film(vertebrae=vertebrae_from_sacrum(source.corners_xy), size_hw=source.size_hw, facing=facing)
    once = film.mirrored_labels()
    twice = once.mirrored_labels()
    assert (once.facing, twice.facing) == (other, facing)
    width = film.size_hw[1]
    for a, b, c in zip(film.vertebrae or (), once.vertebrae or (), twice.vertebrae or (), strict=True):
        np.testing.assert_allclose(b.corners_xy[0], [width - 1 - a.corners_xy[1, 0], a.corners_xy[1, 1]])
        np.testing.assert_allclose(c.corners_xy, a.corners_xy)


def test_mirroring_an_unlabelled_film_changes_only_its_facing() -> None:
    film = plain_film(vertebrae=None, facing=Facing.RIGHT).mirrored_labels()
    assert film.vertebrae is None
    assert not film.labelled
    assert film.facing is Facing.LEFT


def test_an_absent_corner_is_never_visible() -> None:
    vertebra = Vertebra(0, np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0], [5.0, 6.0]]))
    np.testing.assert_array_equal(vertebra.present, [True, False, True, True])
    np.testing.assert_array_equal(vertebra.visible, [True, False, True, True])


def test_a_vertebra_keeps_its_own_copy_which_cannot_be_changed() -> None:
    corners = np.zeros((4, 2))
    vertebra = Vertebra(0, corners)
    corners[:] = 7
    assert vertebra.corners_xy.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        vertebra.corners_xy[0, 0] = 1


@pytest.mark.parametrize(
    ("slot", "corners", "message"),
    [
        (0, np.zeros((4, 3)), r"given an array of shape \(4, 3\)"),
        (0, np.full((4, 2), np.inf), "a corner is either two finite numbers or absent"),
        (0, np.array([[np.nan, 1.0]] * 4), "a corner is either two finite numbers or absent"),
        (-1, np.zeros((4, 2)), "slot must be 0 .* given -1"),
    ],
)
def test_a_vertebra_rejects_invalid_values(slot: int, corners: np.ndarray, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(DataError, match=message):
        Vertebra(slot, corners)


@pytest.mark.parametrize(("x", "y"), [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_spacing_must_be_positive(x: float, y: float) -> None:
    with pytest.raises(DataError, match="pixel spacing must be positive, in mm; given"):
        Spacing(x, y, "test")


def test_vertebrae_of_a_film_must_be_ordered_from_the_sacrum_up() -> None:
    for slots in ((1, 0), (2, 2)):
        with pytest.raises(DataError, match=r"film x: vertebrae must be ordered from the sacrum up, slots \["):
            plain_film("x", tuple(square(s, 0, 0) for s in slots))
    assert len(plain_film("x", (square(0, 0, 0), square(3, 0, 0))).vertebrae or ()) == 2


def test_the_size_of_a_film_must_be_positive() -> None:
    with pytest.raises(DataError, match=r"film x: size must be positive, given \(0, 5\)"):
        plain_film("x", size_hw=(0, 5))


@pytest.mark.parametrize("aspect", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pixel_aspect_is_positive_or_unknown(aspect: float) -> None:
    with pytest.raises(DataError, match=r"film film: pixel aspect is width over height, above 0, or None .* given"):
        replace(plain_film(), pixel_aspect=aspect)
    assert replace(plain_film(), pixel_aspect=None).mirrored_labels().pixel_aspect is None


@pytest.mark.parametrize("fields", [{"sex": "f"}, {"sex": "woman"}, {"age_years": -1}, {"age_years": 131}])
def test_an_invalid_sex_or_age_is_rejected(fields: dict[str, Any]) -> None:
    message = r"film film: (sex is F, M, or empty|age in years is 0 to 130, or None) .* given"
    with pytest.raises(DataError, match=message):
        replace(plain_film(), **fields)


def test_vertebrae_without_a_slot_are_ignored_and_reported() -> None:
    film = plain_film(vertebrae=(square(0, 1, 1), square(1, 2, 2), square(3, 3, 3), square(4, 4, 4)))
    slots = SlotRange(1, 3)
    corners = slots.corners(film.vertebrae or ())
    assert corners.shape == (3, 4, 2)
    np.testing.assert_array_equal(corners[0], square(1, 2, 2).corners_xy)
    assert np.isnan(corners[1]).all()
    np.testing.assert_array_equal(corners[2], square(3, 3, 3).corners_xy)
    assert [v.slot for v in slots.overflow(film.vertebrae or ())] == [0, 4]
    assert slots.names == ("L5", "L4", "L3")
    assert [s in slots for s in (0, 1, 3, 4, np.int64(2), "1")] == [False, True, True, False, True, False]


def test_the_message_for_an_unknown_name_lists_the_nearest_and_all_names() -> None:
    assert unknown_name("command", "trian", ["train", "evaluate"]) == (
        "unknown command 'trian'. Did you mean 'train'? Allowed: evaluate, train."
    )
    assert nearest_hint("zzz", ["train"]) == ""


def test_a_non_finite_loss_reports_epoch_step_and_parts() -> None:
    error = NonFiniteLossError(3, 17, {"heatmap": float("nan"), "presence": 0.5})
    assert (error.epoch, error.step) == (3, 17)
    assert "epoch 3, step 17: heatmap=nan, presence=0.5." in str(error)
