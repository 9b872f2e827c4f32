"""Synthetic films, without pixels, with predictions whose errors are drawn from a known distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from builders import prediction_of

from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.landmarks import Film, FilmPrediction


def films_with_noise(
    count: int, seed: int, noise_px: float = 1.5, stated_px: float = 1.0
) -> tuple[Sequence[Film], list[FilmPrediction]]:
    """Films of 256 px, and predictions with normal errors of `noise_px` that state a standard deviation of `stated_px`.

    Half of the corners have four times the error and the stated deviation, and little heat.
    """
    films = phantom_films(count, seed, 256).films
    rng = np.random.default_rng(seed)
    return films, [_noisy(film, rng, noise_px, stated_px) for film in films]


def _noisy(film: Film, rng: np.random.Generator, noise_px: float, stated_px: float) -> FilmPrediction:
    exact = prediction_of(film, SLOTS)
    hard = rng.random((SLOTS.count, 4)) < 0.5
    factor = np.where(hard, 4.0, 1.0)
    errors = noise_px * factor[..., None] * rng.normal(size=(SLOTS.count, 4, 2))
    return replace(
        exact,
        corners_xy=exact.corners_xy + errors,
        covariance_px2=(stated_px * factor[..., None, None]) ** 2 * np.eye(2),
        heat_share=np.where(hard, 0.2, 0.9) + 0.05 * rng.random(hard.shape),
    )
