"""Readers with known errors: the labels of synthetic films, with Gaussian noise on every corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spondylo_ml.data.films import HeldImage
from spondylo_ml.landmarks import Film, Vertebra


def reader_of(films: Sequence[Film], noise_px: float, seed: int) -> list[Film]:
    """The films as labelled by a reader whose error is normal, `noise_px` per axis and independent for each corner."""
    rng = np.random.default_rng(seed)
    return [
        replace(
            film,
            vertebrae=tuple(
                Vertebra(v.slot, v.corners_xy + noise_px * rng.normal(size=(4, 2))) for v in film.vertebrae or ()
            ),
        )
        for film in films
    ]


def drawn(films: Sequence[Film]) -> list[Film]:
    """The films with their pixels in memory, so that each is drawn once."""
    return [replace(film, image=HeldImage(film.image.read())) for film in films]
