"""Postures of synthetic patients: bodies keep their shapes, and without a posture nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from spondylo_ml.data.phantom import Posture, phantom_film, render
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray


def test_an_empty_posture_gives_the_same_film() -> None:
    plain, still = phantom_film(4, 2, 128), phantom_film(4, 2, 128, posture=Posture())
    for a, b in zip(plain.vertebrae, still.vertebrae, strict=True):
        np.testing.assert_allclose(a.corners_xy, b.corners_xy, atol=1e-9)
    assert np.abs(render(plain).astype(int) - render(still)).max() <= 1


def test_bodies_keep_their_shapes_and_the_slip_is_stated() -> None:
    plain = phantom_film(4, 2, 256)
    bent = phantom_film(4, 2, 256, posture=Posture({1: -8.0}, {0: 5.0}))
    sides = [
        np.linalg.norm(np.diff(f.framing.corners_px[:6], axis=1), axis=-1) / f.framing.px_per_mm for f in (plain, bent)
    ]
    np.testing.assert_allclose(sides[1], sides[0], atol=1e-9)
    np.testing.assert_allclose(
        bent.slip_percent - plain.slip_percent, np.eye(len(plain.slip_percent))[0] * 5, atol=1e-9
    )
    assert render(bent).shape == bent.size_hw


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match=r"a level is 0 \(L5/S1\) to 13; given 14"):
        phantom_film(4, 2, posture=Posture({14: 1.0}))


def test_a_disc_loses_its_share_of_height_and_the_slip_stays() -> None:
    plain, worn = phantom_film(4, 2, 256), phantom_film(4, 2, 256, posture=Posture(narrowing={1: 0.75, 2: 1.0}))
    before, after = (least_gaps(film.framing.corners_px) for film in (plain, worn))
    np.testing.assert_allclose(after[1:4] / before[1:4], [0.25, 0.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(worn.slip_percent, plain.slip_percent, atol=1e-9)


def test_a_disc_cannot_lose_more_than_it_has() -> None:
    with pytest.raises(DataError, match=r"a share of 0 to 1 of its height; given 1.5"):
        phantom_film(4, 2, posture=Posture(narrowing={0: 1.5}))


def least_gaps(corners: FloatArray) -> FloatArray:
    """(V - 1,) least distance of each body's inferior corners from the line of the endplate below, over its length."""
    plate = corners[:-1, 0] - corners[:-1, 1]
    up = np.stack([-plate[:, 1], plate[:, 0]], axis=1) / (plate**2).sum(axis=1, keepdims=True)
    return np.asarray(((corners[1:, 2:] - corners[:-1, None, 1]) * up[:, None]).sum(axis=-1).min(axis=1))
