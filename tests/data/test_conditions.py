"""Synthetic films under a condition: the truth moves with the picture, and what is no lumbar film has no vertebra."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.config import DataConfig
from spondylo_ml.config.films import PhantomCondition, TrainingCondition
from spondylo_ml.data.conditions import CONDITIONS, NOT_LUMBAR, condition_films
from spondylo_ml.data.conditions.whole_film import MOST_LABELLED, SHARES
from spondylo_ml.data.loading import load_films
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, Film, FloatArray, GreyImage

COUNT, SIDE = 6, 192
UPRIGHT = ("inverted", "mirrored", "coned", "burnt-sacrum", "hardware", "bowel-gas", "enhanced")


def films(condition: str, count: int = COUNT) -> tuple[Film, ...]:
    return condition_films(condition, count, 4, SIDE).films


def corners_of(film: Film) -> FloatArray:
    """(4 V, 2) all true corners."""
    return np.concatenate([v.corners_xy for v in film.vertebrae or ()])


def values_at(image: GreyImage, points: FloatArray) -> NDArray[np.int64]:
    at = np.rint(points).astype(int)
    return image[at[:, 1], at[:, 0]].astype(np.int64)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_films_are_repeatable_and_have_the_size_and_truth_that_they_state(condition: str) -> None:
    again = films(condition, 2)
    for film, repeat in zip(films(condition, 2), again, strict=True):
        image = film.image.read()
        assert image.shape == film.size_hw
        np.testing.assert_array_equal(repeat.image.read(), image)
        assert repeat.image.fingerprint() == film.image.fingerprint()
        assert film.labelled
        if condition in NOT_LUMBAR:
            assert film.vertebrae == ()
            assert film.spacing is None
        else:
            points = corners_of(film)
            assert (points >= 0).all()
            assert (points <= np.array(film.size_hw[::-1]) - 1).all()
            assert [v.slot for v in film.vertebrae or ()] == list(range(len(points) // 4))
    assert again[0].image.fingerprint() != again[1].image.fingerprint()


@pytest.mark.parametrize("condition", [c for c in UPRIGHT if c != "mirrored"])
def test_conditions_of_the_pixels_leave_the_truth(condition: str) -> None:
    for plain, film in zip(films("unchanged"), films(condition), strict=True):
        np.testing.assert_array_equal(corners_of(film), corners_of(plain))
        assert (film.facing, film.size_hw, film.patient) == (plain.facing, plain.size_hw, plain.patient)


@pytest.mark.parametrize("condition", ["narrow-discs", "difficult"])
def test_a_worn_spine_has_a_slip_over_a_disc_that_is_nearly_lost(condition: str) -> None:
    for film in condition_films(condition, 12, 4, SIDE, without=["export"]).films:
        bodies = np.stack([v.corners_xy for v in film.vertebrae or ()])
        bodies = bodies if film.facing is Facing.LEFT else bodies[:, [1, 0, 3, 2]] * [-1, 1]
        plate = bodies[:-1, 0] - bodies[:-1, 1]
        slip = ((bodies[1:, 3] - bodies[:-1, 1]) * plate).sum(axis=1) / (plate**2).sum(axis=1)
        up = np.stack([-plate[:, 1], plate[:, 0]], axis=1) / (plate**2).sum(axis=1, keepdims=True)
        gap = ((bodies[1:, 2:] - bodies[:-1, None, 1]) * up[:, None]).sum(axis=-1).min(axis=1)
        assert (gap > -1e-9).all()
        assert ((np.abs(slip) > 0.08 - 1e-9) & (gap < 0.2)).any()


def test_gas_is_dark_and_in_front() -> None:
    darker = np.zeros(2)
    for plain, film in zip(films("unchanged"), films("bowel-gas"), strict=True):
        dark = plain.image.read().astype(int) - film.image.read() > 10
        front = np.arange(dark.shape[1]) < np.median(corners_of(film)[:, 0])
        front = front if film.facing is Facing.LEFT else ~front
        darker += dark[:, front].sum(), dark[:, ~front].sum()
    assert darker[0] > 3 * darker[1] > 0


def test_enhanced_films_have_more_fine_contrast() -> None:
    def fine(film: Film) -> float:
        image = film.image.read().astype(np.float32)
        return float(np.abs(np.diff(image, axis=0)).mean() / image.std())

    ratios = [fine(film) / fine(plain) for plain, film in zip(films("unchanged"), films("enhanced"), strict=True)]
    assert min(ratios) > 1


def test_an_inverted_film_has_dark_bone() -> None:
    for plain, film in zip(films("unchanged"), films("inverted"), strict=True):
        assert (plain.image.read().astype(int) + film.image.read() == 255).all()


def test_a_mirrored_film_has_mirrored_pixels_corners_and_facing() -> None:
    for plain, film in zip(films("unchanged"), films("mirrored"), strict=True):
        image = film.image.read()
        np.testing.assert_array_equal(image, plain.image.read()[:, ::-1])
        assert {film.facing, plain.facing} == {Facing.LEFT, Facing.RIGHT}
        for one, other in zip(plain.vertebrae or (), film.vertebrae or (), strict=True):
            np.testing.assert_allclose(
                one.corners_xy[:, 0].sum() + other.corners_xy[:, 0].sum(), 4 * (image.shape[1] - 1)
            )
            np.testing.assert_array_equal(one.corners_xy[[1, 0, 3, 2], 1], other.corners_xy[:, 1])


def test_a_rotated_film_has_the_same_pixels_at_its_corners_and_turns_either_way() -> None:
    turned = set()
    for plain, film in zip(films("unchanged", 12), films("rotated-90", 12), strict=True):
        assert film.size_hw == plain.size_hw[::-1]
        upright, lying = corners_of(plain), corners_of(film)
        np.testing.assert_array_equal(values_at(film.image.read(), lying), values_at(plain.image.read(), upright))
        clockwise = bool(lying[0, 0] == plain.size_hw[0] - 1 - upright[0, 1])
        turned.add(clockwise)
        if plain.spacing and film.spacing:
            assert (film.spacing.x_mm, film.spacing.y_mm) == (plain.spacing.y_mm, plain.spacing.x_mm)
    assert turned == {True, False}


def test_a_film_on_its_head_has_the_same_pixels_at_its_corners() -> None:
    for plain, film in zip(films("unchanged"), films("rotated-180"), strict=True):
        assert film.size_hw == plain.size_hw
        image, before = film.image.read(), plain.image.read()
        np.testing.assert_array_equal(image, before[::-1, ::-1])
        np.testing.assert_array_equal(values_at(image, corners_of(film)), values_at(before, corners_of(plain)))
        middle = (np.array(image.shape[::-1]) - 1) / 2
        np.testing.assert_allclose(
            (corners_of(film) + corners_of(plain)) / 2, np.broadcast_to(middle, corners_of(film).shape)
        )


def test_a_coned_film_is_dark_beyond_a_narrow_margin_around_its_corners() -> None:
    for plain, film in zip(films("unchanged"), films("coned"), strict=True):
        image, before, points = film.image.read(), plain.image.read(), corners_of(film)
        np.testing.assert_array_equal(values_at(image, points), values_at(before, points))
        depth = np.median([np.linalg.norm(v.corners_xy[1] - v.corners_xy[0]) for v in film.vertebrae or ()])
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
        (left, top), (right, bottom) = points.min(axis=0) - 0.4 * depth, points.max(axis=0) + 0.4 * depth
        beyond = (columns < left) | (columns > right) | (rows < top) | (rows > bottom)
        assert (image[beyond] == 4).all()


def test_a_burnt_sacrum_is_white_and_the_spine_above_is_not() -> None:
    for plain, film in zip(films("unchanged"), films("burnt-sacrum"), strict=True):
        image, before = film.image.read().astype(int), plain.image.read().astype(int)
        assert (image >= before).all()
        bottom = int(corners_of(film)[:4, 1].max()) + 1
        lit = before[bottom:] > 60
        if lit.any():
            assert np.median(image[bottom:][lit]) > 180
        top = int(corners_of(film)[12:16, 1].max())  # L3 and above
        assert np.abs(image[:top] - before[:top]).mean() < 12


def test_hardware_is_white_metal_over_the_spine() -> None:
    added = []
    for plain, film in zip(films("unchanged"), films("hardware"), strict=True):
        image, before = film.image.read().astype(int), plain.image.read().astype(int)
        assert (image >= before - 1).all()
        metal = (image > 200) & (image > before + 40)
        points = corners_of(film)
        rows, columns = np.nonzero(metal)
        depth = np.median([np.linalg.norm(v.corners_xy[1] - v.corners_xy[0]) for v in film.vertebrae or ()])
        assert (rows > points[:, 1].min() - depth).all()
        assert (columns > points[:, 0].min() - 2 * depth).all()
        added.append(metal.mean())
    assert np.median(added) > 0.002


def test_a_second_film_stands_beside_the_first_on_either_side() -> None:
    sides = set()
    for plain, film in zip(films("unchanged", 12), films("second-film", 12), strict=True):
        image, before = film.image.read(), plain.image.read()
        shift = round(float(corners_of(film)[0, 0] - corners_of(plain)[0, 0]))
        sides.add(shift > 0)
        np.testing.assert_array_equal(image[:, shift : shift + before.shape[1]], before)
        np.testing.assert_allclose(corners_of(film), corners_of(plain) + np.array([shift, 0]))
        assert image.shape[1] > 1.6 * before.shape[1]
    assert sides == {True, False}


@pytest.mark.parametrize("percent", SHARES)
def test_on_a_whole_film_the_lumbar_spine_has_the_stated_share_of_its_height(percent: int) -> None:
    for film in films(f"whole-film-{percent}"):
        vertebrae = film.vertebrae or ()
        assert 5 <= len(vertebrae) <= MOST_LABELLED
        shares = [
            np.ptp(np.concatenate([v.corners_xy[:, 1] for v in vertebrae[:count]])) / film.size_hw[0]
            for count in (5, 6, 7)  # four to six lumbar vertebrae and S1
        ]
        assert min(abs(share - percent / 100) for share in shares) < 0.04
        assert film.spacing is not None
        assert film.spacing.pixel_aspect == 1


def test_smaller_spines_show_more_bodies() -> None:
    bodies = [np.mean([len(film.vertebrae or ()) for film in films(f"whole-film-{percent}")]) for percent in SHARES]
    assert all(fewer <= more for fewer, more in pairwise(bodies))
    assert bodies[-1] > bodies[0] + 2


def test_an_unknown_condition_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="unknown condition of synthetic films 'invertd'"):
        condition_films("invertd", 1)


def test_the_configuration_offers_the_conditions_with_a_truth_and_reaches_the_films() -> None:
    assert get_args(PhantomCondition) == tuple(name for name in CONDITIONS if name not in NOT_LUMBAR)
    config = DataConfig(
        phantom_films=4, phantom_seed=4, phantom_long_side_px=SIDE, phantom_condition="inverted", phantom_additions=()
    )
    loaded = load_films(config)
    assert loaded.name == f"phantom-4-4x{SIDE}px-inverted"
    assert len(loaded.films) == 4
    plain = load_films(config.model_copy(update={"phantom_condition": None}))
    by_patient = {film.patient: film.image.read() for film in plain.films}
    for film in loaded.films:
        np.testing.assert_array_equal(film.image.read(), 255 - by_patient[film.patient])


def test_training_films_under_conditions_have_patients_of_their_own_and_leave_the_other_parts_as_they_are() -> None:
    assert get_args(TrainingCondition) == CONDITIONS
    plain = DataConfig(phantom_films=8, phantom_seed=4, phantom_long_side_px=SIDE)
    config = plain.model_copy(
        update={"phantom_training_conditions": ("noise", "coned"), "phantom_films_per_condition": 3}
    )
    before, loaded = load_films(plain), load_films(config)
    assert loaded.name == f"phantom-4-8x{SIDE}px-and-3-each-coned+noise"
    for part in ("val", "test"):
        assert [film.film_id for film in loaded.part(part)] == [film.film_id for film in before.part(part)]
    further = loaded.part("train")[len(before.part("train")) :]
    assert [film.film_id.split("-")[-1] for film in further] == ["coned"] * 3 + ["noise"] * 3
    assert all(film.vertebrae for film in further[:3])
    assert all(film.labelled and not film.vertebrae for film in further[3:])
    assert not {film.patient for film in further} & {film.patient for film in before.films}


def test_a_condition_obeys_styles_and_slips() -> None:
    for condition in ("coned", "whole-film-50"):
        plain, even = (
            condition_films(condition, 30, 4, SIDE, without=("print", "export"), slips=slips).films
            for slips in ("clinic", "even")
        )
        assert all(film.size_hw[0] == SIDE for film in plain)
        assert max(level.slip.value for film in even for level in measure_film(film).levels) > 45
        assert plain[0].image.fingerprint() != even[0].image.fingerprint()
