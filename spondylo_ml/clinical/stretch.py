"""Detect from the shapes of the bodies whether a lateral film was stretched in one direction.

A stretch has two effects. Bodies become too wide or too high. And endplates and walls, which are perpendicular in
reality, are no longer so on a tilted body: a stretch by e^L changes the log aspect of a body tilted by t by L cos 2t
and its right angles by L sin 2t. Rotating the film changes neither.

Measured on 1,000 unstretched synthetic films (500 each of `phantom_films(500, seed, 640, (), "even")`, seeds 77 and
4321): with exact corners none is called stretched, with normal noise of 3 % of a body's depth on each coordinate 0.6 %,
with 6 % noise 2.6 %. Of the same films stretched by 1.25, 92 %, 86 % and 69 % are detected; by 1.4, 99.9 %, 99.5 % and
96.5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical.patient_frame import has_impossible_outline, patient_frame
from spondylo_ml.landmarks import Facing, FloatArray, Vertebra

LATERAL_ASPECT = 1.39
"""Width over height of a lumbar body on a lateral film (median of 1,755 films: anterior height 0.72 of the depth)."""

LUMBAR_SLOTS = range(1, 6)

STRETCH_LIMIT = 1.18
"""A film with an estimated stretch beyond this factor, in either direction, was probably stretched."""

STRETCH_LIMIT_OF_ONE = 1.4
"""The same limit for films with a single complete lumbar body, which may have an unusual shape."""

CERTAIN_STRETCH = 1.3
"""Beyond this factor a film is not measured at all. Up to it, the film may be as it was taken: bodies with osteophytes,
and the corners that some networks find, are that wide on whole sets of real films."""

LEAST_ERRORS = 2.5
"""A stretch must also differ from 1 by this many standard errors: corners of a poor network are weak evidence."""

ASPECT_SD, SKEW_SD_RAD = 0.08, 0.08
"""Standard deviation of an unstretched film's log aspect, and of the deviation from a right angle between a body's
endplates and walls."""

_SKEW_LIMIT_RAD = 0.6  # one body labelled on its side must not outvote the others


@dataclass(frozen=True)
class Stretch:
    """Estimated stretch of a film.

    Attributes:
        factor: horizontal over vertical stretch; NaN without a complete lumbar body.
        bodies: number of complete lumbar bodies used.
        error: standard error of the factor's logarithm, from the agreement of these bodies.
    """

    factor: float
    bodies: int
    error: float = 0.0

    @property
    def probable(self) -> bool:
        """Whether the film was probably stretched."""
        limit = STRETCH_LIMIT if self.bodies > 1 else STRETCH_LIMIT_OF_ONE
        return bool(abs(np.log(self.factor)) > max(np.log(limit), LEAST_ERRORS * self.error))

    @property
    def doubtful(self) -> bool:
        """Whether a film that was probably stretched may also be as it was taken."""
        return bool(self.probable and abs(np.log(self.factor)) <= np.log(CERTAIN_STRETCH))

    def __str__(self) -> str:
        factor = self.factor
        shape = f"{factor:.2f} times wider" if factor > 1 else f"{1 / factor:.2f} times narrower"
        return f"its bodies are {shape} for their height than bones are"


def film_stretch(vertebrae: Sequence[Vertebra], pixel_aspect: float = 1.0) -> Stretch:
    """Estimate the stretch of a lateral film.

    Args:
        pixel_aspect: known width of a pixel over its height; this stretch is undone first.
    """
    complete = [v.corners_xy for v in vertebrae if v.slot in LUMBAR_SLOTS and v.present.all()]
    bodies = np.array(complete).reshape(-1, 4, 2) * np.array([pixel_aspect, 1.0])
    bodies = bodies[~has_impossible_outline(patient_frame(bodies, Facing.LEFT))]
    if len(bodies) == 0:
        return Stretch(float("nan"), 0)
    aspects = np.log(_width(bodies) / _height(bodies) / LATERAL_ASPECT)
    plates, walls = _direction(_plates(bodies)), _direction(_walls(bodies)) - np.pi / 2
    skew = np.clip((plates - walls + np.pi) % (2 * np.pi) - np.pi, -_SKEW_LIMIT_RAD, _SKEW_LIMIT_RAD)
    tilt = walls + skew / 2
    aspect_gain, skew_gain = float(np.cos(2 * tilt).mean()), -np.sin(2 * tilt)
    # Weighted least squares for L from both effects. The weights are inverse variances: those of unstretched films, or
    # of the bodies of this film if its corners scatter more.
    aspect, scatter = float(np.median(aspects)), float(np.std(aspects)) / np.sqrt(len(bodies))
    weights = 1 / (ASPECT_SD**2 + scatter**2), 1 / SKEW_SD_RAD**2
    for _ in range(2):
        weighted_sum = weights[0] * aspect_gain * aspect + weights[1] * float(skew_gain @ skew)
        weight = weights[0] * aspect_gain**2 + weights[1] * float(skew_gain @ skew_gain)
        residuals = skew - weighted_sum / weight * skew_gain
        weights = weights[0], 1 / max(SKEW_SD_RAD**2, float(np.mean(residuals**2)))
    return Stretch(float(np.exp(weighted_sum / weight)), len(bodies), float(1 / np.sqrt(weight)))


def _plates(bodies: FloatArray) -> FloatArray:
    return np.asarray(bodies[:, 1] - bodies[:, 0] + bodies[:, 3] - bodies[:, 2])


def _walls(bodies: FloatArray) -> FloatArray:
    return np.asarray(bodies[:, 2] - bodies[:, 0] + bodies[:, 3] - bodies[:, 1])


def _width(bodies: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(bodies[:, [1, 3]] - bodies[:, [0, 2]], axis=-1).mean(axis=1))


def _height(bodies: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(bodies[:, [2, 3]] - bodies[:, [0, 1]], axis=-1).mean(axis=1))


def _direction(vectors: FloatArray) -> FloatArray:
    return np.asarray(np.arctan2(vectors[:, 1], vectors[:, 0]))
