"""Whether, by its grey levels, a film shows anything; used by audits and predictions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.landmarks import FloatArray, GreyImage, Vertebra

SMALL_SIDE_PX = 256
DARK, BRIGHT = 8, 247

BLANK_RANGE, FLAT_RANGE = 10, 40
"""Range between the 1st and 99th percentile of grey levels below which a film is blank, or has hardly any contrast."""

ALMOST_ALL = 0.85
"""Share of black, or white, pixels above which a film is almost all black, or white."""

BRIGHT_SIDES, DARK_BODIES = 0.12, -0.10
"""A film may be a negative if its sides are this much brighter than its middle, or bodies darker than what lies beside
them, as shares of the grey range. True of 1 % of 400 synthetic and 68 real films, and of 85 % of their negatives."""

SIDE_PX = 8  # of the small film


@dataclass(frozen=True)
class Exposure:
    """Statistics of a film's grey levels.

    Attributes:
        range_grey: grey levels between the 1st and the 99th percentile.
        dark_share, bright_share: share of pixels that are all but black, or all but white.
        side_contrast: how much brighter the film's left and right sides are than its middle, as a share of the range.
    """

    range_grey: float
    dark_share: float
    bright_share: float
    side_contrast: float

    @property
    def blank(self) -> str:
        """Why nothing can be seen on the film; empty if something can."""
        if self.range_grey < BLANK_RANGE:
            return f"its grey levels span {self.range_grey:.0f} of 255: nothing can be seen"
        return ""

    @property
    def poor(self) -> str:
        """What is wrong with a film on which something can be seen; empty if nothing is."""
        if self.dark_share > ALMOST_ALL:
            return f"{self.dark_share:.0%} of the film is black"
        if self.bright_share > ALMOST_ALL:
            return f"{self.bright_share:.0%} of the film is white"
        if self.range_grey < FLAT_RANGE:
            return f"its grey levels span {self.range_grey:.0f} of 255: hardly any contrast"
        return ""


def small_film(image: GreyImage) -> NDArray[np.float32]:
    """The film resized to (256, 256), from which exposure and contrast are computed."""
    return cv2.resize(image, (SMALL_SIDE_PX, SMALL_SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)


def exposure_of(small: NDArray[np.float32]) -> Exposure:
    """Exposure of a `small_film`."""
    low, high = np.percentile(small, [1, 99])
    middle = small[SMALL_SIDE_PX // 4 : -SMALL_SIDE_PX // 4, SMALL_SIDE_PX // 4 : -SMALL_SIDE_PX // 4]
    sides = np.concatenate([small[:, :SIDE_PX], small[:, -SIDE_PX:]])
    return Exposure(
        range_grey=float(high - low),
        dark_share=float((small < DARK).mean()),
        bright_share=float((small > BRIGHT).mean()),
        side_contrast=float(np.median(sides) - np.median(middle)) / max(1.0, float(high - low)),
    )


def bone_contrast(
    small: NDArray[np.float32], vertebrae: tuple[Vertebra, ...], size_hw: tuple[int, int], range_grey: float
) -> float:
    """Brightness of bodies minus that one width beside them, as a share of the grey range; NaN without bodies."""
    bodies = [v.corners_xy for v in vertebrae if v.present.all()]
    if not bodies:
        return float("nan")
    corners = np.stack(bodies)
    centres = corners.mean(axis=1)
    across = (corners[:, 1] - corners[:, 0] + corners[:, 3] - corners[:, 2]) / 2
    scale = np.array([SMALL_SIDE_PX / size_hw[1], SMALL_SIDE_PX / size_hw[0]])
    inside, left, right = (_grey_at(small, (centres + shift * across) * scale) for shift in (0.0, -1.0, 1.0))
    return float(np.median(inside - (left + right) / 2)) / max(1.0, range_grey)


def doubt_on_sign(exposure: Exposure, contrast: float) -> str:
    """Why the film may be a negative, by this film alone; empty if it looks positive."""
    if contrast < DARK_BODIES:
        return (
            f"bodies are {-contrast:.0%} of the grey range darker than what lies beside them: a negative? "
            "Bone must be bright"
        )
    if exposure.side_contrast > BRIGHT_SIDES:
        return (
            f"the film's sides are {exposure.side_contrast:.0%} of the grey range brighter than its middle: a "
            "negative? Bone must be bright"
        )
    return ""


def _grey_at(image: NDArray[np.float32], points_xy: FloatArray) -> FloatArray:
    xy = np.clip(points_xy.astype(int), 0, SMALL_SIDE_PX - 1)
    return np.asarray(cv2.blur(image, (5, 5))[xy[:, 1], xy[:, 0]], dtype=np.float64)
