"""The similarity transform (rotation, scale and shift) that brings one set of corners onto another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray


@dataclass(frozen=True)
class Similarity:
    """A similarity transform without reflection.

    Attributes:
        matrix: (2, 3) for points as columns: the rotation with its scale, and the shift.
    """

    matrix: FloatArray

    def __call__(self, points_xy: FloatArray) -> FloatArray:
        """(..., 2) transformed points."""
        return np.asarray(points_xy @ self.matrix[:, :2].T + self.matrix[:, 2])

    @property
    def scale(self) -> float:
        """Length after the transform over length before it."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))


def similarity_between(from_xy: FloatArray, to_xy: FloatArray) -> Similarity:
    """The similarity transform with the least sum of squared distances (Umeyama, IEEE PAMI 1991, in two dimensions).

    Args:
        from_xy: (N, 2) points, NaN where absent; those that either set lacks do not count.
        to_xy: (N, 2) where they should lie.

    Raises:
        DataError: fewer than two points in common, or all in one place.
    """
    common = np.isfinite(from_xy).all(axis=-1) & np.isfinite(to_xy).all(axis=-1)
    if common.sum() < 2:
        raise DataError(f"two common points are needed to align bodies; given {common.sum()}")
    source, target = (points[common] @ np.array([1, 1j]) for points in (from_xy, to_xy))
    source_mean, target_mean = source.mean(), target.mean()
    size = float((np.abs(source - source_mean) ** 2).sum())
    if size == 0:
        raise DataError("the points to align all lie in one place")
    turn = complex((np.conj(source - source_mean) * (target - target_mean)).sum() / size)
    shift = complex(target_mean - turn * source_mean)
    return Similarity(np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]))
