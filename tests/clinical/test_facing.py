"""Facing: correct on synthetic films, mirrored with the film, unchanged by rotation, calibrated confidence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spines import TiltedFilm, rotated, tilted_film

from spondylo_ml.clinical.facing import SIGNS, WEIGHTS, facing_signs, infer_facing
from spondylo_ml.landmarks import Facing, Vertebra

Change = Callable[[TiltedFilm, np.random.Generator], tuple[Vertebra, ...]]


def share_right(seed: int, count: int, change: Change) -> tuple[float, float]:
    """Share of films with the correct facing, and mean confidence."""
    right, confidence = [], []
    for index in range(count):
        film = tilted_film(seed, index)
        estimate = infer_facing(change(film, np.random.default_rng([seed, index, 2])))
        right.append(estimate.facing is film.facing)
        confidence.append(estimate.confidence)
    return float(np.mean(right)), float(np.mean(confidence))


def noisy(film: TiltedFilm, rng: np.random.Generator) -> tuple[Vertebra, ...]:
    """Noisy corners; the sacrum or its lower corners are often missing, other bodies sometimes."""
    vertebrae = film.vertebrae
    share = rng.random()
    if share < 0.3:
        vertebrae = vertebrae[1:]
    vertebrae_kept = []
    for v in vertebrae:
        corners = v.corners_xy + rng.normal(0, 0.05 * film.depth_px, (4, 2))
        if v.slot == 0 and share < 0.6:
            corners[2:] = np.nan
        if rng.random() > 0.05:
            vertebrae_kept.append(Vertebra(v.slot, corners))
    return tuple(vertebrae_kept)


def test_correct_on_2000_tilted_synthetic_films_including_flat_backs() -> None:
    films = [tilted_film(5, index) for index in range(2000)]
    estimates = [infer_facing(film.vertebrae) for film in films]
    assert sum(estimate.signs["lordosis"] ** 2 < 1 for estimate in estimates) > 100, "flat backs"
    assert np.mean([e.facing is film.facing for e, film in zip(estimates, films, strict=True)]) >= 0.995


def test_confidence_is_calibrated_on_noisy_corners() -> None:
    share, confidence = share_right(6, 1000, noisy)
    assert 0.98 < share < 1
    assert abs(share - confidence) < 0.01


def test_a_mirrored_spine_has_the_mirrored_facing_with_the_same_confidence() -> None:
    for index in range(50):
        film = tilted_film(7, index)
        original = infer_facing(film.vertebrae)
        mirrored = infer_facing([v.mirrored(640) for v in film.vertebrae])
        assert mirrored.facing is original.facing.mirrored()
        assert mirrored.confidence == pytest.approx(original.confidence, abs=1e-9)


@given(st.integers(0, 200), st.floats(-180, 180))
def test_rotation_changes_nothing(index: int, degrees: float) -> None:
    film = tilted_film(8, index)
    turned = [Vertebra(v.slot, rotated(v.corners_xy, degrees)) for v in film.vertebrae]
    np.testing.assert_allclose(facing_signs(turned), facing_signs(film.vertebrae), atol=1e-6)


def test_a_spine_without_a_front_is_unknown() -> None:
    squares = [Vertebra(s, np.array([[0.0, 0], [9, 0], [0, 9], [9, 9]]) - [0, 12 * s]) for s in range(5)]
    for vertebrae in ((), squares, [Vertebra(0, np.full((4, 2), np.nan))]):
        estimate = infer_facing(vertebrae)
        assert (estimate.facing, estimate.confidence) == (Facing.UNKNOWN, 0.0)
        assert set(estimate.signs.values()) == {0.0}


def test_two_wedges_that_open_to_the_left_face_left() -> None:
    """S1's plate slopes down to the left by 45 degrees against a level L5: a break of 4.5, cut to 4."""
    sacrum = Vertebra(0, np.array([[0.0, 140], [100, 40], [np.nan, np.nan], [np.nan, np.nan]]))
    fifth = Vertebra(1, np.array([[0.0, -60], [100, -60], [0, 20], [100, 20]]))
    estimate = infer_facing([sacrum, fifth])
    assert estimate.facing is Facing.LEFT
    assert estimate.signs["sacral_break"] == pytest.approx(-4.0)
    assert estimate.signs["sacrum_backward"] == 0


@pytest.mark.slow
def test_the_weights_are_reproduced_by_the_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    films = [tilted_film(0, index) for index in range(6000)]
    signs = np.stack([facing_signs(noisy(f, np.random.default_rng([0, i, 2]))) for i, f in enumerate(films)])
    right = np.array([f.facing is Facing.RIGHT for f in films])
    mirrored_pairs = np.concatenate([signs, -signs])  # each film and its mirror image
    model = LogisticRegression(fit_intercept=False).fit(mirrored_pairs, np.concatenate([right, ~right]))
    fitted = dict(zip(SIGNS, model.coef_[0], strict=True))
    assert fitted == pytest.approx(dict(zip(SIGNS, WEIGHTS, strict=True)), abs=0.06)
