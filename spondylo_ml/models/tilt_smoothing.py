"""Smoothing of the tilts along the spine: a few px of corner noise turn into degrees, and add up in Cobb angles.

Two kinds of directions follow the curve of a spine: the tilt of each body, and the direction of the line that joins
the centres of two neighbours, which corner noise disturbs less. `SpineCurve` learns from labelled films how they vary
together. Given how noisy a model's corners are, the expected tilts under this Gaussian prior (kriging with an unknown
mean: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 2.7) replace the measured ones.
Without noise they are the measured ones. All angles are relative to the film's mean direction, so that a rotated film
gives the rotated result.

Simulated on the labels of SpineWeb-16's 481 training films, five folds by patient, with independent normal errors of
1, 1.5, 2, 2.5 and 3.2 px512 on average: an SMAPE of 4.9, 7.1, 9.3, 11.5 and 14.5 % becomes 4.5, 5.7, 7.1, 7.8 and
8.7 %.

In shapes: N films, V vertebrae in the order of the slots, from the sacrum up, and D = 2 V - 1 directions, the tilts
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray

LEFT, RIGHT = [0, 2], [1, 3]
LEAST_SD_DEG = 1.0
"""Added, as a variance, to the learned variance of each direction: few films underestimate the smallest variances,
so that all would be smoothed too much. With 33 to 100 films of SpineWeb-16 it leaves less error than 0 and 0.5 do; with
380 it makes little difference."""

FILMS_PER_VERTEBRA = 3
"""Fewest complete films, per vertebra, to learn from: with fewer, small corner noise was made worse."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True)
class SpineCurve:
    """How the directions along a spine vary about the film's mean direction; a film and its mirror image are alike.

    Attributes:
        covariance_rad2: (D, D).
    """

    covariance_rad2: FloatArray

    @classmethod
    def fit(cls, corners_xy: FloatArray) -> Self:
        """Learn from (N, V, 4, 2) true corners of films; films with an absent corner are left out.

        Raises:
            DataError: not of this shape, or fewer complete films than `FILMS_PER_VERTEBRA` allows.
        """
        if corners_xy.ndim != 4 or corners_xy.shape[1] < 2 or corners_xy.shape[2:] != (4, 2):
            raise DataError(f"corners of films must be (N, V, 4, 2) with V of at least 2; given {corners_xy.shape}")
        count = corners_xy.shape[1]
        n_directions, fewest = 2 * count - 1, FILMS_PER_VERTEBRA * count
        directions = np.array([directions_rad(film) for film in corners_xy]).reshape(-1, n_directions)
        complete = directions[~np.isnan(directions).any(axis=1)]
        if len(complete) < fewest:
            raise DataError(
                f"{len(complete)} of {len(corners_xy)} films have all corners of {count} vertebrae: to smooth tilts, "
                f"learn from at least {fewest}"
            )
        deviations = complete - complete.mean(axis=1, keepdims=True)
        # Mirrored films have the opposite deviations, so that the mean is 0.
        return cls(deviations.T @ deviations / len(complete) + np.radians(LEAST_SD_DEG) ** 2 * np.eye(n_directions))


@dataclass(frozen=True)
class CornerNoise:
    """Standard deviation of each coordinate of a model's corners, in px of the corners' image.

    Attributes:
        across_px: of the vector from the middle of a body's left wall to the middle of its right wall.
        centre_px: of the centre of a body.

    Raises:
        DataError: negative or not finite.
    """

    across_px: float
    centre_px: float

    def __post_init__(self) -> None:
        if not (0 <= self.across_px < np.inf and 0 <= self.centre_px < np.inf):
            raise DataError(f"corner noise must be finite and at least 0 px: {self}")

    @classmethod
    def independent(cls, corner_px: float) -> Self:
        """Of independent corners whose coordinates have the standard deviation `corner_px`."""
        return cls(corner_px, corner_px / 2)

    @classmethod
    def measured(cls, true_xy: FloatArray, predicted_xy: FloatArray) -> Self:
        """From (..., V, 4, 2) corners of films in one scale, by the median: bodies a level off do not count.

        Raises:
            DataError: different shapes, or no body with all corners in both.
        """
        if true_xy.shape != predicted_xy.shape or true_xy.shape[-2:] != (4, 2):
            raise DataError(f"corners must be (..., V, 4, 2), alike: given {true_xy.shape} and {predicted_xy.shape}")
        off = (predicted_xy - true_xy).reshape(-1, 4, 2)
        off = off[~np.isnan(off).any(axis=(1, 2))]
        if not len(off):
            raise DataError("no vertebra has all true and predicted corners: the corner noise cannot be measured")
        across, centre = _across(off), off.mean(axis=1)
        return cls(*(float(MAD_TO_SD * np.median(np.abs(each - np.median(each, axis=0)))) for each in (across, centre)))


def smooth_tilts(corners_xy: FloatArray, curve: SpineCurve, noise: CornerNoise) -> FloatArray:
    """Turn each body about its centre from its measured to its expected tilt.

    Args:
        corners_xy: (V, 4, 2) corners of one film from the sacrum up. A body with a NaN keeps its corners.

    Returns:
        (V, 4, 2); centres and shapes of the bodies are unchanged.

    Raises:
        DataError: another number of vertebrae than the curve has.
    """
    if len(curve.covariance_rad2) != 2 * len(corners_xy) - 1 or corners_xy.shape[1:] != (4, 2):
        raise DataError(
            f"the curve is of {(len(curve.covariance_rad2) + 1) // 2} vertebrae of 4 corners; given corners of shape "
            f"{corners_xy.shape}"
        )
    measured = directions_rad(corners_xy)
    known = np.flatnonzero(~np.isnan(measured))
    if noise.across_px == 0 or not len(known):
        return corners_xy.copy()
    noise_covariance = _noise_covariance(corners_xy, noise)[np.ix_(known, known)]
    covariance = curve.covariance_rad2[np.ix_(known, known)] + noise_covariance
    weighted, ones = np.linalg.solve(covariance, np.stack([measured[known], np.ones(len(known))], axis=1)).T
    correction = np.zeros(len(measured))
    correction[known] = noise_covariance @ (weighted.sum() / ones.sum() * ones - weighted)
    return _turned(corners_xy, correction[: len(corners_xy)])


def directions_rad(corners_xy: FloatArray) -> FloatArray:
    """(D,) angles of (V, 4, 2) corners from their mean direction; 0 where a body or a line of centres is upright.

    NaN where a corner is absent, or where two points that define a direction coincide.
    """
    upward = np.diff(corners_xy.mean(axis=1), axis=0)
    vectors = np.concatenate([_across(corners_xy), np.stack([-upward[:, 1], upward[:, 0]], axis=1)])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = np.where(length > 0, vectors / length, np.nan).T
    mean = np.arctan2(np.nansum(y), np.nansum(x))
    return np.asarray(np.arctan2(y * np.cos(mean) - x * np.sin(mean), x * np.cos(mean) + y * np.sin(mean)))


def _across(corners_xy: FloatArray) -> FloatArray:
    """(..., 2) vectors of (..., 4, 2) corners from the middle of the left to the middle of the right wall."""
    return np.asarray(corners_xy[..., RIGHT, :].mean(axis=-2) - corners_xy[..., LEFT, :].mean(axis=-2))


def _noise_covariance(corners_xy: FloatArray, noise: CornerNoise) -> FloatArray:
    """(D, D) covariance of measured directions: noise over the distance of the two points; NaN where one is absent.

    Tilts are independent. Two lines of centres share the centre between them.
    """
    count = len(corners_xy)
    with np.errstate(divide="ignore", invalid="ignore"):
        tilt_rad = noise.across_px / np.linalg.norm(_across(corners_xy), axis=1)
        step_rad = noise.centre_px / np.linalg.norm(np.diff(corners_xy.mean(axis=1), axis=0), axis=1)
        of_centres = np.diff(np.eye(count), axis=0) * step_rad[:, None]
    covariance = np.zeros((2 * count - 1, 2 * count - 1))
    covariance[:count, :count] = np.diag(tilt_rad**2)
    covariance[count:, count:] = of_centres @ of_centres.T
    return covariance


def _turned(corners_xy: FloatArray, angles_rad: FloatArray) -> FloatArray:
    """(V, 4, 2) corners, each body turned about its centre by its (V,) angle, from the x towards the y axis."""
    centre = corners_xy.mean(axis=1, keepdims=True)
    x, y = np.moveaxis(corners_xy - centre, -1, 0)
    cosine, sine = np.cos(angles_rad)[:, None], np.sin(angles_rad)[:, None]
    turned = centre + np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
    return np.where(np.isnan(corners_xy).any(axis=(1, 2), keepdims=True), corners_xy, turned)
