"""Spines in mm as a frontal film shows them, from the sacrum up to C4.

Axes: x to the right on the image, which is the patient's left; y down; origin in the centre of L5. Rows of every array
are slots: 0 is S1, 1 is L5, 17 is T1. Proportions are medians over the training films of SpineWeb-16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondylo_ml.data.frontal.curves import L5, T1, TOP_SLOT, random_tilts_deg
from spondylo_ml.landmarks import FloatArray

LABELLED = slice(L5, T1 + 1)
"""Slots that are labelled, as on the films of SpineWeb-16."""

_WIDTH = np.array(
    [1.52, 1.43, 1.345, 1.275, 1.22, 1.175, 1.13, 1.075, 1.02, 0.985, 0.95, 0.91, 0.88, 0.855, 0.835, 0.85, 0.90, 0.98,
     0.95, 0.90, 0.88, 0.86]
)  # fmt: skip
"""Width of each body over the median width."""

_STEP = np.array(
    [0.078, 0.080, 0.0818, 0.079, 0.0758, 0.0728, 0.0691, 0.0649, 0.0608, 0.0578, 0.0564, 0.0551, 0.0549, 0.053, 0.0505,
     0.0476, 0.0432, 0.040, 0.039, 0.038, 0.037]
)  # fmt: skip
"""Distance from each centre to the one above as a share of the length from L5 to T1."""

_DISC = np.array(
    [0.30, 0.303, 0.308, 0.314, 0.308, 0.297, 0.281, 0.264, 0.251, 0.248, 0.247, 0.246, 0.246, 0.266, 0.271, 0.274,
     0.286, 0.29, 0.29, 0.29, 0.29]
)  # fmt: skip
"""Height of each disc as a share of that distance."""

_SUPERIOR_OVER_INFERIOR = np.array(
    [1.2, 0.954, 0.963, 0.968, 0.983, 0.976, 0.962, 0.939, 0.941, 0.959, 0.959, 0.960, 0.960, 0.971, 0.995, 1.017,
     1.028, 1.046, 1.0, 1.0, 1.0, 1.0]
)  # fmt: skip

_LENGTH_MM, _WIDTH_OF_LENGTH = 425.0, 0.077
_LEAST_GAP = 0.05
"""Smallest height of a disc at either side as a share of the body's width."""


@dataclass(frozen=True, eq=False)
class FrontalSpine:
    """The spine of one patient.

    Attributes:
        corners_mm: (V, 4, 2) in the order of `CORNERS`.
        rotation_deg: (V,) axial rotation; positive if the spinous process points to the right of the image.
        width_mm: median width of T1 to L5, the unit of length for everything around the spine.
    """

    corners_mm: FloatArray
    rotation_deg: FloatArray
    width_mm: float


@dataclass(frozen=True, eq=False)
class Proportions:
    """Sizes of the bodies of one patient, each with a value per slot; by default those of the median patient.

    Attributes:
        width_mm: (V,) width of each body.
        step_mm: (V - 1,) distance from each centre to the one above.
        disc_share: (V - 1,) height of each disc as a share of that distance.
        taper: (V,) superior over inferior width.
        wedge_noise_deg: (V,) angle between the endplates that does not follow from the curve.
        skew: (V,) shift of the superior edge to the right as a share of the width.
    """

    width_mm: FloatArray
    step_mm: FloatArray
    disc_share: FloatArray
    taper: FloatArray
    wedge_noise_deg: FloatArray
    skew: FloatArray


def median_proportions() -> Proportions:
    """Sizes of the median patient, without any variation."""
    nothing = np.zeros(TOP_SLOT + 1)
    width = _WIDTH * _WIDTH_OF_LENGTH * _LENGTH_MM
    return Proportions(width, _STEP * _LENGTH_MM, _DISC.copy(), _SUPERIOR_OVER_INFERIOR.copy(), nothing, nothing)


def random_proportions(rng: np.random.Generator) -> Proportions:
    """Sizes that vary from patient to patient, and from body to body."""
    median, count = median_proportions(), TOP_SLOT + 1
    length = float(np.clip(rng.normal(1.0, 0.08), 0.78, 1.2))
    slope = np.linspace(-1.0, 1.0, count) * rng.normal(0.0, 0.11)
    slim = np.exp(np.clip(rng.normal(0.0, 0.135), -0.32, 0.45))
    discs = np.exp(rng.normal(0.0, 0.20) + rng.normal(0.0, 0.12, count - 1))
    return Proportions(
        width_mm=median.width_mm * length * slim * np.exp(slope + rng.normal(0.0, 0.03, count)),
        step_mm=median.step_mm * length * np.exp(slope[1:] * 0.5 + rng.normal(0.0, 0.055, count - 1)),
        disc_share=np.clip(median.disc_share * discs, 0.10, 0.5),
        taper=median.taper * np.exp(rng.normal(0.0, 0.025, count)),
        wedge_noise_deg=rng.normal(0.0, 2.6, count),
        skew=rng.normal(0.0, 0.018, count),
    )


def random_spine(rng: np.random.Generator) -> FrontalSpine:
    """Draw curves, balance, sizes and axial rotation."""
    tilts = random_tilts_deg(rng) + rng.normal(0.0, 2.1, TOP_SLOT + 1)
    sizes = random_proportions(rng)
    lean_deg = float(np.clip(rng.normal(0.8, 2.8), -8.0, 8.0))
    return spine_of(balanced(tilts, sizes.step_mm, lean_deg), sizes, float(rng.uniform(0.8, 2.0)))


def balanced(tilts: FloatArray, step_mm: FloatArray, lean_deg: float) -> FloatArray:
    """(V,) tilts changed by a constant, so that the line from L5 up to T1 leans to the right by about `lean_deg`."""
    between = (tilts[:-1] + tilts[1:]) / 2
    inside = slice(L5, T1)
    return np.asarray(tilts + lean_deg - np.average(between[inside], weights=step_mm[inside]))


def spine_of(tilts_deg: FloatArray, sizes: Proportions, degrees_per_degree: float = 1.4) -> FrontalSpine:
    """The spine whose bodies have the given tilts (V,).

    Args:
        degrees_per_degree: axial rotation per degree of tilt between neighbouring bodies.

    A body is wedge-shaped by its share of the curve, the disc takes the rest. Bodies rotate towards the convexity, and
    their spinous processes away from it.
    """
    bend = -np.gradient(tilts_deg)  # change of the tilt from the body above to the one below
    wedge = np.interp(np.arange(len(bend)), [L5, T1], [0.40, 0.66]) * bend + sizes.wedge_noise_deg
    corners = _stack(_rotated(_bodies(wedge, sizes), np.radians(tilts_deg)), sizes.step_mm * sizes.disc_share)
    smooth = np.convolve(np.pad(bend, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    rotation = np.clip(-degrees_per_degree * smooth, -32.0, 32.0)
    unit = float(np.median(sizes.width_mm[LABELLED]))
    return FrontalSpine(corners - corners[L5].mean(axis=0), rotation, unit)


def _bodies(wedge_deg: FloatArray, sizes: Proportions) -> FloatArray:
    """(V, 4, 2) corners of each body without tilt around its centre, whose walls' midpoints are level."""
    height = np.empty(len(wedge_deg))
    bone = sizes.step_mm * (1 - sizes.disc_share)
    height[1:-1] = (bone[:-1] + bone[1:]) / 2
    height[0], height[-1] = bone[0], bone[-1]
    upper = sizes.width_mm * np.sqrt(sizes.taper)
    lower = sizes.width_mm / np.sqrt(sizes.taper)
    # At most half a body's height is lost at the narrow side.
    rise = np.tan(np.radians(np.clip(wedge_deg, -30.0, 30.0)) / 2)
    rise = np.clip(rise, -0.5 * height / sizes.width_mm, 0.5 * height / sizes.width_mm)
    shift = sizes.skew * sizes.width_mm / 2
    x = np.stack([shift - upper / 2, shift + upper / 2, -shift - lower / 2, -shift + lower / 2], axis=1)
    top, bottom = -height / 2, height / 2
    half = sizes.width_mm / 2
    y = np.stack([top + rise * half, top - rise * half, bottom - rise * half, bottom + rise * half], axis=1)
    return np.stack([x, y], axis=-1)


def _stack(corners: FloatArray, gap_mm: FloatArray) -> FloatArray:
    """(V, 4, 2) bodies placed on each other with the given height of each disc at its middle, or more if that is
    needed to keep the sides apart."""
    plate = corners[:-1, 1] - corners[:-1, 0]
    floor = corners[1:, 3] - corners[1:, 2]
    along = plate / np.linalg.norm(plate, axis=1, keepdims=True) + floor / np.linalg.norm(floor, axis=1, keepdims=True)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.stack([along[:, 1], -along[:, 0]], axis=1)
    # Height of each side of the disc compared with its middle: the lower plate falls, the upper floor rises.
    sag = np.abs(((floor - plate) * up).sum(axis=1)) / 2
    wide = np.linalg.norm(plate, axis=1)
    gap = np.maximum(gap_mm, sag + _LEAST_GAP * wide)
    step = corners[:-1, :2].mean(axis=1) + up * gap[:, None] - corners[1:, 2:].mean(axis=1)
    return np.asarray(corners + np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])[:, None])


def _rotated(points: FloatArray, angle_rad: FloatArray) -> FloatArray:
    """(V, 4, 2) points rotated about the origin by one angle per body; positive is clockwise on the image."""
    cos, sin = np.cos(angle_rad)[:, None], np.sin(angle_rad)[:, None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
