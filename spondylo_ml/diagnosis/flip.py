"""Check that a mirrored film has the same slips as the film."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.slip import slip_percent
from spondylo_ml.config.films import AugmentationConfig
from spondylo_ml.data.augment import Augmenter
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.diagnosis.results import CheckResult, check_result, no_usable_corner, not_applicable
from spondylo_ml.landmarks import Facing, FloatArray, GreyImage

NAME = "flip"
TOLERANCE_PERCENT = 0.01
"""Percent of the endplate. The augmentation computes in single precision, which gives about 0.0001 %."""

FLIP_ALONE = AugmentationConfig(
    flip_probability=1,
    affine_probability=0,
    contrast_probability=0,
    noise_probability=0,
    blur_probability=0,
    clahe_probability=0,
    dropout_probability=0,
)

Flip = Callable[[GreyImage, FloatArray], tuple[GreyImage, FloatArray]]


def augmentation_flip(image: GreyImage, corners_xy: FloatArray) -> tuple[GreyImage, FloatArray]:
    """A film mirrored by the augmentation, with nothing else changed."""
    return Augmenter(FLIP_ALONE)(image, corners_xy, seed=0)


def check_flip(films: Sequence[PreparedFilm], flip: Flip = augmentation_flip) -> CheckResult:
    """Check that mirroring pixels and corners keeps each level's slip, with its sign.

    A film without a facing (AP or unknown) counts as facing left: the check tests the flip, not the film.
    """
    worst, levels, lost, not_mirrored = 0.0, 0, 0, 0
    for film in films:
        facing = film.film.facing if film.film.facing in (Facing.LEFT, Facing.RIGHT) else Facing.LEFT
        image, corners = flip(film.image, film.corners_xy)
        before, after = slips_percent(film.corners_xy, facing), slips_percent(corners, facing.mirrored())
        measurable = ~np.isnan(before)
        levels += int(measurable.sum())
        lost += int((measurable & np.isnan(after)).sum())
        worst = max(worst, float(np.nanmax(np.abs(after - before), initial=0.0)))
        not_mirrored += not np.array_equal(image, film.image[:, ::-1])
    if all(np.isnan(film.corners_xy).all() for film in films):
        return no_usable_corner(NAME)
    if not levels:
        return not_applicable(NAME, "no slip can be measured on the films examined")
    text = f"{levels} slips change by up to {worst:.4f} % of the endplate when the film is mirrored"
    if lost:
        text += f", {lost} of them can no longer be measured"
    if not_mirrored:
        text += f"; the pixels of {not_mirrored} film(s) are not mirrored with their corners"
    return check_result(
        NAME,
        worst <= TOLERANCE_PERCENT and not lost and not not_mirrored,
        text,
        worst,
        TOLERANCE_PERCENT,
        "%",
        "Mirroring must move the pixels, put each corner at width - 1 - x, and exchange left and right corners "
        "(landmarks.MIRRORED_CORNERS, data/augment.py). To train without flips: augmentation.flip_probability=0 and "
        "training.preflight=false.",
    )


def slips_percent(corners_xy: FloatArray, facing: Facing) -> FloatArray:
    """(V - 1,) slip of each vertebra of (V, 4, 2) corners on the one below, percent; NaN if it is not measurable."""
    bodies = patient_frame(corners_xy, facing)
    return slip_percent(bodies[1:], bodies[:-1])
